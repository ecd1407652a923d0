"""Exact and near duplicates: of each group of copies, the first document by rank is kept.

Candidates are documents that agree in four consecutive MinHash values (Broder 1997; bands as in
Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4). Each candidate is verified by the
true Jaccard similarity of the word shingles. With 32 bands of four values, a pair of similarity
0.6 becomes a candidate with probability 0.988, one of 0.73 (5% of the words replaced) with 0.99998.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.progress import Progress
from splitlaw.corpus.cleaning import KEY_OF_TEXT
from splitlaw.corpus.deduplication.shingles import Hashes, jaccard, shingle_set
from splitlaw.corpus.document_store import DocumentIndex, DocumentStore, Rows
from splitlaw.experiment.corpus_settings import NearDuplicates

VALUES_PER_BAND = 4
_BANDS_AT_ONCE = 8
"""Bounds memory to 64 bytes per document at the price of reading the signatures once per group."""
_CACHE_BYTES = 64 << 20
"""Holds the shingles of some ten thousand documents; when it is full, it is emptied."""
_BAND_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so invertible modulo 2**64: the golden ratio, as in splitmix64."""


def exact_duplicates(index: DocumentIndex, rows: Rows, rank: Rows) -> Rows:
    """Return those of `rows` that have the text of another row of lower rank.

    `rank` is `int64 [rows]`. Passages of two long documents can have the same text and rank; then
    the lower key decides, so that the order of the rows does not.
    """
    texts = index.keys[:, KEY_OF_TEXT]
    order = rows[np.lexsort((*index.keys[rows].T, rank, *texts[rows].T))]
    keys = texts[order]
    repeated = np.zeros(order.size, dtype=bool)
    repeated[1:] = (keys[1:] == keys[:-1]).all(axis=1)
    return np.sort(order[repeated])


def near_duplicates(store: DocumentStore, rows: Rows, near: NearDuplicates) -> Rows:
    """Return the rows that are near-duplicates of an earlier row that is itself kept.

    `rows` lists the documents to compare, those to keep first.
    """
    position = np.full(store.index.size.size, -1, np.int64)
    position[rows] = np.arange(rows.size)
    documents, hashes = _shared_band_hashes(store, position)
    order = np.lexsort((hashes, position[documents]))
    documents, hashes = documents[order], hashes[order]
    firsts = np.flatnonzero(np.diff(documents, prepend=-1))
    kept: dict[int, list[int]] = {}  # band hash to the documents that are kept so far
    similarity = Similarity(store, near)
    dropped = []
    groups = zip(documents[firsts].tolist(), np.split(hashes, firsts[1:]), strict=False)
    with Progress("comparing candidates", total=firsts.size, unit="documents") as progress:
        for row, group in groups:
            progress.add()
            own = group.tolist()
            candidates = sorted({other for key in own for other in kept.get(key, ())})
            likely = _likely_duplicates(store, near, row, candidates) if candidates else []
            if any(similarity.is_near(row, other) for other in likely):
                dropped.append(row)
            else:
                for key in own:
                    kept.setdefault(key, []).append(row)
    return np.array(dropped, dtype=np.int64)


def _shared_band_hashes(store: DocumentStore, position: Rows) -> tuple[Rows, Hashes]:
    """Return the documents that agree with another in a band, with the hash of that band.

    A document occurs once for each such band. Documents of negative `position` are ignored.
    """
    compared = np.flatnonzero(position >= 0)
    documents, hashes = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for band in _band_hashes(store, compared):
        _, inverse, counts = np.unique(band, return_inverse=True, return_counts=True)
        shared = counts[inverse] > 1
        documents.append(compared[shared])
        hashes.append(band[shared])
    return np.concatenate(documents), np.concatenate(hashes)


def _band_hashes(store: DocumentStore, compared: Rows) -> Iterator[Hashes]:
    """Yield for every band the hashes of its values, `uint64 [compared]`."""
    bands = store.permutations // VALUES_PER_BAND
    for low in range(0, bands, _BANDS_AT_ONCE):
        group = range(low, min(low + _BANDS_AT_ONCE, bands))
        hashes = np.empty((len(group), compared.size), np.uint64)
        first = begin = 0  # row of the store, position in `compared`
        for block in store.signature_blocks():
            end = int(np.searchsorted(compared, first + len(block)))
            own = block[compared[begin:end] - first]
            hashes[:, begin:end] = _hash_bands(own, group)
            first, begin = first + len(block), end
        yield from hashes


def _hash_bands(signatures: NDArray[np.uint32], bands: range) -> Hashes:
    """Return the hash of each document's values in each band, `uint64 [bands, documents]`."""
    hashes = np.empty((len(bands), len(signatures)), np.uint64)
    for i, band in enumerate(bands):
        # Starting from the band's number keeps equal values in two bands apart.
        total = np.full(len(signatures), band + 1, np.uint64)
        for column in range(VALUES_PER_BAND * band, VALUES_PER_BAND * (band + 1)):
            total = (total ^ signatures[:, column]) * _BAND_MULTIPLIER
            total ^= total >> np.uint64(29)
        hashes[i] = total
    return hashes


class Similarity:
    """The true similarity of documents, whose texts are read from the store."""

    def __init__(self, store: DocumentStore, near: NearDuplicates) -> None:
        self._store, self._near = store, near
        self._cache: dict[int, Hashes] = {}
        self._cached_bytes = 0

    def is_near(self, row: int, other: int) -> bool:
        """Return whether two documents are near-duplicates."""
        return jaccard(self.shingles(row), self.shingles(other)) >= self._near.threshold

    def shingles(self, row: int) -> Hashes:
        """Return the distinct shingles of a document, sorted."""
        if row not in self._cache:
            if self._cached_bytes > _CACHE_BYTES:
                self._cache.clear()
                self._cached_bytes = 0
            self._cache[row] = shingle_set(self._store.text(row), self._near.shingle)
            self._cached_bytes += self._cache[row].nbytes
        return self._cache[row]


def _likely_duplicates(
    store: DocumentStore, near: NearDuplicates, row: int, candidates: list[int]
) -> list[int]:
    """Return the candidates that the signatures do not rule out, in falling similarity."""
    own, *others = store.signatures([row, *candidates])
    estimates = (np.array(others) == own).mean(axis=1)
    # The estimate of a similarity s has variance s (1 - s) / permutations, at most a quarter of
    # 1 / permutations. At four standard errors, fewer than 1 in 30,000 near-duplicates are missed.
    margin = 4 * np.sqrt(0.25 / near.permutations)
    order = np.argsort(-estimates, kind="stable")
    return [candidates[i] for i in order if estimates[i] >= near.threshold - margin]
