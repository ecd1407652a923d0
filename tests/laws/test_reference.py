"""The fit of a public grid of real losses gives the recorded predictions."""

import importlib.util

import pandas as pd
import pytest

from splitlaw.laws import FORMS

QUESTIONS = ("largest sizes", "D' four times beyond")
FLAT = {("auto", QUESTIONS[1]), ("coupled", QUESTIONS[1]), ("interaction", QUESTIONS[1])}
"""Two levels of D' do not determine how these extrapolate: fits within 0.5% of each other's
objective, one on each machine, differ by up to 35% of the error at four times the largest D'. For
these the objective must agree."""

LAWS = ["auto", *(form.name for form in FORMS.values() if form.stages == 2)]


@pytest.fixture(scope="module")
def reference(root):
    file = root / "perf" / "reference.py"
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
def test_fits_and_errors_on_rows_held_out_are_those_recorded(
    law, question, reference, table, before
):
    """A better fitter may change them: then `perf/reference.py forms --out` records anew.

    What is shared is fixed to what was recorded: sharings lie within a standard error of each
    other, so that a machine's rounding decides between them.
    """
    seen, asked = reference.hold_outs(table)[question]
    recorded = before.loc[(law, question)]
    share = "auto" if law == "auto" else recorded["sharing"]
    found = reference.measured(table, law, seen, asked, share=share)
    assert found["rows"] == recorded["rows"]
    if (law, question) in FLAT:
        assert found["mre"] == pytest.approx(recorded["mre"], rel=0.35)
    else:
        assert found["mre"] == pytest.approx(recorded["mre"], abs=5e-4)
        assert found["bias"] == pytest.approx(recorded["bias"], abs=5e-4)
    if law != "auto":
        assert found["objective"] == pytest.approx(recorded["objective"], rel=0.01)
