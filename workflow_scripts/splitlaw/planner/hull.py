"""Slopes of the lower convex hull of tabulated losses."""

import numpy as np

from splitlaw.planner.constraint import Array

ROUNDING = 1e-9
"""Relative rise of a slope that is a rounding error of the losses."""


def convex_slopes(slopes: Array, lengths: Array) -> Array:
    """Slopes of the convex hull [..., j] of losses in segments of some `slopes` and `lengths`.

    A slope is the decrease of the loss per token. Neighbouring segments with rising slopes are
    merged and get their mean slope, weighted by length: the pool-adjacent-violators algorithm.
    """
    before, after = slopes[..., :-1], slopes[..., 1:]
    rising = (after > before + ROUNDING * np.abs(before)).any(axis=-1)
    if rising.any():
        slopes = slopes.copy()
        slopes[rising] = _merged(slopes[rising], np.broadcast_to(lengths, slopes.shape)[rising])
    return np.asarray(np.minimum.accumulate(slopes, axis=-1))


def _merged(slopes: Array, lengths: Array) -> Array:
    """The algorithm on rows [n, j], all rows at once; each keeps a stack of blocks."""
    rows, count = slopes.shape
    row = np.arange(rows)
    gain, length = np.zeros((rows, count)), np.zeros((rows, count))
    first = np.zeros((rows, count), dtype=np.intp)
    top = np.full(rows, -1)
    for j in range(count):
        top += 1
        gain[row, top] = slopes[:, j] * lengths[:, j]
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
