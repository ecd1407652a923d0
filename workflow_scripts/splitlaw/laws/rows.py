"""A table prepared for a fit: scaled points, coordinates of the discrepancy, groups, trunks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from splitlaw.laws.points import Array, Indices, Mask, Points, Units
from splitlaw.laws.table import Table

MOST_SITES = 700
"""Sites of a table: a Cholesky factor of this order takes about 15 ms."""

FINE = 1e-9
COARSE = 0.05
"""Width of a cell of coordinates, whose rows are at one site and share one value of the
discrepancy. Rows are at one site if they agree to rounding; a table with more than `MOST_SITES` has
cells of 5% of a length-scale or more, over which the discrepancy hardly changes."""


REPLAY_SCALE = 0.1
"""Share of replay from which its coordinate is logarithmic: the first tenth of general tokens
changes both losses most."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """How points become arguments of a fit; the same for rows and for predictions."""

    units: Units
    stages: int
    tau_pretrain: float
    """Added to D before its logarithm, in tokens: half the smallest D above 0 of the table."""
    tau_specialize: float
    repeats: tuple[bool, bool]
    """Whether general and domain tokens are repeated anywhere, so that passes are a coordinate."""
    unsplit: bool
    """Whether rows at D' = 0 have a discrepancy of their own."""
    centre: Array
    """Mean of the coordinates [d]."""
    replays: bool = False
    """Whether general tokens are replayed anywhere, so that their share is a coordinate."""
    start: float | None = None
    """Tokens of the base that D counts, from which all runs continue; None without a base."""
    cooldown: float | None = None
    """Part of the tokens of a run, at its end, over which its learning rate falls to 0; None where
    the table does not come with it."""
    base: float = 0.0
    """Prior median of the tokens of a base model that D does not count; 0 where D has them."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coordinates."""
        tokens = ("pretrain_tokens", "specialize_tokens") if self.stages == 2 else ("tokens",)
        stages = ("pretrain_passes", "specialize_passes")
        return (
            "params",
            *tokens,
            *(n for n, seen in zip(stages, self.repeats, strict=True) if seen),
            *(["replay"] if self.replays else []),
        )

    def coordinates(self, params: Array, pretrain: Array, specialize: Array, x: Points) -> Array:
        """Logarithms of N, D + tau, D' + tau (or D + D'), passes and 1 + r / 0.1, centred [n, d].

        Passes and r are those of `x`; r falls to 0 with D' below tau.
        """
        columns = [np.log(params)]
        if self.stages == 2:
            columns += [
                np.log(pretrain + self.tau_pretrain),
                np.log(specialize + self.tau_specialize),
            ]
        else:
            seen = pretrain + specialize + self.base
            columns += [np.log(np.maximum(seen, self.tau_pretrain))]
        passes = (x.pretrain_passes, x.specialize_passes)
        columns += [np.log(p) for p, used in zip(passes, self.repeats, strict=True) if used]
        if self.replays:
            # The share of a branch of no tokens has no effect.
            part = specialize / (specialize + self.tau_specialize)
            columns += [np.log1p(x.replay / REPLAY_SCALE * part)]
        return np.stack(np.broadcast_arrays(*columns), axis=-1) - self.centre

    def unsplit_share(self, specialize: Array) -> Array:
        """1 at D' = 0, falling to 0 before the smallest D' of the table.

        The square of the ratio makes it 1e-7 there: no other row shares the discrepancy.
        """
        if not self.unsplit:
            return np.zeros(np.shape(specialize))
        return np.asarray(np.exp(-((2 * specialize / self.tau_specialize) ** 2)))


def make_frame(
    table: Table,
    base: float = 0.0,
    start: float | None = None,
    cooldown: float | None = None,
) -> Frame:
    """The frame of a table.

    `base` is the prior median of tokens that its D does not count, `start` the tokens of a base
    that it does, `cooldown` the part of a run over which its learning rate falls.
    """
    stages = 1 if table.one_stage else 2
    split = table.specialize > 0
    units = Units(
        params=_middle(table.params),
        pretrain=_middle(table.pretrain + base),
        specialize=_middle(table.specialize),
        tokens=_middle(table.pretrain + base + table.specialize),
        loss=_middle(table.loss),
    )
    total = table.pretrain + table.specialize
    frame = Frame(
        units=units,
        stages=stages,
        # General tokens beside those of a base matter in proportion to both.
        tau_pretrain=base or _least(table.pretrain if stages == 2 else total) / 2,
        tau_specialize=_least(table.specialize) / 2,
        repeats=(
            bool((table.unique_pretrain < table.pretrain).any()),
            bool((table.unique_specialize < table.specialize).any()),
        ),
        unsplit=stages == 2 and bool(split.any() and (~split).any()),
        centre=np.zeros(1),
        replays=bool((table.replay > 0).any()),
        base=base,
        cooldown=cooldown if stages == 2 else None,
        # D may be rounded to just below the base.
        start=None if start is None else min(start, float(table.pretrain.min())),
    )
    coordinates = frame.coordinates(
        table.params, table.pretrain, table.specialize, _points(table, units)
    )
    return replace(frame, centre=coordinates.mean(axis=0))


def _points(table: Table, units: Units) -> Points:
    unique = table.unique_pretrain, table.unique_specialize
    amounts = table.params, table.pretrain, table.specialize
    return Points.of(units, *amounts, *unique, table.replay)


def _middle(values: Array) -> float:
    """Geometric mean of what is above 0; 1 where nothing is."""
    positive = values[values > 0]
    return float(np.exp(np.mean(np.log(positive)))) if positive.size else 1.0


def _least(values: Array) -> float:
    positive = values[values > 0]
    return float(positive.min()) if positive.size else 1.0


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a table as a fit reads them, ordered by domain."""

    frame: Frame
    domains: int
    domain: Indices
    """Number of each row's domain [n], ascending."""
    x: Points
    """Points [n]."""
    y: Array
    """Log loss, less that of the unit [n]."""
    coordinates: Array
    """[n, d]."""
    unsplit: Mask
    """Rows at D' = 0 in a table that has others [n]."""
    trunk: Indices
    """Number of the trunk that a row shares with others, or -1 [n]."""
    site: Indices
    """Number of the site of each row [n]: a cell of coordinates, the same for all domains."""
    group: Indices
    """Number of the pair of domain and site of each row [n], ordered by domain."""
    weight: Array
    """Weight of each row's noise, 1 but for outlying rows [n]."""
    trunk_identified: bool
    """Whether some size has two trunks or more."""

    def __len__(self) -> int:
        return len(self.y)

    @property
    def trunks(self) -> int:
        """Number of shared trunks."""
        return int(self.trunk.max(initial=-1)) + 1

    @cached_property
    def trunk_matrix(self) -> Array:
        """0/1 matrix of rows by trunks [n, t]."""
        matrix = np.zeros((len(self), self.trunks))
        rows = np.flatnonzero(self.trunk >= 0)
        matrix[rows, self.trunk[rows]] = 1.0
        return matrix

    @cached_property
    def sites(self) -> tuple[Array, Array]:
        """Coordinates [m, d] of the sites, and 1 for those at D' = 0 [m]."""
        count = np.bincount(self.site)
        sums = np.zeros((len(count), self.coordinates.shape[1]))
        np.add.at(sums, self.site, self.coordinates)
        zero = np.zeros(len(count))
        zero[self.site] = self.unsplit
        return sums / count[:, None], zero

    @cached_property
    def groups(self) -> tuple[Indices, Indices]:
        """Site [g] and domain [g] of each group."""
        count = int(self.group.max()) + 1
        site, domain = np.zeros(count, dtype=np.intp), np.zeros(count, dtype=np.intp)
        site[self.group], domain[self.group] = self.site, self.domain
        return site, domain

    def sum_by_group(self, values: Array) -> Array:
        """Sums of rows [n, m] by group [g, m]."""
        return np.asarray(self._group_matrix @ values)

    @cached_property
    def _group_matrix(self) -> csr_array:
        """0/1 matrix of groups by rows [g, n]."""
        entries = np.ones(len(self)), (self.group, np.arange(len(self)))
        return csr_array(entries, shape=(len(self.groups[0]), len(self)))

    @cached_property
    def row_slices(self) -> list[slice]:
        """The rows of each domain."""
        return _slices(self.domain, self.domains)

    @cached_property
    def group_slices(self) -> list[slice]:
        """The groups of each domain."""
        return _slices(self.groups[1], self.domains)


def _slices(domain: Indices, domains: int) -> list[slice]:
    edges = np.searchsorted(domain, np.arange(domains + 1))
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def make_rows(table: Table, frame: Frame) -> Rows:
    """Prepare the rows of a table, which may be part of the table of the frame."""
    x = _points(table, frame.units)
    coordinates = frame.coordinates(table.params, table.pretrain, table.specialize, x)
    unsplit = (table.specialize == 0) & frame.unsplit
    trunk, identified = _shared_trunks(table)
    site = _sites(coordinates, unsplit)
    pairs = np.stack([table.domain, site])
    return Rows(
        frame=frame,
        domains=len(table.domains),
        domain=table.domain,
        x=x,
        y=np.log(table.loss / frame.units.loss),
        coordinates=coordinates,
        unsplit=unsplit,
        trunk=trunk,
        site=site,
        group=np.unique(pairs, axis=1, return_inverse=True)[1].ravel(),
        weight=np.ones(len(table)),
        trunk_identified=identified,
    )


def _shared_trunks(table: Table) -> tuple[Indices, bool]:
    """Trunks with two rows or more, numbered; and whether a size has several of them.

    The effect of a trunk with a single row and the noise of that row cannot be separated.
    """
    if (table.trunk < 0).all():
        return np.full(len(table), -1, dtype=np.intp), False
    counts = np.bincount(table.trunk[table.trunk >= 0])
    shared = (table.trunk >= 0) & (counts[np.maximum(table.trunk, 0)] > 1)
    trunk = np.full(len(table), -1, dtype=np.intp)
    if not shared.any():
        return trunk, False
    _, trunk[shared] = np.unique(table.trunk[shared], return_inverse=True)
    pairs = np.unique(np.stack([table.params[shared], table.trunk[shared]]), axis=1)
    return trunk, bool((np.unique(pairs[0], return_counts=True)[1] > 1).any())


def _sites(coordinates: Array, unsplit: Mask) -> Indices:
    """Number of the cell of each row."""
    width = FINE
    while True:
        cells = np.c_[unsplit, np.round(coordinates / width)]
        _, site = np.unique(cells, axis=0, return_inverse=True)
        if site.max() < MOST_SITES:
            return np.asarray(site.ravel(), dtype=np.intp)
        width = max(COARSE, 1.3 * width)
