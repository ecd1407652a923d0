"""Reading of bzip2 and xz files, of which every byte must belong to a complete stream.

The readers of the standard library end without a message at bytes that are no stream, so that all
streams after them would be lost.
"""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, cast

_CHUNK_BYTES = 1 << 18
DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".bz2": bz2.BZ2Decompressor,
    ".xz": partial(lzma.LZMADecompressor, lzma.FORMAT_XZ),  # the older format has no checksums
}
"""By the suffix of a file."""


class PartStream(io.RawIOBase):
    """A stream of the bytes of an iterator, which is read as far as needed."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        super().__init__()
        self._parts = parts
        self._rest = memoryview(b"")  # of which a slice copies nothing

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Fill the buffer with the next bytes; returns their number, 0 at the end."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = memoryview(part)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def stream_of(parts: Iterator[bytes]) -> BinaryIO:
    """Return the bytes of an iterator as a buffered stream."""
    return cast(BinaryIO, io.BufferedReader(PartStream(parts), _CHUNK_BYTES))


def decompressed(stream: BinaryIO, suffix: str) -> Iterator[bytes]:
    """Yield the content of a compressed file, of one stream or several, in parts.

    `suffix` is one of `DECOMPRESSORS`. Raises `EOFError` if the file ends within a stream, and
    `OSError` or `lzma.LZMAError` for bytes that are no stream.
    """
    decompressor, data = None, stream.read(_CHUNK_BYTES)
    padding = b""
    while data or decompressor is not None:
        if decompressor is None:
            data = data.lstrip(padding)
            decompressor = DECOMPRESSORS[suffix]() if data else None
            padding = b"\0"  # which xz allows after a stream
        if decompressor is not None:
            yield decompressor.decompress(data, _CHUNK_BYTES)
            data = b""
            if decompressor.eof:
                data, decompressor = decompressor.unused_data, None
        if not data and (decompressor is None or decompressor.needs_input):
            data = stream.read(_CHUNK_BYTES)
            if not data and decompressor is not None:
                raise EOFError("the file ends before the end of its compressed content")
