"""`import splitlaw`: the functions, their examples, and the results that they give."""

import dataclasses
import doctest
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from laws.planted import cells, law, table

import splitlaw
from splitlaw import api
from splitlaw.common.errors import UserError
from splitlaw.laws import result as law_result
from splitlaw.planner import result as plan_result
from splitlaw.planner.result import REPLAY_FIELDS

SCRIPTS = Path(__file__).parent.parent / "workflow_scripts"


@pytest.fixture(scope="module")
def losses() -> pd.DataFrame:
    return table(law("two_skills"), noise=2e-3)


@pytest.fixture(scope="module")
def fitted(losses):
    return splitlaw.fit_law(losses, law="two_skills", draws=20)


@pytest.fixture(scope="module")
def planned(fitted):
    return splitlaw.plan(fitted, flops=1e18, params=1e7)


@pytest.mark.parametrize(
    "module", [splitlaw, api, law_result, plan_result], ids=lambda module: module.__name__
)
def test_the_examples_in_docstrings_run(module, losses, tmp_path, monkeypatch):
    losses.to_csv(tmp_path / "losses.csv", index=False)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(module)
    assert tried and not failed


def test_the_package_is_imported_quickly_without_dependencies():
    code = "import sys, splitlaw; print({'numpy', 'pandas', 'scipy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
    assert set(splitlaw.__all__) <= set(dir(splitlaw))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        splitlaw.nothing  # noqa: B018


def test_a_file_and_a_frame_give_the_same_law(fitted, losses, tmp_path):
    losses.to_csv(tmp_path / "losses.csv", index=False)
    from_file = splitlaw.fit_law(tmp_path / "losses.csv", law="two_skills", draws=20)
    pd.testing.assert_frame_equal(from_file.params, fitted.params)
    fitted.save(tmp_path / "fit.json")
    loaded = splitlaw.load_law(tmp_path / "fit.json")
    assert (loaded.law, loaded.domains) == ("two_skills", ("a", "b"))
    assert loaded.warnings == fitted.warnings and loaded.holdout == fitted.holdout
    with pytest.raises(UserError, match="no such file"):
        splitlaw.load_law(tmp_path / "none.json")


def test_predictions_of_a_file_and_of_a_frame(fitted, tmp_path):
    points = cells(fitted.domains)
    points.to_csv(tmp_path / "points.csv", index=False)
    predicted = splitlaw.predict_loss(fitted, points)
    again = splitlaw.predict_loss(fitted, tmp_path / "points.csv")
    pd.testing.assert_series_equal(predicted["loss"], again["loss"], check_index=False)
    with pytest.raises(UserError, match="domain 'c' is not in the fit"):
        splitlaw.predict_loss(fitted, points.assign(domain="c"))


def test_a_plan_is_immutable_and_typed(planned):
    fields = [field.name for field in dataclasses.fields(planned)]
    assert list(planned.to_json()) == [name for name in fields if name not in REPLAY_FIELDS]
    assert planned.baselines[0].strategy == "two_stage_90"
    assert len(planned.predicted_loss["a"]) == 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        planned.flops = 1.0
    with pytest.raises(AttributeError):
        planned.no_such_field  # noqa: B018


def test_a_plan_is_read_back_as_it_was_written(planned, tmp_path):
    planned.save(tmp_path / "plan.json")
    assert splitlaw.Plan.load(tmp_path / "plan.json") == planned
    content = json.loads((tmp_path / "plan.json").read_text())
    del content["trunk"]
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"is not a plan .*trunk.*; write it with choose_split"):
        splitlaw.Plan.load(tmp_path / "plan.json")


@pytest.mark.parametrize("name", ["fitted", "planned"])
def test_a_notebook_shows_tables(name, request):
    made = request.getfixturevalue(name)
    html = made._repr_html_()
    assert html.startswith("<div>") and html.count("<table>") == html.count("</table>") == 2
    assert "<script" not in html
    shown = "alpha" if name == "fitted" else f"{made.fraction_general:.1%}"
    assert shown in html and shown in made.summary()
    assert type(made).__name__ in repr(made) and len(repr(made)) < 200
