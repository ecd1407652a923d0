"""The recipes of a plan side by side: losses predicted by the law, and measured losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import NAMES, OPTIMAL, PROSE, SINGLE
from splitlaw.laws import FitResult
from splitlaw.laws.result import interval
from splitlaw.planner import multipliers_of_gains
from splitlaw.planner.result import Multiplier
from splitlaw.stages.final_results import FinalLosses, FinalModel, plan_options, plan_weights

Array = npt.NDArray[np.float64]
Json = Mapping[str, Any]
Bounds = tuple[float, float, float]
"""A value with the ends of its 90% interval."""

MIN_TOKENS_PER_PARAM = 5
"""Recipes with fewer tokens per parameter are marked: the reference grid, on which the law was
tested, has no runs below this number."""

MIN_STDERRS = 3.0
"""Paired standard errors that a predicted gain must exceed for its sign and size to be tested. A
gain of this size is measured with the wrong sign in about one of 700 cases."""

SIZE_FACTOR = 2.0
"""A gain is as predicted where measured and predicted gain differ by at most this factor."""


@dataclass(frozen=True, kw_only=True)
class RecipeResult:
    """One way to spend the budget. Losses are weighted means over domains, nats per token."""

    strategy: str
    """Its name in the files."""
    pretrain_tokens: float
    """D of each model."""
    specialize_tokens: Mapping[str, float]
    """D' by domain."""
    fraction_general: float
    """Share of the recipe's tokens that are general text before the branches."""
    tokens_per_param: float
    """Tokens per parameter of the model that is trained on the fewest tokens."""
    predicted: Bounds | None
    """Mean loss by the law."""
    predicted_gain: Bounds | None
    """Loss of this recipe minus that of the optimal split by the law, paired by draw."""
    probability_worse: float | None
    """Share of the draws in which it is worse than the plan."""
    replay_tokens: float = 0.0
    """General tokens that the branches replay, of all domains together."""
    measured: float | None = None
    """Mean loss of the trained models."""
    measured_general: float | None = None
    """Mean loss of the same models on general text."""
    stderr: float | None = None
    """Standard error of `measured` over held-out documents."""
    gain: float | None = None
    """Measured loss of this recipe minus that of the optimal split."""
    gain_stderr: float | None = None
    """Standard error of `gain`: that over documents, combined with the spread over seeds where
    there are several (`splitlaw.common.statistics.mean_over_seeds`)."""
    gain_reach: float | None = None
    """Half of the 90% interval of `gain`."""
    gain_document_stderr: float | None = None
    """Standard error of `gain` over documents alone, paired by document where `paired`."""
    paired: bool = False
    """Whether losses by document were available for pairing."""
    seed_spread: float | None = None
    """Standard deviation of the gain over seeds, where there are several."""
    data_gain: float | None = None
    """Of `joint`: measured loss of no split minus its own, the gain from the choice of the text
    alone. Its `gain` is the rest of the gain of the optimal split over no split."""
    data_gain_stderr: float | None = None
    """Standard error of `data_gain`, of the same kind as `gain_stderr`."""
    data_gain_reach: float | None = None
    """Half of the 90% interval of `data_gain`."""
    multiplier: Multiplier | None = None
    """How many times the plan's FLOPs the recipe needs for the plan's loss, by the law."""
    measured_multiplier: Multiplier | None = None
    """The same for the measured gain: how many times the FLOPs lower the recipe's loss by the gain,
    by the law. The interval is that of the gain. None where the law does not cover the recipe."""

    @property
    def name(self) -> str:
        """Its name in tables and figures."""
        return NAMES.get(self.strategy, self.strategy)

    @property
    def prose(self) -> str:
        """Its name within a sentence."""
        return PROSE.get(self.strategy, self.strategy)

    @property
    def too_few_tokens(self) -> bool:
        """Whether one of its models is trained on fewer tokens than the law was tested with."""
        return self.tokens_per_param < MIN_TOKENS_PER_PARAM

    @property
    def verdict(self) -> str:
        """Agreement of the measured gain with the predicted one."""
        if self.strategy == OPTIMAL or self.predicted_gain is None or self.gain is None:
            return ""
        predicted = self.predicted_gain[0]
        if not self.gain_stderr or predicted < MIN_STDERRS * self.gain_stderr:
            return "too small to test"
        if self.gain <= 0:
            return "wrong sign"
        agrees = 1 / SIZE_FACTOR <= self.gain / predicted <= SIZE_FACTOR
        return "as predicted" if agrees else "right sign, wrong size"


def recipe_results(
    plan: Json,
    *,
    fit: FitResult | None,
    comparison: pd.DataFrame | None,
    models: Sequence[FinalModel],
) -> list[RecipeResult]:
    """Predicted and measured losses of the optimal split and of each baseline of a plan."""
    entries = [{**plan, "strategy": OPTIMAL}, *plan.get("baselines", [])]
    gains = predicted_gains(plan, fit, entries)
    losses = FinalLosses.read(plan, comparison, models)
    found = [_recipe(plan, entry, gains, losses) for entry in entries]
    return found if fit is None else _with_measured_multipliers(plan, fit, found)


def _with_measured_multipliers(
    plan: Json, fit: FitResult, recipes: Sequence[RecipeResult]
) -> list[RecipeResult]:
    """Add the compute multipliers that the measured gains have under the law."""
    gains = {}
    for recipe in recipes:
        if recipe.gain is not None and recipe.predicted is not None:
            reach = recipe.gain_reach or 0.0
            gains[recipe.strategy] = (recipe.gain, recipe.gain - reach, recipe.gain + reach)
    if not gains or plan.get("replay") is not None:
        return list(recipes)
    found = multipliers_of_gains(fit, gains, **plan_options(plan))
    return [replace(r, measured_multiplier=found.get(r.strategy)) for r in recipes]


def predicted_gains(
    plan: Json, fit: FitResult | None, entries: Sequence[Json]
) -> dict[str, Bounds | None]:
    """Loss of each recipe above the first by the law, with the interval of their common draws.

    None without a fit, for a recipe that the law does not cover, and where the law is infinite.
    """
    if fit is None:
        return {}
    covered = [entry for entry in entries if predicted_mean(entry, plan_weights(plan)) is not None]
    if entries[0] not in covered:
        return {}
    values, drawn = predicted_means(plan, fit, covered)
    above, drawn_above = values - values[0], drawn - drawn[:, :1]
    return {
        entry["strategy"]: _bounds(float(above[i]), drawn_above[:, i])
        for i, entry in enumerate(covered)
        if i > 0
    }


def predicted_means(plan: Json, fit: FitResult, entries: Sequence[Json]) -> tuple[Array, Array]:
    """Mean loss over the planned domains at the plan's size, by the law and by each draw.

    The entries have `pretrain_tokens` and `specialize_tokens` by domain, and `replay` where general
    tokens are mixed in; text is repeated beyond the plan's `unique_tokens`. Arrays
    `[entries]` and `[draws, entries]`, in nats per token.
    """
    shares = plan_weights(plan)
    weights = np.array(list(shares.values()))
    pretrain = np.array([[float(entry["pretrain_tokens"])] for entry in entries])
    special = np.array(
        [[float(entry["specialize_tokens"][d]) for d in shares] for entry in entries]
    )
    numbers = np.array([fit.domains.index(domain) for domain in shares])
    given = [entry.get("replay") or {} for entry in entries]
    options: dict[str, Array] = {
        "replay": np.array([[shares_of.get(d, 0.0) for d in shares] for shares_of in given])
    }
    if limits := plan.get("unique_tokens"):
        most = np.array([limits.get(domain, np.inf) for domain in shares])
        options["unique_specialize"] = np.minimum(special, most)
        options["unique_pretrain"] = np.minimum(pretrain, limits.get(GENERAL, np.inf))
    points = (plan["params"], pretrain, special, numbers)
    values, drawn = fit.losses(*points, **options), fit.drawn_losses(*points, **options)
    return values @ weights, drawn @ weights


def _recipe(
    plan: Json,
    entry: Json,
    gains: Mapping[str, Bounds | None],
    losses: FinalLosses,
) -> RecipeResult:
    strategy, specialize = entry["strategy"], entry["specialize_tokens"]
    single = strategy in SINGLE or not any(specialize.values())
    independent = plan.get("trunk") == "independent" and not single
    pretrain = (len(specialize) if independent else 1) * entry["pretrain_tokens"]
    replay_tokens = _replay_tokens(entry)
    total = pretrain + sum(specialize.values()) + replay_tokens
    fewest = entry["pretrain_tokens"] + min(specialize.values())
    return RecipeResult(
        strategy=strategy,
        pretrain_tokens=entry["pretrain_tokens"],
        specialize_tokens=specialize,
        fraction_general=pretrain / max(total, 1),
        replay_tokens=replay_tokens,
        tokens_per_param=(total if single else fewest) / plan["params"],
        predicted=predicted_mean(entry, plan_weights(plan)),
        predicted_gain=gains.get(strategy),
        probability_worse=entry.get("probability_worse"),
        multiplier=_multiplier(entry.get("compute_multiplier")),
        **losses.measured(strategy),
    )


def _replay_tokens(entry: Json) -> float:
    """General tokens in the branches of a recipe: a share r of D' + rT."""
    shares, tokens = entry.get("replay") or {}, entry["specialize_tokens"]
    return float(sum(tokens[domain] * r / (1 - r) for domain, r in shares.items()))


def _multiplier(values: Sequence[float | None] | None) -> Multiplier | None:
    """A multiplier as the plan has it; plans of earlier versions have none."""
    return None if values is None else (values[0], values[1], values[2])


def _bounds(value: float, draws: Array) -> Bounds:
    finite = draws[np.isfinite(draws)]
    if not finite.size:
        return value, value, value
    low, high = interval(finite)
    return value, min(float(low), value), max(float(high), value)


def predicted_mean(entry: Json, shares: Mapping[str, float]) -> Bounds | None:
    """Mean loss of a recipe with its interval; None where the law has no value."""
    mean_loss = entry.get("predicted_mean_loss")
    if mean_loss and mean_loss[0] is not None:
        return mean_loss[0], mean_loss[1], mean_loss[2]
    by_domain = [entry["predicted_loss"][domain] for domain in shares]
    if any(np.atleast_1d(values)[0] is None for values in by_domain):
        return None
    mean = sum(
        weight * np.broadcast_to(values, 3)
        for weight, values in zip(shares.values(), by_domain, strict=True)
    )
    return tuple(np.asarray(mean).tolist())
