"""Marginal worths under the lower convex hull of tabulated losses."""

import numpy as np

from splitlaw.planner.constraint import Array

ROUNDING = 1e-9
"""Relative rise of a worth that is a rounding error of the losses."""


def convex_worth(worth: Array, lengths: Array) -> Array:
    """Worths [..., j] of segments of some lengths, made non-increasing as the convex hull has them.

    Neighbouring segments with a rising worth are merged and get their mean worth, weighted by
    length: the pool-adjacent-violators algorithm.
    """
    before, after = worth[..., :-1], worth[..., 1:]
    rising = (after > before + ROUNDING * np.abs(before)).any(axis=-1)
    if rising.any():
        worth = worth.copy()
        worth[rising] = _merged(worth[rising], np.broadcast_to(lengths, worth.shape)[rising])
    return np.asarray(np.minimum.accumulate(worth, axis=-1))


def _merged(worth: Array, lengths: Array) -> Array:
    """The algorithm on rows [n, j], all rows at once; each keeps a stack of blocks."""
    rows, count = worth.shape
    row = np.arange(rows)
    gain, length = np.zeros((rows, count)), np.zeros((rows, count))
    first = np.zeros((rows, count), dtype=np.intp)
    top = np.full(rows, -1)
    for j in range(count):
        top += 1
        gain[row, top] = worth[:, j] * lengths[:, j]
        length[row, top], first[row, top] = lengths[:, j], j
        active = row
        while active.size:
            t = top[active]
            active, t = active[t > 0], t[t > 0]
            mean, previous = (gain[active, i] / length[active, i] for i in (t, t - 1))
            active, t = active[mean > previous], t[mean > previous]
            gain[active, t - 1] += gain[active, t]
            length[active, t - 1] += length[active, t]
            top[active] -= 1
    starts = np.zeros((rows, count), dtype=np.intp)
    block = np.arange(count) <= top[:, None]
    np.add.at(starts, (np.nonzero(block)[0], first[block]), 1)
    number = np.cumsum(starts, axis=1) - 1
    mean = gain / np.where(length > 0, length, 1.0)
    return np.asarray(np.take_along_axis(mean, number, axis=1))
