"""The two laws at the shares of replay that a search compares."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from splitlaw.laws.rows import REPLAY_SCALE
from splitlaw.planner.branches import BranchLaws, bounded
from splitlaw.planner.constraint import Array
from splitlaw.planner.nodes import interpolate

NODES = 7
"""Shares at which losses are tabulated, even in the coordinate log(1 + r / 0.1) of a law: steps of
0.3 up to r = 50%, a quarter of the length-scale of the discrepancy, where cubic interpolation errs
by 3e-5."""

SPREAD_EVERY = 3
"""The standard deviation of a general loss is computed at one of so many amounts of T, which are a
factor of 2 apart: on the law of `configs/base.yaml`, others err by 0.2% on average, at most 3%."""

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
        general = self._predicted(pretrain, branch)
        if self.laws.deviations == 0:
            return general
        spread = self._spread(general, pretrain, branch)
        return bounded(general, spread, self.laws.deviations)

    def general_along(self, pretrain: Array, branch: Array) -> Array:
        """The same [g, n, k, r] at D [g] and n amounts T [n] in even ratios.

        The draws take most of the time of a plan, and their spread varies slowly with T: it is
        interpolated between every `SPREAD_EVERY`th amount.
        """
        domains = len(self.shares)

        def every(step: int) -> tuple[Array, Array]:
            amounts = branch[::step]
            shape = len(pretrain), len(amounts), domains
            return pretrain[:, None], np.broadcast_to(amounts[:, None], shape)

        general = self._predicted(*every(1))
        if self.laws.deviations == 0:
            return general
        some = general[:, ::SPREAD_EVERY]
        spread = np.moveaxis(self._spread(some, *every(SPREAD_EVERY)), 1, -1)
        weights = _weights(spread.shape[-1], len(branch))
        spread = np.moveaxis(_between(spread, weights), -1, 1)
        return bounded(general, spread, self.laws.deviations)

    def _predicted(self, pretrain: Array, branch: Array) -> Array:
        law = replace(self.laws, deviations=0.0).general_bound_by_share
        return self._remembered("general", law, pretrain, branch)

    def _spread(self, general: Array, pretrain: Array, branch: Array) -> Array:
        law = partial(self.laws.spread_by_share, general)
        return self._remembered("spread", law, pretrain, branch)

    def between(self, table: Array) -> Array:
        """Losses [..., points] between those at the tabulated shares [..., r]."""
        points = 1 if None not in self.shares else FINE * (NODES - 1) + 1
        return _between(table, _weights(table.shape[-1], points))

    def _remembered(
        self, name: str, law: Callable[..., Array], pretrain: Array, branch: Array
    ) -> Array:
        d, t = np.asarray(pretrain, dtype=float), np.asarray(branch, dtype=float)
        key = (f"{name} {d.shape} {t.shape}", d.tobytes(), t.tobytes())
        if key not in self.memory:
            self.memory[key] = law(d, t, self.nodes)
        return self.memory[key]


def _between(table: Array, weights: Array) -> Array:
    """Values [..., points] between those of a table [..., r]; infinite where one of them is."""
    known = np.asarray(np.isfinite(table).all(axis=-1))
    if known.all():
        # Rows of one matrix: NumPy multiplies many small matrices one after the other.
        rows = table.reshape(-1, table.shape[-1])
        return np.asarray((rows @ weights).reshape(*known.shape, -1))
    found = np.where(known[..., None], table, 0.0) @ weights
    return np.where(known[..., None], found, np.inf)


def _weights(nodes: int, points: int) -> Array:
    """Matrix of the interpolation from even nodes to even points between them [nodes, points]."""
    if nodes == 1:
        return np.ones((1, points))
    position = np.linspace(0.0, nodes - 1.0, points)
    return interpolate(np.eye(nodes)[:, None], np.tile(position, (nodes, 1)))
