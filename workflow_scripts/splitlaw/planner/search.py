"""The best split under a law: a global search over D, domain tokens shared at each D."""

import numpy as np

from splitlaw.planner.allocate import share
from splitlaw.planner.constraint import Array, Split
from splitlaw.planner.nodes import Nodes
from splitlaw.planner.problem import GRID, Problem

NEAR = 5e-3
"""Local minima over D are refined if they are this close to the lowest, relative to it: a minimum
between two nodes is lower than either by less."""

STARTS = 3
"""Most local minima that are refined."""

ZOOMS, ZOOM_POINTS = 2, 7
"""Refinements of D on the same nodes of D'_k, each by a factor of 3, to steps of 1% of them."""

POLISH = (0.3, 0.2, 0.1, 0.05, 0.02)
"""Half widths, relative to D'_k, of the grids on which the final split is found."""

POLISH_POINTS = (5, 13)
"""Points along D and D'_k of these grids."""

POLISH_FACTOR = 0.5
"""Width of a grid of D relative to the one before; the last has steps of 0.05% of the tokens."""


def best_shares(
    problem: Problem, pretrain: Array, count: int = GRID[1]
) -> tuple[Array, Array, Array]:
    """The best D'_k at each D [g]: D'_k [g, k], mean loss [g], lower bound on it [g].

    Losses are tabulated at `count` nodes along D'_k, which depend on the least of D. The mean loss
    is infinite at a D that leaves too few tokens.
    """
    least, nodes = problem.least(pretrain), problem.nodes(pretrain, count)
    total, possible = problem.room(pretrain, least)
    losses = problem.table(pretrain, least[..., None] + nodes.grid(count), drawn=False)
    shares = share(losses, nodes, total, thorough=True)
    specialize = least + shares.tokens
    mean = np.where(possible, problem.surface.mean(pretrain, specialize), np.inf)
    return specialize, mean, np.where(possible, shares.bound, np.inf)


def best_split(problem: Problem) -> tuple[Split, float]:
    """The best split under the law, and a lower bound on the mean loss of every split.

    A grid over D finds the valleys, of which the lowest are refined. The bound is the dual of the
    Lagrangian, the least over all D that were tried.
    """
    pretrain = problem.grid(GRID[0])
    specialize, mean, bounds = best_shares(problem, pretrain)
    best, bound = _lowest(pretrain, specialize, mean), float(bounds.min())
    for at in _minima(mean):
        low, high = pretrain[max(at - 1, 0)], pretrain[min(at + 1, len(pretrain) - 1)]
        found = Split(pretrain[at], specialize[at], mean[at])
        for _ in range(ZOOMS if high > low else 0):
            near = np.linspace(low, high, ZOOM_POINTS)
            shares, means, bounds = best_shares(problem, near)
            found, bound = _lowest(near, shares, means), min(bound, float(bounds.min()))
            middle = int(np.argmin(means))
            low, high = near[max(middle - 1, 0)], near[min(middle + 1, ZOOM_POINTS - 1)]
        found = at_limits(problem, polished(problem, found, 0.5 * (high - low)))
        best = found if found.mean < best.mean else best
    return best, min(bound, float(best.mean))


def _lowest(pretrain: Array, specialize: Array, mean: Array) -> Split:
    at = int(np.argmin(mean))
    return Split(pretrain[at], specialize[at], mean[at])


def _minima(mean: Array) -> list[int]:
    """Places of the lowest local minima of a curve, at most `STARTS`, the lowest first."""
    padded = np.concatenate([[np.inf], mean, [np.inf]])
    lower = (mean <= padded[:-2]) & (mean <= padded[2:]) & np.isfinite(mean)
    found = np.nonzero(lower & (mean <= mean.min() * (1 + NEAR)))[0]
    return [int(at) for at in found[np.argsort(mean[found], kind="stable")][:STARTS]]


def polished(problem: Problem, split: Split, step: float) -> Split:
    """The split from ever finer grids around D and D'_k, without interpolation.

    `step` is half the width of the first grid of D.
    """
    for width in POLISH:
        offsets = step * np.linspace(-1.0, 1.0, POLISH_POINTS[0])
        near = np.unique(np.clip(split.pretrain + offsets, *problem.pretrain_range))
        specialize, mean = _local_shares(problem, split, near, width)
        found = _lowest(near, specialize, mean)
        split = found if found.mean < split.mean else split
        step *= POLISH_FACTOR
    return split


def at_limits(problem: Problem, split: Split) -> Split:
    """The split with D'_k at the tokens that differ, in each domain where that is better.

    The loss may have a kink there, between the nodes of every grid. General text takes what the
    domains leave of the budget, where that is better.
    """
    constraint, unique = problem.constraint, problem.surface.setting.unique
    if constraint.specialize is not None:
        return split
    for k in np.nonzero(np.abs(split.specialize / unique - 1) < POLISH[0])[0]:
        specialize = split.specialize.copy()
        specialize[k] = unique[k]
        split = _better(problem, split, split.pretrain, specialize)
        split = _better(problem, split, _rest(problem, specialize), specialize)
    return _better(problem, split, _rest(problem, split.specialize), split.specialize)


def _rest(problem: Problem, specialize: Array) -> Array:
    """The D that the budget pays for beside D'_k, or the one that is given."""
    constraint = problem.constraint
    if constraint.pretrain is not None:
        return np.array(constraint.pretrain)
    return np.asarray((constraint.tokens - specialize.sum()) / constraint.trunks)


def _better(problem: Problem, split: Split, pretrain: Array, specialize: Array) -> Split:
    """The split, or D and D'_k where they satisfy the constraints and have a lower loss."""
    low, high = problem.pretrain_range
    short = specialize < problem.least(np.atleast_1d(pretrain))[0]
    # At D from the remaining budget, rounding may exceed the latter.
    spent = specialize.sum() > problem.constraint.left(pretrain) * (1 + 1e-12)
    if not low <= pretrain <= high or short.any() or spent:
        return split
    found = Split(pretrain, specialize, problem.surface.mean(pretrain, specialize))
    return found if found.mean < split.mean else split


def _local_shares(
    problem: Problem, split: Split, pretrain: Array, width: float
) -> tuple[Array, Array]:
    """The best D'_k [g, k] near those of the split at each D [g], and their mean loss [g]."""
    least, left = problem.least(pretrain), problem.constraint.left(pretrain)
    before = problem.constraint.left(split.pretrain)
    fixed = before <= 0 or problem.constraint.specialize is not None
    change = np.ones(len(left)) if fixed else left / before
    above = np.maximum(split.specialize * change[:, None] - least, 0.0)
    reach = width * np.maximum(above, 1e-3 * above.mean(axis=-1, keepdims=True))
    low = least + np.maximum(above - reach, 0.0)
    # A step this small makes the nodes even.
    nodes = Nodes(np.maximum(2 * reach, 1e-9) / (POLISH_POINTS[1] - 1) / 1e-6, 1e-6)
    total, possible = problem.room(pretrain, low)
    losses = problem.table(pretrain, low[..., None] + nodes.grid(POLISH_POINTS[1]), drawn=False)
    found = low + share(losses, nodes, total, thorough=True).tokens
    return found, np.where(possible, problem.surface.mean(pretrain, found), np.inf)
