import json

import numpy as np
import pandas as pd
import pytest
from planted_tokens import job_of

from splitlaw.common.errors import UserError
from splitlaw.experiment.columns import SCARCITY, SCARCITY_REGRET
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.strategies import STRATEGIES
from splitlaw.laws import FitResult
from splitlaw.planner import plan
from splitlaw.report.scarcity import gains, write_scarcity
from splitlaw.stages import frontier
from splitlaw.stages.final import train_strategy
from splitlaw.stages.scarcity import Cell, regret_table, valley_minimum

VALUES = {"E": 1, "A": 18, "alpha": 0.3, "F": 30, "phi": 0.25, "B": 42, "beta": 0.3}
VALUES |= {"kappa": 0.05, "gamma": 0.95}
FIT = FitResult.of_parameters("two_skills", {"law": VALUES, "medicine": {**VALUES, "B": 50}})
EXECUTION = ExecutionConfig(compile=False, device="cpu", repeat=True)
CELLS = ["640/tiny/6400", "all/tiny/6400"]


@pytest.fixture
def trained(tokens):
    """Plans and final models of two cells, one of them with a measured frontier."""
    (tokens / "tokenizer").mkdir()
    job = job_of(tokens, "final")
    for cell in CELLS:
        folder = tokens / "scarcity" / cell
        limits = {"law": 640.0, "medicine": 640.0} if cell.startswith("640") else {}
        made = plan(FIT, flops=6e3 * 6400, params=1e3, flops_per_token=6e3, unique_tokens=limits)
        made.save(folder / "plan.json")
        for name in STRATEGIES:
            out = folder / "seed0" / name / "losses.csv"
            about = {"budget": "6400", "execution": EXECUTION, "out": out}
            train_strategy(job, name, folder / "plan.json", **about)
        if limits:
            frontier.measure(
                job,
                FIT,
                folder / "plan.json",
                [0.25, 0.5, 0.9],
                even=True,
                **{**about, "out": folder / "seed0/frontier/losses.csv"},
            )
    return tokens / "scarcity"


def test_recipes_and_fractions_of_every_cell_are_gathered(trained):
    out = trained / "scarcity.csv"
    write_scarcity(CELLS, [0], folder=trained, out=out)
    table, regret = pd.read_csv(out), pd.read_csv(trained / "regret.csv")
    assert list(table) == SCARCITY and list(regret) == SCARCITY_REGRET
    assert (trained / "scarcity.svg").exists()
    scarce, whole = (table["unique_tokens"].fillna(0) == amount for amount in (640, 0))
    # Half of the budget general is a baseline and a fraction: the same models.
    half = table[scarce & (table["strategy"] == "half")]["loss"].to_numpy()
    other = table["strategy"].isna() & (table["fraction_general"] == 0.5)
    np.testing.assert_array_equal(table[other]["loss"], half)
    assert (table[other]["specialize_tokens"] == 1600).all()
    losses = table[table["strategy"] == "no_split"].groupby("unique_tokens", dropna=False)["loss"]
    assert losses.mean().nunique() == 1, "general text is not limited"
    scratch = table[table["strategy"] == "scratch"].groupby("domain")["loss"].agg(list)
    assert all(a != b for a, b in scratch)
    assert regret["regret_relative"].notna().tolist() == [True, False]
    assert regret["passes"].tolist() == [
        pytest.approx(max(json.loads((trained / CELLS[0] / "plan.json").read_text())
        ["specialize_tokens"].values()) / 640), 1.0
    ]  # fmt: skip
    another = table[table["strategy"] == "optimal"].assign(
        seed=1, loss=lambda rows: rows["loss"] + 1
    )
    more = pd.concat([table, another]).fillna({"strategy": ""})
    again = regret_table([CELLS[0]], more, trained).iloc[0]
    assert again["loss"] == pytest.approx(regret["loss"][0] + 0.5)
    assert again["regret_relative"] == pytest.approx(regret["regret_relative"][0]), "common seeds"
    gain = gains(table.fillna({"strategy": ""})).set_index(["unique_tokens", "strategy"])
    ours = table[scarce & (table["strategy"] == "optimal")]["loss"].mean()
    assert gain.loc[(640.0, "half"), "loss"] == pytest.approx(half.mean() - ours)
    assert whole.sum() == 2 * len(STRATEGIES)


def test_the_minimum_of_a_frontier_is_that_of_a_parabola():
    x = np.array([0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0])
    best, lowest = valley_minimum(pd.Series(3 + (x - 0.74) ** 2, index=x))
    assert best == pytest.approx(0.74) and lowest == pytest.approx(3.0)
    assert valley_minimum(pd.Series(3 + x, index=x)) == (0.0, 3.0)


def test_a_cell_that_is_not_one_is_refused(tmp_path):
    with pytest.raises(UserError, match="--cells w32/1: write unique/size/budget"):
        Cell.read("w32/1", tmp_path)
