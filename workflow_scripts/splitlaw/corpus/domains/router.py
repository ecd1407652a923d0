"""The router assigns a text to a domain: naive Bayes on hashed words, saved as plain arrays.

Domains have equal prior probabilities, so that a text of any length goes to the domain in which its
words have the highest likelihood (McCallum and Nigam 1998).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.naive_bayes import MultinomialNB

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, read_json, write_json
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.domains.word_counts import COLUMNS, HASH_BITS, MAX_TEXT_BYTES, count_words

_TRAINING_BYTES = 8 << 20
"""Bytes of each domain to train on: over a million words, enough to estimate their frequencies."""
_SMOOTHING = 0.1
"""Added to each word's count; Laplace's 1 would outweigh the counts of rare words."""
SHORT_CHARACTERS = 200
"""Length of the short texts that the router's accuracy is also measured on."""


@dataclass(frozen=True, kw_only=True)
class Router:
    """Assigns texts to domains."""

    domains: tuple[str, ...]
    """The names of the domains."""
    log_likelihood: NDArray[np.float32]
    """Log-likelihood of each hashed word in each domain, `[domains, COLUMNS]`."""

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the log-likelihood of each text in each domain, `[texts, domains]`."""
        return self.scores_of_counts(self.count(texts))

    def count(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Count the hashed words of each text, `float32 [texts, COLUMNS]`."""
        return count_words([text.encode("utf-8", "replace") for text in texts])

    def scores_of_counts(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        """Return the log-likelihood of each row of counts in each domain, `[rows, domains]`."""
        return np.asarray(counts @ self._by_word)

    @cached_property
    def _by_word(self) -> NDArray[np.float32]:
        """`[COLUMNS, domains]`, contiguous: scipy would otherwise copy it for each product."""
        return np.ascontiguousarray(self.log_likelihood.T)

    def numbers(self, texts: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the number of the most likely domain of each text (UTF-8), `int64 [texts]`."""
        return self.scores_of_counts(count_words(texts)).argmax(axis=1)

    def route(self, texts: Sequence[str]) -> list[str]:
        """Return the most likely domain of each text."""
        return [self.domains[i] for i in self.scores(texts).argmax(axis=1)]

    def save(self, folder: Path, **accuracy: Any) -> None:
        """Write `router.npz`, and `router.json` with the given measurements, into `folder`."""
        with atomic_path(folder / "router.npz") as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, log_likelihood=self.log_likelihood)
        content = {
            "domains": list(self.domains),
            "hash_bits": HASH_BITS,
            "bytes_seen": MAX_TEXT_BYTES,
        }
        write_json(folder / "router.json", {**content, **accuracy})


def load_router(folder: Path) -> Router:
    """Open a saved router; raises `UserError` if it is missing or of another version."""
    domains = read_json(folder / "router.json")["domains"]
    try:
        with np.load(folder / "router.npz", allow_pickle=False) as arrays:
            log_likelihood = arrays["log_likelihood"]
    except (OSError, ValueError, KeyError) as cause:
        raise UserError(
            f"{folder}/router.npz: cannot be read ({cause}); run prepare_corpus"
        ) from None
    if log_likelihood.shape != (len(domains), COLUMNS):
        raise UserError(f"{folder}/router.npz: is of another version; run prepare_corpus again")
    return Router(domains=tuple(domains), log_likelihood=log_likelihood)


def make_router(corpus: Path, domains: Sequence[str]) -> None:
    """Train a router on the domains' training text and save it in `corpus/router`.

    `router.json` holds its accuracy on validation and test documents: overall, by domain, on the
    first `SHORT_CHARACTERS` of each document, and the confusion matrix.
    """
    router = train_router({domain: _training_texts(corpus, domain) for domain in domains})
    held_out = {
        domain: [
            text
            for split in ("validation", "test")
            for _, texts in read_documents(corpus, domain, split)
            for text in texts
        ]
        for domain in domains
    }
    router.save(corpus / "router", **measure_accuracy(router, held_out))


def train_router(texts: dict[str, Iterator[bytes]]) -> Router:
    """Fit a router on the texts of each domain; all domains have the same weight."""
    counts = [_total_counts(domain_texts) for domain_texts in texts.values()]
    stacked = sparse.vstack(counts).tocsr()
    size = np.asarray(stacked.sum(axis=1)).ravel()
    scaled = sparse.diags(size.mean() / size.clip(min=1)) @ stacked
    model = MultinomialNB(alpha=_SMOOTHING, fit_prior=False).fit(scaled, np.arange(len(counts)))
    return Router(domains=tuple(texts), log_likelihood=model.feature_log_prob_.astype(np.float32))


def _total_counts(texts: Iterator[bytes]) -> sparse.csr_matrix:
    """Return the word counts of all texts together, `[1, COLUMNS]`."""
    return sparse.csr_matrix(count_words(list(texts)).sum(axis=0))


def _training_texts(corpus: Path, domain: str) -> Iterator[bytes]:
    """Yield the beginnings of training documents, up to about `_TRAINING_BYTES` in all."""
    size = 0
    for _, texts in read_documents(corpus, domain, "train"):
        for text in texts:
            beginning = text.encode("utf-8")[:MAX_TEXT_BYTES]
            yield beginning
            size += len(beginning)
            if size > _TRAINING_BYTES:
                return


def measure_accuracy(router: Router, held_out: dict[str, list[str]]) -> dict[str, Any]:
    """Measure a router on texts of known domains; `held_out` has the texts of each domain."""
    confusion = {
        domain: {to: routed.count(to) for to in router.domains}
        for domain, texts in held_out.items()
        for routed in [router.route(texts)]
    }
    short_correct = {
        domain: router.route([text[:SHORT_CHARACTERS] for text in texts]).count(domain)
        for domain, texts in held_out.items()
    }
    documents = sum(map(len, held_out.values()))
    correct = sum(confusion[domain][domain] for domain in held_out)
    return {
        "held_out_documents": documents,
        "accuracy": correct / documents,
        "accuracy_by_domain": {d: confusion[d][d] / len(held_out[d]) for d in held_out},
        f"accuracy_on_{SHORT_CHARACTERS}_characters": sum(short_correct.values()) / documents,
        "confusion": confusion,
    }
