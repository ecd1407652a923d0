"""The fit of one form: parameters and hyperparameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from splitlaw.laws.covariance import Covariance
from splitlaw.laws.form import Form
from splitlaw.laws.hyper import Distances, Hyper, Likelihood, start_hyper, trunk_covariance
from splitlaw.laws.mean import Mean
from splitlaw.laws.points import Array, Mask
from splitlaw.laws.rows import Rows

ROUNDS = 2
"""Times the mean is linearised at its estimate; a third changes no prediction by 0.01%."""

FIRST_SD = 0.01
"""Noise of the first fit, before the discrepancy is known: the usual error of a form."""

MOST_ITERATIONS = 100
TOLERANCE = 1e-6
"""Decrease of the objective, in units of log density, below which an iteration is the last."""

FIRST_DAMPING, LEAST_DAMPING = 1e-3, 1e-9
"""Levenberg's damping relative to the diagonal: the first one, and one that changes no step."""

MOST_DAMPING = 1e8
"""Damping at which no step descends: the estimate is a minimum."""

OUTLYING = 4.0
"""Standard deviations of its left-out prediction beyond which a row is outlying: 1 in 16,000."""

UNCOVERED, BY_GROSS = 0.5, 0.8
"""Part of the noise of rows that is left without the outlying ones, below which further rows may be
outlying; and where some are grossly wrong. A row just beyond `OUTLYING` leaves 0.7 or more."""

MOST_WEIGHINGS = 4
"""Further weighings: each finds errors that are a tenth of those before or smaller."""

GROSS = 0.01
"""Weight of a row that is 10 standard deviations off, below which its loss is taken for wrong."""


@dataclass(frozen=True)
class Posterior:
    """One form fitted to the rows of a table."""

    mean: Mean
    rows: Rows
    vector: Array
    """Most probable parameters [size]."""
    hyper: Hyper
    converged: bool
    distances: Distances

    @property
    def form(self) -> Form:
        """The form."""
        return self.mean.form

    @property
    def gross(self) -> Mask:
        """Rows whose loss is taken for wrong [n]."""
        return self.rows.weight < GROSS

    @property
    def covariance(self) -> Covariance:
        """Covariance of the rows about the mean."""
        return trunk_covariance(self.rows, self.hyper, self.distances)

    def likelihood(self, rows: Rows | None = None) -> Likelihood:
        """The marginal likelihood of `rows` (by default of the fit), linearised at the estimate."""
        same = rows is None
        rows = self.rows if rows is None else rows
        return linearised(self.mean, rows, self.vector, self.distances if same else Distances(rows))

    def drawn_noise(self, draws: int, rng: np.random.Generator) -> Array:
        """Drawn effects of the trunks and of the rows [draws, n]."""
        trunk = self.hyper["trunk"] * rng.standard_normal((draws, self.rows.trunks))
        own = np.sqrt(self.hyper.noise(self.rows)) * rng.standard_normal((draws, len(self.rows)))
        return np.asarray(own + trunk @ self.rows.trunk_matrix.T)

    def parameter_sd(self) -> tuple[Array, Array]:
        """Covariance [size, size] of the parameters, and the prior standard deviations [size]."""
        _, jacobian = self.mean.jacobian(self.vector, self.rows.x, self.rows.domain)
        precision = jacobian.T @ self.covariance.solve(jacobian)
        covariance = np.asarray(np.linalg.inv(precision + self.mean.prior_precision))
        return covariance, np.sqrt(np.diag(self.mean.prior_covariance))


def linearised(mean: Mean, rows: Rows, vector: Array, distances: Distances) -> Likelihood:
    """The marginal likelihood with the mean replaced by its tangent at `vector`."""
    value, jacobian = mean.jacobian(vector, rows.x, rows.domain)
    target = rows.y - value + jacobian @ (vector - mean.centre)
    return Likelihood(rows, mean, jacobian, target, distances)


def fit_posterior(
    form: Form, rows: Rows, *, start: Posterior | None = None, rounds: int = ROUNDS
) -> Posterior:
    """Fit a form: parameters and hyperparameters in turn, outlying rows down-weighted.

    With `start`, begin from the fit of more rows, which needs fewer steps.
    """
    mean = Mean(form, rows.frame, rows.domains)
    distances = Distances(rows)
    if start is None:
        hyper = start_hyper(rows)
        vector, converged = _most_probable(mean, rows, mean.centre, _independent)
    else:
        hyper, vector, converged = _carried(start.hyper, rows), start.vector, True
    for number in range(rounds):
        hyper = linearised(mean, rows, vector, distances).maximise(hyper)
        covariance = trunk_covariance(rows, hyper, distances)
        vector, converged = _most_probable(mean, rows, vector, covariance.solve)
        if number == 0 and start is None:
            noise, rows = _noise(hyper), _weigh(mean, rows, vector, hyper, distances)
    found = Posterior(mean, rows, vector, hyper, converged, distances)
    return found if start is not None else _weighed_again(found, noise)


def _noise(hyper: Hyper) -> Array:
    """Standard deviations of the noise of rows, and of those at D' = 0 where they have another."""
    return np.array([hyper[name] for name in ("row", "unsplit_row") if name in hyper])


def _weighed_again(found: Posterior, noise: Array) -> Posterior:
    """Weigh the rows again where without outlying ones the noise is far below the former `noise`.

    Rows that are grossly wrong hide others behind the noise that they make.
    """
    mean, distances = found.mean, found.distances
    for _ in range(MOST_WEIGHINGS):
        before, noise = noise, _noise(found.hyper)
        most = BY_GROSS if found.gross.any() else UNCOVERED
        if (noise > most * before).all() or not (found.rows.weight < 1).any():
            break
        even = replace(found.rows, weight=np.ones(len(found.rows)))
        rows = _weigh(mean, even, found.vector, found.hyper, distances)
        hyper = linearised(mean, rows, found.vector, distances).maximise(found.hyper)
        covariance = trunk_covariance(rows, hyper, distances)
        vector, converged = _most_probable(mean, rows, found.vector, covariance.solve)
        found = Posterior(mean, rows, vector, hyper, converged, distances)
    return found


def _independent(v: Array) -> Array:
    """`v` over the variance of independent errors of `FIRST_SD`."""
    return v / FIRST_SD**2


def _carried(hyper: Hyper, rows: Rows) -> Hyper:
    """Hyperparameters of another fit as a start for these rows."""
    start = start_hyper(rows)
    values = {n: float(hyper.vector[j]) for j, n in enumerate(hyper.names)}
    vector = [values.get(n, float(v)) for n, v in zip(start.names, start.vector, strict=True)]
    return start.at(np.array(vector))


def _most_probable(
    mean: Mean, rows: Rows, start: Array, solve: Callable[[Array], Array]
) -> tuple[Array, bool]:
    """The most probable parameters by Levenberg's method, and whether it converged.

    `solve` multiplies by the inverse covariance of the rows about the mean.
    """
    precision, centre = mean.prior_precision, mean.centre

    def objective(vector: Array) -> float:
        residual = rows.y - mean.evaluate(vector, rows.x, rows.domain)
        if not np.isfinite(residual).all():
            return np.inf
        away = vector - centre
        return float(residual @ solve(residual[:, None])[:, 0] + away @ precision @ away)

    vector, damping, value = start, FIRST_DAMPING, objective(start)
    for _ in range(MOST_ITERATIONS):
        predicted, jacobian = mean.jacobian(vector, rows.x, rows.domain)
        weighted = solve(np.c_[jacobian, rows.y - predicted])
        hessian = jacobian.T @ weighted[:, :-1] + precision
        pull = jacobian.T @ weighted[:, -1] - precision @ (vector - centre)
        while True:
            damped = hessian + damping * np.diag(np.diag(hessian))
            step = np.linalg.solve(damped, pull)
            trial = objective(vector + step)
            if trial <= value:
                break
            damping *= 4
            if damping > MOST_DAMPING:
                return vector, bool(np.isfinite(value))
        small = value - trial < TOLERANCE
        vector, value, damping = vector + step, trial, max(damping / 5, LEAST_DAMPING)
        if small:
            return vector, True
    return vector, False


def left_out_errors(covariance: Covariance, residual: Array) -> Array:
    """Standardised error of each row predicted from all others [n]."""
    alpha = covariance.solve(residual[:, None])[:, 0]
    return np.asarray(alpha / np.sqrt(covariance.inverse_diagonal))


def _weigh(mean: Mean, rows: Rows, vector: Array, hyper: Hyper, distances: Distances) -> Rows:
    """Rows far from their left-out predictions get a smaller weight, as under a heavy tail.

    One by one, since an outlying row also spoils the predictions of its neighbours.
    """
    weight = rows.weight.copy()
    likelihood = linearised(mean, rows, vector, distances)
    for _ in range(max(1, len(rows) // 20)):
        changed = replace(rows, weight=weight)
        covariance, _ = replace(likelihood, rows=changed).covariance(hyper)
        error = np.abs(left_out_errors(covariance, likelihood.target))
        error[weight < 1] = 0.0
        worst = int(np.argmax(error))
        if error[worst] <= OUTLYING:
            break
        # The row's noise is so large that its error becomes that of an ordinary row.
        weight[worst] = 1 / error[worst] ** 2
    return replace(rows, weight=weight)
