"""The site of the documentation in a browser, opened as files."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
PAGES = ("index.html", "docs/losses.html", "docs/configuration.html", "docs/api.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    if find_spec("mkdocs") is None:
        pytest.skip("MkDocs is not installed: make docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def opened(chromium, site):
    """Open a page of the site; check at the end that there were no errors and no requests."""
    contexts, seen = [], []

    def open_page(file, width=1280):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("console", lambda message: seen.append(message.text))
        page.on("request", lambda r: seen.append(r.url) if r.url.startswith("http") else None)
        page.goto((site / file).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_a_page_fits_the_screen_and_loads_nothing_from_a_network(opened, width):
    for file in PAGES:
        page = opened(file, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, file
        missing = (
            "[...document.images].filter(image => !image.naturalWidth).map(image => image.src)"
        )
        page.wait_for_load_state("load")
        assert page.evaluate(missing) == [], file


def test_the_search_finds_a_key_of_the_configuration(opened):
    page = opened("index.html")
    page.locator(".md-search__input").click()
    page.locator(".md-search__input").type("max_general_loss_rise")
    found = page.locator(".md-search-result__link").first
    found.wait_for()
    assert "docs/" in found.get_attribute("href")


def test_the_reference_has_the_parameters_of_the_functions(opened):
    page = opened("docs/api.html")
    for name in ("fit_law", "plan", "predict_loss", "RoutedModel"):
        assert page.locator(f".doc-object h2:has-text('{name}')").count()
    assert "discrepancy" in page.locator("body").inner_text()
