"""The draws of a law in a plan: intervals, the draws' own optima, and the expected regret."""

from dataclasses import dataclass

import numpy as np

from splitlaw.laws.result import interval
from splitlaw.planner.constraint import Array, Split, fraction
from splitlaw.planner.optima import tabulated_optima
from splitlaw.planner.problem import GRID, Problem
from splitlaw.planner.result import NO_LOSS, Loss
from splitlaw.planner.strategies import Recipe
from splitlaw.planner.surface import Surface

WORK_OF_DRAWS = 6_400
"""Draws times domains whose optima are searched; more draws add little to an interval."""

LEAST_DRAWS = 100
"""Draws whose optima are searched whatever the number of domains: the 5th percentile of 100 draws
has five of them below it."""


def most_draws(domains: int) -> int:
    """Draws that an interval of a plan of so many domains uses."""
    return max(LEAST_DRAWS, WORK_OF_DRAWS // domains)


@dataclass(frozen=True)
class DrawnPlan:
    """The optima of the draws, and the expected regret of a plan."""

    pretrain: Array
    """D of the optimum under each draw [draws]."""

    fractions: Array
    """General fraction of the optimum under each draw [draws]."""

    means: Array
    """Mean loss of the plan and of the optima of the draws under each draw [draws, splits]."""

    @property
    def regrets(self) -> Array:
        """Mean loss of the plan under each draw less that of the best split [draws]."""
        known = np.where(np.isfinite(self.means), self.means, np.inf)
        return np.asarray(self.means[:, 0] - known.min(axis=1))

    @property
    def expected_regret(self) -> float | None:
        """Mean of the regrets, nats per token; None without draws."""
        return float(self.regrets.mean()) if len(self.means) else None


def drawn_plan(
    problem: Problem,
    split: Split,
    *,
    draws: int | None = None,
    grid: tuple[int, int] = GRID,
) -> DrawnPlan:
    """The optimum of every draw, and the regret of the split under every draw.

    Optima come from an interpolated table. Their losses are then evaluated exactly: the optimum of
    a draw is the best of all optima, those of other draws and the split itself included, under it.
    At most `draws` are used, by default as many as an interval needs.
    """
    few = problem.surface.first(draws or most_draws(problem.domains))
    if few.fit.n_draws == 0:
        return DrawnPlan(np.zeros(0), np.zeros(0), np.zeros((0, 1)))
    optima = tabulated_optima(Problem(few, problem.constraint), drawn=True, grid=grid)
    possible = np.isfinite(optima.mean)
    pretrain, specialize = optima.pretrain[possible], optima.specialize[possible]
    means = few.drawn_means(
        np.concatenate([[float(split.pretrain)], pretrain]),
        np.concatenate([split.specialize[None], specialize]),
    )
    shares = fraction(pretrain, specialize, problem.constraint.trunks)
    return DrawnPlan(pretrain, shares, means)


def ends(draws: Array, value: float) -> tuple[float, float]:
    """The 90% interval, extended to the value; the value alone without draws."""
    finite = draws[np.isfinite(draws)]
    if not finite.size:
        return value, value
    low, high = interval(finite)
    return min(float(low), value), max(float(high), value)


@dataclass(frozen=True)
class Points:
    """Losses of the plan, which is number 0, and of its baselines."""

    surface: Surface
    losses: Array
    """[points, k]."""
    drawn: Array
    """[draws, points, k]."""

    @classmethod
    def of(cls, surface: Surface, split: Split, baselines: list[Recipe]) -> "Points":
        """Evaluate the law and its draws."""
        pretrain = np.array([float(split.pretrain), *(float(b.pretrain) for b in baselines)])
        specialize = np.array([split.specialize, *(b.specialize for b in baselines)], dtype=float)
        return cls(
            surface,
            surface.losses(pretrain, specialize),
            surface.drawn_losses(pretrain, specialize),
        )

    def by_domain(self, number: int) -> dict[str, Loss]:
        """Loss of each domain with its interval."""
        values, drawn = self.losses[number], self.drawn[:, number]
        names = self.surface.setting.domains
        return {name: _loss(values[k], drawn[:, k]) for k, name in enumerate(names)}

    def mean(self, number: int) -> Loss:
        """Weighted mean loss with its interval."""
        weights = self.surface.setting.weights
        return _loss(self.losses[number] @ weights, self.drawn[:, number] @ weights)

    def probability_worse(self, number: int) -> float | None:
        """Share of the draws in which a baseline has a higher mean loss than the plan."""
        if not len(self.drawn):
            return None
        means = self.drawn @ self.surface.setting.weights
        return float(np.mean(means[:, number] > means[:, 0]))


def _loss(value: Array, draws: Array) -> Loss:
    """A loss with its interval; without a value where the law is infinite."""
    return (float(value), *ends(draws, float(value))) if np.isfinite(value) else NO_LOSS
