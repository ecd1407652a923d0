import shutil

import numpy as np
import pandas as pd
import pytest

from splitlaw.common.files import write_json
from splitlaw.experiment.columns import BENCHMARKS, LOSS_TO_TASK
from splitlaw.stages.loss_to_task import Line, fit_lines, read_scores

SLOPE, SPREAD = 0.4, 0.01
OTHER = 7.0
"""Sum of the losses on the domain that the task belongs to and on another one."""


@pytest.fixture
def results(tmp_path):
    """A folder of results in which the router assigns all items of the task to one domain."""
    write_json(tmp_path / "benchmark_run.json", {"routed": {"sciq": {"law": 1.0, "code": 0.0}}})
    return tmp_path


def benchmarks(size, losses, *, accuracy=0.26, seed=0):
    """Rows of `benchmarks.csv` of one size: bits per byte are linear in the held-out loss."""
    rng, rows = np.random.default_rng(seed), []
    for number, loss in enumerate(losses):
        about = (f"recipe{number}", "routed", size, 100, 0)
        bits = 1.5 + SLOPE * loss + rng.normal(0, SPREAD)
        rows += [
            (*about, "sciq", "bits_per_byte", bits, 0.01, 200, np.nan),
            (*about, "sciq", "acc", accuracy + rng.normal(0, 0.01), 0.03, 200, 0.25),
            (*about, "heldout_law", "loss", loss, 0.1, 200, np.nan),
            (*about, "heldout_code", "loss", OTHER - loss, 0.1, 200, np.nan),
            (*about, "all_domains", "loss", OTHER / 2, 0.1, 200, np.nan),
            (*about[:1], "oracle", *about[2:], "sciq", "bits_per_byte", 0.1, 0.01, 200, np.nan),
        ]
    return pd.DataFrame(rows, columns=BENCHMARKS)


def test_a_planted_line_is_recovered_and_predicts_the_size_that_is_left_out(results):
    cell = results / "final/w32/100/seed0"
    cell.mkdir(parents=True)
    shutil.copy(results / "benchmark_run.json", cell)
    benchmarks("w32", np.linspace(3.6, 3.9, 8)).to_csv(cell / "benchmarks.csv", index=False)
    scores = read_scores(results, benchmarks("w56", np.linspace(3.2, 3.5, 8), seed=2))
    assert set(scores["system"]) == {"routed"}
    lines = fit_lines(scores).set_index(["task", "metric"])
    bits = lines.loc[("sciq", "bits_per_byte")]
    assert (bits["models"], bits["sizes"], bits["left_out"]) == (16, 2, "w56")
    # Three standard errors of the slope: residuals of 0.01, squares of the losses that sum to 0.9.
    assert bits["slope"] == pytest.approx(SLOPE, abs=0.03)
    assert bits["slope_low"] < bits["slope"] < bits["slope_high"]
    assert bits["residual"] == pytest.approx(SPREAD, rel=0.5)
    assert bits["left_out_error"] < 0.05
    assert bits["left_out_inside"] >= 0.8


def test_accuracies_of_guessing_have_no_line(results):
    losses = np.linspace(3.2, 3.9, 8)
    for accuracy, chance in ((0.26, True), (0.15, True), (0.5, False)):
        lines = fit_lines(read_scores(results, benchmarks("w56", losses, accuracy=accuracy)))
        row = lines[lines["metric"] == "acc"].iloc[0]
        assert bool(row["at_chance"]) == chance
        assert np.isfinite(row["slope"]) != chance


def test_without_a_router_all_domains_have_the_same_weight(tmp_path):
    scores = read_scores(tmp_path, benchmarks("w56", np.linspace(3.2, 3.9, 4)))
    assert scores["loss"].to_numpy() == pytest.approx(OTHER / 2)


def test_few_models_and_no_tasks_give_no_line(tmp_path):
    lines = fit_lines(read_scores(tmp_path, benchmarks("w56", [3.2, 3.4, 3.5])))
    assert lines["slope"].isna().all()
    empty = fit_lines(read_scores(tmp_path, None))
    assert list(empty.columns) == LOSS_TO_TASK
    assert empty.empty


def test_the_interval_of_a_new_model_covers_at_its_level():
    rng, inside = np.random.default_rng(0), []
    for _ in range(1000):
        losses = rng.uniform(3, 4, 7)
        line = Line.through(losses[:6], SLOPE * losses[:6] + rng.normal(0, SPREAD, 6))
        _, low, high = line.predict(losses[6:])
        inside.append(low[0] <= SLOPE * losses[6] + rng.normal(0, SPREAD) <= high[0])
    # Three standard errors of a share of 0.9 among 1,000.
    assert np.mean(inside) == pytest.approx(0.9, abs=0.03)
