"""The two laws at the shares of replay that a search compares."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splitlaw.laws.rows import REPLAY_SCALE
from splitlaw.planner.branches import BranchLaws
from splitlaw.planner.constraint import Array
from splitlaw.planner.nodes import interpolate

NODES = 7
"""Shares at which losses are tabulated, even in the coordinate log(1 + r / 0.1) of a law: steps of
0.3 up to r = 50%, a quarter of the length-scale of the discrepancy, where cubic interpolation errs
by 3e-5."""

FINE = 8
"""Points between two nodes at which the best share is searched: a step of r of 0.3 to 1.6 points,
over which the loss at its minimum changes by less than 1e-5."""


@dataclass(frozen=True, kw_only=True)
class ShareTables:
    """Losses [..., k, r] of branches of T tokens [..., k] at several shares of replay."""

    laws: BranchLaws

    shares: tuple[float | None, ...]
    """Share of replay of each domain [k]; None where it is free."""

    most: float
    """Largest free share."""

    memory: dict[tuple[str, bytes, bytes], Array]
    """Tables that are computed already."""

    def grid(self, count: int) -> Array:
        """Free shares from 0 to the largest [k, count]; a given share is repeated."""
        top = np.log1p(self.most / REPLAY_SCALE)
        free = REPLAY_SCALE * np.expm1(np.linspace(0.0, top, count))
        return np.stack([free if s is None else np.full(count, s) for s in self.shares])

    @property
    def nodes(self) -> Array:
        """Shares that are tabulated [k, r]: one, if none is free."""
        return self.grid(NODES if None in self.shares else 1)

    def domain(self, pretrain: Array, branch: Array) -> Array:
        """Loss of each domain at the tabulated shares."""
        key = f"domain {self.laws.fit.weights}"
        return self._remembered(key, self.laws.domain_by_share, pretrain, branch)

    def general(self, pretrain: Array, branch: Array) -> Array:
        """General loss at the tabulated shares: the bound that a limit applies to."""
        key = f"general {self.laws.deviations}"
        return self._remembered(key, self.laws.general_bound_by_share, pretrain, branch)

    def between(self, table: Array) -> Array:
        """Losses [..., points] between those at the tabulated shares [..., r]."""
        known = np.asarray(np.isfinite(table).all(axis=-1))
        found = np.where(known[..., None], table, 0.0) @ self._weights
        return np.where(known[..., None], found, np.inf)

    @property
    def _weights(self) -> Array:
        """Matrix from the tabulated shares to the points of a search [r, points]."""
        if None not in self.shares:
            return np.ones((1, 1))
        position = np.linspace(0.0, NODES - 1.0, FINE * (NODES - 1) + 1)
        return interpolate(np.eye(NODES)[:, None], np.tile(position, (NODES, 1)))

    def _remembered(
        self, name: str, law: Callable[..., Array], pretrain: Array, branch: Array
    ) -> Array:
        d, t = np.asarray(pretrain, dtype=float), np.asarray(branch, dtype=float)
        key = (f"{name} {d.shape} {t.shape}", d.tobytes(), t.tobytes())
        if key not in self.memory:
            self.memory[key] = law(d, t, self.nodes)
        return self.memory[key]
