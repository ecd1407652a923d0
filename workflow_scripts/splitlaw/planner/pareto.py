"""The trade-off of domain loss against general loss at one budget."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from splitlaw.planner.constraint import Array, Split, fraction
from splitlaw.planner.draws import ends
from splitlaw.planner.optima import tabulated_optima
from splitlaw.planner.problem import GRID, Problem
from splitlaw.planner.replay import ReplaySurface

POINTS = 11
"""Limits at which the best split is found, evenly from the lowest rise to that without a limit."""


@dataclass(frozen=True)
class Front:
    """The best splits under limits on the general loss of every specialist.

    The limits apply to the bounds of the surface, or with `predicted` to the predictions.
    """

    problem: Problem
    """The problem; its own limit does not matter."""
    surface: ReplaySurface
    reference: Array
    """General loss without specialising [k], nats per token."""

    @cached_property
    def lowest_rise(self) -> tuple[float, Split]:
        """The lowest limit that some split keeps, and that split, from the tabulated ones.

        Each branch has at most an even share of what the budget leaves for them.
        """
        problem, surface = self.problem, self.surface
        pretrain = problem.grid(GRID[0])
        least, nodes = problem.least(pretrain), problem.nodes(pretrain, GRID[1])
        branch = least[..., None] + nodes.grid(GRID[1])
        table = surface.tables.general(pretrain[:, None], np.moveaxis(branch, 1, -1))
        rises = (table / self.reference[:, None]).min(axis=-1) - 1
        _, possible = problem.room(pretrain, least)
        left = problem.constraint.left(pretrain)[:, None, None] / len(self.reference)
        inside = np.moveaxis(branch, 1, -1) <= left * (1 + 1e-9)
        rises = np.where(inside, rises, np.inf)
        worst = np.where(possible, rises.min(axis=1).max(axis=-1), np.inf)
        at = int(np.argmin(worst))
        tokens = np.take_along_axis(branch[at], np.argmin(rises[at], axis=0)[:, None], 1)[:, 0]
        return float(worst[at]), Split(pretrain[at], tokens, np.array(np.inf))

    @property
    def predicted(self) -> "Front":
        """The front of the predicted losses."""
        return replace(self, surface=self.surface.predicted)

    def split(self, rise: float) -> tuple[Split, Array]:
        """The best split within a limit on the rise, and its shares of replay [k]."""
        surface = self.surface.within((1 + rise) * self.reference)
        found = tabulated_optima(Problem(surface, self.problem.constraint), drawn=False)
        split = Split(found.pretrain[0], found.specialize[0], found.mean[0])
        return split, surface.best_shares(float(split.pretrain), split.specialize)

    def points(self) -> list[dict[str, Any]]:
        """The entries of `pareto` in plan.json, by increasing general loss."""
        free = self.split(np.inf)
        highest = float((self._general(*free) / self.reference).max() - 1)
        lowest = min(self.lowest_rise[0], highest)
        limits = np.linspace(lowest, highest, POINTS)[:-1]
        entries = [self._entry(*self.split(float(rise))) for rise in limits]
        return [*entries, self._entry(*free)]

    def _general(self, split: Split, shares: Array) -> Array:
        return self.surface.laws.general(np.array(split.pretrain), split.specialize, shares)

    def _entry(self, split: Split, shares: Array) -> dict[str, Any]:
        setting, laws = self.surface.setting, self.surface.laws
        at = np.array(split.pretrain), split.specialize, shares
        value = float(laws.domain(*at) @ setting.weights)
        low, high = ends(laws.domain(*at, drawn=True) @ setting.weights, value)
        trunks = self.problem.constraint.trunks
        return {
            "fraction_general": float(fraction(split.pretrain, split.specialize, trunks)),
            "replay": dict(zip(setting.domains, shares.tolist(), strict=True)),
            "domain_loss": value,
            "general_loss": float(self._general(split, shares) @ setting.weights),
            "low": low,
            "high": high,
        }
