"""How sure the corpus's router may be: its scores as probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from splitlaw.common.errors import UserError
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.domains.router import SHORT_CHARACTERS, Router, load_router

Array = npt.NDArray[np.float64]

LEAST = 0.01
"""Specialists of less weight are left out of the ensemble."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A router with a temperature, for naive Bayes is too sure: every word is new evidence."""

    router: Router | None
    """Its domains may stand in another order than ours; None where there is one domain."""
    domains: Sequence[str]
    """The order of the specialists."""
    temperature: float
    """Divides the router's log-likelihoods."""

    def of(self, texts: Sequence[str]) -> Array:
        """Weight of each domain for each text, `[texts, domains]`: its probability, or 0.

        What is below `LEAST` is left out and the rest adds up to 1.
        """
        if self.router is None:
            return np.ones((len(texts), 1))
        weights = softmax(_scores(self.router, self.domains, texts) / self.temperature, 1)
        kept = np.where(weights < LEAST, 0.0, weights)
        return np.asarray(kept / kept.sum(1, keepdims=True))


def open_weights(folder: Path, corpus: Path, domains: Sequence[str]) -> Weights:
    """Open the router and fit its temperature on the beginnings of validation documents.

    The temperature minimises the negative log-likelihood of the documents' own domains (Guo et al.
    2017), the domains weighing the same; beginnings of `SHORT_CHARACTERS` are about as long as a
    benchmark's item.
    """
    if len(domains) == 1:
        return Weights(router=None, domains=domains, temperature=1.0)
    router = load_router(folder)
    if set(router.domains) != set(domains):
        raise UserError(
            f"{folder}/router.json: routes to {', '.join(router.domains)}, the final models are of "
            f"{', '.join(domains)}; run prepare_corpus and train_final again"
        )
    scores = [
        _scores(router, domains, [text[:SHORT_CHARACTERS] for text in _validation(corpus, domain)])
        for domain in domains
    ]

    def surprise(log_temperature: float) -> float:
        scaled = [log_softmax(part / np.exp(log_temperature), 1) for part in scores]
        return -float(np.mean([part[:, place].mean() for place, part in enumerate(scaled)]))

    best = minimize_scalar(surprise, bounds=(0.0, np.log(100.0)), method="bounded")
    return Weights(router=router, domains=domains, temperature=float(np.exp(best.x)))


def _validation(corpus: Path, domain: str) -> list[str]:
    return [text for _, texts in read_documents(corpus, domain, "validation") for text in texts]


def _scores(router: Router, domains: Sequence[str], texts: Sequence[str]) -> Array:
    order = [router.domains.index(domain) for domain in domains]
    return router.scores(texts)[:, order].astype(np.float64)
