"""The value of observing runs: how the draws of a law change with what is observed.

The draws of the mean losses of candidate splits and of the runs' losses are taken as jointly
normal, so observing runs moves the expected losses of the candidates by a regression on the
observations (the knowledge gradient, Frazier et al. 2009). Nothing is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats.qmc import Sobol

from splitlaw.planner.constraint import Array

SCENARIOS = 256
"""Outcomes of the observations over which a gain is averaged: a scrambled Sobol sequence, which has
its balance at powers of 2."""

CHECKED = 2048
"""Other outcomes, with which the gains of chosen runs are computed: the largest of many gains on
the same outcomes is too large. They err by 2 to 3% of the gain of all knowledge."""

JITTER = 1e-9
"""Variance of log loss that is added to that of an observation: far below any measured noise."""


@dataclass
class Knowledge:
    """Draws of what is to be decided and of what could be observed, given chosen observations."""

    candidates: Array
    """Residual draws of the mean loss of each candidate split [r, a]."""

    observations: Array
    """Residual draws of the expected log loss of each observation, with its trunk's [r, o]."""

    noise: Array
    """Variance of each observation's own noise [o]."""

    outcomes: Array
    """Expected mean loss of each candidate in each scenario [s, a]."""

    checked: Array
    """The same in the scenarios that do not choose [c, a]."""

    normal: Array
    """Standard normal numbers of each scenario [s, n]; observations use the columns in turn."""

    rng: np.random.Generator

    used: int = 0
    """Columns of `normal` that chosen observations have used."""

    @classmethod
    def of(
        cls,
        candidates: Array,
        observations: Array,
        noise: Array,
        *,
        most: int,
        rng: np.random.Generator,
    ) -> Knowledge:
        """Begin with draws of the candidates [r, a] and of the observations [r, o].

        `most` is the largest number of observations that are chosen or judged together. `rng` must
        not be that of the draws.
        """
        mean = candidates.mean(axis=0)
        return cls(
            candidates=candidates - mean,
            observations=observations - observations.mean(axis=0),
            noise=noise + JITTER,
            outcomes=np.tile(mean, (SCENARIOS, 1)),
            checked=np.tile(mean, (CHECKED, 1)),
            normal=ndtri(Sobol(most, rng=rng).random(SCENARIOS)),
            rng=rng,
        )

    def full_gain(self) -> float:
        """Reduction of the expected regret by all knowledge of the candidates, before any choice.

        It is the expected regret itself where the draws are jointly normal.
        """
        draws = len(self.candidates)
        normal = self.rng.standard_normal((CHECKED, draws)) / np.sqrt(draws)
        return _fall(self.checked, self.checked + normal @ self.candidates)

    def gains(self, runs: list[list[int]]) -> Array:
        """Reduction of the expected regret by each run, a list of observations, beyond the chosen.

        All runs are judged on the same scenarios.
        """
        return np.array([_fall(self.outcomes, self._after(run)) for run in runs])

    def choose(self, run: list[int]) -> float:
        """Add a run to the chosen ones and return its gain: later gains are those that it leaves.

        The gain is that in other scenarios than those of `gains`, and at least 0.
        """
        self.outcomes = self._after(run)
        self.used += len(run)
        normal = self.rng.standard_normal((CHECKED, len(run)))
        checked = self.checked + normal @ self._shift(run)
        gain, self.checked = _fall(self.checked, checked), checked
        draws = len(self.candidates)
        noise = self.rng.standard_normal((draws, len(run))) * np.sqrt(self.noise[run])
        seen = self.observations[:, run] + noise
        variance = self._variance(run)
        drawn = self.observations[:, run].T / draws
        for residual in (self.candidates, self.observations):
            # In place: what is left of every draw once the regression on the run is removed.
            residual -= seen @ np.linalg.solve(variance, drawn @ residual)
        return max(0.0, gain)

    def _variance(self, run: list[int]) -> Array:
        """Covariance of the observations of a run."""
        drawn = self.observations[:, run]
        return np.asarray(drawn.T @ drawn / len(drawn) + np.diag(self.noise[run]))

    def _after(self, run: list[int]) -> Array:
        """Expected losses of the candidates [s, a] once a run is observed too."""
        normal = self.normal[:, self.used : self.used + len(run)]
        return np.asarray(self.outcomes + normal @ self._shift(run))

    def _shift(self, run: list[int]) -> Array:
        """Change of the candidates [n, a] by each standard normal number of a run's outcome."""
        drawn = self.observations[:, run]
        factor = np.linalg.cholesky(self._variance(run))
        return np.asarray(np.linalg.solve(factor, drawn.T @ self.candidates / len(drawn)))


def _fall(before: Array, after: Array) -> float:
    """Fall of the lowest expected loss, averaged over scenarios [s, a]."""
    return float(before.min(axis=1).mean() - after.min(axis=1).mean())
