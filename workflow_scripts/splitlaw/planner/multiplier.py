"""The compute multiplier of a recipe: how many times the FLOPs of a budget reach a given loss."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitlaw.laws.result import FitResult
from splitlaw.planner.constraint import Array, Constraint, Split
from splitlaw.planner.draws import most_draws
from splitlaw.planner.result import Multiplier
from splitlaw.planner.strategies import recipes
from splitlaw.planner.surface import Surface
from splitlaw.planner.task import make_task

STEPS_PER_DECADE = 8
"""Budgets at which losses are computed, a factor of 1.33 apart: between them a loss is nearly
linear in the logarithm of the budget, and a multiplier errs by less than 1%."""

FACTORS = 10.0 ** (np.arange(-STEPS_PER_DECADE, 3 * STEPS_PER_DECADE + 1) / STEPS_PER_DECADE)
"""Multiples of a budget that are searched: a tenth to 1,000. A law that was fitted to small models
says nothing about a recipe at more than three orders of magnitude, and no baseline is ten times as
good as the optimum."""


@dataclass(frozen=True)
class BudgetCurves:
    """Mean losses of the recipes that the law covers at multiples of a budget, at one size."""

    surface: Surface
    strategies: tuple[str, ...]
    pretrain: Array
    """D [recipes, g]."""
    specialize: Array
    """D'_k [recipes, g, k]."""

    @classmethod
    def around(cls, surface: Surface, constraint: Constraint) -> "BudgetCurves":
        """The tokens of the recipes at multiples of the budget of `constraint`."""
        none = [0] * len(surface.setting.domains)
        budgets = [replace(constraint, tokens=f * constraint.tokens) for f in FACTORS]
        found = [[r for r in recipes(c, 0, none) if r.predictable] for c in budgets]
        return cls(
            surface.first(most_draws(len(none))),
            tuple(recipe.strategy for recipe in found[0]),
            np.array([[float(recipe.pretrain) for recipe in at] for at in found]).T,
            np.swapaxes([[np.array(r.specialize, float) for r in at] for at in found], 0, 1),
        )

    def for_split(self, split: Split) -> dict[str, Multiplier]:
        """How many times the FLOPs each recipe needs for the loss of a split.

        The interval is that of the draws, each of which gives both losses.
        """
        surface, pretrain = self.surface, np.asarray(split.pretrain, dtype=float)
        targets = surface.drawn_means(pretrain, split.specialize)[:, None]
        values = _crossing(self._means, surface.mean(pretrain, split.specialize))
        with np.errstate(over="ignore"):  # far outside the table a draw may be infinite
            drawn = _crossing(surface.drawn_means(self.pretrain, self.specialize), targets)
        return {
            strategy: _multiplier(values[i], drawn[:, i])
            for i, strategy in enumerate(self.strategies)
        }

    def for_gains(self, gains: Mapping[str, tuple[float, float, float]]) -> dict[str, Multiplier]:
        """How many times the FLOPs lower the loss of each recipe by a gain, as the law has it.

        A gain is a value in nats per token with the ends of its interval; the multipliers of these
        three are returned, for recipes that the law covers.
        """
        here, found = self._means[:, STEPS_PER_DECADE], {}
        for strategy, gain in gains.items():
            if strategy in self.strategies:
                i = self.strategies.index(strategy)
                curve = np.broadcast_to(self._means[i], (3, len(FACTORS)))
                value, low, high = _crossing(curve, here[i] - np.array(gain))
                found[strategy] = _known(value), _known(low), _known(high)
        return found

    @property
    def _means(self) -> Array:
        """Losses under the law [recipes, g]."""
        return self.surface.mean(self.pretrain, self.specialize)


def multipliers_of_gains(
    fit: FitResult,
    gains: Mapping[str, tuple[float, float, float]],
    *,
    flops: float,
    params: float,
    **options: Any,
) -> dict[str, Multiplier]:
    """`BudgetCurves.for_gains` at a budget; `options` are those of `plan`."""
    task = make_task(fit, **options)
    curves = BudgetCurves.around(task.surface(params), task.constraint(flops, params))
    return curves.for_gains(gains)


def _crossing(losses: Array, target: Array) -> Array:
    """The least multiple [...] at which losses [..., g] fall to a target [...], else infinity."""
    reached = losses <= np.expand_dims(target, -1)
    at = reached.argmax(axis=-1)
    before = np.maximum(at - 1, 0)
    above, below = (np.take_along_axis(losses, i[..., None], -1)[..., 0] for i in (before, at))
    falls = np.isfinite(above) & (above > below)
    with np.errstate(invalid="ignore"):
        share = np.where(falls, (above - target) / np.where(falls, above - below, 1.0), 1.0)
    logs = np.log(FACTORS)
    found = np.exp(logs[before] + share * (logs[at] - logs[before]))
    return np.where(reached.any(axis=-1), found, np.inf)


def _multiplier(value: float, draws: Array) -> Multiplier:
    """The value with the interval of the draws, which may be infinite at its upper end or both."""
    # Observed values, because between a finite one and infinity there is none.
    ends = np.percentile(draws, (5, 95), method="inverted_cdf") if len(draws) else (value, value)
    return _known(value), _known(min(ends[0], value)), _known(max(ends[1], value))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
