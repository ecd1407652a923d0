"""Systems: ways to combine several specialists.

A *unit* is an item or a document, which is routed as a whole. Log-likelihoods of tokens are
`[specialists, tokens]`; `owner` is the number of each token's unit, `[tokens]`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

ROUTED = "routed"
"""For each unit, the specialist to which the router gives the largest weight."""
ORACLE = "oracle"
"""For each unit, the specialist with the highest likelihood of the text to predict: the right
answer of an item, or the whole document. It uses the answer, so it is not a system that can be run,
but a bound for routers that select one specialist per unit."""
ENSEMBLE = "ensemble"
"""The probability of each next token is the mean over the specialists, weighted by the router
(Gururangan et al. 2023, section 3.3)."""
UNSCALED = "ensemble at temperature 1"
"""The ensemble weighted by the router's own probabilities. It is compared with `ENSEMBLE`, whose
temperature is fitted, and is not a system of the tables."""
SINGLE = "single"
"""The single general model."""


def selected(values: Array, choice: Indices, owner: Indices) -> Array:
    """Token log-likelihoods, `[tokens]`, with specialist `choice[u]` for unit u."""
    return values[choice[owner], np.arange(values.shape[1])]


def mixed(values: Array, weights: Array, owner: Indices) -> Array:
    """Token log-likelihoods, `[tokens]`, of the mixture with `weights`, `[units, specialists]`."""
    with np.errstate(divide="ignore"):
        weighted = values + np.log(weights).T[:, owner]
    top = weighted.max(0)
    return np.asarray(top + np.log(np.exp(weighted - top).sum(0)))


def systems(values: Array, *, weights: Array, gold: Array, owner: Indices) -> dict[str, Array]:
    """Token log-likelihoods of the three systems of several specialists, `[tokens]` each.

    `weights` are those of the router, `[units, specialists]`; `gold` is the log-likelihood of the
    right text of each unit, `[specialists, units]`.
    """
    return {
        ROUTED: selected(values, weights.argmax(1), owner),
        ORACLE: selected(values, gold.argmax(0), owner),
        ENSEMBLE: mixed(values, weights, owner),
    }
