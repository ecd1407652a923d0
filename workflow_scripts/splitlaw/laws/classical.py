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
        own, done = _fit_domain(mean, rows, rows.domain == k, k, rng)
        vector[k * p : (k + 1) * p], converged = own, converged and done
    residual, jacobian = _errors(mean, rows, vector)
    sd = 1.4826 * float(np.median(np.abs(residual)))
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


def _fit_domain(
    mean: Mean, rows: Rows, own: Mask, number: int, rng: np.random.Generator
) -> tuple[Array, bool]:
    """Parameters of one domain [p], and whether the search converged."""
    form, x = mean.form, rows.x.take(np.flatnonzero(own))
    single = Mean(form, rows.frame, 1)
    common = single.centre[len(form.names) :]
    zero, y = np.zeros(own.sum(), dtype=np.intp), rows.y[own]
    cache: dict[bytes, tuple[Array, Array]] = {}

    def at(parameters: Array) -> tuple[Array, Array]:
        key = parameters.tobytes()
        if key not in cache:
            cache.clear()
            value, jacobian = single.jacobian(np.concatenate([parameters, common]), x, zero)
            cache[key] = np.nan_to_num(value - y, posinf=1e3, neginf=-1e3), jacobian
        return cache[key]

    def search(
        start: Array, delta: float, tolerance: float, steps: int
    ) -> tuple[Array, float, bool]:
        found = least_squares(
            lambda v: at(v)[0],
            start,
            jac=lambda v: at(v)[1][:, : len(form.names)],
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

    drawn = rng.standard_normal((STARTS, len(form.names)))
    starts = np.concatenate([form.centre[None], form.centre + NARROW * form.spread * drawn])
    rough = []
    for start in starts:
        smooth, _, _ = search(start, SMOOTH, ROUGH, ROUGH_STEPS)
        rough.append(search(smooth, DELTA, ROUGH, ROUGH_STEPS))
    best = min(rough, key=lambda found: found[1])
    vector, _, converged = search(best[0], DELTA, EXACT, MOST_STEPS)
    return vector, converged
