"""Clean documents on disk and their index in memory, so that a corpus need not fit in memory.

The index takes about 60 bytes per document; texts and signatures are read from disk when needed.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from splitlaw.corpus.cleaning import KEY_INTEGERS, CleanBatch

Rows = NDArray[np.int64]
"""Numbers of documents in the store."""

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


class DocumentStore:
    """A folder with the texts of all documents and their signatures; exists during one run."""

    def __init__(self, folder: Path, permutations: int) -> None:
        self.permutations = permutations
        self._texts: BinaryIO = (folder / "texts.bin").open("w+b")
        self._signatures: BinaryIO = (folder / "signatures.bin").open("w+b")
        self._parts: list[tuple[NDArray[np.uint64], Rows, NDArray[np.int16], NDArray[np.bool_]]]
        self._parts = []
        self.index = self.build_index()

    def __enter__(self) -> "DocumentStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._texts.close()
        self._signatures.close()

    def append(self, batch: CleanBatch, source: int) -> None:
        """Add the documents of a batch, which come from the source of this number."""
        self._texts.writelines(batch.texts)
        self._signatures.write(batch.signatures.tobytes())
        size = np.fromiter(map(len, batch.texts), np.int64, len(batch.texts))
        sources = np.full(len(batch.texts), source, np.int16)
        self._parts.append((batch.keys, size, sources, batch.benchmark))

    def build_index(self) -> DocumentIndex:
        """Return the index of all documents added so far, whose texts can then be read."""
        self._texts.flush()
        self._signatures.flush()
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

    def text(self, row: int) -> bytes:
        """Return the UTF-8 text of a document."""
        size, start = int(self.index.size[row]), int(self.index.start[row])
        return os.pread(self._texts.fileno(), size, start)

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
        while block := os.pread(self._signatures.fileno(), _SIGNATURE_ROWS * width, offset):
            yield np.frombuffer(block, np.uint32).reshape(-1, self.permutations)
            offset += len(block)

    def signatures(self, rows: Iterable[int]) -> NDArray[np.uint32]:
        """Return the signatures of some documents, `[rows, permutations]`."""
        width = 4 * self.permutations
        read = (os.pread(self._signatures.fileno(), width, int(row) * width) for row in rows)
        return np.frombuffer(b"".join(read), np.uint32).reshape(-1, self.permutations)


def split_by_size(rows: Rows, sizes: Rows, *, size: int, documents: int) -> Iterator[Rows]:
    """Cut `rows` into runs of about `size` bytes and at most `documents` rows."""
    ends = np.cumsum(sizes)
    low = 0
    while low < rows.size:
        before = ends[low] - sizes[low]
        high = max(low + 1, int(np.searchsorted(ends, before + size, side="right")))
        high = min(high, low + documents)
        yield rows[low:high]
        low = high
