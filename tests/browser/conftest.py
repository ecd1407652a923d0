"""Chromium, controlled by Playwright, and the pages that it opens."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from chromium import CHROMIUM, launched
from planted_results import plant

from splitlaw.cli import main

DOMAINS = ("law", "code")


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, or brew install chromium")
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """A planted experiment whose law averages two forms."""
    folder = tmp_path_factory.mktemp("browser") / "results/planted"
    plant(folder, domains=DOMAINS)
    assert main(["report", "--results", str(folder)]) == 0
    return folder


class Opened:
    """A page, with the errors that occurred while it was open and the requests that it made."""

    def __init__(self, context, file, address):
        self.page = context.new_page()
        self.errors, self.requests = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type != "log" else None)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(Path(file).as_uri() + address)
        self.page.wait_for_function("document.getElementById('explorer').dataset.milliseconds")

    def find(self, name):
        return self.page.locator(f"#explorer [data-is={name}]")

    def text(self, name):
        return self.find(name).inner_text()


@pytest.fixture
def opened(chromium, results):
    """Open a page of the experiment; check at the end that there were no errors and no requests."""
    contexts, pages = [], []

    def open_page(file="plan_page.html", *, width=1440, scheme="light", folder=results, address=""):
        contexts.append(
            chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        )
        pages.append(Opened(contexts[-1], folder / file, address))
        return pages[-1]

    yield open_page
    for context in contexts:
        context.close()
    for page in pages:
        assert page.errors == []
        assert [url for url in page.requests[1:] if not url.startswith(("data:", "blob:"))] == []
