"""Questions of the mixture beside its cells: independent trunks, and the number of clusters."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from result_tables import tasks
from result_tables.read import Tables
from splitlaw.experiment.strategies import OPTIMAL


def independent(tables: Tables) -> SimpleNamespace | None:
    """The optimal split with a trunk for each domain, beside that with a shared one.

    Both are means over domains and common seeds; None where none is trained.
    """
    own, shared = tables.table("independent/comparison"), tables.table("final/comparison")
    if own.empty:
        return None
    size, budget = own["size"].iloc[0], own["budget"].iloc[0]
    same = shared[(shared["size"] == size) & (shared["budget"] == budget)]
    same = same[same["strategy"] == OPTIMAL]
    by_seed = [part.groupby("seed")["loss"].mean() for part in (own, same)]
    gains = (by_seed[0] - by_seed[1]).dropna()
    scratch = shared[(shared["size"] == size) & (shared["budget"] == budget)]
    scratch = scratch[(scratch["strategy"] == "scratch") & scratch["seed"].isin(gains.index)]
    marks, others = tables.table("independent/benchmarks"), tables.table("benchmarks")
    others = others[others["seed"].isin(marks["seed"])]
    return SimpleNamespace(
        params=int(own["params"].iloc[0]),
        budget=budget,
        seeds=len(gains),
        loss=by_seed[0][gains.index].mean(),
        shared=by_seed[1][gains.index].mean(),
        predicted=own["predicted_loss"].mean(),
        gain=gains.mean(),
        gain_stderr=gains.std(ddof=1) / np.sqrt(len(gains)),
        fraction=tables.json("independent/plan.json")["fraction_general"],
        scores=tasks.scores(marks, size, budget),
        shared_scores=tasks.scores(others, size, budget),
        task_seeds=marks["seed"].nunique(),
        scratch=scratch["loss"].mean(),
    )


def numbers(tables: Tables) -> list[SimpleNamespace]:
    """Predicted and trained losses by number of domains, without mergers."""
    table = tables.table("choose_domains")
    if table.empty:
        return []
    whole = table[table["merged"].isna()].sort_values("k")
    return [SimpleNamespace(**row) for row in whole.to_dict("records")]
