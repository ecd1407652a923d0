"""Domains discovered in a corpus: clusters of TF-IDF vectors, or of a model's embeddings.

Documents are weighted by their bytes in the word frequencies, the decomposition and k-means:
domains should have similar numbers of tokens, and unweighted, the many short documents would
attract all centres. Clusters are fitted on a sample; then every document is assigned to the nearest
centre.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from splitlaw.common.errors import UserError
from splitlaw.common.parallel import ordered_map
from splitlaw.common.progress import Progress
from splitlaw.corpus.document_store import DocumentStore, Rows
from splitlaw.corpus.domains.embedding import Embedding
from splitlaw.corpus.domains.router import train_router
from splitlaw.corpus.domains.word_counts import MAX_TEXT_BYTES, count_words
from splitlaw.experiment.corpus_settings import DiscoveryConfig

SAMPLE_DOCUMENTS = 20_000
"""Documents that the clusters are fitted on; bounds the time and memory of the fit."""
_SVD_DIMENSIONS = 200
"""Within the 100 to 300 that are customary for latent semantic analysis."""
_VOCABULARY = 5_000
"""Only the most frequent words are used, which bounds the time of the decomposition."""
_KMEANS_STARTS = 10
"""k-means finds local optima; the best of ten starts is kept."""
_MIN_DOCUMENTS_PER_WORD = 5
"""Words in fewer documents of the sample say little about clusters."""
_MIN_DOCUMENTS_PER_CLUSTER = 10  # with fewer, clusters follow single documents, not subjects
_BATCH_BYTES = 4 << 20  # of text in memory at a time
_BATCH_TEXTS = 1_000
"""Texts of the sample whose vectors one process computes at a time."""
_SAMPLES_SHOWN = 3  # enough to recognise the subject
_SAMPLE_CHARACTERS = 300  # a paragraph
_LABEL_WORDS = 3
_TOP_WORDS = 40  # most of the first ones of everyday text are common words, which labels leave out
_WORDS_SHOWN = 12
_TOP_WORD = re.compile(r"[^\W\d_]{3,}")
"""Words listed for a cluster: three letters or more."""


class TextSpace(Protocol):
    """A vector space in which texts on similar subjects are close to each other."""

    def vectors(self, texts: Sequence[bytes]) -> NDArray[np.float32]:
        """Return unit vectors of the texts (UTF-8), `[texts, dimensions]`."""
        ...


@dataclass(frozen=True, kw_only=True)
class TfidfSpace:
    """The space of TF-IDF vectors after a singular value decomposition."""

    columns: NDArray[np.int64]
    """The hashed words that are used."""
    idf: NDArray[np.float32]
    """The weight of each, `[columns]`."""
    components: NDArray[np.float32]
    """The decomposition, `[dimensions, columns]`."""

    def vectors(self, texts: Sequence[bytes]) -> NDArray[np.float32]:
        """Return unit vectors of the texts (UTF-8), `[texts, dimensions]`."""
        weighted = _tfidf(count_words(texts), self.columns, self.idf)
        return np.asarray(normalize(weighted @ self.components.T), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Cluster centres in a space of texts."""

    space: TextSpace
    """Computes the vectors of texts."""
    centres: NDArray[np.float32]
    """Unit vectors, `[clusters, dimensions]`."""

    def assign(self, texts: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the number of the nearest centre for each text, `int64 [texts]`."""
        with threadpool_limits(1):  # another order of sums could move documents at a border
            return np.argmax(self.space.vectors(texts) @ self.centres.T, axis=1).astype(np.int64)

    def nearest_pair(self) -> tuple[int, int]:
        """Return the two clusters whose centres have the largest cosine similarity."""
        similarity = self.centres @ self.centres.T
        np.fill_diagonal(similarity, -np.inf)
        first, second = np.unravel_index(np.argmax(similarity), similarity.shape)
        return int(min(first, second)), int(max(first, second))


def fit_clusters(
    texts: Sequence[bytes],
    number: int,
    seed: int,
    *,
    embedding: str | None = None,
    workers: int = 1,
    key: str = "corpus.domains.discover",
) -> Clusters:
    """Find `number` clusters in the TF-IDF space, or in that of the model in folder `embedding`.

    The same texts and seed give the same clusters. Raises `UserError` if there are too few
    documents or the folder does not contain a model. `key` is the key of the configuration that
    `number` is from.
    """
    if len(texts) < _MIN_DOCUMENTS_PER_CLUSTER * number:
        raise UserError(
            f"{key} is {number}, and general has {len(texts)} documents; "
            f"give it {_MIN_DOCUMENTS_PER_CLUSTER} for each domain, or discover fewer domains"
        )
    weight = np.array([min(len(text), MAX_TEXT_BYTES) for text in texts], dtype=float)
    weight /= weight.mean()
    with threadpool_limits(1):  # another order of sums could move documents at a border
        space: TextSpace
        if embedding is None:
            space = _fit_tfidf_space(texts, number, weight, seed)
        else:
            space = Embedding(embedding)
        kmeans = KMeans(number, n_init=_KMEANS_STARTS, random_state=seed)
        parts = (texts[low : low + _BATCH_TEXTS] for low in range(0, len(texts), _BATCH_TEXTS))
        vectors = np.concatenate(list(ordered_map(space.vectors, parts, workers)))
        kmeans.fit(vectors, sample_weight=weight)
    centres = normalize(kmeans.cluster_centers_).astype(np.float32)
    return Clusters(space=space, centres=centres)


def _fit_tfidf_space(
    texts: Sequence[bytes], number: int, weight: NDArray[np.float64], seed: int
) -> TfidfSpace:
    counts = count_words(texts)
    present = (counts > 0).astype(np.float32)
    documents = np.asarray(present.sum(axis=0)).ravel()
    frequent = np.flatnonzero(documents >= min(_MIN_DOCUMENTS_PER_WORD, len(texts) // number))
    by_frequency = frequent[np.argsort(-documents[frequent], kind="stable")]
    columns = np.sort(by_frequency[:_VOCABULARY])
    weighted_documents = np.asarray(present.T[columns] @ weight).ravel()
    idf = np.log((len(texts) + 1) / (weighted_documents + 1)).clip(min=0).astype(np.float32)
    vectors = _tfidf(counts, columns, idf)
    dimensions = min(_SVD_DIMENSIONS, len(columns) - 1, len(texts) - 1)
    svd = TruncatedSVD(dimensions, random_state=seed)
    svd.fit(sparse.diags(np.sqrt(weight)) @ vectors)
    return TfidfSpace(columns=columns, idf=idf, components=svd.components_.astype(np.float32))


def _tfidf(
    counts: sparse.csr_matrix, columns: NDArray[np.int64], idf: NDArray[np.float32]
) -> sparse.csr_matrix:
    """Return sublinear TF-IDF vectors of unit length, `[texts, columns]`."""
    chosen = counts[:, columns].astype(np.float32)
    chosen.data = 1 + np.log(chosen.data)
    return normalize(chosen @ sparse.diags(idf))


def discover_clusters(
    store: DocumentStore, rows: Rows, discovery: DiscoveryConfig, seed: int, *, workers: int = 1
) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """Cluster the documents `rows`, given in shuffled order; see `fit_clusters`.

    Documents are assigned by `workers` processes, in batches that do not depend on their number.

    Returns the cluster of each, `int64 [rows]`, numbered from 0 by falling bytes, and a description
    of each cluster: `label`, `top_words`, `samples`, `documents`, `bytes`.
    """
    number = discovery.discover
    sample = [store.text(row)[:MAX_TEXT_BYTES] for row in rows[:SAMPLE_DOCUMENTS]]
    clusters = fit_clusters(sample, number, seed, embedding=discovery.embedding, workers=workers)
    assign: Callable[[Sequence[bytes]], NDArray[np.int64]] = clusters.assign
    first = 0
    found = [np.empty(0, np.int64)]
    if discovery.embedding and discovery.assign == "words":
        found.append(clusters.assign(sample))
        assign, first = _learn_words(sample, found[-1], number), len(sample)
    batches = store.batches(rows[first:], size=_BATCH_BYTES)
    beginnings = ([text[:MAX_TEXT_BYTES] for text in texts] for _, texts in batches)
    with Progress("assigning clusters", total=rows.size, unit="documents") as progress:
        for part in ordered_map(assign, beginnings, workers):
            found.append(part)
            progress.add(part.size)
    return _described(store, rows, sample, np.concatenate(found), number)


def _learn_words(
    sample: Sequence[bytes], found: NDArray[np.int64], number: int
) -> Callable[[Sequence[bytes]], NDArray[np.int64]]:
    """Return a function that assigns texts to clusters by their words, learnt from a sample."""
    texts = {
        str(cluster): iter([sample[i] for i in np.flatnonzero(found == cluster).tolist()])
        for cluster in range(number)
    }
    return train_router(texts).numbers


def _described(
    store: DocumentStore,
    rows: Rows,
    sample: Sequence[bytes],
    found: NDArray[np.int64],
    number: int,
) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """Number clusters by falling bytes, and describe each."""
    size = np.bincount(found, weights=store.index.size[rows], minlength=number)
    order = np.argsort(-size, kind="stable")
    found = np.argsort(order)[found]
    words = top_words(sample, found[: len(sample)], number)
    descriptions = []
    for cluster in range(number):
        members = np.flatnonzero(found == cluster)
        shown = [sample[i] for i in members[:_SAMPLES_SHOWN] if i < len(sample)]
        samples = [text.decode("utf-8", "ignore")[:_SAMPLE_CHARACTERS] for text in shown]
        descriptions.append(
            {
                "label": label(words[cluster]),
                "top_words": words[cluster][:_WORDS_SHOWN],
                "samples": samples,
                "documents": int(members.size),
                "bytes": int(store.index.size[rows[members]].sum()),
            }
        )
    return found, descriptions


def label(words: Sequence[str]) -> str:
    """Return the first of the words that distinguish a cluster, without common English words."""
    distinct = [word for word in words if word not in ENGLISH_STOP_WORDS] or list(words)
    return " ".join(distinct[:_LABEL_WORDS])


def top_words(
    texts: Sequence[bytes], clusters: NDArray[np.int64], number: int, *, count: int = _TOP_WORDS
) -> list[list[str]]:
    """Return the words that distinguish each cluster: the highest p(w|c) * log(p(w|c) / p(w))."""
    counts: list[Counter[str]] = [Counter() for _ in range(number)]
    for text, cluster in zip(texts, clusters.tolist(), strict=True):
        counts[cluster].update(_TOP_WORD.findall(text.decode("utf-8", "ignore").lower()))
    all_counts: Counter[str] = sum(counts, Counter())
    total = all_counts.total()
    listed = []
    for own in counts:
        size = max(own.total(), 1)
        score = {w: n / size * log(n / size * total / all_counts[w]) for w, n in own.items()}
        listed.append(sorted(score, key=lambda word: (-score[word], word))[:count])
    return listed
