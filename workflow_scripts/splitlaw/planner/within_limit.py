"""Branches that keep the limit on general loss."""

import numpy as np

from splitlaw.planner.constraint import Array, Mask
from splitlaw.planner.replay import CAPS, LEAST, ReplaySurface

KEPT = 1e-5
"""Relative excess over the limit that is a rounding error: far below the noise of any loss."""


def exceeds(surface: ReplaySurface, pretrain: float, branch: Array) -> Mask:
    """Which branches of T tokens [k] exceed the limit at their best share of replay."""
    if not surface.limited:
        return np.zeros(len(branch), dtype=bool)
    shares = surface.best_shares(pretrain, branch)
    general = surface.laws.general_bound(np.array(pretrain), branch, shares)
    return np.asarray(general > surface.limit * (1 + KEPT))


def longest_within(surface: ReplaySurface, pretrain: float, branch: Array) -> Array:
    """The most whole tokens [k], at most `branch`, with which each branch keeps the limit.

    0 where a branch of no tokens exceeds it.
    """
    low, high = np.where(exceeds(surface, pretrain, branch), 0.0, branch), branch
    while (high - low > 1).any():
        middle = np.floor(0.5 * (low + high))
        beyond = exceeds(surface, pretrain, middle)
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return low


def can_keep(surface: ReplaySurface, pretrain: Array, top: float) -> Mask:
    """Whether, at each D [g], every branch keeps the limit with some tokens up to `top`."""
    if not surface.limited:
        return np.ones(len(pretrain), dtype=bool)
    general = surface.tables.general_along(pretrain, np.geomspace(LEAST * top, top, CAPS))
    return np.asarray((general.min(axis=-1) <= surface.limit).any(axis=1).all(axis=-1))
