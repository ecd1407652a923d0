"""Training documents that are near-duplicates of a held-out document, found without exception.

MinHash misses some near pairs; held-out losses are only meaningful if none is left. This search is
exact. A document of n shingles whose Jaccard similarity to another is at least t shares at least
t * n of its shingles with it (Arasu, Ganti and Kaushik 2006), therefore:

1. A document of which fewer than t * n shingles are in any held-out document is skipped. This
   takes one look-up per shingle in a table of bits, in parallel processes.
2. Of the p shingles of another document that are in held-out documents, the p - t * n + 1 rarest
   lead to every held-out document that can be near; the similarity to these is computed.

Held-out text is processed `_HELD_OUT_CHUNK_BYTES` at a time, so that memory stays bounded.
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
from splitlaw.corpus.deduplication.shingles import (
    Hashes,
    shingle_hashes,
    shingle_set,
    sorted_unique,
)
from splitlaw.corpus.document_store import DocumentStore, Rows, split_by_size
from splitlaw.experiment.corpus_settings import NearDuplicates

_HELD_OUT_CHUNK_BYTES = 64 << 20
"""About 10 million shingles of 16 bytes each."""
_BATCH_BYTES = 2 << 20
"""Text per task, large enough that sending it to a process costs little."""
_OWNER_BITS = 12  # leaves 52 bits of a hash to compare, and allows 4096 documents in a batch
_BATCH_DOCUMENTS = 1 << _OWNER_BITS  # numbers of documents in a batch fit into `_OWNER_BITS`
_MAX_TABLE_BITS = 27
"""2**27 bits take 16 MB in each process."""
_MIN_TABLE_BITS = 16  # 8 KB: a smaller table would save nothing
_TABLE_SLOTS_PER_SHINGLE = 8
"""An absent shingle is found in the table with a probability of at most 1/8, unless the table has
its largest size; this only adds candidates, which are then compared."""
_ROUNDING = 1e-6
"""Far above the rounding error of t * n; being too large only adds candidates."""


@dataclass(frozen=True, kw_only=True)
class _HeldOutShingles:
    """The shingles of held-out documents, sorted by hash; both arrays are `[shingles]`."""

    hashes: Hashes
    rows: Rows


def find_leaks(
    store: DocumentStore, train: Rows, held_out: Rows, near: NearDuplicates, *, workers: int = 1
) -> Rows:
    """Return all rows of `train` that are near-duplicates of another row in `held_out`."""
    similarity = Similarity(store, near)
    found = []
    sizes = store.index.size[held_out]
    for part in split_by_size(held_out, sizes, size=_HELD_OUT_CHUNK_BYTES, documents=held_out.size):
        shingles = _held_out_shingles(store, part, near)
        for row in _possible_leaks(store, train, shingles, near, workers).tolist():
            candidates = _candidates(similarity.shingles(row), shingles, near)
            if any(other != row and similarity.is_near(row, other) for other in candidates):
                found.append(row)
    return np.unique(np.array(found, dtype=np.int64))


def _held_out_shingles(store: DocumentStore, rows: Rows, near: NearDuplicates) -> _HeldOutShingles:
    hashes, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for row in rows.tolist():
        own = shingle_set(store.text(row), near.shingle)
        hashes.append(own)
        owners.append(np.full(own.size, row))
    joined = np.concatenate(hashes)
    order = np.argsort(joined, kind="stable")
    return _HeldOutShingles(hashes=joined[order], rows=np.concatenate(owners)[order])


def _possible_leaks(
    store: DocumentStore,
    train: Rows,
    held_out: _HeldOutShingles,
    near: NearDuplicates,
    workers: int,
) -> Rows:
    """Return the rows of `train` that step 1 does not rule out."""
    slots = _TABLE_SLOTS_PER_SHINGLE * held_out.hashes.size
    bits = min(_MAX_TABLE_BITS, max(_MIN_TABLE_BITS, slots.bit_length()))
    table = np.zeros(1 << bits, dtype=bool)
    table[held_out.hashes >> np.uint64(64 - bits)] = True
    packed = np.packbits(table, bitorder="little")  # small, because each process gets a copy
    search = partial(_documents_in_table, table=packed, bits=bits, near=near)
    texts = store.batches(train, size=_BATCH_BYTES, documents=_BATCH_DOCUMENTS)
    size = int(store.index.size[train].sum())
    possible = [train[:0]]
    with Progress("searching training text for held-out", total=size, unit="B") as progress:
        for rows, mask in ordered_map(search, texts, workers):
            possible.append(rows[mask])
            progress.add(int(store.index.size[rows].sum()))
    return np.concatenate(possible)


def _documents_in_table(
    batch: tuple[Rows, list[bytes]], *, table: NDArray[np.uint8], bits: int, near: NearDuplicates
) -> tuple[Rows, NDArray[np.bool_]]:
    """Return which documents may have the share `near.threshold` of their shingles in the table."""
    rows, texts = batch
    hashes, offsets = shingle_hashes(texts, near.shingle)
    owner = np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(offsets))
    # One sort for the whole batch: the first bits are the document's number, the others the hash's
    # first bits. Hashes that agree in these count once, in the numerator and the denominator.
    keyed = (owner << np.uint64(64 - _OWNER_BITS)) | (hashes >> np.uint64(_OWNER_BITS))
    keyed = sorted_unique(keyed)
    slot = (keyed >> np.uint64(64 - _OWNER_BITS - bits)) & np.uint64((1 << bits) - 1)
    octet = table.take((slot >> np.uint64(3)).view(np.int64))
    in_table = (octet >> (slot & np.uint64(7)).astype(np.uint8)) & np.uint8(1)
    owner = (keyed >> np.uint64(64 - _OWNER_BITS)).astype(np.int64)
    total = np.bincount(owner, minlength=len(texts))
    shared = np.bincount(owner[in_table.view(bool)], minlength=len(texts))
    return rows, (shared >= near.threshold * total - _ROUNDING) & (total > 0)


def _candidates(own: Hashes, held_out: _HeldOutShingles, near: NearDuplicates) -> Iterator[int]:
    """Yield the held-out documents that may be near a document with the shingles `own`."""
    low = np.searchsorted(held_out.hashes, own, side="left")
    high = np.searchsorted(held_out.hashes, own, side="right")
    present = np.flatnonzero(high > low)
    required = max(1, ceil(near.threshold * own.size - _ROUNDING))
    if present.size < required:
        return
    rarest = present[np.argsort((high - low)[present], kind="stable")]
    rarest = rarest[: present.size - required + 1]
    rows = [held_out.rows[low[i] : high[i]] for i in rarest]
    yield from np.unique(np.concatenate(rows)).tolist()
