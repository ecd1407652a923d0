"""The choice of models for a prompt: a specialist, several of them, or the general model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, read_json, write_json
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.domains.router import SHORT_CHARACTERS, Router
from splitlaw.corpus.domains.word_counts import COLUMNS, HASH_BITS
from splitlaw.experiment.lineage import GENERAL
from splitlaw.zero_shot.routing import Weights, open_weights

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.9
"""Default probability of a domain from which on its specialist answers alone."""
RARE = 0.01
"""Quantile of the validation texts below which the words of a text are too unlikely for all
domains: of the text of the domains, about this share is sent to the general model."""
ROUTING, ROUTER = "routing.json", "router.safetensors"


@dataclass(frozen=True, kw_only=True)
class Routing:
    """A router, and when to use one specialist, several, or the general model."""

    weights: Weights
    """Calibrated probabilities of the domains."""
    confidence: float
    """A prompt is for one specialist if its domain has at least this probability. Otherwise the
    specialists are an ensemble with the probabilities as weights."""
    least_log_likelihood: float
    """A prompt is of no domain if the mean log-likelihood of its words, each in the domain in which
    it is the most likely, is below this, in nats; so is a prompt without words."""

    @property
    def models(self) -> list[str]:
        """Names of the models: the domains, then `general`."""
        return [*self.weights.domains, GENERAL]

    def of(self, prompts: Sequence[str]) -> Array:
        """Weight of each model for each prompt, `[prompts, models]`; a row sums to 1."""
        router = self.weights.router
        assert router is not None, "a routed model has several specialists"
        counts = router.count(prompts)
        probability = self.weights.of_counts(counts)
        alone = probability.max(1) >= self.confidence
        one = np.eye(probability.shape[1])[probability[alone].argmax(1)]
        result = np.zeros((len(prompts), len(self.models)))
        result[:, :-1] = probability
        result[alone, :-1] = one
        none = _mean_log_likelihood(self._of_word, counts) < self.least_log_likelihood
        result[none] = np.eye(len(self.models))[-1]
        return result

    @cached_property
    def _of_word(self) -> NDArray[np.float32]:
        assert self.weights.router is not None
        return self.weights.router.log_likelihood.max(axis=0)

    def save(self, folder: Path) -> None:
        """Write `routing.json` and `router.safetensors` into `folder`."""
        router = self.weights.router
        assert router is not None, "a routed model has several specialists"
        with atomic_path(folder / ROUTER) as temporary:
            save_file({"log_likelihood": router.log_likelihood}, temporary)
        content = {
            "domains": list(self.weights.domains),
            "router_domains": list(router.domains),
            "hash_bits": HASH_BITS,
            "temperature": self.weights.temperature,
            "confidence": self.confidence,
            "least_log_likelihood": self.least_log_likelihood,
        }
        write_json(folder / ROUTING, content)


def _mean_log_likelihood(of_word: NDArray[np.float32], counts: sparse.csr_matrix) -> Array:
    """Mean of `of_word` over the words of each text, `[texts]`; -inf without words."""
    words = np.asarray(counts.sum(axis=1), dtype=float).ravel()
    total = np.asarray(counts @ of_word, dtype=float)
    return np.where(words > 0, total / np.maximum(words, 1), -np.inf)


def fit_routing(
    folder: Path, corpus: Path, domains: Sequence[str], *, confidence: float = CONFIDENCE
) -> Routing:
    """Open the corpus's router and fit what it needs on the beginnings of validation documents.

    The temperature is that of `open_weights`. `least_log_likelihood` is the quantile `RARE` of the
    documents. Raises `UserError` where router or corpus is missing or of other domains.
    """
    weights = open_weights(folder, corpus, domains)
    assert weights.router is not None
    texts = [
        text[:SHORT_CHARACTERS]
        for domain in domains
        for _, batch in read_documents(corpus, domain, "validation")
        for text in batch
    ]
    of_word = weights.router.log_likelihood.max(axis=0)
    found = _mean_log_likelihood(of_word, weights.router.count(texts))
    least = float(np.quantile(found[np.isfinite(found)], RARE))
    return Routing(weights=weights, confidence=confidence, least_log_likelihood=least)


def load_routing(folder: Path, *, confidence: float | None = None) -> Routing:
    """Read what `Routing.save` wrote, with another `confidence` if one is given.

    Raises `UserError` if it is missing or damaged.
    """
    about = read_json(folder / ROUTING)
    file = folder / ROUTER
    try:
        log_likelihood = load_file(file)["log_likelihood"]
        router = Router(domains=tuple(about["router_domains"]), log_likelihood=log_likelihood)
        weights = Weights(router=router, domains=about["domains"], temperature=about["temperature"])
        routing = Routing(
            weights=weights,
            confidence=about["confidence"] if confidence is None else confidence,
            least_log_likelihood=about["least_log_likelihood"],
        )
    except FileNotFoundError:
        raise UserError(f"{file}: the router is missing; export the models again") from None
    except (OSError, KeyError, SafetensorError) as cause:
        raise UserError(f"{folder}: its router cannot be read ({cause}); export again") from None
    if log_likelihood.shape != (len(router.domains), COLUMNS):
        raise UserError(f"{file}: is of another version; export the models again")
    return routing
