"""Functions drawn from the posterior of a form.

A draw is the best fit of a perturbed problem: parameters are drawn from the prior, discrepancy and
noise too, the drawn noise is taken from the data, and the parameters move to the minimum of the
squared error about the drawn prior (randomized maximum likelihood; Oliver, He and Reynolds 1996).
The draws are exact where the form is linear, and agree with the data where it is not, unlike normal
draws about the estimate (Laplace): in directions that the data do not determine, these are wrong by
many times the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from splitlaw.laws.covariance import Covariance
from splitlaw.laws.kernel import Features, basis, prior_weights, section_weights
from splitlaw.laws.mean import Mean
from splitlaw.laws.member import Member
from splitlaw.laws.points import Array, Indices
from splitlaw.laws.posterior import Posterior
from splitlaw.laws.rows import Rows

STEPS = 6
"""Most steps of the search of a draw; most end after 1 to 4."""

NEAR = 0.5
"""Decrease of the objective below which a step is the last, and difference between the objective
and its quadratic model below which it is: the form is then linear over the step. In units of twice
the log density, so that the parameters are a part of a standard deviation from the minimum."""

SMALL = 1e-8
"""Damping of Levenberg's method, relative to the diagonal, that changes no step. More of it would
stop the steps along the valleys in which two parameters compensate each other."""

LARGE = 1e-4
"""Damping after the first step that fails; then ten times more or less."""

CHUNK = 8_000_000
"""Derivatives, or entries of matrices of the parameters, that are computed at once: 64 MB."""


def draw_member(
    posterior: Posterior, weight: float, draws: int, rng: np.random.Generator
) -> Member:
    """The fitted form as functions: its mean, and `draws` functions of the posterior."""
    mean, rows, hyper = posterior.mean, posterior.rows, posterior.hyper
    kernel, covariance = hyper.kernel(rows), posterior.covariance
    sites, zero = rows.sites
    features = Features.draw(sites.shape[1], rng)
    prior = prior_weights(kernel, features, sites, zero, (draws, rows.domains), rng)
    values = basis(kernel, features, sites, zero, sites, zero)
    target = rows.y - posterior.drawn_noise(draws, rng)
    for k, own in enumerate(rows.row_slices):
        target[:, own] -= (prior[:, k] @ values.T)[:, rows.site[own]]
    about = mean.centre + rng.standard_normal((draws, mean.size)) @ mean.prior_root.T
    vectors = perturbed_estimates(mean, rows, covariance, posterior.vector, target, about)
    target -= mean.evaluate(vectors, rows.x, rows.domain)
    first = rows.y - mean.evaluate(posterior.vector, rows.x, rows.domain)
    sections = _section_coefficients(rows, covariance.solve(np.c_[first, target.T]))
    weights = section_weights(kernel, features, sites, zero, sections)
    unsplit_row_sd = float(np.sqrt(hyper.noise_at(np.array(True))))
    return Member(
        mean=mean,
        weight=weight,
        vector=posterior.vector,
        vectors=vectors,
        kernel=kernel,
        features=features,
        sites=sites,
        zero=zero,
        weights=weights[0],
        drawn=weights[1:] + prior,
        trunk_sd=hyper["trunk"],
        row_sd=hyper["row"],
        unsplit_row_sd=unsplit_row_sd if rows.frame.unsplit else hyper["row"],
    )


def _section_coefficients(rows: Rows, solved: Array) -> Array:
    """Coefficients [m, domains, sites] of the kernel sections, from those of the rows [n, m]."""
    site, domain = rows.groups
    sections = np.zeros((solved.shape[1], rows.domains, len(rows.sites[0])))
    sections[:, domain, site] = rows.sum_by_group(solved).T
    return sections


def perturbed_estimates(
    mean: Mean, rows: Rows, covariance: Covariance, start: Array, target: Array, about: Array
) -> Array:
    """The parameters [draws, size] nearest to `target` [draws, n] and `about` [draws, size]."""
    slopes = len(rows) * (len(mean.form.names) + len(mean.common))
    step = max(1, CHUNK // max(slopes, mean.size**2))
    found = np.empty_like(about)
    for first in range(0, len(target), step):
        part = slice(first, first + step)
        problem = _Problem(mean, rows, covariance, target[part], about[part])
        found[part] = problem.search(start)
    return found


@dataclass(frozen=True)
class _Problem:
    """Weighted squares of errors, and of distances from the drawn prior, for several draws."""

    mean: Mean
    rows: Rows
    covariance: Covariance
    target: Array
    about: Array

    def search(self, start: Array) -> Array:
        """Levenberg's method for all draws at once [draws, size]."""
        vectors = np.tile(start, (len(self.target), 1))
        value, damping = self.objective(vectors), np.full(len(vectors), SMALL)
        left = np.arange(len(vectors))
        for number in range(STEPS):
            problem = self.take(left)
            hessian, pull = problem.quadratic(vectors[left] if number else start[None])
            damped = np.tile(hessian, (len(left) // len(hessian), 1, 1))
            np.einsum("dii->di", damped)[...] *= 1 + damping[left, None]
            step = np.linalg.solve(damped, pull[..., None])[..., 0]
            trial = vectors[left] + step
            reached = problem.objective(trial)
            decrease = np.einsum("di,di->d", step, 2 * pull - (damped @ step[..., None])[..., 0])
            better = reached < value[left]
            linear = np.abs(value[left] - decrease - reached) < NEAR
            near = better & (linear & (damping[left] <= SMALL) | (value[left] - reached < NEAR))
            vectors[left[better]], value[left[better]] = trial[better], reached[better]
            damping[left] *= np.where(better, 0.1, 10.0)
            damping[left[~better]] = np.maximum(damping[left[~better]], LARGE)
            left = left[~near]
            if not left.size:
                break
        return vectors

    def take(self, draws: Indices) -> _Problem:
        """The problem of some draws."""
        return replace(self, target=self.target[draws], about=self.about[draws])

    def objective(self, vectors: Array) -> Array:
        """The sum of squares of each draw [draws]; NaN where the form is infinite."""
        residual = self.target - self.mean.evaluate(vectors, self.rows.x, self.rows.domain)
        away = vectors - self.about
        own = np.einsum("di,di->d", away @ self.mean.prior_precision, away)
        with np.errstate(invalid="ignore"):
            return own + np.einsum("dn,nd->d", residual, self.covariance.solve(residual.T))

    def quadratic(self, vectors: Array) -> tuple[Array, Array]:
        """Gauss and Newton's matrix [v, size, size], and half the descent [draws, size].

        At `vectors` [v, size], of which there may be one for all draws.
        """
        mean, rows = self.mean, self.rows
        value, slopes = mean.slopes(vectors, rows.x, rows.domain)
        v, n, q = slopes.shape
        columns = np.ascontiguousarray(slopes.transpose(1, 0, 2))
        solved = self.covariance.blocks.solve(columns.reshape(n, -1)).reshape(n, v, q)
        weights = self.covariance.solve((self.target - value).T)
        descent = (self.about - vectors) @ mean.prior_precision
        hessian = np.tile(mean.prior_precision, (v, 1, 1))
        shared = np.zeros((v, self.covariance.u.shape[1], mean.size))
        for k, part in enumerate(rows.row_slices):
            at = mean.positions(k)
            own, by_vector = columns[part], slopes[:, part].transpose(0, 2, 1)
            hessian[:, at[:, None], at[None]] += by_vector @ solved[part].transpose(1, 0, 2)
            low = self.covariance.downdate[part].T @ own.reshape(len(own), -1)
            shared[:, :, at] += low.reshape(-1, v, q).transpose(1, 0, 2)
            descent[:, at] += (by_vector @ weights[part].T[..., None])[..., 0]
        return hessian - shared.transpose(0, 2, 1) @ shared, descent
