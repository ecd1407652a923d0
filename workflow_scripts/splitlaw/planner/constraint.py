"""The budget of a plan in tokens, and a split that satisfies it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """c D + sum of D'_k <= tokens, and at least `min_tokens` seen by every specialist."""

    tokens: float
    """Tokens that the budget pays for at this size."""

    trunks: int
    """c: 1 for a shared trunk, K for independent ones."""

    pretrain: float | None = None
    """D where it is given and the budget does not pay for it (a base that exists)."""

    specialize: float | None = None
    """D' of every domain where it is given."""

    min_tokens: float = 0.0
    """Least D + D'_k."""

    def least(self, pretrain: Array) -> Array:
        """Least D'_k at each D."""
        return np.maximum(self.specialize or 0.0, self.min_tokens - pretrain)

    def left(self, pretrain: Array) -> Array:
        """Tokens of all domains together that the budget pays for at each D."""
        if self.pretrain is not None:
            return np.full(np.shape(pretrain), self.tokens)
        return np.maximum(0.0, self.tokens - self.trunks * pretrain)


@dataclass(frozen=True)
class Split:
    """A split of the budget, or one for each of r draws."""

    pretrain: Array
    """D, [] or [r]."""

    specialize: Array
    """D'_k, [k] or [r, k]."""

    mean: Array
    """Weighted mean loss, [] or [r]; infinite where no split is possible."""


def fraction(pretrain: Array, specialize: Array, trunks: int) -> Array:
    """General fraction c D / (c D + sum of D'_k) [...] of D [...], D'_k [..., k]."""
    general = trunks * np.asarray(pretrain)
    return np.asarray(general / np.maximum(general + specialize.sum(axis=-1), 1e-300))
