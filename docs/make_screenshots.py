"""Make the pictures of the pages on tables of losses, from runs of the commands they show.

python docs/make_screenshots.py        a terminal recording, the report and the plan page; a minute

Needs Chromium.
"""

import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from terminal_recording import Recording

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"
TABLE = ROOT / "reference" / "disjoint" / "losses.csv"
PLAN = ["--params", "2e5", "--flops", "5e12"]
COMMANDS = [
    ["fit_law", "--losses", "losses.csv", "--out", "fit.json"],
    ["choose_split", "--law", "fit.json", *PLAN, "--out", "plan.json"],
]
"""Those of docs/losses.md."""

sys.path.insert(0, str(ROOT / "tests" / "browser"))

from chromium import launched  # noqa: E402

WIDTH, HEIGHT = 1000, 790
"""Of the part of a page that is shown, in CSS pixels: all of the first screen of the report."""


def main() -> None:
    """Run the commands in an empty folder and store what they show."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(TABLE, folder / "losses.csv")
        record(folder)
        page = folder / "report.html"
        run(["report", "--losses", "losses.csv", *PLAN, "--out", page.name], folder)
        run(["report", "--law", "fit.json", "--out", "plan_page.html"], folder)
        photograph(page, FIGURES / "report.png")
        photograph(folder / "plan_page.html", FIGURES / "plan_page.png")


def record(folder: Path) -> None:
    """Run the commands in a terminal, and write all that it shows as an animation."""
    recording = Recording()
    for words in COMMANDS:
        recording.type(" ".join(["splitlaw", *words]))
        for chunk in output(words, folder):
            recording.show(chunk)
    (FIGURES / "terminal.svg").write_text(recording.svg(), encoding="utf-8")


def output(words: list[str], folder: Path):
    """The output of a command in a terminal, as it comes."""
    own, terminal = pty.openpty()
    process = subprocess.Popen(command(words), cwd=folder, stdout=terminal, stderr=terminal)
    os.close(terminal)
    while True:
        try:
            chunk = os.read(own, 65536)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        if not chunk:
            break
        yield chunk
    assert process.wait() == 0, words


def command(words: list[str]) -> list[str]:
    """A command of this checkout."""
    return [sys.executable, str(ROOT / "workflow_scripts" / f"{words[0]}.py"), *words[1:]]


def run(words: list[str], folder: Path) -> None:
    """Run a command without its output."""
    subprocess.run(command(words), cwd=folder, check=True, capture_output=True)


def photograph(page: Path, picture: Path) -> None:
    """Store the top of a page."""
    with launched() as browser:
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        opened = context.new_page()
        opened.goto(page.as_uri())
        # The interval follows after a pause.
        opened.wait_for_function(
            "document.querySelector('[data-is=answer]').textContent.includes('90% interval')"
        )
        opened.screenshot(path=picture)


if __name__ == "__main__":
    main()
