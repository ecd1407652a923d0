"""The best splits under many draws of a law at once, from one table."""

import numpy as np

from splitlaw.planner.allocate import share
from splitlaw.planner.constraint import Array, Split
from splitlaw.planner.nodes import interpolate
from splitlaw.planner.problem import GRID, Problem

BLOCK = 2_000_000
"""Numbers of a table of draws that are worked on at once, to limit memory."""

BETWEEN = 81
"""Points between the neighbours of the lowest node of D: steps of 1% of the tokens or less."""


def tabulated_optima(problem: Problem, *, drawn: bool, grid: tuple[int, int] = GRID) -> Split:
    """The optimum under every draw of the law (r = draws), or under the law itself (r = 1).

    Losses are interpolated between the nodes of the table.
    """
    pretrain = problem.grid(grid[0])
    least, nodes = problem.least(pretrain), problem.nodes(pretrain, grid[1])
    total, possible = problem.room(pretrain, least)
    losses = problem.table(pretrain, least[..., None] + nodes.grid(grid[1]), drawn=drawn)
    losses = losses if drawn else losses[None]
    block = max(1, BLOCK // losses[0].size)
    parts = [losses[start : start + block] for start in range(0, len(losses), block)]
    shares = [share(part, nodes, np.broadcast_to(total, part.shape[:2])) for part in parts]
    specialize = least + np.concatenate([found.tokens for found in shares])
    means = np.where(possible, np.concatenate([found.value for found in shares]), np.inf)
    return _between_nodes(problem, pretrain, specialize, means)


def _between_nodes(problem: Problem, pretrain: Array, specialize: Array, means: Array) -> Split:
    """The lowest points [r] of curves [r, g] that are tabulated at D [g]."""
    row, count = np.arange(len(means)), len(pretrain)
    at = np.argmin(means, axis=1)
    lowest = Split(pretrain[at], specialize[row, at], means[row, at])
    if count < 4:
        return lowest
    position = np.clip(at[:, None] + np.linspace(-1.0, 1.0, BETWEEN), 0, count - 1)
    with np.errstate(invalid="ignore"):
        curve = interpolate(means[:, None], position)
    curve = np.where(np.isfinite(curve), curve, np.inf)
    pick = np.argmin(curve, axis=1)
    place = position[row, pick]
    before = np.minimum(place.astype(np.intp), count - 2)
    # Shares of the tokens that are left change less with D than the tokens do.
    left = problem.constraint.left(pretrain)
    ratio = specialize / np.maximum(left, 1e-300)[:, None]
    ratio[:, left <= 0] = ratio[:, left > 0][:, -1:]
    part = (place - before)[:, None]
    mixed = (1 - part) * ratio[row, before] + part * ratio[row, before + 1]
    found = problem.pretrain_at(place, count)
    take = curve[row, pick] < lowest.mean
    return Split(
        np.where(take, found, lowest.pretrain),
        np.where(take[:, None], mixed * problem.constraint.left(found)[:, None], lowest.specialize),
        np.where(take, curve[row, pick], lowest.mean),
    )
