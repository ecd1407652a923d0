"""The recipes of every cell: their losses, gains and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from splitlaw.experiment.strategies import BASELINES, OPTIMAL, PROSE
from splitlaw.stages.gather import spread_over_seeds

KEYS = ["unique_tokens", "params", "size", "budget"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The recipes of one size and budget, and of one amount of unique tokens."""

    size: str
    """Name of the size."""
    params: int
    """Its parameters."""
    budget: int
    """Tokens of each recipe."""
    unique: float
    """Tokens of each domain that differ; NaN where they are not limited."""
    recipes: Mapping[str, SimpleNamespace]
    """Rows of `recipes.csv` by strategy, in the order of the plan."""

    @property
    def plan(self) -> SimpleNamespace:
        """The row of the optimal split."""
        return self.recipes[OPTIMAL]

    @property
    def seeds(self) -> int:
        """Number of seeds with which all recipes are trained."""
        return int(min(row.seeds for row in self.recipes.values()))

    @property
    def measured(self) -> list[SimpleNamespace]:
        """The recipes that are trained, the lowest loss first."""
        trained = [row for row in self.recipes.values() if np.isfinite(row.measured)]
        return sorted(trained, key=lambda row: row.measured)

    @property
    def second(self) -> SimpleNamespace:
        """The trained baseline with the lowest loss."""
        return next(row for row in self.measured if row.strategy != OPTIMAL)

    @property
    def complete(self) -> bool:
        """Whether all recipes are trained with at least one seed."""
        return self.seeds > 0


def cells(table: pd.DataFrame) -> list[Cell]:
    """The cells of `recipes.csv` with a trained plan, by unique tokens, size and budget."""
    found = []
    for key, part in table.groupby(KEYS, dropna=False) if len(table) else ():
        rows = {row["strategy"]: SimpleNamespace(**row) for row in part.to_dict("records")}
        if OPTIMAL in rows and np.isfinite(rows[OPTIMAL].measured):
            unique, params, size, budget = key
            about = {"size": size, "params": params, "budget": budget, "unique": unique}
            found.append(Cell(recipes=rows, **about))
    return found


def wins(found: list[Cell]) -> SimpleNamespace:
    """Comparisons of the plan with a baseline: one of `BASELINES` in one cell, over its seeds.

    `all` are counted, `won` by the mean, `sure` by the interval; `lost` names the other baselines.
    """
    rows = [cell.recipes[name] for cell in found for name in BASELINES if name in cell.recipes]
    rows = [row for row in rows if np.isfinite(row.gain)]
    lost = [PROSE[row.strategy] for row in rows if row.gain <= 0]
    return SimpleNamespace(
        all=len(rows),
        won=len(rows) - len(lost),
        sure=sum(row.gain > row.gain_reach for row in rows),
        lost=list(dict.fromkeys(lost)),
    )


def gains_by_domain(comparison: pd.DataFrame, strategy: str) -> pd.Series:
    """Loss of a strategy minus that of the optimal split, by domain: means over cells and seeds."""
    keys = ["size", "budget", "seed", "domain"]
    losses = comparison.set_index([*keys, "strategy"])["loss"].unstack("strategy")
    difference = (losses[strategy] - losses[OPTIMAL]).dropna()
    return difference.groupby("domain").mean()


def from_comparison(comparison: pd.DataFrame) -> list[SimpleNamespace]:
    """Recipes of one cell without losses by document, the lowest loss first.

    The error of a gain is that over seeds; NaN with one seed.
    """
    spread = spread_over_seeds(comparison)
    found = []
    for strategy, row in spread.iterrows():
        part = comparison[comparison["strategy"] == strategy]
        one = part[part["seed"] == part["seed"].min()]
        general = one["pretrain_tokens"].iloc[0]
        found.append(
            SimpleNamespace(
                strategy=strategy,
                seeds=part["seed"].nunique(),
                fraction_general=general / (general + one["specialize_tokens"].sum()),
                predicted=one["predicted_loss"].mean(skipna=False),
                measured=row["mean"],
                gain=row["excess"],
                gain_stderr=row["excess_sd"] / np.sqrt(row["seeds"]),
                won=int(row["seeds_won"]),
            )
        )
    return found
