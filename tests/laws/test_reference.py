"""The fitter on the public grid of real losses: what it predicted before, it predicts today."""

import importlib.util

import pandas as pd
import pytest

from splitlaw.laws import FORMS

QUESTIONS = ("largest sizes", "D' four times beyond")
LAWS = ["auto", *(form.name for form in FORMS.values() if form.stages == 2)]


@pytest.fixture(scope="module")
def reference(root):
    file = root / "benchmarks" / "reference.py"
    spec = importlib.util.spec_from_file_location("reference", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table(reference, root):
    return reference.read(root / "reference" / "losses.csv")


@pytest.fixture(scope="module")
def before(root):
    return pd.read_csv(root / "reference" / "forms.csv").set_index(["form", "question"])


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("law", LAWS)
def test_errors_on_rows_held_out_are_those_recorded(law, question, reference, table, before):
    """A better fitter may change them: then `benchmarks/reference.py forms --out` records anew."""
    seen, asked = reference.hold_outs(table)[question]
    found = reference.measured(table, law, seen, asked)
    recorded = before.loc[(law, question)]
    assert found["rows"] == recorded["rows"]
    assert found["mre"] == pytest.approx(recorded["mre"], abs=5e-4)
    assert found["bias"] == pytest.approx(recorded["bias"], abs=5e-4)
