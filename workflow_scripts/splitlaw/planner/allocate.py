"""The optimal split at one size: domain tokens by their marginal worth, general by search."""

from dataclasses import dataclass

import numpy as np

from splitlaw.laws.points import Array
from splitlaw.planner.surface import Surface

TAIL = 1.5
"""Power by which marginal worth is taken to fall near a point; the true one is 1 + beta."""

CORNER = 1e-6
"""Share of the budget below which tokens count as none."""

ROUNDS = 14
EXACT = 1e-9
CLOSE = 1e-4
"""Tolerance on domain tokens, relative to all of them: of plans, and of bootstrap draws."""

FRACTIONS = 33
ZOOM = 7


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """c D + sum of D'_k <= tokens, and at least `min_tokens` seen by every specialist."""

    tokens: float
    """Tokens that the budget pays for at this size."""

    trunks: int
    """c: 1 for a shared trunk, K for independent ones."""

    spent: float | None = None
    """D of a base that exists already, which the budget does not pay for."""

    min_tokens: float = 0.0
    """Least D + D'_k."""

    def least(self, pretrain: Array) -> Array:
        """Least D'_k at each D."""
        return np.maximum(0.0, self.min_tokens - pretrain)

    def specialize(self, pretrain: Array) -> Array:
        """All domain tokens together that are left at each D."""
        if self.spent is not None:
            return np.full(np.shape(pretrain), self.tokens)
        return np.maximum(0.0, self.tokens - self.trunks * pretrain)


@dataclass(frozen=True)
class Split:
    """The best split of each of r sets of parameters."""

    pretrain: Array
    """D [r]."""

    specialize: Array
    """D'_k [r, k]."""

    mean: Array
    """Weighted mean loss [r]; infinite where no split is possible."""


def _fill(a: Array, b: Array, least: Array, total: Array) -> Array:
    """max(least, a + b v) with v chosen so that domains sum to `total`: linear water-filling."""
    active = np.ones(np.broadcast_shapes(a.shape, b.shape), dtype=bool)
    filled = np.zeros(active.shape)
    for _ in range(a.shape[-1] + 1):
        room = total - np.where(active, a, least).sum(axis=-1)
        rate = np.where(active, b, 0.0).sum(axis=-1)
        level = room / np.where(rate > 0, rate, 1.0)
        filled = a + b * level[..., None]
        below = active & (filled < least)
        if not below.any():
            break
        active &= ~below
    return np.where(active, filled, least)


def _positive(worth: Array) -> Array:
    """Marginal worths within what can be divided; a law that has none there gives a trifle."""
    return np.clip(np.nan_to_num(worth), 1e-200, 1e200)


def allocate(
    surface: Surface,
    pretrain: Array,
    total: Array,
    least: Array,
    *,
    guess: Array | None = None,
    tolerance: float = EXACT,
) -> Array:
    """Domain tokens [r, g, k] that share `total` [r, g] best at D = `general` [r, g].

    For a fixed D the losses are convex in D'_k and separable, so marginal worths are equal
    wherever D'_k is above its least. Each round takes the worth to be
    m (1 + h (D' - D'_now) / q)^-q, which matches value and slope and can be solved exactly.
    `guess` are shares [r, 1, k] to begin from; `tolerance` is relative to the total.
    """
    count = len(surface.setting.weights)
    floor = np.broadcast_to(least[..., None], (*total.shape, count))
    specialize = total[..., None] * (1 / count if guess is None else guess)
    specialize = np.maximum(np.broadcast_to(specialize, floor.shape), floor)
    span = np.maximum(total[..., None], 1e-9 * np.max(total, initial=1e-9))
    specialize = np.maximum(specialize, 1e-9 * span)
    for _ in range(ROUNDS):
        nudge = 1e-4 * (specialize + 1e-4 * span)
        worth = _positive(surface.slopes(pretrain, specialize)[1])
        after = _positive(surface.slopes(pretrain, specialize + nudge)[1])
        fall = np.maximum((np.log(worth) - np.log(after)) / nudge, 1e-12 / span)
        reach = TAIL / fall
        scale = worth.max(axis=-1, keepdims=True)
        b = reach * (worth / scale) ** (1 / TAIL)
        moved = _fill(specialize - reach, b, floor, total)
        done = (np.abs(moved - specialize) <= tolerance * span).all()
        # Where a law is infinite at D' = 0 no round may end there.
        specialize = np.maximum(moved, np.maximum(floor, 1e-3 * specialize))
        excess = specialize - floor
        space = np.maximum(total[..., None] - floor.sum(axis=-1, keepdims=True), 0.0)
        specialize = floor + excess * space / np.maximum(excess.sum(-1, keepdims=True), 1e-300)
        if done:
            break
    return _snap(surface, pretrain, total, specialize, floor)


def _snap(
    surface: Surface, pretrain: Array, total: Array, specialize: Array, floor: Array
) -> Array:
    """Domains that shrink towards their least are put there, if that costs nothing."""
    tiny = specialize - floor <= 1e-4 * total[..., None]
    if not tiny.any():
        return specialize
    put = np.where(tiny, floor, specialize)
    rest = np.where(tiny, 0.0, put)
    space = total[..., None] - np.where(tiny, floor, 0.0).sum(-1, keepdims=True)
    scaled = rest * space / np.maximum(rest.sum(-1, keepdims=True), 1e-300)
    put = np.where(tiny, put, scaled)
    better = surface.mean(pretrain, put) <= surface.mean(pretrain, specialize)
    return np.where(better[..., None], put, specialize)


def losses_at(
    surface: Surface,
    constraint: Constraint,
    pretrain: Array,
    *,
    guess: Array | None = None,
    tolerance: float = EXACT,
) -> tuple[Array, Array]:
    """Best mean loss [r, g] and its domain tokens [r, g, k] at each D [r, g]."""
    least, total = constraint.least(pretrain), constraint.specialize(pretrain)
    count = len(surface.setting.weights)
    possible = count * least <= total * (1 + 1e-12) + 1e-12
    least = np.minimum(least, total / count)
    specialize = allocate(surface, pretrain, total, least, guess=guess, tolerance=tolerance)
    return np.where(possible, surface.mean(pretrain, specialize), np.inf), specialize


def best_split(
    surface: Surface,
    constraint: Constraint,
    *,
    rounds: int = 12,
    fractions: int = FRACTIONS,
    tolerance: float = EXACT,
) -> Split:
    """The best D and D'_k of each set of parameters: a grid over D, then zooms.

    The grid finds the valley, whatever the form; each of `rounds` zooms divides its width by 3.
    """
    rows = surface.rows
    if constraint.spent is not None:
        pretrain = np.full((rows, 1), constraint.spent)
        mean, specialize = losses_at(surface, constraint, pretrain)
        return Split(pretrain[:, 0], specialize[:, 0], mean[:, 0])
    most = constraint.tokens / constraint.trunks
    pretrain = np.tile(np.linspace(0.0, most, fractions), (rows, 1))
    best, guess, pick = None, None, np.arange(rows)
    for _ in range(rounds + 1):
        mean, specialize = losses_at(
            surface, constraint, pretrain, guess=guess, tolerance=tolerance
        )
        at = np.argmin(mean, axis=1)
        found = Split(pretrain[pick, at], specialize[pick, at], mean[pick, at])
        best = found if best is None else _better(best, found)
        low = pretrain[pick, np.maximum(at - 1, 0)]
        high = pretrain[pick, np.minimum(at + 1, pretrain.shape[1] - 1)]
        pretrain = low[:, None] + np.linspace(0, 1, ZOOM) * (high - low)[:, None]
        guess = _shares(best.specialize)[:, None]
    assert best is not None
    return best


def _shares(specialize: Array) -> Array:
    total = specialize.sum(axis=-1, keepdims=True)
    even = 1 / specialize.shape[-1]
    return np.where(total > 0, specialize / np.where(total > 0, total, 1.0), even)


def _better(a: Split, b: Split) -> Split:
    take = b.mean < a.mean
    return Split(
        np.where(take, b.pretrain, a.pretrain),
        np.where(take[:, None], b.specialize, a.specialize),
        np.where(take, b.mean, a.mean),
    )


def optimality_gap(surface: Surface, constraint: Constraint, split: Split) -> float:
    """By how much the Karush-Kuhn-Tucker conditions are missed, relative to the multiplier.

    Worths per token of budget are equal among D (divided by c) and every D'_k above its least,
    and no greater at a corner. Minimum tokens that bind tie D to D'_k and are passed over.
    """
    pretrain, specialize = split.pretrain[:1, None], split.specialize[:1, None]
    by_specialize = surface.slopes(pretrain, specialize)[1][0, 0]
    least = constraint.least(pretrain)[..., None]
    inside = (specialize - least > CORNER * constraint.tokens)[0, 0]
    # Laws with gamma < 1 ask for a trifle of D at any price: worth is taken a little way in.
    corner = CORNER * constraint.tokens / constraint.trunks
    further = np.maximum(pretrain, corner)
    trunk = float(surface.slopes(further, specialize)[0].sum()) / constraint.trunks
    tied = constraint.spent is not None or (constraint.min_tokens > 0 and not inside.all())
    active, over = list(by_specialize[inside]), list(by_specialize[~inside])
    if not tied:
        (active if pretrain[0, 0] > corner else over).append(trunk)
    multiplier = float(np.mean(active)) if active else max(over)
    if multiplier == 0:  # The law does not depend on tokens here: every split is optimal.
        return 0.0
    gaps = [abs(worth / multiplier - 1) for worth in active]
    gaps += [worth / multiplier - 1 for worth in over]
    return max(0.0, *gaps)
