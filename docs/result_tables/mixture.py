"""Questions of the mixture beside its cells: independent trunks, and the number of clusters."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from result_tables import tasks
from result_tables.read import Tables
from splitlaw.experiment.strategies import OPTIMAL, SCRATCH


def independent(tables: Tables) -> SimpleNamespace | None:
    """The optimal split with a trunk for each domain, beside that with a shared one.

    Both are means over domains and common seeds; None where none is trained.
    """
    own, final = tables.table("independent/comparison"), tables.table("final/comparison")
    if own.empty:
        return None
    size, budget = own["size"].iloc[0], own["budget"].iloc[0]
    cell = final[(final["size"] == size) & (final["budget"] == budget)]
    shared = _by_seed(cell[cell["strategy"] == OPTIMAL])
    gains = (_by_seed(own) - shared).dropna()
    marks, others = tables.table("independent/benchmarks"), tables.table("benchmarks")
    others = others[others["seed"].isin(marks["seed"])]
    return SimpleNamespace(
        params=int(own["params"].iloc[0]),
        budget=budget,
        seeds=len(gains),
        loss=_by_seed(own)[gains.index].mean(),
        predicted=own["predicted_loss"].mean(),
        gain=gains.mean(),
        gain_stderr=gains.std(ddof=1) / np.sqrt(len(gains)),
        fraction=tables.json("independent/plan.json")["fraction_general"],
        scratch=_by_seed(cell[cell["strategy"] == SCRATCH])[gains.index].mean(),
        scores=tasks.scores(marks, size, budget),
        shared_scores=tasks.scores(others, size, budget),
    )


def _by_seed(comparison: pd.DataFrame) -> pd.Series:
    """Mean loss over the domains, by seed."""
    return comparison.groupby("seed")["loss"].mean()


def numbers(tables: Tables) -> list[SimpleNamespace]:
    """Predicted and trained losses by number of domains, without mergers."""
    table = tables.table("choose_domains")
    if table.empty:
        return []
    whole = table[table["merged"].isna()].sort_values("k")
    return [SimpleNamespace(**row) for row in whole.to_dict("records")]
