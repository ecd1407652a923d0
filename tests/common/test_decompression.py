"""Streams of the parts of an iterator."""

import tracemalloc

from splitlaw.common.decompression import stream_of


def test_a_long_part_is_not_copied_with_every_read() -> None:
    part = bytes(range(256)) * (1 << 16)
    stream = stream_of(iter([b"", part, b"end"]))
    tracemalloc.start()
    try:
        pieces = iter(lambda: stream.read(1 << 18), b"")
        read = sum(piece == part[: len(piece)] or piece == b"end" for piece in pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == len(part) // (1 << 18) + 1
    assert peak < len(part) / 4
