"""Prompts that are continued together by the models that each is routed to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, logsumexp
from torch import Tensor

from splitlaw.delivery.decoding import draw_token
from splitlaw.delivery.rows import ModelRows
from splitlaw.delivery.text import Continuation

Array = npt.NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class Running:
    """A prompt that is being continued."""

    text: Continuation
    """The text generated so far."""
    weights: Mapping[str, float]
    """Positive weights of the models that answer."""
    numbers: Mapping[str, int]
    """Number of the text among those of each model."""
    generator: np.random.Generator
    last: int = -1
    """The token drawn last, which the models have not read."""

    def draw(self, logits: Sequence[Tensor]) -> None:
        """Draw the next token from the logits of the models, `[vocabulary]` each."""
        found = [log_softmax(one.double().numpy()) for one in logits]
        if len(found) > 1:
            # As in `splitlaw.zero_shot.systems`, probabilities are averaged.
            scale = np.log(list(self.weights.values()))[:, None]
            found = [np.asarray(logsumexp(np.stack(found) + scale, axis=0))]
        self.last = draw_token(found[0], self.text.sampling, self.generator)
        self.text.add(self.last)


class Batch:
    """Continues prompts, a token of each at a time.

    A model reads the next tokens of all prompts that it answers at once, also of those that other
    models answer too. A continuation has the same bits whatever else is in the batch.
    """

    def __init__(self, rows: Mapping[str, ModelRows]) -> None:
        """`rows` are the rows of each model, without any text."""
        self._rows = rows
        self._running: list[Running] = []

    def begin(
        self, text: Continuation, prompt: Sequence[int], weights: Mapping[str, float]
    ) -> Running:
        """Read a prompt and draw its first token; `weights` are positive and sum to 1."""
        numbers: dict[str, int] = {}
        logits: list[Tensor] = []
        try:
            for name in weights:
                numbers[name], found = self._rows[name].begin(prompt)
                logits.append(found)
        except Exception:
            for name, number in numbers.items():
                self._rows[name].end(number)
            raise
        generator = np.random.default_rng(text.sampling.seed)
        one = Running(text=text, weights=weights, numbers=numbers, generator=generator)
        one.draw(logits)
        self._running.append(one)
        return one

    def step(self) -> None:
        """Draw a token of every prompt that is not finished."""
        going = [one for one in self._running if not one.text.finished]
        found = {
            name: rows.step({one.numbers[name]: one.last for one in going if name in one.numbers})
            for name, rows in self._rows.items()
        }
        for one in going:
            one.draw([found[name][number] for name, number in one.numbers.items()])

    def end(self, one: Running) -> None:
        """Remove a prompt, finished or not."""
        self._running.remove(one)
        for name, number in one.numbers.items():
            self._rows[name].end(number)
