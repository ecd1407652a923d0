"""The points at which a law is evaluated, in units of a table's own middle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

LOG_ZERO = -1e4
"""The logarithm of no tokens: finite, so that 0 * log(0) is 0 in every gradient."""


@dataclass(frozen=True, kw_only=True)
class Units:
    """The reference point by which parameters, tokens and losses are divided.

    All of a fit happens in these units, so tokens counted in units or in billions give the
    same law. `Units()` is the user's own scale.
    """

    params: float = 1.0
    """Model parameters at the reference."""

    tokens: float = 1.0
    """Tokens at the reference, the same for general and domain tokens."""

    loss: float = 1.0
    """Loss at the reference, in nats per token."""


def _log(values: Array) -> Array:
    return np.log(values, where=values > 0, out=np.full(np.shape(values), LOG_ZERO))


@dataclass(frozen=True)
class Points:
    """Arrays (any shapes that broadcast) of what a form sees, in `Units`."""

    log_params: Array
    """log N."""

    pretrain: Array
    """D, effective where repeated."""

    specialize: Array
    """D', effective where repeated."""

    log_pretrain: Array
    log_specialize: Array
    log_total: Array
    """log (D + D')."""

    @classmethod
    def of(
        cls,
        params: ArrayLike,
        pretrain: ArrayLike,
        specialize: ArrayLike,
        units: Units | None = None,
    ) -> "Points":
        """Points at N = `params`, D = `pretrain`, D' = `specialize`, given in the user's scale."""
        unit = units or Units()
        n = np.asarray(params, dtype=float) / unit.params
        d = np.asarray(pretrain, dtype=float) / unit.tokens
        s = np.asarray(specialize, dtype=float) / unit.tokens
        return cls(np.log(n), d, s, _log(d), _log(s), _log(d + s))

    def take(self, rows: Indices | Mask) -> "Points":
        """The points at `rows` of one-dimensional arrays."""
        return Points(
            self.log_params[rows],
            self.pretrain[rows],
            self.specialize[rows],
            self.log_pretrain[rows],
            self.log_specialize[rows],
            self.log_total[rows],
        )
