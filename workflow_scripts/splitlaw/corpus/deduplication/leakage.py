"""Train documents that are near a held-out document, found without a chance of missing one.

MinHash finds near all pairs; a law measured on held-out text deserves all of them. The search is
exact: a document of n shingles at Jaccard similarity t or more to another shares at least t * n of
its own shingles with it (Arasu, Ganti and Kaushik 2006), so

1. a document with fewer than t * n shingles in any held-out document is let go, by one look-up for
   each shingle in a table of bits, on every core;
2. of the p shingles of another that do stand in held-out documents, the p - t * n + 1 rarest lead
   to every held-out document that may be near, and the similarity to these is computed.

Held-out text is taken `_CHUNK` bytes at a time, so that memory stays bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.parallel import ordered_map
from splitlaw.common.progress import Progress
from splitlaw.corpus.deduplication.duplicates import Similarity
from splitlaw.corpus.deduplication.shingles import Hashes, shingle_hashes, sorted_unique
from splitlaw.corpus.document_store import DocumentIndex, DocumentStore, Rows, split_by_size
from splitlaw.experiment.corpus_settings import NearDuplicates

_CHUNK = 64 << 20
_BATCH = 2 << 20
_BATCH_DOCUMENTS = 1 << 12
_OWNER_BITS = 12
_TABLE_BITS = 27


@dataclass(frozen=True, kw_only=True)
class _Held:
    """The shingles of held-out documents, `[shingles]` each, sorted by hash."""

    hashes: Hashes
    rows: Rows


def leaking(
    store: DocumentStore,
    index: DocumentIndex,
    train: Rows,
    held: Rows,
    near: NearDuplicates,
    *,
    workers: int = 1,
) -> Rows:
    """The rows of `train` that are near any other row of `held`, exactly."""
    similarity = Similarity(store, index, near)
    found = []
    for part in split_by_size(held, index.size[held], size=_CHUNK, documents=held.size):
        shingles = _shingles_of(store, index, part, near)
        possible = _possible(store, index, train, shingles, near, workers)
        for row in possible.tolist():
            candidates = _candidates(similarity.shingles(row), shingles, near)
            if any(other != row and similarity.near(row, other) for other in candidates):
                found.append(row)
    return np.unique(np.array(found, dtype=np.int64))


def _shingles_of(
    store: DocumentStore, index: DocumentIndex, rows: Rows, near: NearDuplicates
) -> _Held:
    hashes, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for part, texts in store.batches(index, rows, size=_BATCH):
        for row, text in zip(part, texts, strict=True):
            own = sorted_unique(shingle_hashes([text], near.shingle)[0])
            hashes.append(own)
            owners.append(np.full(own.size, row))
    joined = np.concatenate(hashes)
    order = np.argsort(joined, kind="stable")
    return _Held(hashes=joined[order], rows=np.concatenate(owners)[order])


def _possible(
    store: DocumentStore,
    index: DocumentIndex,
    train: Rows,
    held: _Held,
    near: NearDuplicates,
    workers: int,
) -> Rows:
    bits = min(_TABLE_BITS, max(16, (8 * held.hashes.size).bit_length()))
    table = np.zeros(1 << bits, dtype=bool)
    table[held.hashes >> np.uint64(64 - bits)] = True
    packed = np.packbits(table, bitorder="little")  # a copy goes to every process
    task = partial(_mostly_known, table=packed, bits=bits, near=near)
    texts = store.batches(index, train, size=_BATCH, documents=_BATCH_DOCUMENTS)
    kept = []
    with Progress(
        "searching training text for held-out", total=int(index.size[train].sum()), unit="B"
    ) as progress:
        for rows, mask in ordered_map(task, texts, workers):
            kept.append(rows[mask])
            progress.add(int(index.size[rows].sum()))
    return np.concatenate([train[:0], *kept])


def _mostly_known(
    batch: tuple[Rows, list[bytes]], *, table: NDArray[np.uint8], bits: int, near: NearDuplicates
) -> tuple[Rows, NDArray[np.bool_]]:
    """Which documents may have the share `near.threshold` of their shingles in the table."""
    rows, texts = batch
    hashes, offsets = shingle_hashes(texts, near.shingle)
    owner = np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(offsets))
    # One sort for the whole batch: the document in the first bits, below it the hash's first bits.
    keyed = (owner << np.uint64(64 - _OWNER_BITS)) | (hashes >> np.uint64(_OWNER_BITS))
    keyed = sorted_unique(keyed)
    place = (keyed >> np.uint64(64 - _OWNER_BITS - bits)) & np.uint64((1 << bits) - 1)
    octet = table.take((place >> np.uint64(3)).view(np.int64))
    inside = (octet >> (place & np.uint64(7)).astype(np.uint8)) & np.uint8(1)
    owner = (keyed >> np.uint64(64 - _OWNER_BITS)).astype(np.int64)
    total = np.bincount(owner, minlength=len(texts))
    known = np.bincount(owner[inside.view(bool)], minlength=len(texts))
    return rows, (known >= near.threshold * total - 1e-6) & (total > 0)


def _candidates(own: Hashes, held: _Held, near: NearDuplicates) -> Iterator[int]:
    """The held-out documents that may be near the document with the shingles `own`."""
    low = np.searchsorted(held.hashes, own, side="left")
    high = np.searchsorted(held.hashes, own, side="right")
    present = np.flatnonzero(high > low)
    needed = ceil(near.threshold * own.size - 1e-6)
    if present.size < needed:
        return
    rarest = present[np.argsort((high - low)[present], kind="stable")]
    rarest = rarest[: present.size - needed + 1]
    lists = [held.rows[low[i] : high[i]] for i in rarest]
    yield from np.unique(np.concatenate(lists)).tolist()
