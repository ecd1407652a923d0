"""The bootstrap: how far the parameters could have come out otherwise."""

import numpy as np

from splitlaw.laws.fit import Estimate, descend
from splitlaw.laws.points import Array
from splitlaw.laws.problem import Layout, Problem
from splitlaw.laws.table import Table

CHUNK = 2_000_000
"""Numbers in one array of a batch; larger batches fall out of the cache."""


DRAW_TOLERANCE = 1e-6


def draw_weights(table: Table, draws: int, rng: np.random.Generator) -> Array:
    """How often each draw takes each row [draws, n].

    Clusters (size, seed, D) are drawn with replacement, as many as there are, within each
    size: branches of one checkpoint share its noise, and sizes are what the law is fitted
    across. Domains are drawn together, since they share trunks.
    """
    weights = np.zeros((draws, len(table)))
    for size in table.sizes:
        clusters = np.unique(table.cluster[table.params == size])
        even = np.full(len(clusters), 1 / len(clusters))
        counts = rng.multinomial(len(clusters), even, size=draws).astype(float)
        rows = np.flatnonzero(table.params == size)
        weights[:, rows] = counts[:, np.searchsorted(clusters, table.cluster[rows])]
    return weights


def bootstrap(estimate: Estimate, table: Table, draws: int, rng: np.random.Generator) -> Array:
    """Parameters of each draw in the units of the fit [draws, domains, names]."""
    form, layout = estimate.form, estimate.layout
    table = table.take(form.usable(table.pretrain, table.specialize))
    weights = draw_weights(table, draws, rng)
    if layout.shared or layout.domains == 1:
        return _draw(layout, table, estimate, estimate.values, weights)
    alone = Layout(form, 1, frozenset(), layout.dropped)
    parts = [
        _draw(alone, table.only(k), estimate, estimate.values[k : k + 1], _of(weights, table, k))
        for k in range(layout.domains)
    ]
    return np.concatenate(parts, axis=1)


def _of(weights: Array, table: Table, number: int) -> Array:
    return weights[:, table.domain == number]


def _draw(layout: Layout, table: Table, estimate: Estimate, values: Array, weights: Array) -> Array:
    problem = Problem(layout, table, estimate.units)
    vector = layout.vector(values[None])
    chunk = max(1, CHUNK // (len(table) * len(layout.form.names) + layout.size**2))
    found: list[Array] = []
    for first in range(0, len(weights), chunk):
        part = weights[first : first + chunk]
        start = np.repeat(vector, len(part), axis=0)
        found.append(layout.by_domain(descend(problem, start, part, tolerance=DRAW_TOLERANCE).x))
    return np.concatenate(found)
