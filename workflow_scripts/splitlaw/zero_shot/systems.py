"""Several specialists as one system: who answers, and with what probability.

A *unit* is an item or a document: what the router sends as a whole. Log-likelihoods of tokens are
`[specialists, tokens]`, `owner` says which unit a token is of, `[tokens]`.

- `routed`: the specialist that the router finds likeliest.
- `oracle`: of each unit, the specialist that gives the text to be predicted the highest
  likelihood: for an item, the right answer. It knows the answer, so it is a bound for routers that
  pick one specialist a unit, not a system that anyone could run.
- `ensemble`: the probability of each next token is the mean of the specialists', weighted by the
  router (Gururangan et al. 2023, section 3.3).
- `single`: the one general model.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

ROUTED, ORACLE, ENSEMBLE, SINGLE = "routed", "oracle", "ensemble", "single"


def picked(values: Array, choice: Indices, owner: Indices) -> Array:
    """Token log-likelihoods where unit u is answered by specialist `choice[u]`, `[tokens]`."""
    return values[choice[owner], np.arange(values.shape[1])]


def mixed(values: Array, weights: Array, owner: Indices) -> Array:
    """Token log-likelihoods of the mixture with `weights`, `[units, specialists]`; `[tokens]`."""
    with np.errstate(divide="ignore"):
        weighted = values + np.log(weights).T[:, owner]
    top = weighted.max(0)
    return np.asarray(top + np.log(np.exp(weighted - top).sum(0)))


def systems(values: Array, *, weights: Array, gold: Array, owner: Indices) -> dict[str, Array]:
    """Token log-likelihoods of the three systems of several specialists, `[tokens]` each.

    `weights` are the router's probabilities, `[units, specialists]`; `gold` is each specialist's
    log-likelihood of what the unit should say, `[specialists, units]`.
    """
    return {
        ROUTED: picked(values, weights.argmax(1), owner),
        ORACLE: picked(values, gold.argmax(0), owner),
        ENSEMBLE: mixed(values, weights, owner),
    }
