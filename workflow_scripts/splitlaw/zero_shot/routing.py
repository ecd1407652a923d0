"""Weights of the specialists: the scores of the corpus's router as calibrated probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from splitlaw.common.errors import UserError
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.domains.router import SHORT_CHARACTERS, Router, load_router

Array = npt.NDArray[np.float64]

MIN_WEIGHT = 0.01
"""Specialists of smaller weight are excluded from the ensemble: each costs a forward pass, and its
contribution to the mean probability is at most 1%."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A router with a temperature: naive Bayes treats words as independent and is overconfident."""

    router: Router | None
    """The router, whose domains may be in another order; None for a single domain."""
    domains: Sequence[str]
    """Domains in the order of the specialists."""
    temperature: float
    """Divisor of the router's log-likelihoods."""

    def of(self, texts: Sequence[str]) -> Array:
        """Weight of each domain for each text, `[texts, domains]`.

        Probabilities below `MIN_WEIGHT` are set to 0, and the rest is normalised to sum to 1.
        """
        if self.router is None:
            return np.ones((len(texts), 1))
        return self.of_counts(self.router.count(texts))

    def of_counts(self, counts: sparse.csr_matrix) -> Array:
        """Weights from the counts of the router's words, `[texts, domains]`."""
        assert self.router is not None, "a single domain has no router"
        scores = _in_order(self.router, self.domains, self.router.scores_of_counts(counts))
        weights = softmax(scores / self.temperature, 1)
        kept = np.where(weights < MIN_WEIGHT, 0.0, weights)
        return np.asarray(kept / kept.sum(1, keepdims=True))


def open_weights(folder: Path, corpus: Path, domains: Sequence[str]) -> Weights:
    """Open the router and fit its temperature to the first characters of validation documents.

    The temperature minimises the negative log-likelihood of the documents' own domains (Guo et al.
    2017), with equal weights of the domains. The first characters are about as long as an item.
    """
    if len(domains) == 1:
        return Weights(router=None, domains=domains, temperature=1.0)
    router = load_router(folder)
    if set(router.domains) != set(domains):
        raise UserError(
            f"{folder}/router.json: routes to {', '.join(router.domains)}, but the final models "
            f"are for {', '.join(domains)}; run prepare_corpus and train_final again"
        )
    scores = [
        _scores(router, domains, [text[:SHORT_CHARACTERS] for text in _validation(corpus, domain)])
        for domain in domains
    ]

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = [log_softmax(part / np.exp(log_temperature), 1) for part in scores]
        return -float(np.mean([part[:, place].mean() for place, part in enumerate(scaled)]))

    best = minimize_scalar(negative_log_likelihood, bounds=(0.0, np.log(100.0)), method="bounded")
    return Weights(router=router, domains=domains, temperature=float(np.exp(best.x)))


def _validation(corpus: Path, domain: str) -> list[str]:
    return [text for _, texts in read_documents(corpus, domain, "validation") for text in texts]


def _scores(router: Router, domains: Sequence[str], texts: Sequence[str]) -> Array:
    return _in_order(router, domains, router.scores(texts))


def _in_order(router: Router, domains: Sequence[str], scores: NDArray[np.float32]) -> Array:
    order = [router.domains.index(domain) for domain in domains]
    return scores[:, order].astype(np.float64)
