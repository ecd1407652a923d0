"""The parametric mean of the log loss of all domains, and the prior of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import numpy as np

from splitlaw.laws.dual import Dual
from splitlaw.laws.form import Form, Prior
from splitlaw.laws.log_loss import common_parameters, log_loss
from splitlaw.laws.points import Array, Indices, Points
from splitlaw.laws.rows import Frame

CORRELATION = 0.9
"""Prior correlation of a parameter over domains: it differs by a third of its prior standard
deviation. Chosen among 0.8, 0.9 and a free value by the errors of left-out sizes on two grids
(docs/law.md); the marginal likelihood prefers 0.96, which predicts other sizes worse."""


@dataclass(frozen=True)
class Mean:
    """log f of every domain, as a function of one vector.

    The vector has the parameters of each domain [domains * p], then those that domains have in
    common, `REPETITION` last.
    """

    form: Form
    frame: Frame
    domains: int

    @cached_property
    def common(self) -> Mapping[str, Prior]:
        """Parameters that domains have in common, with their priors."""
        return common_parameters(self.frame)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.domains * len(self.form.names) + len(self.common)

    @property
    def centre(self) -> Array:
        """Prior medians of the vector."""
        own = np.tile(self.form.centre, self.domains)
        return np.concatenate([own, [prior.centre for prior in self.common.values()]])

    def by_domain(self, vector: Array) -> Array:
        """The domains' parameters [..., domains, p] of vectors [..., size]."""
        p = len(self.form.names)
        return vector[..., : self.domains * p].reshape(*vector.shape[:-1], self.domains, p)

    @cached_property
    def prior_precision(self) -> Array:
        """Inverse prior covariance [size, size]."""
        k = self.domains
        ones = CORRELATION / (1 + (k - 1) * CORRELATION)
        across = (np.eye(k) - ones) / (1 - CORRELATION)
        return self._assemble(np.asarray(np.kron(across, np.diag(self.form.spread**-2.0))), -2)

    @cached_property
    def prior_covariance(self) -> Array:
        """Prior covariance [size, size]: a parameter is correlated over the domains."""
        k = self.domains
        across = np.full((k, k), CORRELATION) + (1 - CORRELATION) * np.eye(k)
        return self._assemble(np.asarray(np.kron(across, np.diag(self.form.spread**2))), 2)

    @cached_property
    def prior_root(self) -> Array:
        """Cholesky factor of the prior covariance [size, size]."""
        return np.asarray(np.linalg.cholesky(self.prior_covariance))

    def _assemble(self, own: Array, power: int) -> Array:
        matrix = np.zeros((self.size, self.size))
        matrix[: len(own), : len(own)] = own
        for j, prior in enumerate(self.common.values(), start=len(own)):
            matrix[j, j] = float(prior.sd) ** power
        return matrix

    def evaluate(self, vector: Array, x: Points, domain: Indices) -> Array:
        """log f [..., n] for vectors [..., size] at points [n]; infinite where the form is."""
        values = self.form.values(self.by_domain(vector)[..., domain, :])
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            value = log_loss(
                self.form, SimpleNamespace(**values), self._common(vector), x, self.frame
            )
        return np.where(np.isnan(value), np.inf, value)

    def _common(self, vector: Array) -> SimpleNamespace:
        first = vector.shape[-1] - len(self.common)
        return SimpleNamespace(
            **{name: np.exp(vector[..., first + j, None]) for j, name in enumerate(self.common)}
        )

    def slopes(self, vectors: Array, x: Points, domain: Indices) -> tuple[Array, Array]:
        """log f [..., n] for vectors [..., size], and its derivatives [..., n, p + c].

        The derivatives are by the parameters of the point's domain and by those in `common`, whose
        places in a vector are `positions(domain)`.
        """
        p = self.form.duals(self.by_domain(vectors)[..., domain, :])
        common = self._common(vectors)
        duals = SimpleNamespace(**{n: Dual(v, {n: v}) for n, v in vars(common).items()})
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            value = log_loss(self.form, p, duals, x, self.frame)
        names = (*self.form.names, *self.common)
        slopes = np.zeros((*value.value.shape, len(names)))
        for j, name in enumerate(names):
            slopes[..., j] = value.parts.get(name, 0.0)
        return value.value, np.nan_to_num(slopes, copy=False, posinf=0.0, neginf=0.0)

    def positions(self, domain: int) -> Indices:
        """Places in a vector of the parameters of a domain and of those in `common` [p + c]."""
        p = len(self.form.names)
        common = np.arange(self.size - len(self.common), self.size)
        return np.concatenate([np.arange(domain * p, (domain + 1) * p), common])

    def jacobian(self, vector: Array, x: Points, domain: Indices) -> tuple[Array, Array]:
        """log f [n] and its derivatives [n, size] at points [n]."""
        value, slopes = self.slopes(vector, x, domain)
        matrix = np.zeros((len(domain), self.size))
        for k in np.unique(domain):
            rows = np.flatnonzero(domain == k)
            matrix[rows[:, None], self.positions(k)] = slopes[rows]
        return value, matrix
