"""The points at which a law is evaluated, in units of a table's own middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Units:
    """The reference point by which parameters, tokens and losses are divided.

    All of a fit happens in these units, so tokens counted in units or in billions give the
    same law, and D and D' of very different amounts (fine-tuning) are both near 1. `Units()` is
    the user's own scale.
    """

    params: float = 1.0
    """Model parameters at the reference."""

    pretrain: float = 1.0
    """General tokens D at the reference."""

    specialize: float = 1.0
    """Domain tokens D' at the reference."""

    tokens: float = 1.0
    """D + D' at the reference."""

    loss: float = 1.0
    """Loss at the reference, in nats per token."""


@dataclass(frozen=True)
class Points:
    """N, D, D' and D + D' in `Units`, with passes over the text; arrays that broadcast.

    The fields are what a form is a function of, so they may also be `Dual` or `Expression`.
    """

    N: Any
    D: Any
    S: Any
    """D'."""
    T: Any
    """Tokens of both stages together, with the replayed ones."""
    pretrain_passes: Any = 1.0
    """D over its unique tokens, at least 1."""
    specialize_passes: Any = 1.0
    """D' over its unique tokens, at least 1."""
    replay: Any = 0.0
    """Share r of general tokens among those of a branch."""
    R: Any = 0.0
    """General tokens of the branch, r D' / (1 - r), in units of D."""

    @classmethod
    def of(
        cls,
        units: Units,
        params: ArrayLike,
        pretrain: ArrayLike,
        specialize: ArrayLike,
        unique_pretrain: ArrayLike | None = None,
        unique_specialize: ArrayLike | None = None,
        replay: ArrayLike = 0.0,
    ) -> Points:
        """Points given in the user's scale; all tokens are unique by default."""
        n, d, s = (np.asarray(v, dtype=float) for v in (params, pretrain, specialize))
        share = np.asarray(replay, dtype=float) + np.zeros_like(s)
        replayed = s * (share / (1 - share))
        return cls(
            n / units.params,
            d / units.pretrain,
            s / units.specialize,
            (d + s + replayed) / units.tokens,
            passes(d, unique_pretrain),
            passes(s, unique_specialize),
            share,
            replayed / units.pretrain,
        )

    def take(self, rows: Indices | Mask) -> Points:
        """The points at `rows` of one-dimensional arrays."""
        return Points(*(np.asarray(value)[rows] for value in vars(self).values()))

    @property
    def compact(self) -> Points:
        """The same points, with one value in each field whose values are all the same.

        Powers of it, of N at one size for instance, are then computed once.
        """
        return Points(*(v[:1] if (v == v[0]).all() else v for v in vars(self).values()))


def passes(tokens: Array, unique: ArrayLike | None) -> Array:
    """How often each unique token is seen, at least 1."""
    if unique is None:
        return np.ones_like(tokens)
    u = np.asarray(unique, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.where(u > 0, tokens / u, 1.0)
    return np.maximum(np.where(np.isfinite(seen), seen, 1.0), 1.0)
