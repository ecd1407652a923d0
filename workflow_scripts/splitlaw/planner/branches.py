"""The two laws at branches of T tokens, of which a share r is replayed general text."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splitlaw.laws.result import FitResult
from splitlaw.planner.constraint import Array
from splitlaw.planner.surface import Setting


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
        after = self.fit.general_after
        assert after is not None
        columns = np.array([after.domains.index(name) for name in self.setting.domains])
        law = after.drawn_losses if drawn else after.without_draws.losses
        return self._one(law, columns, pretrain, branch, shares)

    def general_by_share(self, pretrain: Array, branch: Array, shares: Array) -> Array:
        """General loss [..., k, r] at shares [k, r]."""
        after = self.fit.general_after
        assert after is not None
        columns = np.array([after.domains.index(name) for name in self.setting.domains])
        return self._several(after.without_draws.losses, columns, pretrain, branch, shares)

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
