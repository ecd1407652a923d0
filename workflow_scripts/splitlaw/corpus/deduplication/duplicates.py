"""Exact and near duplicates: of every group of copies the first document by rank stays.

Candidates are documents that agree in four MinHash values in a row (Broder 1997; bands as in
Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4); each candidate is verified by the
true Jaccard similarity of the word shingles. With 32 bands of four, a pair at similarity 0.6
becomes a candidate with probability 0.988, at 0.73 (5% of the words replaced) with 0.99998.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.progress import Progress
from splitlaw.corpus.deduplication.shingles import Hashes, jaccard, shingle_set
from splitlaw.corpus.document_store import DocumentIndex, DocumentStore, Rows
from splitlaw.experiment.corpus_settings import NearDuplicates

BAND = 4
_BANDS_AT_ONCE = 8
_CACHE_BYTES = 64 << 20


def exact_duplicates(index: DocumentIndex, rows: Rows, rank: Rows) -> Rows:
    """Those of `rows` whose text is that of another of lower rank; `rank` is `int64 [rows]`."""
    order = rows[np.lexsort((rank, *index.keys[rows].T))]
    keys = index.keys[order]
    same = np.zeros(order.size, dtype=bool)
    same[1:] = (keys[1:] == keys[:-1]).all(axis=1)
    return np.sort(order[same])


def near_duplicates(
    store: DocumentStore, index: DocumentIndex, rows: Rows, near: NearDuplicates
) -> Rows:
    """The rows that are near a row before them in `rows` that itself stays.

    `rows` lists the documents to compare, the ones to keep first.
    """
    position = np.full(index.size.size, -1, np.int64)
    position[rows] = np.arange(rows.size)
    documents, buckets = _shared_buckets(store, position)
    order = np.lexsort((buckets, position[documents]))
    documents, buckets = documents[order], buckets[order]
    firsts = np.flatnonzero(np.diff(documents, prepend=-1))
    kept: dict[int, list[int]] = {}
    similarity = Similarity(store, index, near)
    dropped = []
    alike = zip(documents[firsts].tolist(), np.split(buckets, firsts[1:]), strict=False)
    progress = Progress("comparing candidates", unit="documents")
    progress.expect(firsts.size)
    for row, group in alike:
        progress.add()
        own = group.tolist()
        candidates = sorted({other for key in own for other in kept.get(key, ())})
        likely = _likely(store, near, row, candidates) if candidates else []
        if any(similarity.near(row, other) for other in likely):
            dropped.append(row)
        else:
            for key in own:
                kept.setdefault(key, []).append(row)
    progress.finish()
    return np.array(dropped, dtype=np.int64)


def _shared_buckets(store: DocumentStore, position: Rows) -> tuple[Rows, NDArray[np.uint64]]:
    """The documents that agree with another in some band, and the hashes they agree in.

    A document stands once for each such band. Rows of negative `position` take no part.
    """
    taking = np.flatnonzero(position >= 0)
    documents, buckets = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for keys in _band_keys(store, taking):
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        shared = counts[inverse] > 1
        documents.append(taking[shared])
        buckets.append(keys[shared])
    return np.concatenate(documents), np.concatenate(buckets)


def _band_keys(store: DocumentStore, taking: Rows) -> Iterator[Hashes]:
    """For every band the hash of its values, `uint64 [taking]`; a few bands are held at a time."""
    bands = store.permutations // BAND
    for low in range(0, bands, _BANDS_AT_ONCE):
        group = range(low, min(low + _BANDS_AT_ONCE, bands))
        blocks = [_block_keys(block, group) for block in store.signature_blocks()]
        yield from np.concatenate(blocks, axis=1)[:, taking]


def _block_keys(block: NDArray[np.uint32], bands: range) -> NDArray[np.uint64]:
    keys = np.empty((len(bands), len(block)), np.uint64)
    for i, band in enumerate(bands):
        total = np.full(len(block), band + 1, np.uint64)  # equal values in two bands do not meet
        for column in range(BAND * band, BAND * (band + 1)):
            total = (total ^ block[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            total ^= total >> np.uint64(29)
        keys[i] = total
    return keys


class Similarity:
    """The true similarity of documents, their texts read from the store."""

    def __init__(self, store: DocumentStore, index: DocumentIndex, near: NearDuplicates) -> None:
        self._store, self._index, self._near = store, index, near
        self._sets: dict[int, Hashes] = {}
        self._bytes = 0

    def near(self, row: int, other: int) -> bool:
        """Whether two documents are near duplicates."""
        return jaccard(self.shingles(row), self.shingles(other)) >= self._near.threshold

    def shingles(self, row: int) -> Hashes:
        """The distinct shingles of a document, sorted."""
        if row not in self._sets:
            if self._bytes > _CACHE_BYTES:
                self._sets.clear()
                self._bytes = 0
            self._sets[row] = shingle_set(self._store.text(self._index, row), self._near.shingle)
            self._bytes += self._sets[row].nbytes
        return self._sets[row]


def _likely(
    store: DocumentStore, near: NearDuplicates, row: int, candidates: list[int]
) -> list[int]:
    """The candidates that the signatures do not rule out, the likeliest first."""
    own, *others = store.signatures([row, *candidates])
    estimates = (np.array(others) == own).mean(axis=1)
    four_errors = 4 * np.sqrt(0.25 / near.permutations)  # of an estimated similarity, at most
    order = np.argsort(-estimates, kind="stable")
    return [candidates[i] for i in order if estimates[i] >= near.threshold - four_errors]
