"""The two laws at branches of T tokens, of which a share r is replayed general text."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.special import ndtr

from splitlaw.laws.result import FitResult
from splitlaw.planner.constraint import Array
from splitlaw.planner.surface import Setting

SPREAD_DRAWS = 50
"""Draws from which the standard deviation of a general loss is computed: its error is 10%, and more
draws would take most of the time of a plan."""

REACH = 6.0
"""Standard deviations of the trunk on both sides over which `all_below` sums: 2e-9 are beyond."""

STEP, MOST_STEPS = 0.5, 2000
"""Distance of the points of that sum, in widths of its integrand, at which it errs by less than
1e-6, and the most intervals: where they are too few, the probability of a draw errs by up to 0.3%.
"""


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
        value = self.general(pretrain, branch, shares)
        if self.deviations == 0:
            return value
        law = partial(self._spread, value)
        spread = self._one(law, self._after_columns, pretrain, branch, shares)
        return bounded(value, spread, self.deviations)

    def general_bound_by_share(self, pretrain: Array, branch: Array, shares: Array) -> Array:
        """The same [..., k, r] at shares [k, r]."""
        law = self._after.without_draws.losses
        value = self._several(law, self._after_columns, pretrain, branch, shares)
        if self.deviations == 0:
            return value
        spread = self.spread_by_share(value, pretrain, branch, shares)
        return bounded(value, spread, self.deviations)

    def spread_by_share(self, value: Array, pretrain: Array, branch: Array, shares: Array) -> Array:
        """Standard deviation of the log of the general loss of a new run [..., k, r].

        `value` are the predictions, without which it is computed about.
        """
        law = partial(self._spread, value)
        return self._several(law, self._after_columns, pretrain, branch, shares)

    def probability_below(
        self, limit: Array, pretrain: Array, branch: Array, shares: Array
    ) -> tuple[Array, float]:
        """Probability that a new specialist is within its limit [k], and that all of them are.

        Of the draws of the law and the noise of a run. The trunk of the specialists is the same, so
        that its effect is common to them.
        """
        room = np.log(limit / self.general(pretrain, branch, shares, drawn=True))
        member = self._after.members[0]
        each = ndtr(room / np.hypot(member.trunk_sd, member.row_sd)).mean(axis=0)
        return each, float(all_below(room, member.trunk_sd, member.row_sd).mean())

    @property
    def _after(self) -> FitResult:
        after = self.fit.general_after
        assert after is not None
        return after

    @property
    def _after_columns(self) -> Array:
        """Numbers of the domains in the law of the general loss [k]."""
        return np.array([self._after.domains.index(name) for name in self.setting.domains])

    def _spread(
        self,
        value: Array,
        params: float,
        total: Array,
        special: Array,
        columns: Array,
        **options: Any,
    ) -> Array:
        """Of the draws about the predictions, and of the noise of the trunk and of the run."""
        law = self._after.first(SPREAD_DRAWS)
        drawn = law.drawn_losses(params, total, special, columns, **options)
        noise = self._after.noise_sd(total, special)
        with np.errstate(invalid="ignore", divide="ignore"):
            # In place: the draws are the largest table of a plan.
            np.log(np.divide(drawn, value, out=drawn), out=drawn)
            return np.asarray(np.sqrt(np.mean(np.square(drawn, out=drawn), axis=0) + noise**2))

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


def bounded(general: Array, spread: Array, deviations: float) -> Array:
    """Predictions and so many deviations of their logarithm more; infinite where one is."""
    known = np.isfinite(general) & np.isfinite(spread)
    return np.where(known, general * np.exp(deviations * np.where(known, spread, 0.0)), np.inf)


def all_below(room: Array, trunk_sd: float, row_sd: float) -> Array:
    """Probability that the noise of every run is below its `room` [..., k], in log loss.

    The noise is that of its row and that of the trunk, which all runs have in common: an integral
    over the effect of the trunk. Sums at even steps converge fast for smooth functions. In standard
    deviations of the trunk, the product of k factors is as narrow as row_sd / trunk_sd / sqrt(k).
    """
    narrowest = row_sd / np.hypot(trunk_sd, row_sd) / np.sqrt(room.shape[-1])
    steps = int(min(np.ceil(2 * REACH / (STEP * narrowest)), MOST_STEPS))
    effects = np.linspace(-REACH, REACH, steps + 1)
    weights = np.exp(-(effects**2) / 2)
    found = np.zeros(room.shape[:-1])
    for effect, weight in zip(effects, weights / weights.sum(), strict=True):
        found += weight * ndtr((room - trunk_sd * effect) / row_sd).prod(axis=-1)
    return found
