"""What tokens that are seen again are worth."""

import numpy as np
from numpy.typing import ArrayLike

from splitlaw.laws.points import Array

REPETITIONS = 15.387756
"""R*_D of Muennighoff et al. 2023 (arXiv:2305.16264), table of section 5."""


def effective_tokens(tokens: ArrayLike, unique: ArrayLike, repetitions: float) -> Array:
    """Unique tokens that would teach as much as `tokens` of which `unique` differ.

    U + U R (1 - exp(-(T / U - 1) / R)) for T > U, after equation 5 of Muennighoff et al. 2023:
    the first passes are worth nearly as much as new text, and all together no more than
    U (1 + R). Arrays broadcast; tokens in, tokens out.
    """
    t, u = np.broadcast_arrays(np.asarray(tokens, float), np.asarray(unique, float))
    again = np.maximum(t / np.where(u > 0, u, 1.0) - 1, 0.0)
    return np.where(t > u, u * (1 - repetitions * np.expm1(-again / repetitions)), t)


def marginal_worth(tokens: ArrayLike, unique: ArrayLike, repetitions: float) -> Array:
    """The derivative of `effective_tokens` by `tokens`: 1 for new text, then falling."""
    t, u = np.broadcast_arrays(np.asarray(tokens, float), np.asarray(unique, float))
    again = np.maximum(t / np.where(u > 0, u, 1.0) - 1, 0.0)
    return np.where(t > u, np.exp(-again / repetitions), 1.0)
