"""The regret of a plan: its loss above that of the best measured split.

The lowest of several noisy losses is biased downwards, so the best split is the minimum of a smooth
curve through all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.laws.result import interval

DEGREES = (2, 3, 4)
"""Degrees of the polynomials to choose from: a minimum requires at least 2, and a frontier of 7
fractions does not determine more than 4."""
GRID_POINTS = 2001
"""Fractions at which the minimum of a curve is searched: a spacing below 0.05 percentage points."""
DRAWS = 500
"""Draws for a 90% interval, which determine its ends to about 3% of its width."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A polynomial in the general fraction through mean losses, with an offset for each seed."""

    coefficients: Array
    """Highest power first; the constant is the mean over seeds."""
    residuals: Array
    """Measured losses minus the curve, `[n]`."""
    error: float
    """Root mean square error at fractions left out of the fit, nats per token."""
    low: float
    """Smallest fraction measured."""
    high: float
    """Largest fraction measured."""

    def __call__(self, fraction: Array | float) -> Array:
        """Loss at general fractions."""
        return np.asarray(np.polyval(self.coefficients, fraction), dtype=float)

    @property
    def minimum(self) -> tuple[float, float]:
        """Fraction and loss of the minimum within the measured range."""
        grid = np.linspace(self.low, self.high, GRID_POINTS)
        at = int(np.argmin(self(grid)))
        return float(grid[at]), float(self(grid)[at])


def fit_curve(fractions: Array, losses: Array, seeds: Array) -> Curve:
    """Fit the curve through mean losses, `[n]`, whose degree predicts left-out fractions best.

    Fractions are left out one at a time, with all of their seeds. The smallest and the largest are
    always kept, so that no prediction is an extrapolation.
    """
    return min((_fitted(fractions, losses, seeds, degree) for degree in DEGREES), key=_error)


def _error(curve: Curve) -> float:
    return curve.error


def _fitted(fractions: Array, losses: Array, seeds: Array, degree: int) -> Curve:
    inner = np.unique(fractions)[1:-1]
    if len(inner) < degree + 1:
        raise UserError(
            f"frontier: {len(inner) + 2} fractions; give at least {max(DEGREES) + 3} to fit a "
            "curve through them"
        )
    errors = []
    for left in inner:
        out = fractions == left
        guess, _ = _least_squares(fractions[~out], losses[~out], seeds[~out], degree)
        errors.append(np.polyval(guess, left) - losses[out].mean())
    coefficients, residuals = _least_squares(fractions, losses, seeds, degree)
    return Curve(
        coefficients=coefficients,
        residuals=residuals,
        error=float(np.sqrt(np.mean(np.square(errors)))),
        low=float(fractions.min()),
        high=float(fractions.max()),
    )


def _least_squares(
    fractions: Array, losses: Array, seeds: Array, degree: int
) -> tuple[Array, Array]:
    """Coefficients of the mean over seeds, and residuals."""
    levels = (seeds[:, None] == np.unique(seeds)[None]).astype(float)
    powers = fractions[:, None] ** np.arange(degree, 0, -1)
    design = np.hstack([powers, levels])
    found = np.linalg.lstsq(design, losses, rcond=None)[0]
    coefficients = np.append(found[:degree], found[degree:].mean())
    return coefficients, losses - design @ found


@dataclass(frozen=True, kw_only=True)
class Regret:
    """Loss of the plan above the best measured split."""

    planned: float
    """General fraction of the plan."""
    best: float
    """General fraction of the minimum."""
    best_interval: tuple[float, float]
    """Its 90% interval."""
    loss: float
    """Loss of the minimum, nats per token."""
    regret: float
    """Loss of the plan above the minimum, on the same curve."""
    regret_interval: tuple[float, float]
    """Its 90% interval."""

    def summary(self) -> str:
        """The result in two sentences."""
        low, high = self.best_interval
        least, most = (100 * end / self.loss for end in self.regret_interval)
        return (
            f"The best measured split has {self.best:.0%} general tokens (90% interval {low:.0%} "
            f"to {high:.0%}) and a mean loss of {self.loss:.4f} nats per token. The plan, at "
            f"{self.planned:.0%}, has a loss {self.regret:.4f} higher: a regret of "
            f"{100 * self.regret / self.loss:.2f}% (90% interval {least:.2f} to {most:.2f}%)."
        )


def estimate_regret(table: pd.DataFrame, planned: float, *, seed: int = 0) -> tuple[Curve, Regret]:
    """Fit a smooth curve to a measured frontier and estimate the plan's regret on it.

    `table` has the columns of `frontier.csv`. Intervals come from a wild bootstrap: the residuals
    of each fraction change their sign at random, those of all its seeds together.
    """
    means = mean_losses(table)
    x, y, seeds = (means[name].to_numpy() for name in ("fraction_general", "loss", "seed"))
    curve = fit_curve(x, y, seeds)
    best, loss = curve.minimum
    rng = np.random.default_rng(seed)
    drawn = np.array([_redrawn(curve, x, y, seeds, planned, rng) for _ in range(DRAWS)])
    ends = [interval(column) for column in drawn.T]
    (low, high), (least, most) = ((float(a), float(b)) for a, b in ends)
    return curve, Regret(
        planned=planned,
        best=best,
        best_interval=(min(low, best), max(high, best)),
        loss=loss,
        regret=float(curve(planned)) - loss,
        regret_interval=(least, most),
    )


def _redrawn(
    curve: Curve, x: Array, y: Array, seeds: Array, planned: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Best fraction and regret of one draw."""
    signs = dict(zip(np.unique(x), rng.choice([-1.0, 1.0], size=len(np.unique(x))), strict=True))
    flipped = y - curve.residuals + curve.residuals * np.array([signs[value] for value in x])
    again = _fitted(x, flipped, seeds, len(curve.coefficients) - 1)
    best, loss = again.minimum
    return best, float(again(planned)) - loss


def mean_losses(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over domains for each seed and fraction, of general losses too where there are any."""
    keys = ["seed", "fraction_general"]
    columns = [c for c in ("predicted_loss", "loss", "general_loss") if c in table]
    return table.groupby(keys, as_index=False)[columns].mean()
