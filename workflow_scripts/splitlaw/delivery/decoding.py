"""Continuation of prompts, token by token, by one model or by an ensemble of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax, logsumexp
from transformers import DynamicCache, PreTrainedModel

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
            raise ValueError(f"max_tokens is {self.max_tokens}; give at least 1")
        if not 0 <= self.temperature < np.inf:
            raise ValueError(f"temperature is {self.temperature}; give 0 or a positive number")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; give a number above 0 and at most 1")


class Decoder:
    """Next-token log-probabilities of a batch of prompts, with the keys and values of the past.

    Several models are mixed as in `splitlaw.zero_shot.systems`: the probability of a token is the
    weighted mean over the models.
    """

    def __init__(
        self,
        models: Sequence[PreTrainedModel],
        weights: Array,
        prompts: Sequence[Sequence[int]],
    ) -> None:
        """`weights` are positive, `[prompts, models]`; a prompt has at least one token."""
        assert weights.shape == (len(prompts), len(models)) and (weights > 0).all()
        self.models, self.weights = models, weights
        self.caches = [DynamicCache(config=model.config) for model in models]
        # Prompts end at the same place: the beginning of shorter ones is padding.
        longest = max(map(len, prompts))
        self._mask = np.zeros((len(prompts), longest), dtype=np.int64)
        self._next = np.zeros((len(prompts), longest), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            self._next[row, longest - len(prompt) :] = prompt
            self._mask[row, longest - len(prompt) :] = 1

    @torch.inference_mode()
    def log_probabilities(self) -> Array:
        """Log-probabilities of the next token, `[prompts, vocabulary]`."""
        pairs = zip(self.models, self.caches, strict=True)
        found = [self._read(model, cache) for model, cache in pairs]
        if len(found) == 1:
            return found[0]
        weights = np.log(self.weights.T)[:, :, None]
        return np.asarray(logsumexp(np.stack(found) + weights, axis=0))

    def _read(self, model: PreTrainedModel, cache: DynamicCache) -> Array:
        device = model.device
        positions = np.maximum(self._mask.cumsum(1) - 1, 0)[:, -self._next.shape[1] :]
        logits = model(
            input_ids=torch.from_numpy(self._next).to(device),
            attention_mask=torch.from_numpy(self._mask).to(device),
            position_ids=torch.from_numpy(positions).to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        return np.asarray(log_softmax(logits.double().cpu().numpy(), axis=1))

    def append(self, tokens: Sequence[int]) -> None:
        """Add one token to every prompt."""
        self._next = np.array(tokens, dtype=np.int64)[:, None]
        self._mask = np.concatenate([self._mask, np.ones_like(self._next)], axis=1)


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
    order = np.argsort(-probability, kind="stable")
    total = probability[order].cumsum()
    kept = min(int(np.searchsorted(total, sampling.top_p)) + 1, len(order))
    place = int(np.searchsorted(total[:kept], uniform * total[kept - 1], side="right"))
    return int(order[min(place, kept - 1)])
