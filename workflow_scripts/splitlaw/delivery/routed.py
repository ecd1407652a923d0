"""The routed model: K specialists and a general model that are used as one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from splitlaw.common.errors import UserError
from splitlaw.delivery.batch import Batch, Running
from splitlaw.delivery.decoding import Sampling
from splitlaw.delivery.final_folder import check_models, context_of
from splitlaw.delivery.routing import ROUTING, Routing, load_routing
from splitlaw.delivery.rows import ModelRows, count_rows
from splitlaw.delivery.text import Continuation, Text
from splitlaw.experiment.lineage import GENERAL
from splitlaw.training.evaluation import windows_of
from splitlaw.zero_shot.documents import window_requests
from splitlaw.zero_shot.models import open_model
from splitlaw.zero_shot.scoring import log_likelihoods, pack, sums
from splitlaw.zero_shot.systems import mixed

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Array = npt.NDArray[np.float64]
Request = tuple[Sequence[int], Sequence[int]]

_TOGETHER = 64
"""Prompts that `generate` continues at a time, which bounds the memory of keys and values."""


class RoutedModel:
    """Specialists with a router, or a single model, which then answers everything.

    Every prompt is routed by its own text: to one specialist where the router is sure of the
    domain, to the general model where the text is of no domain, and otherwise to an ensemble, whose
    next-token probabilities are the mean over the specialists, weighted by the router.
    """

    def __init__(
        self,
        models: Mapping[str, PreTrainedModel],
        text: Text,
        routing: Routing | None = None,
        *,
        context: int,
    ) -> None:
        """`models` are in the order of `routing.models`, or one model without `routing`.

        `context` is the largest number of tokens that they read.
        """
        assert list(models) == (routing.models if routing else [GENERAL])
        self.models = models
        self.text = text
        self.routing = routing
        self._row_counts: dict[str, dict[int, int]] = {name: {} for name in models}
        self.context = context

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        *,
        device: torch.device | str = "cpu",
        confidence: float | None = None,
    ) -> RoutedModel:
        """Open a folder that `splitlaw export` wrote, or a folder of one model.

        Parameters
        ----------
        folder
            The folder. Weights are read from safetensors, and no code is run from it.
        device
            Device of all models.
        confidence
            Probability of a domain from which on its specialist answers alone; by default the one
            that was exported.

        Raises
        ------
        UserError
            If the folder is neither, if its models do not belong together or are of an architecture
            that cannot be continued in batches, or if there is no such device.

        """
        path = Path(folder)
        routing = None
        folders = {GENERAL: path}
        if (path / ROUTING).is_file():
            routing = load_routing(path, confidence=confidence)
            folders = {name: path / name for name in routing.models}
        elif not (path / "config.json").is_file():
            raise UserError(
                f"{path}: has neither routing.json nor config.json; give a folder that splitlaw "
                "export wrote, or that of a model"
            )
        check_models(list(folders.values()))
        _check_device(device)
        models = {name: open_model(place, device) for name, place in folders.items()}
        text, context = Text.open(folders[GENERAL]), context_of(list(folders.values()))
        # Models that are used together have one architecture.
        one = next(iter(models.values()))
        count_rows(one, context)
        return cls(models, text, routing, context=context)

    @property
    def domains(self) -> list[str]:
        """Domains of the specialists; empty for a single model."""
        return [name for name in self.models if name != GENERAL]

    def route(self, prompts: Sequence[str]) -> Array:
        """Weight of each of `models` for each prompt, `[prompts, models]`; a row sums to 1."""
        return self.routing.of(prompts) if self.routing else np.ones((len(prompts), 1))

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """Continue prompts, which may be of different domains.

        A model reads all prompts that it answers as one batch. Prompt i is continued with the seed
        `seed + i`, and its continuation is bit for bit the same alone with that seed.

        Parameters
        ----------
        prompts
            Texts. The last `context - max_tokens` tokens of each are read.
        max_tokens
            Largest number of tokens to generate; half the context by default.
        temperature
            Divisor of the log-probabilities; 0 selects the most probable token.
        top_p
            Tokens are drawn from the most probable ones that have this probability together.
        seed
            Seed of the draws.
        stop
            Texts before which a continuation ends.

        """
        several = [
            Sampling(
                max_tokens=self.longest(max_tokens),
                temperature=temperature,
                top_p=top_p,
                seed=seed + number,
                stop=tuple(stop),
            )
            for number in range(len(prompts))
        ]
        weights = self.route(prompts)
        result = [""] * len(prompts)
        batch, waiting = self.batch(), list(range(len(prompts)))[::-1]
        running: dict[int, Running] = {}
        while waiting or running:
            while waiting and len(running) < _TOGETHER:
                row = waiting.pop()
                running[row] = self.begin(batch, prompts[row], several[row], weights[row])
            batch.step()
            for row, one in list(running.items()):
                if one.text.finished:
                    result[row] = one.text.text
                    batch.end(running.pop(row))
        return result

    def stream(self, prompt: str, sampling: Sampling) -> Iterator[Continuation]:
        """Continue one prompt; yields the continuation so far after every token."""
        batch = self.batch()
        one = self.begin(batch, prompt, sampling, self.route([prompt])[0])
        yield one.text
        while not one.text.finished:
            batch.step()
            yield one.text

    def batch(self) -> Batch:
        """An empty batch for `begin`."""
        pairs = self.models.items()
        return Batch({k: ModelRows(one, self.context, self._row_counts[k]) for k, one in pairs})

    def begin(self, batch: Batch, prompt: str, sampling: Sampling, weights: Array) -> Running:
        """Begin to continue a prompt in a batch; `weights` are those of `route`, `[models]`."""
        text = Continuation(self.text, sampling)
        tokens = self.text.encode(prompt)[-(self.context - sampling.max_tokens) :]
        text.read = len(tokens)
        pairs = zip(self.models, weights, strict=True)
        return batch.begin(text, tokens, {name: float(weight) for name, weight in pairs if weight})

    def longest(self, max_tokens: int | None) -> int:
        """The number of tokens to generate; `UserError` where it leaves no room for a prompt."""
        if max_tokens is None:
            return self.context // 2
        if not 1 <= max_tokens < self.context:
            raise UserError(
                f"max_tokens is {max_tokens}; give 1 to {self.context - 1}, because the model "
                f"reads {self.context} tokens"
            )
        return max_tokens

    def loglikelihood(self, requests: Sequence[tuple[str, str]]) -> list[float]:
        """Log-likelihood of continuations, each routed by the context before it.

        Parameters
        ----------
        requests
            (context, continuation) pairs; an empty context is of no domain. Contexts that are too
            long are cut at the left.

        Returns
        -------
        list of float
            Natural logarithm of the probability of each continuation, in nats.

        Raises
        ------
        UserError
            For a continuation without tokens, or with more than the model reads.

        """
        encoded = [self.text.encode_pair(*request, limit=self.context) for request in requests]
        weights = self.route([context for context, _ in requests])
        tokens, bounds = self.token_log_likelihoods(encoded, np.arange(len(encoded)), weights)
        return list(sums(tokens, bounds))

    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[float]:
        """Log-likelihood of whole texts in nats, each routed by its own text.

        Every token is predicted once, from at most a context before it, in the windows in which
        losses are evaluated (`splitlaw.training.evaluation`).
        """
        documents = [np.array(self.text.encode(text), dtype=np.int64) for text in texts]
        if any(len(document) < 2 for document in documents):
            raise UserError("a text has no tokens; leave empty texts out")
        windows = windows_of(documents, [0] * len(texts), context=self.context)
        requests = window_requests(windows.inputs, windows.targets)
        tokens, bounds = self.token_log_likelihoods(requests, windows.document, self.route(texts))
        return list(np.bincount(windows.document, sums(tokens, bounds), minlength=len(texts)))

    def token_log_likelihoods(
        self, requests: Sequence[Request], unit: npt.NDArray[np.int64], weights: Array
    ) -> tuple[Array, npt.NDArray[np.int64]]:
        """Log-likelihoods of all tokens to predict, and the bounds of the requests among them.

        `unit` is the row of `weights` of each request. A model reads only the requests for which
        it has a weight.
        """
        lengths = np.array([len(answer) for _, answer in requests], dtype=np.int64)
        bounds = np.concatenate(([0], np.cumsum(lengths)))
        values = np.zeros((weights.shape[1], bounds[-1]))
        for number, model in enumerate(self.models.values()):
            mine = np.flatnonzero(weights[unit, number] > 0)
            if len(mine):
                packed = pack([requests[int(place)] for place in mine], context=self.context)
                chosen = np.isin(np.repeat(np.arange(len(requests)), lengths), mine)
                values[number, chosen] = log_likelihoods(model, packed)
        return mixed(values, weights, np.repeat(unit, lengths)), bounds


def _check_device(device: torch.device | str) -> None:
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as cause:  # the latter without a build for CUDA
        reason = str(cause).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"device {device}: cannot be used ({reason}); give cpu, or cuda on a machine with a GPU"
        ) from None
