"""Clean documents on disk and their index in memory, so that a corpus need not fit in memory.

The index takes about 60 bytes per document; texts and signatures are read from disk when needed.
"""

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from splitlaw.corpus.cleaning import KEY_INTEGERS, CleanBatch

Rows = NDArray[np.int64]
"""Numbers of documents in the store."""

TEXTS, SIGNATURES, INDEX = "texts.bin", "signatures.bin", "index.npz"
"""The files of a store."""
_BATCH_DOCUMENTS = 4096  # bounds the arrays of a batch of very short documents
_SIGNATURE_ROWS = 1 << 16  # 32 MB of signatures at 128 permutations


@dataclass(frozen=True, kw_only=True)
class DocumentIndex:
    """One row per document; the arrays are `[documents]`, `keys` is `[documents, KEY_INTEGERS]`."""

    keys: NDArray[np.uint64]
    """See `splitlaw.corpus.cleaning.document_key`."""
    start: NDArray[np.int64]
    """Position of the text in the store, in bytes."""
    size: NDArray[np.int64]
    """Length of the text in UTF-8 bytes."""
    source: NDArray[np.int16]
    """Number of the document's source, in the order of the configuration."""
    benchmark: NDArray[np.bool_]
    """Whether the document shares an n-gram with a benchmark item."""


class JoinedFiles:
    """Files that are read as if they were one, each after the one before it."""

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self._files = files
        sizes = [os.fstat(file.fileno()).st_size for file in files]
        self._starts = [0, *accumulate(sizes)]

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from the position `start`, all of one file; fewer at its end."""
        number = min(bisect_right(self._starts, start), len(self._files)) - 1
        return os.pread(self._files[number].fileno(), size, start - self._starts[number])


class DocumentStore:
    """A folder with the texts of documents and their signatures, after those of other stores."""

    def __init__(self, folder: Path, permutations: int, shards: Sequence[Path] = ()) -> None:
        """Create the store in `folder`; `shards` are folders of saved stores, which stay as is."""
        self.permutations = permutations
        self._folder = folder
        self._own_texts: BinaryIO = (folder / TEXTS).open("w+b")
        self._own_signatures: BinaryIO = (folder / SIGNATURES).open("w+b")
        self._shard_texts = [(shard / TEXTS).open("rb") for shard in shards]
        self._shard_signatures = [(shard / SIGNATURES).open("rb") for shard in shards]
        self._parts = [_load_index(shard / INDEX) for shard in shards]
        self.index = self.build_index()

    def __enter__(self) -> "DocumentStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        own = (self._own_texts, self._own_signatures)
        for file in (*own, *self._shard_texts, *self._shard_signatures):
            file.close()

    def append(self, batch: CleanBatch, source: int) -> None:
        """Add the documents of a batch, which come from the source of this number."""
        self._own_texts.writelines(batch.texts)
        self._own_signatures.write(batch.signatures.tobytes())
        size = np.fromiter(map(len, batch.texts), np.int64, len(batch.texts))
        sources = np.full(len(batch.texts), source, np.int16)
        self._parts.append((batch.keys, size, sources, batch.benchmark))

    def build_index(self) -> DocumentIndex:
        """Return the index of all documents added so far, whose texts can then be read."""
        self._own_texts.flush()
        self._own_signatures.flush()
        self._texts = JoinedFiles([*self._shard_texts, self._own_texts])
        self._signatures = JoinedFiles([*self._shard_signatures, self._own_signatures])
        empty = (
            np.empty((0, KEY_INTEGERS), np.uint64),
            np.empty(0, np.int64),
            np.empty(0, np.int16),
            np.empty(0, bool),
        )
        columns = zip(empty, *self._parts, strict=True)
        keys, size, source, benchmark = (np.concatenate(column) for column in columns)
        self._parts = [(keys, size, source, benchmark)]
        start = np.cumsum(size) - size
        self.index = DocumentIndex(
            keys=keys, start=start, size=size, source=source, benchmark=benchmark
        )
        return self.index

    def save_index(self) -> None:
        """Write the index of a store without shards, so that another store can include it."""
        index = self.build_index()
        columns = {name: getattr(index, name) for name in _INDEX_COLUMNS}
        np.savez(self._folder / INDEX, **columns)

    def text(self, row: int) -> bytes:
        """Return the UTF-8 text of a document."""
        return self._texts.read(int(self.index.start[row]), int(self.index.size[row]))

    def batches(
        self, rows: Rows, *, size: int, documents: int = _BATCH_DOCUMENTS
    ) -> Iterator[tuple[Rows, list[bytes]]]:
        """Yield the texts of `rows`, in their order, in batches of about `size` bytes."""
        for part in split_by_size(rows, self.index.size[rows], size=size, documents=documents):
            yield part, [self.text(row) for row in part]

    def signature_blocks(self) -> Iterator[NDArray[np.uint32]]:
        """Yield all signatures in the order of the documents, in blocks `[rows, permutations]`."""
        width = 4 * self.permutations
        offset = 0
        while block := self._signatures.read(offset, _SIGNATURE_ROWS * width):
            yield np.frombuffer(block, np.uint32).reshape(-1, self.permutations)
            offset += len(block)

    def signatures(self, rows: Iterable[int]) -> NDArray[np.uint32]:
        """Return the signatures of some documents, `[rows, permutations]`."""
        width = 4 * self.permutations
        read = (self._signatures.read(int(row) * width, width) for row in rows)
        return np.frombuffer(b"".join(read), np.uint32).reshape(-1, self.permutations)


_INDEX_COLUMNS = ("keys", "size", "source", "benchmark")
_IndexColumns = tuple[NDArray[np.uint64], Rows, NDArray[np.int16], NDArray[np.bool_]]


def _load_index(path: Path) -> _IndexColumns:
    with np.load(path, allow_pickle=False) as columns:
        keys, size, source, benchmark = (columns[name] for name in _INDEX_COLUMNS)
    return keys, size, source, benchmark


def split_by_size(
    rows: Rows, sizes: Rows, *, size: int, documents: int = _BATCH_DOCUMENTS
) -> Iterator[Rows]:
    """Cut `rows` into runs of about `size` bytes and at most `documents` rows."""
    ends = np.cumsum(sizes)
    low = 0
    while low < rows.size:
        before = ends[low] - sizes[low]
        high = max(low + 1, int(np.searchsorted(ends, before + size, side="right")))
        high = min(high, low + documents)
        yield rows[low:high]
        low = high
