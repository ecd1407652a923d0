"""A router sends a text to its domain: naive Bayes on hashed words, saved as plain arrays.

With uniform class probabilities, a text of any length is sent where its words are likeliest
(McCallum and Nigam 1998).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.naive_bayes import MultinomialNB

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, read_json, write_json
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.domains.word_counts import BITS, COLUMNS, SEEN, word_counts

_DOMAIN_BYTES = 8 << 20
_SMOOTHING = 0.1
SHORT_CHARACTERS = 200
"""Characters of the short texts that the router is also measured on."""


@dataclass(frozen=True, kw_only=True)
class Router:
    """Sends texts to domains."""

    domains: tuple[str, ...]
    """The names of the domains."""
    log_likelihood: NDArray[np.float32]
    """Of each hashed word in each domain, `[domains, COLUMNS]`."""

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Log-likelihood of each text in each domain, `[texts, domains]`."""
        counts = word_counts([text.encode("utf-8", "replace") for text in texts])
        return np.asarray(counts @ self.log_likelihood.T)

    def route(self, texts: Sequence[str]) -> list[str]:
        """The likeliest domain of each text."""
        return [self.domains[i] for i in self.scores(texts).argmax(axis=1)]

    def save(self, folder: Path, **measured: Any) -> None:
        """Write `router.npz` and `router.json` into `folder`."""
        with atomic_path(folder / "router.npz") as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, log_likelihood=self.log_likelihood)
        about = {"domains": list(self.domains), "hash_bits": BITS, "bytes_seen": SEEN}
        write_json(folder / "router.json", {**about, **measured})


def load_router(folder: Path) -> Router:
    """Open a saved router; a missing or foreign one is a `UserError`."""
    about = read_json(folder / "router.json")
    try:
        with np.load(folder / "router.npz", allow_pickle=False) as arrays:
            likelihood = arrays["log_likelihood"]
    except (OSError, ValueError, KeyError) as cause:
        raise UserError(
            f"{folder}/router.npz: cannot be read ({cause}); run prepare_corpus"
        ) from None
    if likelihood.shape != (len(about["domains"]), COLUMNS):
        raise UserError(f"{folder}/router.npz: is of another version; run prepare_corpus again")
    return Router(domains=tuple(about["domains"]), log_likelihood=likelihood)


def make_router(corpus: Path, domains: Sequence[str]) -> None:
    """Train a router on the domains' train text and save it in `corpus/router`.

    `router.json` holds its accuracy on validation and test documents: overall, by domain, on the
    first `SHORT_CHARACTERS` characters of each document, and the confusion matrix.
    """
    router = train_router({domain: _pieces(corpus, domain) for domain in domains})
    held_out = {
        domain: [
            text
            for split in ("validation", "test")
            for _, texts in read_documents(corpus, domain, split)
            for text in texts
        ]
        for domain in domains
    }
    router.save(corpus / "router", **measure(router, held_out))


def train_router(texts: dict[str, Iterator[bytes]]) -> Router:
    """Fit on the texts of each domain; the domains weigh the same."""
    sums = [_summed(batches) for batches in texts.values()]
    totals = sparse.vstack(sums).tocsr()
    size = np.asarray(totals.sum(axis=1)).ravel()
    scaled = sparse.diags(size.mean() / size.clip(min=1)) @ totals
    model = MultinomialNB(alpha=_SMOOTHING, fit_prior=False).fit(scaled, np.arange(len(sums)))
    return Router(domains=tuple(texts), log_likelihood=model.feature_log_prob_.astype(np.float32))


def _summed(texts: Iterator[bytes]) -> sparse.csr_matrix:
    """The word counts of all texts together, `[1, COLUMNS]`."""
    return sparse.csr_matrix(word_counts(list(texts)).sum(axis=0))


def _pieces(corpus: Path, domain: str) -> Iterator[bytes]:
    """The beginnings of train documents, until there is enough."""
    size = 0
    for _, texts in read_documents(corpus, domain, "train"):
        for text in texts:
            piece = text.encode("utf-8")[:SEEN]
            yield piece
            size += len(piece)
            if size > _DOMAIN_BYTES:
                return


def measure(router: Router, held_out: dict[str, list[str]]) -> dict[str, Any]:
    """Accuracy on documents whose domain is known; `held_out` has the texts of each domain."""
    confusion = {
        domain: {to: routed.count(to) for to in router.domains}
        for domain, texts in held_out.items()
        for routed in [router.route(texts)]
    }
    short = {
        domain: router.route([text[:SHORT_CHARACTERS] for text in texts]).count(domain)
        for domain, texts in held_out.items()
    }
    documents = sum(map(len, held_out.values()))
    right = sum(confusion[domain][domain] for domain in held_out)
    return {
        "held_out_documents": documents,
        "accuracy": right / documents,
        "accuracy_by_domain": {d: confusion[d][d] / len(held_out[d]) for d in held_out},
        f"accuracy_on_{SHORT_CHARACTERS}_characters": sum(short.values()) / documents,
        "confusion": confusion,
    }
