"""Losses, parameters, memory and speed of an exported folder, used as one system."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from splitlaw.corpus.domains.router import SHORT_CHARACTERS
from splitlaw.delivery.experts import active_params
from splitlaw.delivery.final_folder import FinalFolder
from splitlaw.delivery.routed import RoutedModel
from splitlaw.training.evaluation import DocumentLosses, load_documents
from splitlaw.zero_shot.documents import first_texts

Array = npt.NDArray[np.float64]

MIXED = "mixed"
"""Name of the documents that are half of one domain and half of another. A domain of this name
would need another one for them."""
MIXED_DOCUMENTS = 40
"""Mixed documents of a pair of domains: 200 with five domains, as many as test documents."""
_PROMPTS = 12
_PROMPT_CHARACTERS = 100
"""Prompts whose continuation is timed, and their length."""


@dataclass(frozen=True, kw_only=True)
class HeldOutTexts:
    """Texts by domain, and mixed ones."""

    texts: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, final: FinalFolder, *, characters: int | None) -> HeldOutTexts:
        """The test documents of the final models, cut to `characters`, and mixed documents.

        A mixed document is the beginning of a document of one domain and that of one of the next
        domain, `SHORT_CHARACTERS` of each.
        """
        counts = load_documents(final.specialists[0] / "documents.npz")
        texts: dict[str, Sequence[str]] = {}
        for domain in final.domains:
            count = len(counts[domain].tokens)
            texts[domain] = first_texts(final.results / "corpus", domain, count, characters)
        texts[MIXED] = _mixed_texts(texts)
        return cls(texts=texts)


def _mixed_texts(texts: Mapping[str, Sequence[str]]) -> list[str]:
    domains = list(texts)
    following = islice(cycle(domains), 1, len(domains) + 1)
    return [
        f"{first[:SHORT_CHARACTERS]}\n\n{second[:SHORT_CHARACTERS]}"
        for one, other in zip(domains, following, strict=True)
        for first, second in islice(zip(texts[one], texts[other], strict=False), MIXED_DOCUMENTS)
    ]


def document_losses(model: RoutedModel, texts: Sequence[str]) -> DocumentLosses:
    """Losses of a system on texts, each routed by itself."""
    tokens = [len(model.text.encode(text)) - 1 for text in texts]
    return DocumentLosses(
        nats=-np.array(model.loglikelihood_rolling(texts)),
        tokens=np.array(tokens, dtype=float),
        bytes=np.array([len(text.encode("utf-8")) for text in texts], dtype=float),
    )


def system_rows(model: RoutedModel, held: HeldOutTexts) -> list[dict[str, Any]]:
    """A row for each kind of text: losses, and the numbers that belong to the system as a whole."""
    losses: dict[str, DocumentLosses] = {}
    active = tokens = 0.0
    each = np.array([active_params(one) for one in model.models.values()])
    began = time.perf_counter()
    for name, texts in held.texts.items():
        losses[name] = document_losses(model, texts)
    seconds = time.perf_counter() - began
    for name, texts in held.texts.items():
        used = (model.route(texts) > 0) @ each
        active += float(used @ losses[name].tokens)
        tokens += float(losses[name].tokens.sum())
    about = {
        "params_stored": sum(_size(one) for one in model.models.values()),
        "params_active": round(active / tokens),
        "tokens_per_second": tokens / seconds,
        "generated_per_second": generation_speed(model, held),
        "memory_mb": memory(model) / 1e6,
    }
    return [
        {
            "domain": name,
            "loss": found.loss,
            "loss_stderr": found.stderr,
            "bits_per_byte": found.bits_per_byte,
            **about,
        }
        for name, found in losses.items()
    ]


def _size(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def memory(model: RoutedModel) -> int:
    """Bytes of the parameters of all models and of the router."""
    total = sum(
        parameter.numel() * parameter.element_size()
        for one in model.models.values()
        for parameter in one.parameters()
    )
    router = model.routing.weights.router if model.routing else None
    return total + (2 * router.log_likelihood.nbytes if router else 0)  # in two orders


def generation_speed(model: RoutedModel, held: HeldOutTexts) -> float:
    """Tokens generated per second, one prompt after another, of all kinds of text."""
    kinds = list(held.texts.values())
    prompts = [
        kinds[number % len(kinds)][number // len(kinds)][:_PROMPT_CHARACTERS]
        for number in range(_PROMPTS)
        if number // len(kinds) < len(kinds[number % len(kinds)])
    ]
    model.generate(prompts[:1], max_tokens=2)  # the first call is slower than all others
    began = time.perf_counter()
    generated = 0
    for number, prompt in enumerate(prompts):
        text = model.generate([prompt], seed=number)[0]
        generated += len(model.text.encode(text)) - 1
    return generated / (time.perf_counter() - began)
