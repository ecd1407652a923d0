"""The classical fit: parameters alone, by Huber's loss on the error in log loss.

The objective and its delta are those of Hoffmann et al. 2022 (arXiv:2203.15556, section D.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from splitlaw.laws.form import Form
from splitlaw.laws.mean import Mean
from splitlaw.laws.points import Array, Mask
from splitlaw.laws.rows import Rows

DELTA = 1e-3
"""Error in log loss where Huber's loss turns linear."""

STARTS = 4
"""Starts drawn from the prior, besides its centre; more find no lower objective on our tables."""

NARROW = 0.5
"""Share of the prior's standard deviation that starts are drawn with."""

FAR = 8.0
"""Bound of a coordinate, in prior standard deviations: a parameter there has no effect."""

SMOOTH = 0.05
"""Delta of the first descent: near least squares, which has fewer minima."""

ROUGH, EXACT = 1e-6, 1e-14
"""Relative tolerance of the first descents, and of the last."""

ROUGH_STEPS, MOST_STEPS = 60, 2000
"""Most evaluations of the first descents, and of the last."""

NORMAL_MAD = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation."""


@dataclass(frozen=True)
class Estimate:
    """Parameters of a form without a discrepancy."""

    mean: Mean
    vector: Array
    """Parameters in the units of the fit [size]."""
    covariance: Array
    """Covariance of their errors [size, size]."""
    row_sd: float
    """Standard deviation of log loss about the form, from the median absolute error."""
    objective: float
    converged: bool


def huber(residual: Array) -> float:
    """Sum of Huber's loss with `DELTA`."""
    size = np.abs(residual)
    inside = np.minimum(size, DELTA)
    return float((inside * (size - 0.5 * inside)).sum())


def fit_classical(form: Form, rows: Rows, rng: np.random.Generator) -> Estimate:
    """Minimise the objective for each domain by itself; domains share nothing."""
    mean = Mean(form, rows.frame, rows.domains)
    p = len(form.names)
    vector, converged = mean.centre, True
    for k in range(rows.domains):
        own, done = _fit_domain(mean, rows, rows.domain == k, rng)
        vector[k * p : (k + 1) * p], converged = own, converged and done
    residual, jacobian = _errors(mean, rows, vector)
    sd = NORMAL_MAD * float(np.median(np.abs(residual)))
    precision = jacobian.T @ jacobian / max(sd, 1e-12) ** 2 + mean.prior_precision
    return Estimate(
        mean=mean,
        vector=vector,
        covariance=np.asarray(np.linalg.inv(precision)),
        row_sd=sd,
        objective=huber(residual),
        converged=converged,
    )


def _errors(mean: Mean, rows: Rows, vector: Array) -> tuple[Array, Array]:
    value, jacobian = mean.jacobian(vector, rows.x, rows.domain)
    return value - rows.y, jacobian


class _DomainErrors:
    """Errors of a form in the log losses of one domain, and their derivatives."""

    def __init__(self, mean: Mean, rows: Rows, own: Mask) -> None:
        self.form = mean.form
        self.mean = Mean(mean.form, rows.frame, 1)
        self.common = self.mean.centre[len(mean.form.names) :]
        self.x, self.y = rows.x.take(np.flatnonzero(own)), rows.y[own]
        self.domain = np.zeros(len(self.y), dtype=np.intp)
        self._last: tuple[Array, Array, Array] | None = None

    def values(self, parameters: Array) -> Array:
        """Errors [n]; where the form is infinite, larger than any other."""
        return self._at(parameters)[0]

    def jacobian(self, parameters: Array) -> Array:
        """Derivatives by the parameters of the form [n, p]."""
        return self._at(parameters)[1]

    def _at(self, parameters: Array) -> tuple[Array, Array]:
        # `least_squares` asks for the derivatives at the parameters of its last errors.
        if self._last is None or not np.array_equal(self._last[2], parameters):
            vector = np.concatenate([parameters, self.common])
            value, jacobian = self.mean.jacobian(vector, self.x, self.domain)
            error = np.nan_to_num(value - self.y, posinf=1e3, neginf=-1e3)
            self._last = error, jacobian[:, : len(parameters)], parameters.copy()
        return self._last[:2]

    def descend(
        self, start: Array, *, delta: float, tolerance: float, steps: int
    ) -> tuple[Array, float, bool]:
        """Minimise Huber's loss: parameters, half the objective, and whether it converged."""
        form = self.form
        found = least_squares(
            self.values,
            start,
            jac=self.jacobian,
            loss="huber",
            f_scale=delta,
            x_scale="jac",
            bounds=(form.centre - FAR * form.spread, form.centre + FAR * form.spread),
            ftol=tolerance,
            xtol=tolerance,
            gtol=tolerance,
            max_nfev=steps,
        )
        return found.x, float(found.cost), found.status > 0


def _fit_domain(mean: Mean, rows: Rows, own: Mask, rng: np.random.Generator) -> tuple[Array, bool]:
    """Parameters of one domain [p], and whether the search converged."""
    form, errors = mean.form, _DomainErrors(mean, rows, own)
    drawn = rng.standard_normal((STARTS, len(form.names)))
    starts = np.concatenate([form.centre[None], form.centre + NARROW * form.spread * drawn])
    rough = []
    for start in starts:
        smooth, _, _ = errors.descend(start, delta=SMOOTH, tolerance=ROUGH, steps=ROUGH_STEPS)
        rough.append(errors.descend(smooth, delta=DELTA, tolerance=ROUGH, steps=ROUGH_STEPS))
    best = min(rough, key=lambda found: found[1])
    vector, _, converged = errors.descend(best[0], delta=DELTA, tolerance=EXACT, steps=MOST_STEPS)
    return vector, converged
