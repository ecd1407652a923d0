"""Domains discovered in a corpus: clusters of TF-IDF vectors, or of a model's embeddings.

Documents weigh by their bytes, in the word frequencies, the decomposition and k-means alike:
domains are wanted that are even in tokens, and short documents, which are many, would take all
centres otherwise. Clusters are fitted on a sample; every document then goes to the nearest centre.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from splitlaw.common.errors import UserError
from splitlaw.corpus.document_store import DocumentIndex, DocumentStore, Rows
from splitlaw.corpus.domains.embedding import Embedding
from splitlaw.corpus.domains.word_counts import SEEN, word_counts

_SAMPLE = 20_000
_DIMENSIONS = 200
_COLUMNS = 5_000
_STARTS = 10
_RAREST = 5
_BATCH = 4 << 20
_WORD = re.compile(r"[^\W\d_]{3,}")


class Space(Protocol):
    """Where texts are near that are about the same."""

    def vectors(self, texts: Sequence[bytes]) -> NDArray[np.float32]:
        """Unit vectors of the texts (UTF-8), `[texts, dimensions]`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Words:
    """The space of TF-IDF vectors after a singular value decomposition."""

    columns: NDArray[np.int64]
    """The hashed words that count."""
    idf: NDArray[np.float32]
    """The weight of each, `[columns]`."""
    components: NDArray[np.float32]
    """The decomposition, `[dimensions, columns]`."""

    def vectors(self, texts: Sequence[bytes]) -> NDArray[np.float32]:
        """Unit vectors of the texts (UTF-8), `[texts, dimensions]`."""
        weighed = _tfidf(word_counts(texts), self.columns, self.idf)
        return np.asarray(normalize(weighed @ self.components.T), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Centres in a space of texts."""

    space: Space
    """What tells how near two texts are."""
    centres: NDArray[np.float32]
    """Unit length, `[clusters, dimensions]`."""

    def assign(self, texts: Sequence[bytes]) -> NDArray[np.int64]:
        """The number of the nearest centre for each text, `int64 [texts]`."""
        return np.argmax(self.space.vectors(texts) @ self.centres.T, axis=1).astype(np.int64)


def fit_clusters(
    texts: Sequence[bytes], number: int, seed: int, *, embedding: str | None = None
) -> Clusters:
    """Find `number` clusters in the space of words, or of the model in the folder `embedding`.

    The same texts and seed give the same clusters. Raises `UserError` where there are too few
    documents, or no model.
    """
    if len(texts) < 10 * number:
        raise UserError(
            f"corpus.domains.discover is {number}, and general has {len(texts)} documents; "
            "give it ten for each domain, or ask for fewer domains"
        )
    weight = np.array([min(len(text), SEEN) for text in texts], dtype=float)
    weight /= weight.mean()
    with threadpool_limits(1):  # sums in another order would move documents on the border
        space = _words(texts, number, weight, seed) if embedding is None else Embedding(embedding)
        vectors = space.vectors(texts)
        means = KMeans(number, n_init=_STARTS, random_state=seed).fit(vectors, sample_weight=weight)
    return Clusters(space=space, centres=normalize(means.cluster_centers_).astype(np.float32))


def _words(texts: Sequence[bytes], number: int, weight: NDArray[np.float64], seed: int) -> Words:
    counts = word_counts(texts)
    present = (counts > 0).astype(np.float32)
    often = np.asarray(present.sum(axis=0)).ravel()
    known = np.flatnonzero(often >= min(_RAREST, len(texts) // number))
    columns = np.sort(known[np.argsort(-often[known], kind="stable")[:_COLUMNS]])
    frequency = np.asarray(present.T[columns] @ weight).ravel()
    idf = np.log((len(texts) + 1) / (frequency + 1)).clip(min=0).astype(np.float32)
    vectors = _tfidf(counts, columns, idf)
    dimensions = min(_DIMENSIONS, len(columns) - 1, len(texts) - 1)
    svd = TruncatedSVD(dimensions, random_state=seed)
    svd.fit(sparse.diags(np.sqrt(weight)) @ vectors)
    return Words(columns=columns, idf=idf, components=svd.components_.astype(np.float32))


def _tfidf(
    counts: sparse.csr_matrix, columns: NDArray[np.int64], idf: NDArray[np.float32]
) -> sparse.csr_matrix:
    """Sublinear TF-IDF of unit length, `[texts, columns]`."""
    chosen = counts[:, columns].astype(np.float32)
    chosen.data = 1 + np.log(chosen.data)
    return normalize(chosen @ sparse.diags(idf))


def discover(
    store: DocumentStore,
    index: DocumentIndex,
    rows: Rows,
    number: int,
    seed: int,
    embedding: str | None,
) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """Cluster the documents `rows`, given in shuffled order; see `fit_clusters`.

    Gives the cluster of each, `int64 [rows]`, numbered from 0 by falling bytes, and for a person to
    look at, by cluster: `top_words`, `samples`, `documents`, `bytes`.
    """
    sample = [store.text(index, row)[:SEEN] for row in rows[:_SAMPLE]]
    clusters = fit_clusters(sample, number, seed, embedding=embedding)
    with threadpool_limits(1):
        parts = [clusters.assign(texts) for _, texts in store.batches(index, rows, size=_BATCH)]
    found = np.concatenate(parts)
    size = np.bincount(found, weights=index.size[rows], minlength=number)
    order = np.argsort(-size, kind="stable")
    found = np.argsort(order)[found]
    words = top_words(sample, found[: len(sample)], number)
    about = []
    for cluster in range(number):
        mine = np.flatnonzero(found == cluster)
        about.append(
            {
                "top_words": words[cluster],
                "samples": [
                    sample[i].decode("utf-8", "ignore")[:300] for i in mine[:3] if i < len(sample)
                ],
                "documents": int(mine.size),
                "bytes": int(index.size[rows[mine]].sum()),
            }
        )
    return found, about


def top_words(
    texts: Sequence[bytes], clusters: NDArray[np.int64], number: int, *, count: int = 12
) -> list[list[str]]:
    """The words that tell each cluster from the rest: highest p(w|c) * log(p(w|c) / p(w))."""
    counts: list[Counter[str]] = [Counter() for _ in range(number)]
    for text, cluster in zip(texts, clusters.tolist(), strict=True):
        counts[cluster].update(_WORD.findall(text.decode("utf-8", "ignore").lower()))
    everywhere: Counter[str] = sum(counts, Counter())
    total = everywhere.total()
    listed = []
    for own in counts:
        size = max(own.total(), 1)
        score = {w: n / size * log(n / size * total / everywhere[w]) for w, n in own.items()}
        listed.append(sorted(score, key=lambda word: (-score[word], word))[:count])
    return listed
