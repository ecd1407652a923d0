"""The recipes side by side: what the law promised of each and what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from splitlaw.laws.result import interval
from splitlaw.laws.table import GENERAL
from splitlaw.planner.plan import make_task
from splitlaw.planner.surface import Surface
from splitlaw.report.inputs import Inputs, compared

Array = npt.NDArray[np.float64]
Bounds = tuple[float, float, float]
"""A value with the ends of its 90% interval."""

OPTIMAL = "optimal"
NAMES = {
    OPTIMAL: "Optimal split",
    "two_stage_90": "Two stages, 90% general",
    "half": "Half and half",
    "no_split": "No split",
    "scratch": "From scratch",
}
PROSE = {
    OPTIMAL: "the optimal split",
    "two_stage_90": "two stages with 90% general",
    "half": "half and half",
    "no_split": "no split",
    "scratch": "training from scratch",
}
MIN_TOKENS_PER_PARAM = 5
NORMAL_90 = 1.6449
"""Standard errors on either side of a 90% interval."""

CLEAR = 3.0
"""Paired standard errors that a predicted gain must exceed to be put to the test."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to spend the budget. Losses are weighted means over domains, nats per token."""

    strategy: str
    """Its name in the files."""
    pretrain_tokens: float
    """D of each model."""
    specialize_tokens: Mapping[str, float]
    """D' by domain."""
    fraction_general: float
    """Share of the recipe's tokens that are general."""
    tokens_per_param: float
    """Fewest tokens that any of its models sees, by its parameters."""
    predicted: Bounds | None
    """Mean loss by the law."""
    predicted_gain: Bounds | None
    """Loss of this recipe minus the optimal one's by the law, drawn together."""
    probability_worse: float | None
    """Share of draws in which it is worse than the plan."""
    measured: float | None = None
    """Mean loss of the trained models."""
    stderr: float | None = None
    """Standard error of `measured` over held-out documents."""
    gain: float | None = None
    """Measured loss of this recipe minus the optimal one's."""
    gain_stderr: float | None = None
    """Standard error of `gain`, paired by document where `paired`."""
    paired: bool = False
    """Whether losses by document were there to pair."""
    seed_spread: float | None = None
    """Standard deviation of the gain over seeds, where there are several."""

    @property
    def name(self) -> str:
        """Its name at the head of a row."""
        return NAMES.get(self.strategy, self.strategy)

    @property
    def prose(self) -> str:
        """Its name within a sentence."""
        return PROSE.get(self.strategy, self.strategy)

    @property
    def too_few_tokens(self) -> bool:
        """Whether a model of it sees too few tokens for a loss that means much."""
        return self.tokens_per_param < MIN_TOKENS_PER_PARAM

    @property
    def verdict(self) -> str:
        """Whether the measured gain bears the predicted one out."""
        if self.strategy == OPTIMAL or self.predicted_gain is None or self.gain is None:
            return ""
        predicted = self.predicted_gain[0]
        if not self.gain_stderr or predicted < CLEAR * self.gain_stderr:
            return "too close to tell"
        if self.gain <= 0:
            return "wrong sign"
        return "as predicted" if 0.5 <= self.gain / predicted <= 2 else "right sign, other size"


def weights(plan: Mapping[str, Any]) -> dict[str, float]:
    """Weight of each planned domain, summing to 1."""
    domains = plan["specialize_tokens"]
    given = plan.get("weights") or dict.fromkeys(domains, 1.0)
    total = sum(given[domain] for domain in domains)
    return {domain: given[domain] / total for domain in domains}


def read_recipes(inputs: Inputs) -> list[Recipe]:
    """The plan and its baselines, with what was measured of each."""
    plan = inputs.plan
    if plan is None:
        return []
    entries = [{**plan, "strategy": OPTIMAL}, *plan.get("baselines", [])]
    gains = predicted_gains(inputs, entries)
    measured = Measured.of(inputs, plan)
    return [_recipe(plan, entry, gains, measured) for entry in entries]


def predicted_gains(
    inputs: Inputs, entries: Sequence[Mapping[str, Any]]
) -> dict[str, Bounds | None]:
    """Loss of each recipe above the first by the law, with the interval of their common draws.

    Where a law of the plan is infinite for a recipe, a stand-in of the fit judges the pair of them,
    as it does in the plan. None without a fit, and where no law has a value.
    """
    fit, plan = inputs.fit, inputs.plan
    if fit is None or plan is None:
        return {}
    shares, params = weights(plan), plan["params"]
    task = make_task(fit, domains=tuple(shares), weights=shares)
    judges = [(task.point(params), task.draws(params))]
    about = (task.columns, params, task.setting)
    for stand_in in fit.stand_ins:
        drawn = [Surface.of_draws(stand_in, *about)] if len(stand_in.draws) else []
        judges.append((Surface.of_points([stand_in], *about), drawn))
    pairs = {entry["strategy"]: (entry, entries[0]) for entry in entries[1:]}
    return {strategy: _gain(pair, judges, list(shares)) for strategy, pair in pairs.items()}


def _gain(
    pair: tuple[Mapping[str, Any], Mapping[str, Any]],
    judges: Sequence[tuple[Surface, list[Surface]]],
    domains: list[str],
) -> Bounds | None:
    """The first of the pair above the second, by the first judge that has a value."""

    def mean(surface: Surface, entry: Mapping[str, Any]) -> Array:
        special = np.array([[[float(entry["specialize_tokens"][d]) for d in domains]]])
        return surface.mean(np.array([[float(entry["pretrain_tokens"])]]), special)[:, 0]

    for point, draws in judges:
        theirs, ours = mean(point, pair[0])[0], mean(point, pair[1])[0]
        if np.isfinite(theirs) and np.isfinite(ours):
            drawn = [mean(draw, pair[0]) - mean(draw, pair[1]) for draw in draws]
            return _bounds(float(theirs - ours), np.concatenate(drawn) if drawn else np.zeros(0))
    return None


def _recipe(
    plan: Mapping[str, Any],
    entry: Mapping[str, Any],
    gains: Mapping[str, Bounds | None],
    measured: "Measured",
) -> Recipe:
    strategy, special = entry["strategy"], entry["specialize_tokens"]
    trunks = len(special) if plan.get("trunk") == "independent" and any(special.values()) else 1
    general = trunks * entry["pretrain_tokens"]
    fewest = min(entry["pretrain_tokens"] + tokens for tokens in special.values())
    return Recipe(
        strategy=strategy,
        pretrain_tokens=entry["pretrain_tokens"],
        specialize_tokens=special,
        fraction_general=general / max(general + sum(special.values()), 1),
        tokens_per_param=fewest / plan["params"],
        predicted=predicted_mean(entry, weights(plan)),
        predicted_gain=gains.get(strategy),
        probability_worse=entry.get("probability_worse"),
        **measured.about(strategy),
    )


def _bounds(value: float, draws: Array) -> Bounds:
    finite = draws[np.isfinite(draws)]
    if not finite.size:
        return value, value, value
    low, high = interval(finite)
    return value, min(float(low), value), max(float(high), value)


def predicted_mean(entry: Mapping[str, Any], shares: Mapping[str, float]) -> Bounds | None:
    """Mean loss of a recipe with its interval; None where the law has none."""
    told = entry.get("predicted_mean_loss")
    if told and told[0] is not None:
        return told[0], told[1], told[2]
    by_domain = [entry["predicted_loss"][domain] for domain in shares]
    if any(np.atleast_1d(values)[0] is None for values in by_domain):
        return None
    mean = sum(
        weight * np.broadcast_to(values, 3)
        for weight, values in zip(shares.values(), by_domain, strict=True)
    )
    return tuple(np.asarray(mean).tolist())


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The final models' losses, and those of every held-out document where they were kept."""

    shares: Mapping[str, float]
    """Weight of each domain."""
    table: pd.DataFrame | None
    """Rows of `comparison.csv` of the plan's size and budget."""
    documents: Mapping[tuple[str, int, str], tuple[Array, Array]]
    """Nats and tokens by document, by (strategy, seed, domain)."""

    @classmethod
    def of(cls, inputs: Inputs, plan: Mapping[str, Any]) -> "Measured":
        """What was measured of the plan's recipes."""
        shares = weights(plan)
        table = inputs.comparison
        if table is None:
            return cls(shares=shares, table=None, documents={})
        table = same_plan(table, plan)
        folders = {(f.strategy, f.seed, f.domain): f.folder for f in compared(inputs.finals, table)}
        documents = {}
        for row in table.itertuples():
            model = row.domain if row.specialize_tokens > 0 else GENERAL
            folder = folders.get((row.strategy, row.seed, model))
            if folder is not None and (folder / "documents.npz").exists():
                key = (row.strategy, row.seed, row.domain)
                documents[key] = read_documents(folder / "documents.npz", row.domain)
        return cls(shares=shares, table=table, documents=documents)

    def about(self, strategy: str) -> dict[str, Any]:
        """The measured fields of a `Recipe`; empty where it was not trained whole."""
        means = self._means(strategy)
        best = self._means(OPTIMAL)
        if means.empty:
            return {}
        told: dict[str, Any] = {"measured": float(means.mean()), "stderr": self._stderr(strategy)}
        seeds = means.index.intersection(best.index)
        if strategy == OPTIMAL or seeds.empty:
            return told
        gains = means[seeds] - best[seeds]
        paired = self._paired(strategy, list(seeds))
        unpaired = float(np.hypot(told["stderr"], self._stderr(OPTIMAL)))
        return {
            **told,
            "gain": float(gains.mean()),
            "gain_stderr": unpaired if paired is None else paired,
            "paired": paired is not None,
            "seed_spread": float(gains.std(ddof=1)) if len(gains) > 1 else None,
        }

    def _means(self, strategy: str) -> pd.Series:
        """Weighted mean loss by seed, of seeds that have every domain."""
        if self.table is None:
            return pd.Series(dtype=float)
        rows = self.table[self.table["strategy"] == strategy]
        wide = rows.pivot_table(index="seed", columns="domain", values="loss")
        wide = wide.reindex(columns=list(self.shares)).dropna()
        return wide @ pd.Series(self.shares)

    def _stderr(self, strategy: str) -> float:
        assert self.table is not None
        rows = self.table[self.table["strategy"] == strategy]
        if "loss_stderr" not in rows:
            return float("nan")
        by_domain = rows.groupby("domain")["loss_stderr"].mean().reindex(list(self.shares))
        return float(np.sqrt(((by_domain * pd.Series(self.shares)) ** 2).sum(skipna=False)))

    def _paired(self, strategy: str, seeds: list[int]) -> float | None:
        """Standard error of the gain, paired by document; None where documents are missing.

        Seeds are averaged document by document first: they read the same held-out text, so more
        of them do not make its sample larger.
        """
        total = 0.0
        for domain, weight in self.shares.items():
            pairs = [[(s, seed, domain) for s in (strategy, OPTIMAL)] for seed in seeds]
            if not all(key in self.documents for pair in pairs for key in pair):
                return None
            theirs, ours = ([self.documents[pair[i]][0] for pair in pairs] for i in (0, 1))
            tokens = self.documents[pairs[0][0]][1]
            if any(len(nats) != len(tokens) for nats in theirs + ours):
                return None
            difference = np.mean(theirs, axis=0) - np.mean(ours, axis=0)
            total += (weight * ratio_stderr(difference, tokens)) ** 2
        return float(np.sqrt(total))


def same_plan(table: pd.DataFrame, plan: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of the size and budget that were planned, where the table holds several."""
    if "params" in table and (table["params"] == plan["params"]).any():
        table = table[table["params"] == plan["params"]]
    if "flops" in table and table.get("budget", pd.Series(dtype=int)).nunique() > 1:
        nearest = (table["flops"] / plan["flops"] - 1).abs().idxmin()
        table = table[table["budget"] == table.loc[nearest, "budget"]]
    return table


def read_documents(file: Path, domain: str) -> tuple[Array, Array]:
    """Nats and tokens of every held-out document of a domain, as the final model left them."""
    with np.load(file) as arrays:
        return arrays[f"{domain}/nats"], arrays[f"{domain}/tokens"]


def ratio_stderr(numerator: Array, denominator: Array) -> float:
    """Standard error of sum(numerator) / sum(denominator) over documents.

    The estimator of `splitlaw.evaluation`, which a report does not import because it brings torch.
    """
    count = len(numerator)
    if count < 2:
        return float("nan")
    residual = numerator - numerator.sum() / denominator.sum() * denominator
    return float(np.sqrt(count / (count - 1) * (residual**2).sum()) / denominator.sum())
