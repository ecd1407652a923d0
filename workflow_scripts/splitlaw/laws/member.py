"""One form of a fitted law as functions of (N, D, D', domain)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from splitlaw.laws.form import Form
from splitlaw.laws.kernel import Features, Kernel, basis
from splitlaw.laws.mean import Mean
from splitlaw.laws.points import Array, Indices, Points
from splitlaw.laws.table import Table

CHUNK = 250_000
"""Numbers in one array of an evaluation; more leave the processor's cache of 2 MB."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A form with its parameters, its discrepancy, and functions drawn from the posterior.

    A draw is log f at its own parameters plus a mixture of the basis of `splitlaw.laws.kernel`.
    """

    mean: Mean
    weight: float
    """Weight in the mean over the forms."""
    vector: Array
    """Most probable parameters [size], in the units of the fit."""
    vectors: Array
    """Parameters of each draw [draws, size]."""
    kernel: Kernel
    features: Features
    sites: Array
    """Coordinates of the sites [m, d]."""
    zero: Array
    """1 for the sites at D' = 0 that have a discrepancy of their own [m]."""
    weights: Array
    """Mixture of the posterior mean for each domain [domains, b]; b is 0 without a discrepancy."""
    drawn: Array
    """Mixtures of the draws [draws, domains, b]."""
    trunk_sd: float
    """Standard deviation of log loss between trunks."""
    row_sd: float
    """Standard deviation of log loss between runs that share a trunk."""
    unsplit_row_sd: float
    """The same at D' = 0."""

    @property
    def form(self) -> Form:
        """The form."""
        return self.mean.form

    @property
    def law(self) -> str:
        """Name of the form."""
        return self.form.name

    @property
    def draws(self) -> int:
        """Number of draws."""
        return len(self.vectors)

    def take(self, draws: Indices) -> Member:
        """The member with some of its draws."""
        return replace(self, vectors=self.vectors[draws], drawn=self.drawn[draws])

    @property
    def without_draws(self) -> Member:
        """The posterior mean alone: it has no random features, which take most of the time."""
        features, kernel = self.features, self.kernel
        first, sites = len(features.phase), len(self.sites) + self.sites.shape[1]
        keep = np.ones(self.weights.shape[1], dtype=bool)
        keep[:first] = False
        if kernel.unsplit:
            at = first + sites + 3
            keep[at : at + len(features.unsplit_phase)] = False
        return replace(
            self,
            vectors=self.vectors[:0],
            features=features.none,
            weights=self.weights[:, keep],
            drawn=self.drawn[:0, :, keep],
        )

    def log_losses(
        self, coordinates: Array, zero: Array, x: Points, domain: Indices, *, drawn: bool
    ) -> Array:
        """Log loss in units of the fit [draws, n] at points [n]; one row of the posterior mean.

        `coordinates` [n, d] and `zero` [n] are those of the frame (`Frame.coordinates`).
        """
        vectors = self.vectors if drawn else self.vector[None]
        out = np.empty((len(vectors), len(domain)))
        before, values = (np.zeros((0, 0)), np.zeros(0)), np.zeros((0, 0))
        numbers = np.unique(domain)
        rows = {k: np.flatnonzero(domain == k) for k in numbers}
        step = max(1, CHUNK // max(1, len(vectors), self.weights.shape[1]))
        for first in range(0, max(map(len, rows.values()), default=0), step):
            for k in numbers:
                part = rows[k][first : first + step]
                if not len(part):
                    continue
                # One set of parameters for all points of the domain.
                found = self.mean.evaluate(vectors, x.take(part).compact, np.full(1, k))
                if self.weights.shape[1]:
                    at = coordinates[part], zero[part]
                    # The basis does not depend on the domain: tables have the same points for all.
                    if not all(map(np.array_equal, before, at)):
                        values = basis(self.kernel, self.features, *at, self.sites, self.zero)
                        before = at
                    mixtures = self.drawn[:, k] if drawn else self.weights[None, k]
                    found = found + mixtures @ values.T
                # By draw: NumPy assigns to several columns of all draws in three times the time.
                for draw, values_of_draw in zip(out, found, strict=True):
                    draw[part] = values_of_draw
        return out

    def noise_sd(self, pretrain: Array, specialize: Array) -> Array:
        """Standard deviation of the log loss of a new run about its expectation [n]."""
        own = np.where(specialize == 0, self.unsplit_row_sd, self.row_sd)
        return np.asarray(np.hypot(own, np.where(pretrain > 0, self.trunk_sd, 0.0)))

    def drawn_noise(self, table: Table, rng: np.random.Generator) -> Array:
        """Drawn deviations of new runs from their expectations [draws, n]."""
        sd = self.noise_sd(table.pretrain, table.specialize)
        return np.asarray(sd * rng.standard_normal((self.draws, len(sd))))
