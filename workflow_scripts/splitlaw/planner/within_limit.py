"""Branches that keep the limit on general loss.

After a base, a branch may keep the limit with few tokens T and with many, but not with those
between: a short branch is warmed up again, and replay helps a long one more.
"""

import numpy as np

from splitlaw.planner.constraint import Array
from splitlaw.planner.problem import GRID, Problem
from splitlaw.planner.replay import LEAST, ReplaySurface
from splitlaw.planner.search import best_shares
from splitlaw.planner.strategies import WHOLE

KEPT = 1e-5
"""Relative excess over the limit that is a rounding error: far below the noise of any loss."""

AMOUNTS = 80
"""Amounts T that are tested between `LEAST` of a branch and all of it, 12% apart: less than a third
of the distance over which the laws change (a factor of 3)."""

PARTS = 16
"""Parts into which the interval between an amount within the limit and one beyond is divided."""

SHORTER = 0.03
"""Share of its tokens that a branch may lose to the limit before longer ones are tried. Where the
search ends on the right side of the limit, it errs by less than this."""

COUNTS = GRID[1], 3 * GRID[1]
"""Numbers of nodes of T with which the best split is searched: the loss with its penalty jumps at
the limit, so that a split from either may be a local optimum."""

Kept = tuple[Array, Array, float]
"""Whole tokens T [k], shares of replay [k], and mean loss: infinite beyond the limit."""


def evaluated(surface: ReplaySurface, pretrain: float, branch: Array) -> Kept:
    """Branches of T tokens [k] with their best shares of replay and their mean loss."""
    shares, at = surface.best_shares(pretrain, branch), np.array(pretrain)
    if surface.limited:
        general = surface.laws.general_bound(at, branch, shares)
        if (general > surface.limit * (1 + KEPT)).any():
            return branch, shares, np.inf
    mean = surface.laws.domain(at, branch, shares) @ surface.setting.weights
    return branch, shares, float(mean)


def longest_within(surface: ReplaySurface, pretrain: float, branch: Array) -> Array:
    """The most whole tokens [k], at most `branch`, with which each branch keeps the limit.

    0 where none of the amounts that are tested keeps it.
    """
    if not surface.limited:
        return branch
    parts = np.concatenate([[0.0], np.geomspace(LEAST, 1.0, AMOUNTS)])
    return _last_within(surface, pretrain, np.floor(parts[:, None] * branch))


def kept_split(problem: Problem, pretrain: float, branch: Array) -> Kept:
    """Whole tokens T [k] within the limit and the budget, near those of the branches.

    Each branch is as long as the limit permits. Where one becomes much shorter, it is made longer
    instead, and the others shorter, if that has a lower mean loss.
    """
    surface, constraint = problem.surface, problem.constraint
    assert isinstance(surface, ReplaySurface)
    whole = np.floor(branch + WHOLE)
    found = evaluated(surface, pretrain, whole)
    if np.isfinite(found[2]):
        return found
    kept = longest_within(surface, pretrain, whole)
    found, short = evaluated(surface, pretrain, kept), kept < (1 - SHORTER) * whole
    if not short.any() or constraint.specialize is not None:
        return found
    left = float(constraint.left(np.array(pretrain)))
    # From all of the budget to the branch itself: the last one within the limit is the shortest.
    part = np.linspace(1.0, 0.0, AMOUNTS)[:, None]
    longer = _last_within(surface, pretrain, np.floor(whole ** (1 - part) * left**part))
    longer = np.where(short, longer, 0.0)
    others = np.where(longer > 0, 0.0, kept)
    rest = np.clip((left - longer.sum()) / max(others.sum(), 1.0), 0.0, 1.0)
    changed = longer + longest_within(surface, pretrain, np.floor(rest * others))
    if changed.sum() > left:
        return found
    return min(found, evaluated(surface, pretrain, changed), key=lambda split: split[2])


def best_within(problem: Problem, pretrain: Array) -> tuple[Array, Array, Array]:
    """The best split at each D [g]: whole tokens T and shares of replay [g, k], mean loss [g].

    The mean loss is infinite where no split is within the limit and the budget. The split at one D
    does not depend on the others.
    """
    splits = [_best_at(problem, pretrain[g : g + 1]) for g in range(len(pretrain))]
    tokens, shares, means = zip(*splits, strict=True)
    return np.stack(tokens), np.stack(shares), np.array(means)


def _best_at(problem: Problem, pretrain: Array) -> Kept:
    none = np.zeros(problem.domains)
    found: list[Kept] = [(none, none, np.inf)]
    for count in COUNTS:
        branch, mean, _ = best_shares(problem, pretrain, count)
        if np.isfinite(mean[0]):
            found.append(kept_split(problem, float(pretrain[0]), branch[0]))
    return min(found, key=lambda split: split[2])


def _last_within(surface: ReplaySurface, pretrain: float, amounts: Array) -> Array:
    """The last whole T [k] within the limit on the way along amounts [n, k]; 0 where none is."""
    kept, law = np.zeros(amounts.shape[1]), surface.laws.general_bound_by_share
    while True:
        general = law(np.array(pretrain), amounts, surface.tables.nodes).min(axis=-1)
        inside = general <= surface.limit * (1 + KEPT)
        last = len(amounts) - 1 - np.argmax(inside[::-1], axis=0)
        after = np.minimum(last + 1, len(amounts) - 1)
        at, beyond = (np.take_along_axis(amounts, i[None], 0)[0] for i in (last, after))
        kept = np.where(inside.any(axis=0), at, kept)
        beyond = np.where(inside.any(axis=0), beyond, kept)
        if (np.abs(beyond - kept) <= 1).all():
            return kept
        amounts = np.round(kept + (beyond - kept) * np.linspace(0, 1, PARTS + 1)[:, None])
