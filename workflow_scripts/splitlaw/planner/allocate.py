"""The best shares of the domains in a number of tokens, from tabulated losses.

The losses need be neither convex nor decreasing. The Lagrangian of the problem separates by domain:
each takes tokens as long as the next one lowers its loss by more than a price, the Lagrange
multiplier, which is found by bisection. Where a loss is not convex, its lower convex hull takes its
place, and a domain may have to take a whole range of tokens or none of it.
"""

from dataclasses import dataclass, replace

import numpy as np

from splitlaw.planner.constraint import Array, Mask
from splitlaw.planner.hull import convex_slopes
from splitlaw.planner.nodes import Nodes, within

LINEAR_BELOW = 1e-6
"""Slope below which the scale of slopes is linear instead of logarithmic, relative to the steepest
at an even share. Slopes are powers of tokens, so their logarithms are interpolated, but they may
also be negative."""

HALVINGS = 26
"""Bisections of the price, to a relative error of 1e-6; the amounts on its two sides are mixed so
that they spend the budget exactly."""

GAP = 1e-5
"""Gap to the bound, relative to the value, below which no better amounts are searched; a tenth of
the regret that matters, and above the error of interpolation."""

JUMP = 0.5
"""Nodes between the amounts just above and just below the price, from which they are distinct."""

STEPS = 256
"""Even steps into which the tokens are divided in a search for amounts on uneven losses."""

MOST_DOMAINS = 16
"""Domains up to which the steps are fine enough for that search: 16 for each domain on average. The
more domains, the smaller is the gap, since only one of them need be between two ends."""

PRICE_STEP = 1e-5
"""A step of the price, on its scale, to either side of one that is known to 1e-6."""


@dataclass(frozen=True)
class Shares:
    """Amounts of tokens above the least, and what they achieve."""

    tokens: Array
    """[..., k]."""

    value: Array
    """Sum over domains of the weighted loss [...], interpolated."""

    bound: Array
    """Lower bound on that sum for any amounts [...]; NaN unless `thorough`."""


@dataclass(frozen=True)
class _Curve:
    """Slope of each domain against position: how much the next token lowers the loss.

    Slopes and prices are on the scale arcsinh(slope / unit).
    """

    slope: Array
    """Non-increasing along the last axis [..., k, j]."""

    unit: Array
    """Slope where the scale turns from linear to logarithmic [...]."""

    at: Array
    """Positions of the slopes [j], the first and the last node included."""

    low: Array
    """Least position of each domain, broadcast to [..., k]."""

    high: Array
    """Largest position."""

    def position(self, price: Array) -> Array:
        """Where each domain's slope falls to the price [...]: positions [..., k]."""
        count = (self.slope > price[..., None, None]).sum(axis=-1)
        last = len(self.at) - 1
        before, after = np.maximum(count - 1, 0), np.minimum(count, last)
        above = np.take_along_axis(self.slope, before[..., None], axis=-1)[..., 0]
        below = np.take_along_axis(self.slope, after[..., None], axis=-1)[..., 0]
        fall = above - below
        part = (above - price[..., None]) / np.where(fall > 0, fall, np.inf)
        found = self.at[before] + part * (self.at[after] - self.at[before])
        return np.clip(found, self.low, self.high)


def share(values: Array, nodes: Nodes, total: Array, *, thorough: bool = False) -> Shares:
    """The amounts that minimise the sum of `values` with a sum of at most `total`.

    Parameters
    ----------
    values
        Weighted loss of each domain at its nodes [..., k, j]; finite except at the first node.
    nodes
        The amounts of the nodes.
    total
        Tokens to share [...]; some are left over where more of them would raise every loss.
    thorough
        Compute the bound, and search where there is a gap to it.

    """
    values = _finite(values)
    curve = _curve(values, nodes, total)
    price, amounts, jump = _solve(curve, nodes, total)
    bound = np.full(total.shape, np.nan)
    if thorough:
        bound = _bound(values, nodes, curve.unit * np.sinh(price), total)
    best = Shares(amounts, _sum_at(values, nodes, amounts), bound)
    rows = np.nonzero(jump.any(axis=-1))
    if rows[0].size:
        scale = np.broadcast_to(nodes.scale, jump.shape)[rows]
        part = _Jumps(values[rows], replace(nodes, scale=scale), total[rows])
        some = Shares(best.tokens[rows], best.value[rows], best.bound[rows])
        better = part.improved(some, price[rows])
        if thorough:
            better = part.searched(better)
        best.tokens[rows], best.value[rows] = better.tokens, better.value
    return best


@dataclass(frozen=True)
class _Jumps:
    """Tables [n, k, j] in which at least one domain must take a whole range or none of it."""

    values: Array
    nodes: Nodes
    total: Array

    def improved(self, best: Shares, price: Array) -> Shares:
        """Let ranges in from the smallest as long as they fit, then share the rest again."""
        curve = _curve(self.values, self.nodes, self.total)
        below, above = curve.position(price + PRICE_STEP), curve.position(price - PRICE_STEP)
        span = above - below > JUMP
        size = np.where(span, self.nodes.tokens(above) - self.nodes.tokens(below), 0.0)
        order = np.argsort(np.where(span, size, np.inf), axis=-1)
        used = np.cumsum(np.take_along_axis(size, order, axis=-1), axis=-1)
        room = self.total - self.nodes.tokens(below).sum(axis=-1)
        rank = np.argsort(order, axis=-1)
        fits = np.take_along_axis(used <= room[..., None], rank, axis=-1)
        for take in (span & fits, np.zeros_like(span)):
            low = np.where(take, above, curve.low)
            high = np.where(span & ~take, below, curve.high)
            best = self._better(best, replace(curve, low=low, high=high))
        return best

    def searched(self, best: Shares) -> Shares:
        """Refine the best amounts among even steps, where there is a gap to the bound."""
        open_rows = best.value - best.bound > GAP * np.abs(best.value)
        if not open_rows.any() or self.values.shape[1] > MOST_DOMAINS:
            return best
        rows = np.nonzero(open_rows)[0]
        part = replace(
            self,
            values=self.values[rows],
            nodes=replace(self.nodes, scale=self.nodes.scale[rows]),
            total=self.total[rows],
        )
        found = part._near(
            Shares(best.tokens[rows], best.value[rows], best.bound[rows]), part._even_steps()
        )
        best.tokens[rows], best.value[rows] = found.tokens, found.value
        return best

    def _even_steps(self) -> Array:
        """The best amounts [n, k] among multiples of total / STEPS, by dynamic programming."""
        step = self.total[:, None, None] * (np.arange(STEPS + 1) / STEPS)
        scale = self.nodes.scale[..., None]
        position = np.log1p(step / scale) / self.nodes.step
        losses = within(self.values[:, :, None], position)
        spent, own = np.arange(STEPS + 1)[:, None], np.arange(STEPS + 1)
        others = spent - own
        lowest, choices = losses[:, 0], []
        for k in range(1, losses.shape[1]):
            sums = np.where(others >= 0, lowest[:, others], np.inf) + losses[:, k, None, :]
            choices.append(np.argmin(sums, axis=-1))
            lowest = sums.min(axis=-1)
        left, row = np.argmin(lowest, axis=-1), np.arange(len(lowest))
        amounts = np.empty(self.values.shape[:2])
        for k in range(losses.shape[1] - 1, 0, -1):
            amounts[:, k] = choices[k - 1][row, left]
            left = left - choices[k - 1][row, left]
        amounts[:, 0] = left
        return amounts * self.total[:, None] / STEPS

    def _near(self, best: Shares, amounts: Array) -> Shares:
        """The best amounts within two steps of given ones."""
        curve = _curve(self.values, self.nodes, self.total)
        reach = 2 * self.total[:, None] / STEPS
        low = self.nodes.position(np.maximum(amounts - reach, 0.0))
        high = np.minimum(self.nodes.position(amounts + reach), curve.high)
        return self._better(best, replace(curve, low=low, high=high))

    def _better(self, best: Shares, curve: _Curve) -> Shares:
        amounts = _solve(curve, self.nodes, self.total)[1]
        value = _sum_at(self.values, self.nodes, amounts)
        take = (value < best.value) & (amounts.sum(axis=-1) <= self.total * (1 + 1e-12))
        return Shares(
            np.where(take[..., None], amounts, best.tokens),
            np.where(take, value, best.value),
            best.bound,
        )


def _finite(values: Array) -> Array:
    """Losses with a steep fall in place of an infinite one at the first node."""
    first = values[..., 0]
    if np.isfinite(first).all():
        return values
    steep = values[..., 1] + 10 * np.abs(values[..., 1] - values[..., 2])
    return np.concatenate(
        [np.where(np.isfinite(first), first, steep)[..., None], values[..., 1:]], -1
    )


def _curve(values: Array, nodes: Nodes, total: Array) -> _Curve:
    """Slopes between neighbouring nodes, and at both ends by extrapolation."""
    count = values.shape[-1]
    lengths = np.diff(nodes.grid(count), axis=-1)
    inner = convex_slopes(-np.diff(values, axis=-1) / lengths, lengths)
    even = nodes.position(total[..., None] / values.shape[-2])
    at = np.clip(even.astype(np.intp), 0, count - 2)[..., None]
    usual = np.take_along_axis(inner, np.broadcast_to(at, (*inner.shape[:-1], 1)), axis=-1)
    # Where more tokens lower no loss at the even share, the scale is that of the steepest slope.
    least = np.maximum(1e-12 * np.abs(inner).max(axis=(-2, -1)), 1e-300)
    unit = LINEAR_BELOW * np.maximum(usual[..., 0].max(axis=-1), least)
    inner = np.arcsinh(inner / unit[..., None, None])
    first, last = 1.5 * inner[..., 0] - 0.5 * inner[..., 1], inner[..., -1]
    slope = np.concatenate([first[..., None], inner, last[..., None]], axis=-1)
    places = np.concatenate([[0.0], np.arange(count - 1) + 0.5, [count - 1.0]])
    return _Curve(slope, unit, places, np.zeros(1), np.full(1, count - 1.0))


def _solve(curve: _Curve, nodes: Nodes, total: Array) -> tuple[Array, Array, Mask]:
    """Price [...], amounts [..., k], and which domains jump at the price [..., k]."""
    low, high = np.zeros(total.shape), np.maximum(curve.slope[..., 0].max(axis=-1), 0.0) + 1e-9
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        fits = nodes.tokens(curve.position(middle)).sum(axis=-1) <= total
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    some, more = curve.position(high), curve.position(low)
    few, many = nodes.tokens(some), nodes.tokens(more)
    room, gap = total - few.sum(axis=-1), (many - few).sum(axis=-1)
    part = np.clip(room / np.where(gap > 0, gap, 1.0), 0.0, 1.0)
    # Where all tokens that lower a loss fit in the total, the price is 0 and the rest is left over.
    jump = (more - some > JUMP) & (low > 0)[..., None]
    return np.asarray(low), few + part[..., None] * (many - few), jump


def _sum_at(values: Array, nodes: Nodes, amounts: Array) -> Array:
    """Sum over domains of the values at some amounts, by cubic interpolation in the position."""
    return np.asarray(within(values, nodes.position(amounts)).sum(axis=-1))


def _bound(values: Array, nodes: Nodes, price: Array, total: Array) -> Array:
    """The dual: the least of values plus price times amounts, less the price of all tokens."""
    count = values.shape[-1]
    at = np.argmin(values + price[..., None, None] * nodes.grid(count), axis=-1)
    position = np.clip(at[..., None] + np.linspace(-1.0, 1.0, 65), 0.0, count - 1.0)
    cost = within(values[..., None, :], position)
    amounts = nodes.scale[..., None] * np.expm1(nodes.step * position)
    cost += price[..., None, None] * amounts
    return np.asarray(cost.min(axis=-1).sum(axis=-1) - price * total)
