"""The front of a plan with replay in the report."""

import pandas as pd
import pytest
from laws import planted_replay

from splitlaw import plan
from splitlaw.laws import fit_table
from splitlaw.report import figures_replay, style, tables_replay
from splitlaw.report.inputs import Inputs


@pytest.fixture(scope="module")
def planned():
    fit = fit_table(planted_replay.table(), draws=10, base_tokens=planted_replay.BASE)
    flops = 6 * planted_replay.PARAMS * 3e6
    return fit, plan(fit, flops=flops, max_general_loss_rise=0.05).to_json()


@pytest.fixture
def inputs(planned, tmp_path):
    fit, made = planned
    names = list(made["specialize_tokens"])
    rows = [
        {"strategy": s, "seed": 0, "domain": d, "params": made["params"], "flops": made["flops"]}
        | {"loss": 3.0, "general_loss": 3.8}
        for s in ("optimal", "replay_25", "mixture")
        for d in names
    ]
    return Inputs(folder=tmp_path, fit=fit, plan=made, comparison=pd.DataFrame(rows))


def test_the_figure_has_the_front_the_strategies_and_measured_losses(inputs):
    style.set_theme()
    axis = figures_replay.pareto(inputs).axes[0]
    front = inputs.plan["pareto"]
    line = next(line for line in axis.lines if line.get_label() == "best splits, predicted")
    assert list(line.get_xdata()) == [entry["general_loss"] for entry in front]
    names = {text.get_text() for text in axis.texts}
    assert {"Optimal split", "No replay", "25% replay", "Mixture, same tokens"} <= names
    measured = [line for line in axis.lines if line.get_marker() == "o"]
    assert len(measured) == 3 and measured[0].get_xdata()[0] == pytest.approx(3.8)


def test_the_tables_have_the_front_and_the_rise_of_every_specialist(inputs):
    table = tables_replay.pareto_table(inputs)
    assert len(table.rows) == len(inputs.plan["pareto"])
    assert table.rows[0][2] == "100%"
    general = tables_replay.general_table(inputs)
    assert [row[0] for row in general.rows] == ["a", "b"]
    rise = inputs.plan["general_loss_rise"]
    assert rise["worst"] < 0.05
    assert general.rows[0][3] == f"{rise['domains']['a']:.1%}"
    assert "The limit is 5.0%." in general.note and "a probability of 90%" in general.note


def test_a_plan_without_replay_has_neither(tmp_path):
    empty = Inputs(folder=tmp_path)
    assert figures_replay.pareto(empty) is None
    assert tables_replay.pareto_table(empty) is None and tables_replay.general_table(empty) is None
