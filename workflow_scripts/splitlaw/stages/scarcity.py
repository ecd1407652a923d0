"""The recipes on less and less domain text: their losses, and the regret of the plans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.experiment.columns import FRONTIER_REPLAY, SCARCITY, SCARCITY_REGRET
from splitlaw.experiment.strategies import (
    NO_SPLIT,
    OPTIMAL,
    REPLAY_STRATEGIES,
    SCRATCH,
    STRATEGIES,
)
from splitlaw.stages.frontier import counted_base, general_share, spent_share
from splitlaw.stages.gather import read_tables

ENDS = {SCRATCH: 0.0, NO_SPLIT: 1.0}
"""Baselines at the ends of a frontier, by their share of general tokens."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number of unique tokens, a size and a budget: their plan and final models."""

    folder: Path
    """The folder of the plan and of the seeds."""

    @classmethod
    def read(cls, name: str, folder: Path) -> Cell:
        """The cell `unique/size/budget` below `folder`."""
        parts = name.split("/")
        if len(parts) != 3 or not parts[2].isdigit():
            raise UserError(f"--cells {name}: write unique/size/budget, as in 40960/w32/3440640")
        return cls(folder=folder / name)

    @property
    def plan(self) -> dict[str, Any]:
        """The content of its plan.json."""
        return read_json(self.folder / "plan.json")

    @property
    def about(self) -> dict[str, Any]:
        """Its values in the tables; unique tokens are NaN where the text is not limited."""
        limits = self.plan["unique_tokens"].values()
        unique, size, budget = self.folder.parts[-3:]
        assert set(limits) <= {float(unique)} if limits else not unique.isdigit(), self.folder
        return {
            "unique_tokens": min(limits, default=np.nan),
            "size": size,
            "budget": int(budget),
        }

    def losses(self, seeds: Sequence[int]) -> pd.DataFrame:
        """Rows of every strategy, and of other fractions if they are trained, for these seeds."""
        replays = self.plan.get("replay") is not None
        strategies = REPLAY_STRATEGIES if replays else STRATEGIES
        folders = [self.folder / f"seed{seed}" for seed in seeds]
        recipes = read_tables([f / name / "losses.csv" for f in folders for name in strategies])
        recipes["fraction_general"] = recipes["strategy"].map(ENDS)
        other = [f / "frontier/losses.csv" for f in folders]
        tables = [recipes]
        if any(file.exists() for file in other):
            tables.append(read_tables(other).assign(strategy=""))
        columns = [*SCARCITY, *(FRONTIER_REPLAY if replays else ())]
        return pd.concat(tables, ignore_index=True).assign(**self.about)[columns]


def read_cells(names: Sequence[str], seeds: Sequence[int], folder: Path) -> pd.DataFrame:
    """The losses of all cells, with the columns `SCARCITY`."""
    tables = [Cell.read(name, folder).losses(seeds) for name in names]
    return pd.concat(tables, ignore_index=True)


def regret_table(names: Sequence[str], losses: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The plan of each cell beside the measured losses, with the columns `SCARCITY_REGRET`."""
    rows = [row for name in names for row in _regret_rows(Cell.read(name, folder), losses)]
    return pd.DataFrame(rows, columns=SCARCITY_REGRET)


def _regret_rows(cell: Cell, losses: pd.DataFrame) -> Iterator[dict[str, Any]]:
    about, plan = cell.about, cell.plan
    same = losses["unique_tokens"].fillna(0) == np.nan_to_num(about["unique_tokens"])
    own = losses[same & (losses["size"] == about["size"]) & (losses["budget"] == about["budget"])]
    loss = _plan_loss(own)
    predicted = float(plan["predicted_mean_loss"][0])
    ends = plan["interval"]["pretrain_tokens"]
    low, high = ((tokens - counted_base(plan)) / plan["tokens"] for tokens in ends)
    row = {
        **about,
        "general_share": general_share(plan),
        "share_low": low,
        "share_high": high,
        "passes": _passes(plan),
        "unspent": max(0.0, 1 - spent_share(plan)),
        "predicted_loss": predicted,
        "loss": loss,
        "prediction_error": predicted / loss - 1,
    }
    # Recipes may have more seeds than the fractions between them.
    seeds = own.loc[own["strategy"] == "", "seed"].unique()
    common = own[own["seed"].isin(seeds)]
    if len(common):
        valley = common[common["fraction_general"].notna()]
        best, lowest = valley_minimum(valley.groupby("fraction_general")["loss"].mean())
        regret = _plan_loss(common) / lowest - 1
        row |= {"best_share": best, "best_loss": lowest, "regret_relative": regret}
        row["inside"] = low <= best <= high
    yield row


def _plan_loss(losses: pd.DataFrame) -> float:
    """Mean loss of the plan over domains and seeds."""
    return float(losses.loc[losses["strategy"] == OPTIMAL, "loss"].mean())


def _passes(plan: dict[str, Any]) -> float:
    """The most passes over the text of a domain, at least 1."""
    limits = plan["unique_tokens"]
    tokens = plan["specialize_tokens"].items()
    return max([1.0, *(number / limits[name] for name, number in tokens if name in limits)])


def valley_minimum(means: pd.Series) -> tuple[float, float]:
    """Fraction and loss of the minimum of a measured frontier, mean losses by fraction.

    It is the vertex of the parabola through the lowest loss and its neighbours, and the lowest loss
    itself at the end of the frontier.
    """
    x, y = means.index.to_numpy(dtype=float), means.to_numpy()
    at = int(np.argmin(y))
    if at in (0, len(y) - 1):
        return float(x[at]), float(y[at])
    near = slice(at - 1, at + 2)
    curve = np.polynomial.Polynomial.fit(x[near], y[near], 2)
    best = float(curve.deriv().roots()[0])
    return best, float(curve(best))
