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

FULL_SCENARIOS = 2048
"""Outcomes for the gain of all knowledge, which is computed once: it errs by 2 to 3%."""

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
            normal=ndtri(Sobol(most, rng=rng).random(SCENARIOS)),
            rng=rng,
        )

    def full_gain(self) -> float:
        """Reduction of the expected regret by all knowledge of the candidates, as they are now.

        It is the expected regret itself where the draws are jointly normal.
        """
        draws = len(self.candidates)
        normal = self.rng.standard_normal((FULL_SCENARIOS, draws)) / np.sqrt(draws)
        known = self.outcomes.mean(axis=0) + normal @ self.candidates
        return float(self.outcomes.mean(axis=0).min() - known.min(axis=1).mean())

    def gains(self, runs: list[list[int]]) -> Array:
        """Reduction of the expected regret by each run, a list of observations, beyond the chosen.

        All runs are judged on the same scenarios.
        """
        before = self.outcomes.min(axis=1).mean()
        return np.array([before - self._after(run).min(axis=1).mean() for run in runs])

    def choose(self, run: list[int]) -> None:
        """Add a run to the chosen ones: later gains are those that it leaves."""
        self.outcomes = self._after(run)
        self.used += len(run)
        draws = len(self.candidates)
        noise = self.rng.standard_normal((draws, len(run))) * np.sqrt(self.noise[run])
        seen = self.observations[:, run] + noise
        variance = self._variance(run)
        drawn = self.observations[:, run].T / draws
        for residual in (self.candidates, self.observations):
            # In place: what is left of every draw once the regression on the run is removed.
            residual -= seen @ np.linalg.solve(variance, drawn @ residual)

    def _variance(self, run: list[int]) -> Array:
        """Covariance of the observations of a run."""
        drawn = self.observations[:, run]
        return np.asarray(drawn.T @ drawn / len(drawn) + np.diag(self.noise[run]))

    def _after(self, run: list[int]) -> Array:
        """Expected losses of the candidates [s, a] once a run is observed too."""
        drawn = self.observations[:, run]
        factor = np.linalg.cholesky(self._variance(run))
        shift = np.linalg.solve(factor, drawn.T @ self.candidates / len(drawn))
        normal = self.normal[:, self.used : self.used + len(run)]
        return np.asarray(self.outcomes + normal @ shift)
