from pathlib import Path

import pandas as pd
import pytest

from splitlaw.common.errors import UserError
from splitlaw.experiment.columns import BENCHMARK_GAINS
from splitlaw.report.compare import gains_page
from splitlaw.stages.compare import Cell, cell_rows, read_cells, system_rows, verdict


def gains(*results):
    """Rows of `benchmark_gains.csv`: seed, system, metric, difference, error."""
    rows = [
        ["optimal", system, "no_split", "w16", 100, seed, "all_tasks", metric, difference, error,
         difference - 1.6 * error, difference + 1.6 * error, 10, ""]
        for seed, system, metric, difference, error in results
    ]  # fmt: skip
    other = [
        "half",
        "routed",
        "no_split",
        "w16",
        100,
        0,
        "all_tasks",
        "acc",
        9.0,
        0.1,
        8.8,
        9.2,
        10,
        "",
    ]
    return pd.DataFrame([*rows, other], columns=BENCHMARK_GAINS)


def test_the_gain_of_joint_training_is_apart_from_that_over_it():
    table = gains((0, "routed", "acc", 0.1, 0.04), (0, "single", "acc", 0.3, 0.04))
    table.loc[0, "against"] = "joint"
    table.loc[1, "strategy"] = "joint"
    rows = {(row["system"], row["against"]): row["gain"] for row in system_rows(table)}
    assert rows == {("routed", "joint"): 0.1, ("joint", "no_split"): 0.3}


def test_a_gain_is_positive_where_the_split_is_better():
    rows = {
        row["metric"]: row
        for row in system_rows(
            gains((0, "routed", "bits_per_byte", -0.2, 0.05), (0, "routed", "acc", -0.2, 0.05))
        )
    }
    assert (rows["bits_per_byte"]["gain"], rows["bits_per_byte"]["verdict"]) == (0.2, "better")
    assert (rows["acc"]["gain"], rows["acc"]["verdict"]) == (-0.2, "worse")


def test_the_error_of_several_seeds_has_that_over_items_and_the_spread_between_seeds():
    (row,) = system_rows(gains((0, "routed", "acc", 0.1, 0.04), (1, "routed", "acc", 0.3, 0.06)))
    assert row["seed_spread"] == pytest.approx(0.2 / 2**0.5)
    error = (0.05**2 + row["seed_spread"] ** 2 / 2) ** 0.5
    assert (row["gain"], row["stderr"]) == (pytest.approx(0.2), pytest.approx(error))
    # Two seeds that differ say little about a third: their gain of 1.8 errors is not significant.
    assert row["low"] < 0 < row["high"]
    assert row["verdict"] == "inside its error"


def test_the_verdict_of_the_oracle_is_a_bound():
    (row,) = system_rows(gains((0, "oracle", "acc", 0.5, 0.01)))
    assert row["verdict"] == "a bound"


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (-0.01, 0.2, "inside its error"),
     (float("nan"), float("nan"), "inside its error")],
)  # fmt: skip
def test_verdicts_of_gains(low, high, message):
    assert verdict(low, high) == message


def test_the_page_has_one_row_per_cell_ordered_by_size_and_budget():
    about = {"fraction_general": 0.25, "seeds": 1, "against": "half", "system": "specialists"}
    about |= {"task": "all_domains", "metric": "loss", "stderr": 0.01, "predicted": 0.05}
    cells = [("w56", 172_000, 200), ("w16", 25_000, 200), ("w16", 25_000, 100)]
    rows = [
        {**about, "size": size, "params": params, "budget": budget, "gain": budget / 1000,
         "verdict": "better"}
        for size, params, budget in cells
    ]  # fmt: skip
    lines = [line for line in gains_page(pd.DataFrame(rows)).splitlines() if line.startswith("| w")]
    assert [line.split(" | ")[:3] for line in lines] == [
        ["| w16", "25k", "100"],
        ["| w16", "25k", "200"],
        ["| w56", "172k", "200"],
    ]
    assert "0.200 ± 0.010 (0.050) **better**" in lines[1]


@pytest.mark.parametrize(
    ("cells", "plans", "message"),
    [(["w16"], ["p"], "write size/budget"), (["w16/1", "w16/2"], ["p"], "one plan per cell")],
)
def test_cells_that_cannot_be_read_are_refused(cells, plans, message):
    with pytest.raises(UserError, match=message):
        read_cells(cells, [Path(plan) for plan in plans])


def test_a_cell_that_was_not_trained_names_its_table(tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text('{"params": 1, "flops": 1, "fraction_general": 0.5, "baselines": []}')
    cell = Cell(size="w16", budget="100", plan=plan)
    with pytest.raises(UserError, match=r"seed0/optimal/losses.csv: cannot be read .*compare"):
        list(cell_rows(cell, [0], results=tmp_path, fit=None))
