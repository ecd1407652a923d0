"""The loss of each domain at one model size, as a function of the split."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.result import FitResult
from splitlaw.planner.constraint import Array


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the losses of a plan depend on besides the split."""

    domains: tuple[str, ...]

    columns: tuple[int, ...]
    """Numbers of the domains in the fit [k]."""

    weights: Array
    """Weight of each domain in the mean loss [k], summing to 1."""

    unique: Array
    """Unique tokens of each domain [k]; infinite where there is no limit."""

    unique_pretrain: float = np.inf
    """Unique general tokens."""

    @property
    def limits(self) -> dict[str, float]:
        """Unique tokens of each domain with a limit, and of `general`."""
        amounts = zip((*self.domains, GENERAL), (*self.unique, self.unique_pretrain), strict=True)
        return {name: float(number) for name, number in amounts if np.isfinite(number)}


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Losses at N = `params` under a law. D is [...] and D' is [..., k], in tokens."""

    fit: FitResult
    params: float
    setting: Setting

    def first(self, draws: int) -> "Surface":
        """The same with at most `draws` draws."""
        if self.fit.n_draws <= draws:
            return self
        return replace(self, fit=self.fit.first(draws))

    def losses(self, pretrain: Array, specialize: Array) -> Array:
        """Loss of each domain [..., k]; infinite where the law is."""
        return self._evaluated(self.fit.losses, pretrain, specialize)

    def drawn_losses(self, pretrain: Array, specialize: Array) -> Array:
        """The same under every draw [draws, ..., k]."""
        return self._evaluated(self.fit.drawn_losses, pretrain, specialize)

    def mean(self, pretrain: Array, specialize: Array) -> Array:
        """Weighted mean loss over domains [...]."""
        return np.asarray(self.losses(pretrain, specialize) @ self.setting.weights)

    def drawn_means(self, pretrain: Array, specialize: Array) -> Array:
        """The same under every draw [draws, ...]."""
        return np.asarray(self.drawn_losses(pretrain, specialize) @ self.setting.weights)

    def _evaluated(self, law: Callable[..., Array], pretrain: Array, specialize: Array) -> Array:
        s = self.setting
        general = np.asarray(pretrain, dtype=float)[..., None]
        unique = {
            "unique_pretrain": _unique(general, np.array(s.unique_pretrain)),
            "unique_specialize": _unique(specialize, s.unique),
        }
        return law(self.params, general, specialize, np.array(s.columns), **unique)


def _unique(tokens: Array, limit: Array) -> Array | None:
    """Different tokens among `tokens`; None where there is no limit."""
    return np.minimum(tokens, limit) if np.isfinite(limit).any() else None
