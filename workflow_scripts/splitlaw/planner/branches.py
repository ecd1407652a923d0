"""The two laws at branches of T tokens, of which a share r is replayed general text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from splitlaw.laws.result import FitResult
from splitlaw.planner.constraint import Array
from splitlaw.planner.surface import Setting

SPREAD_DRAWS = 50
"""Draws from which the standard deviation of a general loss is computed: its error is 10%, and more
draws would take most of the time of a plan."""

TRUNK_EFFECTS = 7
"""Points of the quadrature over the effect of the trunk, which is exact for polynomials of degree
13; a probability then errs by less than 1e-4."""


@dataclass(frozen=True, kw_only=True)
class BranchLaws:
    """Domain loss and general loss of specialists, at D tokens after the base and T of the branch.

    Arguments are D [...], T [..., k] and r, of shape [..., k], or [k, r] for several shares of each
    domain.
    """

    fit: FitResult
    params: float
    setting: Setting

    start: float
    """Tokens of the base that D of the law counts; 0 without a base, and where it does not."""

    deviations: float = 0.0
    """Standard deviations that a bound on general loss is above its prediction."""

    def domain(
        self, pretrain: Array, branch: Array, shares: Array, *, drawn: bool = False
    ) -> Array:
        """Loss of each domain [(draws,) ..., k], nats per token."""
        law = self.fit.drawn_losses if drawn else self.fit.without_draws.losses
        return self._one(law, np.array(self.setting.columns), pretrain, branch, shares)

    def general(
        self, pretrain: Array, branch: Array, shares: Array, *, drawn: bool = False
    ) -> Array:
        """General loss of each specialist [(draws,) ..., k]."""
        law = self._after.drawn_losses if drawn else self._after.without_draws.losses
        return self._one(law, self._after_columns, pretrain, branch, shares)

    def general_bound(self, pretrain: Array, branch: Array, shares: Array) -> Array:
        """General loss [..., k] that a specialist exceeds with a given probability at most."""
        return self._one(self._bound, self._after_columns, pretrain, branch, shares)

    def general_bound_by_share(self, pretrain: Array, branch: Array, shares: Array) -> Array:
        """The same [..., k, r] at shares [k, r]."""
        return self._several(self._bound, self._after_columns, pretrain, branch, shares)

    def probability_below(
        self, limit: Array, pretrain: Array, branch: Array, shares: Array
    ) -> tuple[Array, float]:
        """Probability that a new specialist is within its limit [k], and that all of them are.

        Of the draws of the law and the noise of a run. The trunk of the specialists is the same, so
        that its effect is common to them.
        """
        room = np.log(limit / self.general(pretrain, branch, shares, drawn=True))
        member = self._after.members[0]
        points, weights = np.polynomial.hermite_e.hermegauss(TRUNK_EFFECTS)
        effect = member.trunk_sd * points[:, None, None]
        kept = ndtr((room - effect) / member.row_sd)
        over = weights / weights.sum()
        return (
            np.tensordot(over, kept, 1).mean(axis=0),
            float((over @ kept.prod(axis=-1)).mean()),
        )

    @property
    def _after(self) -> FitResult:
        after = self.fit.general_after
        assert after is not None
        return after

    @property
    def _after_columns(self) -> Array:
        """Numbers of the domains in the law of the general loss [k]."""
        return np.array([self._after.domains.index(name) for name in self.setting.domains])

    def _bound(
        self, params: float, total: Array, special: Array, columns: Array, **options: Any
    ) -> Array:
        """The predicted general loss of a new run, and as many deviations more.

        They are those of its logarithm: of the draws about the prediction, and of the noise of the
        trunk and of the run.
        """
        at = params, total, special, columns
        value = self._after.without_draws.losses(*at, **options)
        if self.deviations == 0:
            return value
        drawn = self._after.first(SPREAD_DRAWS).drawn_losses(*at, **options)
        noise = self._after.noise_sd(total, special)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.sqrt(np.mean(np.log(drawn / value) ** 2, axis=0) + noise**2)
            return np.where(np.isfinite(value), value * np.exp(self.deviations * spread), np.inf)

    def domain_by_share(
        self, pretrain: Array, branch: Array, shares: Array, *, drawn: bool = False
    ) -> Array:
        """Loss of each domain [(draws,) ..., k, r] at shares [k, r]."""
        law = self.fit.drawn_losses if drawn else self.fit.without_draws.losses
        return self._several(law, np.array(self.setting.columns), pretrain, branch, shares)

    def _one(
        self, law: Callable[..., Array], columns: Array, pretrain: Array, branch: Array, r: Array
    ) -> Array:
        total = self.start + np.asarray(pretrain, dtype=float)[..., None]
        return self._call(law, columns, self.setting.unique, total, np.asarray(branch), r)

    def _several(
        self, law: Callable[..., Array], columns: Array, pretrain: Array, branch: Array, r: Array
    ) -> Array:
        total = self.start + np.asarray(pretrain, dtype=float)[..., None, None]
        unique, branch = self.setting.unique[:, None], np.asarray(branch, dtype=float)[..., None]
        return self._call(law, columns[:, None], unique, total, branch, r)

    def _call(
        self,
        law: Callable[..., Array],
        columns: Array,
        unique: Array,
        total: Array,
        branch: Array,
        r: Array,
    ) -> Array:
        special, options = branch * (1 - r), {}
        if np.isfinite(unique).any():
            options["unique_specialize"] = np.minimum(special, unique)
        if np.isfinite(self.setting.unique_pretrain):
            options["unique_pretrain"] = np.minimum(total, self.setting.unique_pretrain)
        return law(self.params, total, special, columns, replay=r, **options)
