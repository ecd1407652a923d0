"""Losses of branches of T tokens, at the best share of replay within a limit on general loss."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from splitlaw.laws.points import Indices
from splitlaw.planner.branches import BranchLaws
from splitlaw.planner.constraint import Array
from splitlaw.planner.share_tables import FINE, ShareTables
from splitlaw.planner.surface import Surface

Entry = TypeVar("Entry", bound=np.generic)

EXACT = 241
"""Shares that are compared at the final split, without interpolation."""

ROUND = 1e-3
"""Shares of a plan are multiples of this, as those of training are."""

PENALTY = 1e3
"""Domain loss that an excess of general loss counts as in a search, per nat: more than a domain
gains at any share, so that a plan has no excess where one without exists."""

CAPS, LEAST = 40, 1e-4
"""Amounts of tokens between which the largest one within the limit is interpolated, and the
smallest of them as a share of the largest."""

BLOCK = 500_000
"""Numbers of a table of draws that are worked on at once; more leave the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class ReplaySurface(Surface):
    """Losses of branches as a function of D after the base and of T = D' / (1 - r).

    The share of replay of every branch is the best one for its domain among those that keep its
    general loss within the limit; where none does, the loss has a penalty.
    """

    start: float
    """Tokens of the base that D of the law counts and that of this surface does not."""

    shares: tuple[float | None, ...]
    """Share of replay of each domain [k]; None where it is free."""

    most: float
    """Largest free share."""

    limit: Array
    """Largest general loss of each specialist [k], nats per token; infinite without a limit."""

    deviations: float = 0.0
    """Standard deviations of the general loss of a new run that a prediction is below the limit."""

    memory: dict[tuple[str, bytes, bytes], Array] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Tables of the laws that are computed already; they do not depend on the limit."""

    @property
    def laws(self) -> BranchLaws:
        """The laws at any share."""
        return self.tables.laws

    @property
    def tables(self) -> ShareTables:
        """The laws at the shares that are compared."""
        laws = BranchLaws(
            fit=self.fit,
            params=self.params,
            setting=self.setting,
            start=self.start,
            deviations=self.deviations,
        )
        return ShareTables(laws=laws, shares=self.shares, most=self.most, memory=self.memory)

    def losses(self, pretrain: Array, specialize: Array) -> Array:
        """Loss of each domain [..., k] after T = `specialize` tokens of its branch."""
        table = self.tables.domain(pretrain, specialize)
        found = self._best(self.tables.between(table), self._general(pretrain, specialize))
        return self._capped(found, pretrain, specialize, drawn=False)

    def drawn_losses(self, pretrain: Array, specialize: Array) -> Array:
        """The same under every draw of the domains' law [draws, ..., k]."""
        tables = self.tables
        nodes = tables.laws.domain_by_share(pretrain, specialize, tables.nodes, drawn=True)
        general = self._general(pretrain, specialize)
        size = nodes[:1].size * (1 if None not in self.shares else FINE)
        step = max(1, BLOCK // max(1, size))
        parts = [
            self._best(tables.between(nodes[first : first + step]), general)
            for first in range(0, len(nodes), step)
        ]
        found = np.concatenate(parts) if parts else nodes[..., 0]
        return self._capped(found, pretrain, specialize, drawn=True)

    def best_shares(self, pretrain: float, specialize: Array) -> Array:
        """The best share of replay of each branch [k], from the laws without interpolation.

        A branch without tokens has none.
        """
        grid = self.tables.grid(EXACT)
        at = np.array(pretrain), specialize, grid
        domain = self.laws.domain_by_share(*at)
        general = self.laws.general_bound_by_share(*at) if self.limited else None
        _, place = best_share(domain, general, self.limit)
        found = [np.interp(p, np.arange(EXACT), g) for p, g in zip(place, grid, strict=True)]
        # General loss falls with the share: rounding up keeps the limit.
        up = np.ceil(np.array(found) / ROUND - ROUND) * ROUND
        chosen = [u if s is None else s for u, s in zip(up, self.shares, strict=True)]
        return np.where(specialize > 0, np.maximum(chosen, 0.0), 0.0)

    @property
    def limited(self) -> bool:
        """Whether there is a limit on general loss."""
        return bool(np.isfinite(self.limit).any())

    def within(self, limit: Array) -> "ReplaySurface":
        """The same surface under another limit, with the same tables."""
        return replace(self, limit=limit)

    @property
    def predicted(self) -> "ReplaySurface":
        """The same surface with a limit on the predictions themselves, with the same tables."""
        return replace(self, deviations=0.0)

    def _capped(self, losses: Array, pretrain: Array, specialize: Array, *, drawn: bool) -> Array:
        """Losses [..., k], constant beyond the most tokens that keep the limit.

        Any further tokens are left unspent.
        """
        if not self.limited:
            return losses
        d, t = np.broadcast_arrays(np.asarray(pretrain, dtype=float)[..., None], specialize)
        distinct, place = np.unique(d[..., 0], return_inverse=True)
        caps, shares = self._caps(distinct, max(float(t.max(initial=0.0)), 1.0))
        place = place.reshape(d.shape[:-1])
        beyond = t > caps[place]
        if not beyond.any():
            return losses
        inside = np.where(np.isfinite(caps), caps, 0.0)
        most = self.laws.domain(distinct, inside, shares, drawn=drawn)
        return np.where(beyond, most[..., place, :], losses)

    def _caps(self, pretrain: Array, top: float) -> tuple[Array, Array]:
        """The most T up to `top` within the limit at each D [g, k], and the share it requires.

        Infinite where T = `top` is within the limit, and where no T is.
        """
        amounts = np.geomspace(LEAST * top, top, CAPS)
        general = self.tables.general_along(pretrain, amounts)
        excess = general.min(axis=-1) - self.limit
        after = CAPS - np.argmax(excess[:, ::-1] <= 0, axis=1)
        inner = (after < CAPS) & (excess <= 0).any(axis=1)
        after = np.minimum(after, CAPS - 1)
        high, low = (np.take_along_axis(excess, (after - i)[:, None], 1)[:, 0] for i in (0, 1))
        part = np.where(inner, low / np.where(inner, low - high, 1.0), 0.0)
        caps = np.where(inner, amounts[after - 1] * (amounts[1] / amounts[0]) ** part, np.inf)
        place = np.argmin(general, axis=-1)
        least = np.take_along_axis(place, (after - 1)[:, None], 1)[:, 0]
        return caps, self.tables.nodes[np.arange(len(self.shares)), least]

    def _general(self, pretrain: Array, specialize: Array) -> Array | None:
        """General loss [..., k, points]; None without a limit."""
        if not self.limited:
            return None
        return self.tables.between(self.tables.general(pretrain, specialize))

    def _best(self, losses: Array, general: Array | None) -> Array:
        return best_share(losses, general, self.limit)[0]


def best_share(losses: Array, general: Array | None, limit: Array) -> tuple[Array, Array]:
    """The lowest loss [..., k] over shares [..., k, r] within the limit [k], and its position.

    Where the general loss crosses the limit between two shares, both losses are taken as linear
    between them. Where no share keeps the limit, it is the one with the least general loss, with a
    penalty.
    """
    if general is None:
        place = np.argmin(losses, axis=-1)
        return _taken(losses, place), place.astype(float)
    excess = np.maximum(general - limit[:, None], 0.0)
    allowed = np.where(excess > 0, np.inf, losses)
    place, least = np.argmin(allowed, axis=-1), np.argmin(excess, axis=-1)
    over = _taken(excess, least)
    kept = np.broadcast_to(over <= 0, place.shape)
    outside = _taken(losses, least) + PENALTY * over
    value = np.where(kept, _taken(allowed, place), outside)
    position = np.where(kept, place, least).astype(float)
    if losses.shape[-1] == 1:
        return value, position
    over_limit = excess > 0
    crosses = over_limit[..., :-1] != over_limit[..., 1:]
    # Mostly one crossing: losses are computed at each of them, not between all shares.
    order = np.argsort(~crosses, axis=-1, kind="stable")
    for number in range(int(crosses.sum(axis=-1).max(initial=0))):
        at = order[..., number]
        before, after = _taken(general, at), _taken(general, at + 1)
        # Losses that are infinite cross no limit.
        with np.errstate(invalid="ignore", divide="ignore"):
            part = (limit - before) / (after - before)
            first = _taken(losses, at)
            between = first + part * (_taken(losses, at + 1) - first)
        better = np.asarray(_taken(crosses, at) & (between < value))
        value = np.where(better, between, value)
        position = np.where(better, at + part, position)
    return value, position


def _taken(values: NDArray[Entry], at: Indices) -> NDArray[Entry]:
    """The values [..., points] at one place each [...]."""
    shape = np.broadcast_shapes(values.shape[:-1], at.shape)
    whole = np.broadcast_to(values, (*shape, values.shape[-1]))
    places = np.broadcast_to(at, shape).astype(np.intp)[..., None]
    return np.asarray(np.take_along_axis(whole, places, axis=-1)[..., 0])
