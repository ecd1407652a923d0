"""Measured losses of the final models, and the measured gain of the optimal split over the others.

This module reads results and imports no torch, so that reports can use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from splitlaw.common.files import read_json
from splitlaw.common.statistics import mean_over_seeds, ratio_stderr
from splitlaw.experiment.strategies import JOINT, NO_SPLIT, OPTIMAL, model_domain

Array = npt.NDArray[np.float64]
Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FinalModel:
    """One trained final model."""

    size: str
    """Name of its size."""
    budget: str
    """Name of its budget."""
    strategy: str
    """Strategy that it belongs to."""
    seed: int
    """Seed of its run."""
    domain: str
    """Domain that it is specialised in, or `general`."""
    folder: Path
    """Folder that it was exported to."""
    run: Json
    """Its `run.json`."""


def read_final_models(folder: Path) -> tuple[FinalModel, ...]:
    """Read the final models under `{size}/{budget}/seed{seed}/{strategy}/{domain}`."""
    found = []
    for file in sorted(folder.glob("*/*/seed*/*/*/run.json")):
        *_, size, budget, seed, strategy, domain, _ = file.parts
        found.append(
            FinalModel(
                size=size,
                budget=budget,
                strategy=strategy,
                seed=int(seed.removeprefix("seed")),
                domain=domain,
                folder=file.parent,
                run=read_json(file),
            )
        )
    return tuple(found)


def models_in_comparison(
    models: Sequence[FinalModel], comparison: pd.DataFrame | None
) -> tuple[FinalModel, ...]:
    """Select the models whose size and budget are in `comparison`.

    The folder of the final models may hold models of other sizes and budgets.
    """
    if comparison is None or not {"size", "budget"} <= set(comparison.columns):
        return tuple(models)
    names = set(zip(comparison["size"].astype(str), comparison["budget"].astype(str), strict=True))
    return tuple(model for model in models if (model.size, model.budget) in names)


def plan_weights(plan: Json) -> dict[str, float]:
    """Weight of each planned domain, summing to 1."""
    domains = plan["specialize_tokens"]
    given = plan.get("weights") or dict.fromkeys(domains, 1.0)
    total = sum(given[domain] for domain in domains)
    return {domain: given[domain] / total for domain in domains}


def plan_options(plan: Json) -> dict[str, Any]:
    """The planner's options for the budget, the domains and the base of a plan."""
    shares = plan_weights(plan)
    base = None if plan.get("pretrain_tokens_paid", True) else plan["pretrain_tokens"]
    return {
        "flops": plan["flops"],
        "params": plan["params"],
        "domains": tuple(shares),
        "trunk": plan.get("trunk", "shared"),
        "weights": shares,
        "flops_per_token": plan.get("flops_per_token") or plan["flops"] / plan["tokens"],
        "pretrain_tokens": base,
        "unique_tokens": dict(plan.get("unique_tokens") or {}),
    }


def split_options(plan: Json) -> dict[str, Any]:
    """The planner's options with which a plan was made: those above, and those of its replay."""
    options = plan_options(plan)
    if plan.get("replay") is None:
        return options
    rise = plan.get("general_loss_rise") or {}
    limit = rise.get("limit")
    # Plans of earlier versions with a limit have chosen all shares.
    free = plan.get("replay_free", () if limit is None else plan["replay"])
    options["replay"] = {d: "free" if d in free else r for d, r in plan["replay"].items()}
    if limit is not None:
        options["max_general_loss_rise"] = limit
        options["limit_confidence"] = rise.get("confidence", 0.5)
    if plan.get("base") and rise:
        options["base_general_loss"] = rise["reference"]
    return options


def rows_of_plan(table: pd.DataFrame, plan: Json) -> pd.DataFrame:
    """Select the rows of the planned size and budget from a table that may hold several."""
    if "params" in table and (table["params"] == plan["params"]).any():
        table = table[table["params"] == plan["params"]]
    if "flops" in table and table.get("budget", pd.Series(dtype=int)).nunique() > 1:
        nearest = (table["flops"] / plan["flops"] - 1).abs().idxmin()
        table = table[table["budget"] == table.loc[nearest, "budget"]]
    return table


@dataclass(frozen=True, kw_only=True)
class FinalLosses:
    """Losses of the final models, also by document if those are stored."""

    weights: Mapping[str, float]
    """Weight of each domain."""
    table: pd.DataFrame | None
    """Rows of `comparison.csv` of the plan's size and budget."""
    documents: Mapping[tuple[str, int, str], tuple[Array, Array]]
    """Nats and tokens by document, by (strategy, seed, domain)."""

    @classmethod
    def read(
        cls, plan: Json, comparison: pd.DataFrame | None, models: Sequence[FinalModel]
    ) -> FinalLosses:
        """Read the losses of the plan's recipes."""
        weights = plan_weights(plan)
        if comparison is None:
            return cls(weights=weights, table=None, documents={})
        table = rows_of_plan(comparison, plan)
        kept = models_in_comparison(models, table)
        folders = {(m.strategy, m.seed, m.domain): m.folder for m in kept}
        documents = {}
        for row in table.itertuples():
            domain = model_domain(row.strategy, row.domain, row.specialize_tokens)
            folder = folders.get((row.strategy, row.seed, domain))
            if folder is not None and (folder / "documents.npz").exists():
                key = (row.strategy, row.seed, row.domain)
                documents[key] = _read_documents(folder / "documents.npz", row.domain)
        return cls(weights=weights, table=table, documents=documents)

    def measured(self, strategy: str) -> dict[str, Any]:
        """Measured fields of a `RecipeResult`.

        Empty unless models of all domains were trained with at least one seed.
        """
        means = self.means(strategy)
        if means.empty:
            return {}
        found: dict[str, Any] = {"measured": float(means.mean()), "stderr": self.stderr(strategy)}
        found["measured_general"] = self.general(strategy)
        if strategy == JOINT and (over := self.gain(NO_SPLIT, JOINT)):
            found |= {"data_gain": over["gain"], "data_gain_stderr": over["gain_stderr"]}
            found["data_gain_reach"] = over["gain_reach"]
        return found if strategy == OPTIMAL else {**found, **self.gain(strategy, OPTIMAL)}

    def gain(self, strategy: str, best: str) -> dict[str, Any]:
        """Loss of a strategy minus that of `best`, as fields of a `RecipeResult`.

        Empty unless both were trained with a common seed.
        """
        theirs, ours = self.means(strategy), self.means(best)
        seeds = theirs.index.intersection(ours.index)
        if seeds.empty:
            return {}
        gains = theirs[seeds] - ours[seeds]
        paired = self.paired_stderr(strategy, best, list(seeds))
        unpaired = float(np.hypot(self.stderr(strategy), self.stderr(best)))
        documents = unpaired if paired is None else paired
        mean = mean_over_seeds(gains.to_numpy(), documents)
        return {
            "gain": mean.value,
            "gain_stderr": mean.stderr,
            "gain_reach": mean.reach,
            "gain_document_stderr": documents,
            "paired": paired is not None,
            "seed_spread": mean.spread,
        }

    def means(self, strategy: str) -> pd.Series:
        """Weighted mean loss by seed, of seeds that have every domain."""
        if self.table is None:
            return pd.Series(dtype=float)
        rows = self.table[self.table["strategy"] == strategy]
        wide = rows.pivot_table(index="seed", columns="domain", values="loss")
        wide = wide.reindex(columns=list(self.weights)).dropna()
        return wide @ pd.Series(self.weights)

    def general(self, strategy: str) -> float | None:
        """Weighted mean loss of its models on general text, over seeds; None if not measured."""
        if self.table is None or "general_loss" not in self.table:
            return None
        rows = self.table[self.table["strategy"] == strategy]
        by_domain = rows.groupby("domain")["general_loss"].mean().reindex(list(self.weights))
        mean = float(by_domain @ pd.Series(self.weights))
        return mean if np.isfinite(mean) else None

    def stderr(self, strategy: str) -> float:
        """Standard error of the mean loss over held-out documents."""
        assert self.table is not None
        rows = self.table[self.table["strategy"] == strategy]
        if "loss_stderr" not in rows:
            return float("nan")
        by_domain = rows.groupby("domain")["loss_stderr"].mean().reindex(list(self.weights))
        return float(np.sqrt(((by_domain * pd.Series(self.weights)) ** 2).sum(skipna=False)))

    def paired_stderr(self, strategy: str, best: str, seeds: list[int]) -> float | None:
        """Standard error of `gain` over documents, in pairs; None where documents are missing.

        Losses are averaged over seeds document by document first: all seeds are evaluated on the
        same held-out text, so more seeds do not enlarge the sample of documents.
        """
        total = 0.0
        for domain, weight in self.weights.items():
            pairs = [[(s, seed, domain) for s in (strategy, best)] for seed in seeds]
            if not all(key in self.documents for pair in pairs for key in pair):
                return None
            theirs, ours = ([self.documents[pair[i]][0] for pair in pairs] for i in (0, 1))
            tokens = self.documents[pairs[0][0]][1]
            if any(len(nats) != len(tokens) for nats in theirs + ours):
                return None
            difference = np.mean(theirs, axis=0) - np.mean(ours, axis=0)
            total += (weight * ratio_stderr(difference, tokens)) ** 2
        return float(np.sqrt(total))


def _read_documents(file: Path, domain: str) -> tuple[Array, Array]:
    """Nats and tokens of every held-out document of a domain, as saved with the final model."""
    with np.load(file) as arrays:
        return arrays[f"{domain}/nats"], arrays[f"{domain}/tokens"]
