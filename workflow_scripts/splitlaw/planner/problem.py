"""The problem at one size: losses, budget, and the points at which losses are tabulated."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitlaw.planner.constraint import Array, Constraint
from splitlaw.planner.nodes import Nodes
from splitlaw.planner.surface import Surface

EDGE = 1e-3
"""Share of the tokens at which the grid of D changes from even steps to even factors, at both
ends. The optimum is found to better than 0.1 percentage points, so finer steps have no use."""

SMALL = 1e-3
"""The same for D'_k, as a share of the tokens that each domain has where all have the same."""

GRID, COARSE = (35, 36), (19, 18)
"""Nodes along D and D'_k: for plans, and for the comparison of sizes. A step of the former is at
most a factor of 1.5 in D and 1.35 in D'_k, a third or less of the length-scale that the discrepancy
of a law has a priori (a factor of 3), where cubic interpolation errs by about 1e-5."""


@dataclass(frozen=True)
class Problem:
    """Minimise the mean loss of the domains within a budget, at one size."""

    surface: Surface
    constraint: Constraint

    @property
    def domains(self) -> int:
        """Number of domains."""
        return len(self.surface.setting.columns)

    @cached_property
    def needed(self) -> Array:
        """Least D'_k [k]: 1 token where the law is infinite without any, otherwise 0."""
        c = self.constraint
        pretrain = 0.5 * c.tokens / c.trunks if c.pretrain is None else c.pretrain
        none = self.surface.losses(np.array(pretrain), np.zeros(self.domains))
        return np.where(np.isfinite(none), 0.0, 1.0)

    @cached_property
    def pretrain_range(self) -> tuple[float, float]:
        """Least and most D within the constraint.

        The least is 1 token where the law is infinite without any. Where the budget does not pay
        for `min_tokens` of every domain from scratch, a shared trunk has to.
        """
        c = self.constraint
        if c.pretrain is not None:
            return c.pretrain, c.pretrain
        even = np.full(self.domains, 0.5 * c.tokens / self.domains)
        least = 0.0 if np.isfinite(self.surface.losses(np.array(0.0), even)).all() else 1.0
        short, saved = self.domains * c.min_tokens - c.tokens, self.domains - c.trunks
        if short > 0:
            least = min(short / saved, c.min_tokens) if saved > 0 else c.min_tokens
        most = max(c.tokens - self.domains * (c.specialize or 0.0), 0.0) / c.trunks
        return min(least, most), most

    def pretrain_at(self, position: Array, count: int) -> Array:
        """D at positions 0 to count - 1 of a grid over its whole range, dense at both ends."""
        low, high = self.pretrain_range
        end = np.log((1 + EDGE) / EDGE)
        part = (1 + 2 * EDGE) / (1 + np.exp(end * (1 - 2 * position / (count - 1)))) - EDGE
        # Rounding must not turn no tokens into 1e-12 of them, where a law may be huge.
        inside = np.clip(low + part * (high - low), low, high)
        return np.where(position <= 0, low, np.where(position >= count - 1, high, inside))

    def grid(self, count: int) -> Array:
        """D from the least to the most; the only one where it is given."""
        low, high = self.pretrain_range
        return np.array([high]) if low == high else self.pretrain_at(np.arange(float(count)), count)

    def least(self, pretrain: Array) -> Array:
        """Least D'_k [g, k] at each D [g]."""
        return np.maximum(self.constraint.least(pretrain)[:, None], self.needed)

    def room(self, pretrain: Array, least: Array) -> tuple[Array, Array]:
        """Tokens to share above given D'_k [g, k] at each D [g], and whether there are enough."""
        room = self.constraint.left(pretrain) - least.sum(axis=-1)
        total = np.maximum(room, 0.0)
        if self.constraint.specialize is not None:
            total = np.zeros_like(room)
        return total, room >= -1e-12 * self.constraint.tokens

    def nodes(self, pretrain: Array, count: int) -> Nodes:
        """Amounts of D'_k above the least, up to all that is left at any D [g]."""
        most = float(np.max(self.constraint.left(pretrain), initial=1e-9))
        scale = SMALL * self.constraint.tokens / self.domains
        return Nodes(np.full(self.domains, scale), float(np.log1p(most / scale) / (count - 1)))

    def table(self, pretrain: Array, specialize: Array, *, drawn: bool) -> Array:
        """Weighted losses [(draws,) g, k, j] at D [g] and D'_k [g, k, j]."""
        law = self.surface.drawn_losses if drawn else self.surface.losses
        losses = law(pretrain[:, None], np.moveaxis(specialize, 1, -1))
        return np.moveaxis(losses * self.surface.setting.weights, -1, -2)
