"""The reference grid: errors of the law, noise between seeds, the optimum, and shared training."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pandas as pd

from splitlaw.experiment.lineage import GENERAL
from splitlaw.stages.compare import SPECIALISTS
from splitlaw.zero_shot.tables import BETTER

QUESTIONS = ("largest sizes", "largest D", "D' four times beyond", "corner")
"""Rows that the law predicts without having been fitted to them."""

MEAN_ABSOLUTE = np.sqrt(2 / np.pi)
"""Mean absolute value of a normal variable with standard deviation 1."""


def errors(forms: pd.DataFrame, form: str) -> dict[str, SimpleNamespace]:
    """Errors of a form, by question."""
    rows = forms[forms["form"] == form].to_dict("records")
    return {row["question"]: SimpleNamespace(**row) for row in rows}


def noise(losses: pd.DataFrame) -> SimpleNamespace:
    """Noise of one row in log loss, from rows that were trained with two seeds.

    `sd` is its standard deviation between seeds, `common` the share of its variance that rows of a
    trunk have in common, and `error` the mean absolute error that the true law would show.
    """
    keys = ["size", "train_domain", "domain", "pretrain_tokens", "specialize_tokens"]
    own = (losses["train_domain"] == losses["domain"]) & (losses["domain"] != GENERAL)
    rows = losses[own & (losses["pretrain_tokens"] > 0)]
    wide = np.log(rows.set_index([*keys, "seed"])["loss"]).unstack("seed").dropna()
    first, second = wide.columns[:2]
    difference = (wide[second] - wide[first]).groupby(["size", "pretrain_tokens"])
    sums, squares, count = (
        difference.sum(),
        difference.apply(lambda d: (d**2).sum()),
        difference.size(),
    )
    total = squares.sum() / count.sum()
    common = (sums**2 - squares).sum() / (count * (count - 1)).sum()
    sd = float(np.sqrt(total / 2))
    return SimpleNamespace(sd=sd, common=float(common / total), error=float(MEAN_ABSOLUTE * sd))


def optimum(
    table: pd.DataFrame, surface: pd.DataFrame
) -> tuple[list[float], list[SimpleNamespace]]:
    """Budgets, and for each size the optimal general fractions of the law and of a surface."""
    rows = table[table["question"] == "size"].sort_values("budget")
    free = surface.set_index(["params", "budget"])["fraction_general"]
    found = []
    for params, part in rows.groupby("params"):
        cells = [
            SimpleNamespace(
                fraction=row.fraction_general,
                low=row.low,
                high=row.high,
                surface=free[params, row.budget],
            )
            for row in part.itertuples()
        ]
        found.append(SimpleNamespace(params=params, cells=cells))
    return sorted(rows["budget"].unique()), found


def surface_difference(rows: list[SimpleNamespace]) -> tuple[float, float]:
    """Least and largest general fraction of the law minus that of the surface, of one grid."""
    both = [cell.fraction - cell.surface for row in rows for cell in row.cells]
    known = [value for value in both if np.isfinite(value)]
    return min(known), max(known)


def compared(gains: pd.DataFrame) -> list[SimpleNamespace]:
    """The cells of `compare`: gains of the specialists over each baseline."""
    rows = gains[gains["system"] == SPECIALISTS]
    found = []
    for (params, budget), part in rows.groupby(["params", "budget"]):
        over = {row["against"]: SimpleNamespace(**row) for row in part.to_dict("records")}
        first = part.iloc[0]
        about = {"params": params, "budget": budget, "fraction": first["fraction_general"]}
        found.append(SimpleNamespace(**about, seeds=int(first["seeds"]), over=over))
    return found


def better(rows: list[SimpleNamespace]) -> tuple[int, int]:
    """Comparisons in which the plan is better by its interval, and all of them."""
    verdicts = [gain.verdict for row in rows for gain in row.over.values()]
    return sum(verdict == BETTER for verdict in verdicts), len(verdicts)


def sharing(cost: pd.DataFrame) -> Mapping[str, float]:
    """Tokens and FLOPs of the grid with shared and with independent runs."""
    return cost[["tokens", "flops", "tokens_independent", "flops_independent"]].sum().to_dict()
