"""How the tokens of a continuation are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitlaw.common.errors import UserError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a prompt is continued."""

    max_tokens: int
    """Largest number of tokens to generate."""
    temperature: float = 1.0
    """Divisor of the log-probabilities; 0 selects the most probable token."""
    top_p: float = 1.0
    """Tokens are drawn from the most probable ones that have this probability together."""
    seed: int = 0
    """Seed of the draws."""
    stop: tuple[str, ...] = ()
    """Texts before which the continuation ends."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UserError(f"max_tokens is {self.max_tokens}; give at least 1")
        if not 0 <= self.temperature < np.inf:
            raise UserError(f"temperature is {self.temperature}; give 0 or a positive number")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p is {self.top_p}; give a number above 0 and at most 1")
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}; give 0 or a positive number")


def draw_token(log_probabilities: Array, sampling: Sampling, generator: np.random.Generator) -> int:
    """Draw a token from log-probabilities, `[vocabulary]`.

    One number is drawn from `generator` for each token, whatever the settings.
    """
    uniform = generator.random()
    if sampling.temperature == 0:
        return int(log_probabilities.argmax())
    scaled = log_probabilities / sampling.temperature
    probability = np.exp(scaled - scaled.max())
    probability /= probability.sum()
    if sampling.top_p == 1:
        order, kept = None, len(probability)  # any order will do, and sorting takes most time
        total = probability.cumsum()
    else:
        order = np.argsort(-probability, kind="stable")
        total = probability[order].cumsum()
        kept = min(int(np.searchsorted(total, sampling.top_p)) + 1, len(order))
    place = int(np.searchsorted(total[:kept], uniform * total[kept - 1], side="right"))
    place = min(place, kept - 1)
    return place if order is None else int(order[place])
