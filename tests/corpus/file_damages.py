"""Structural damages to the files of every corpus format."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from file_writers import (
    Write,
    Written,
    packed,
    write_csv,
    write_dataset,
    write_json,
    write_json_lines,
    write_parquet,
    write_text,
    zst,
)


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One changed place of a file: the bytes from `start` to `end` become `put`."""

    start: int
    end: int
    put: bytes = b""


def apply(data: bytes, edits: list[Edit]) -> bytes:
    """The bytes after all edits, whose places are those before any of them."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        data = data[: edit.start] + edit.put + data[edit.end :]
    return data


Damage = Callable[[random.Random, bytes], list[Edit]]
"""Chooses the places of a damage."""


def text_damages(marks: bytes) -> dict[str, Damage]:
    """Damages of a format of text, in which `marks` are the characters of its structure."""

    def place(rng: random.Random, data: bytes) -> int:
        return rng.choice([at for at, byte in enumerate(data) if byte in marks])

    def dropped(rng: random.Random, data: bytes) -> list[Edit]:
        at = place(rng, data)
        return [Edit(start=at, end=at + 1)]

    def added(rng: random.Random, data: bytes) -> list[Edit]:
        # Between characters, not within one.
        at = len(data.decode()[: rng.randrange(len(data.decode()) + 1)].encode())
        return [Edit(start=at, end=at, put=bytes([rng.choice(marks)]))]

    def swapped(rng: random.Random, data: bytes) -> list[Edit]:
        at = place(rng, data)
        return [Edit(start=at, end=at + 1, put=bytes([rng.choice(marks)]))]

    def several(rng: random.Random, data: bytes) -> list[Edit]:
        return [Edit(start=at, end=at + 1) for at in {place(rng, data) for _ in range(2)}]

    def joined(rng: random.Random, data: bytes) -> list[Edit]:
        at = data.find(b"\n")
        return [Edit(start=at, end=at + 1)] if at >= 0 else []

    def line_ends(rng: random.Random, data: bytes) -> list[Edit]:
        put = rng.choice([b"\r", b"\r\n"])
        return [Edit(start=k, end=k + 1, put=put) for k, byte in enumerate(data) if byte == 10]

    def cells_lost(rng: random.Random, data: bytes) -> list[Edit]:
        """A part of a record is lost, from one mark to another one."""
        first, last = sorted((place(rng, data), place(rng, data)))
        ends = [data.find(end, first, last) for end in (b"\n", b"}")]
        return [Edit(start=first, end=min([last, *(end for end in ends if end >= 0)]))]

    return {
        "mark dropped": dropped,
        "mark added": added,
        "mark swapped": swapped,
        "two marks dropped": several,
        "lines joined": joined,
        "line ends changed": line_ends,
        "cells lost": cells_lost,
        **BYTES,
    }


def quotes_lost(rng: random.Random, data: bytes) -> list[Edit]:
    """The last quote of a row and the first one of the next row are lost."""
    pairs = [match.span() for match in re.finditer(rb'(?<!")"[^"\n]*\n[^"\n]*"(?!")', data)]
    if not pairs:
        return []
    start, end = rng.choice(pairs)
    return [Edit(start=start, end=start + 1), Edit(start=end - 1, end=end)]


def truncated(rng: random.Random, data: bytes) -> list[Edit]:
    return [Edit(start=rng.randrange(1, len(data)), end=len(data))]


def recoded(rng: random.Random, data: bytes) -> list[Edit]:
    encoding = rng.choice(["cp1252", "utf-16", "utf-16-le", "utf-32", "gb18030", "utf-8-sig"])
    return whole(data, data.decode().encode(encoding, "replace"))


def bad_byte(rng: random.Random, data: bytes) -> list[Edit]:
    at = rng.randrange(len(data))
    return [Edit(start=at, end=at, put=bytes([rng.choice(b"\0\xff\xc3\xe9")]))]


def zeroed(rng: random.Random, data: bytes) -> list[Edit]:
    at = rng.randrange(len(data))
    end = min(at + rng.randrange(1, 200), len(data))
    return [Edit(start=at, end=end, put=bytes(end - at))]


def part_lost(rng: random.Random, data: bytes) -> list[Edit]:
    at = rng.randrange(len(data))
    return [Edit(start=at, end=min(at + rng.randrange(1, 200), len(data)))]


def parts_exchanged(rng: random.Random, data: bytes) -> list[Edit]:
    first, middle, last = sorted(rng.sample(range(len(data) + 1), 3))
    return [Edit(start=first, end=last, put=data[middle:last] + data[first:middle])]


def byte_changed(rng: random.Random, data: bytes, last: int = 0) -> list[Edit]:
    """Another byte in one place, among the `last` ones if they are given."""
    at = len(data) - rng.randrange(1, min(last or len(data), len(data)))
    return [Edit(start=at, end=at + 1, put=bytes([data[at] ^ rng.randrange(1, 256)]))]


def whole(before: bytes, after: bytes) -> list[Edit]:
    """A change of the whole file; nothing if it makes no difference."""
    return [Edit(start=0, end=len(before), put=after)] if after != before else []


BYTES: dict[str, Damage] = {
    "truncated": truncated,
    "recoded": recoded,
    "byte added": bad_byte,
    "part zeroed": zeroed,
}
BINARY: dict[str, Damage] = {
    "truncated": truncated,
    "beginning lost": lambda rng, data: [Edit(start=0, end=rng.randrange(1, len(data)))],
    "part lost": part_lost,
    "parts exchanged": parts_exchanged,
    "byte changed": byte_changed,
    "end changed": partial(byte_changed, last=200),
    "bytes as text": lambda rng, data: whole(data, data.decode("latin-1").encode("utf-8")),
    "newlines changed": lambda rng, data: whole(data, data.replace(b"\n", b"\r\n")),
}
JOINED = "files joined"


@dataclass(frozen=True, kw_only=True)
class Format:
    """A corpus format."""

    suffix: str
    write: Write
    damages: dict[str, Damage]
    joins: bool = True
    """Whether two files can be joined to one."""
    checksums: bool = True
    """Whether a change of any byte can be found; files of text count as their own content."""

    def damaged(self, rng: random.Random) -> tuple[Written, list[Edit], str]:
        """A file, the edits that damage it, and the name of the damage."""
        file = self.write(rng)
        kind = rng.choice([*self.damages, *([JOINED] if self.joins else [])])
        if kind != JOINED:
            return file, self.damages[kind](rng, file.data), kind
        other = self.write(rng)
        joined = Written(data=file.data, texts=file.texts + other.texts)
        size = len(file.data)
        return joined, [Edit(start=size, end=size, put=other.data)], kind


CSV, TSV, JSON = b',"\n', b'\t"\n', b'{}[]:,"\n\\'
QUOTED: dict[str, Damage] = {"quotes of rows lost": quotes_lost}
FORMATS: dict[str, Format] = {
    "csv": Format(suffix=".csv", write=write_csv, damages=text_damages(CSV) | QUOTED),
    "tsv": Format(
        suffix=".tsv", write=partial(write_csv, separator="\t"), damages=text_damages(TSV) | QUOTED
    ),
    "jsonl": Format(suffix=".jsonl", write=write_json_lines, damages=text_damages(JSON)),
    "json": Format(suffix=".json", write=write_json, damages=text_damages(JSON)),
    "txt": Format(suffix=".txt", write=write_text, damages=BYTES, joins=False),
    "md": Format(suffix=".md", write=write_text, damages=BYTES, joins=False),
    "parquet": Format(suffix=".parquet", write=write_parquet, damages=BINARY),
    "parquet without checksums": Format(
        suffix=".parquet",
        write=partial(write_parquet, checksums=False),
        damages=BINARY,
        checksums=False,
    ),
    "jsonl.gz": Format(
        suffix=".jsonl.gz", write=packed(write_json_lines, gzip.compress), damages=BINARY
    ),
    "jsonl.zst": Format(
        suffix=".jsonl.zst",
        write=packed(write_json_lines, partial(zst, checksum=True)),
        damages=BINARY,
    ),
    "jsonl.zst without checksums": Format(
        suffix=".jsonl.zst", write=packed(write_json_lines, zst), damages=BINARY, checksums=False
    ),
    "jsonl.bz2": Format(
        suffix=".jsonl.bz2", write=packed(write_json_lines, bz2.compress), damages=BINARY
    ),
    "jsonl.xz": Format(
        suffix=".jsonl.xz", write=packed(write_json_lines, lzma.compress), damages=BINARY
    ),
    "csv.gz": Format(suffix=".csv.gz", write=packed(write_csv, gzip.compress), damages=BINARY),
    "arrow": Format(suffix="", write=write_dataset, damages=BINARY, checksums=False),
}
