"""The notebook of the documentation runs, and its stored outputs are those of the code.

python tests/test_notebook.py        runs it and stores its outputs
"""

import os
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "losses.ipynb"
NUMBER = re.compile(r"(?<!\w)[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def executed() -> nbformat.NotebookNode:
    """The notebook with the outputs of this code, run in its own folder."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: make docs")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    client = nbclient.NotebookClient(notebook, timeout=120, resources=resources)
    client.record_timing = False
    return client.execute(env={**os.environ, "PYTHONPATH": str(ROOT / "workflow_scripts")})


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """What the cells print or display, as plain text."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.get("text") or output["data"]["text/plain"] for output in found]


def estimates(text: str) -> list[float]:
    """The first number of each line.

    In a plan, it is an estimate; the ends of intervals follow, which may differ by some percent
    between processors.
    """
    first = [NUMBER.search(line) for line in text.splitlines()]
    return [float(number[0].replace(",", "")) for number in first if number]


def test_the_notebook_runs_and_has_the_outputs_that_are_stored():
    stored, made = texts(nbformat.read(NOTEBOOK, as_version=4)), texts(executed())
    hint = f"run: python tests/{Path(__file__).name}"
    assert len(stored) == len(made) == 4, hint
    for old, new in zip(stored, made, strict=True):
        assert NUMBER.sub("0", old).split() == NUMBER.sub("0", new).split(), hint
        assert estimates(new) == pytest.approx(estimates(old), rel=0.02), hint


if __name__ == "__main__":
    nbformat.write(executed(), NOTEBOOK)
