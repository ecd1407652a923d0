"""Files of every corpus format, in which the place of each text is known."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

PARTS = [
    "plain words of a text",
    "commas, of course",
    'a quoted "word" here',
    "two\nlines",
    "dürüst 深層",
    "a\ttab",
    "braces {} and [brackets]",
    "a backslash \\ here",
    'it ends with a quote"',
]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file before its damage."""

    data: bytes
    texts: list[str]
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Where the characters of each text are, without the quotes around them; of text formats."""
    decode: Callable[[bytes, bool], str | None] = lambda content, quoted: None
    """The text that these characters mean, None if they do not end where the text ends."""
    rewrite: Callable[[bytes], tuple[bytes, list[str]] | None] = lambda data: None
    """The bytes that the same writer makes of what another strict parser reads, and the texts;
    None for a file that this parser refuses."""


Write = Callable[[random.Random], Written]


def documents(rng: random.Random) -> list[str]:
    """A few different texts: each contains its own number."""
    return [
        f"{number} {' '.join(rng.choices(PARTS, k=rng.randrange(1, 4)))} {rng.random():.6f}"
        for number in range(rng.randrange(3, 8))
    ]


def table(rng: random.Random) -> pd.DataFrame:
    """The texts beside one or two other columns, in random order."""
    texts = documents(rng)
    columns = {"id": range(1000, 1000 + len(texts)), "text": texts}
    if rng.random() < 0.7:
        columns["note"] = [rng.choice(["x, y", "x"])] * len(texts)
    return pd.DataFrame(columns)[rng.sample(list(columns), len(columns))]


def places(data: bytes, contents: list[bytes]) -> list[tuple[int, int]]:
    """Where each of the contents is; each is found once, because every text has its own number."""
    found, at = [], 0
    for content in contents:
        at = data.index(content, at)
        found.append((at, at + len(content)))
        at += len(content)
    return found


def write_csv(rng: random.Random, separator: str = ",") -> Written:
    frame, quoting = table(rng), rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    data = frame.to_csv(index=False, sep=separator, quoting=quoting).encode()
    texts = frame["text"].tolist()
    return Written(
        data=data,
        texts=texts,
        spans=places(data, [text.replace('"', '""').encode() for text in texts]),
        decode=partial(decode_cell, separator),
        rewrite=partial(rewrite_csv, separator, quoting, sorted(frame.columns)),
    )


def decode_cell(separator: str, content: bytes, quoted: bool) -> str | None:
    """The text of a cell of CSV."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    if quoted:
        return None if '"' in text.replace('""', "") else text.replace('""', '"')
    if any(mark in text for mark in (separator, "\n", "\r")) or text.startswith('"'):
        return None
    return text


def rewrite_csv(
    separator: str, quoting: int, columns: list[str], data: bytes
) -> tuple[bytes, list[str]] | None:
    try:
        lines = io.StringIO(data.decode(), newline="")
        header, *rows = csv.reader(lines, strict=True, delimiter=separator)
    except (ValueError, csv.Error):
        return None
    if sorted(header) != columns or {len(row) for row in rows} - {len(header)}:
        return None
    frame = pd.DataFrame(rows, columns=header)
    again = frame.to_csv(index=False, sep=separator, quoting=quoting)
    return again.encode(), frame["text"].tolist()


def write_json_lines(rng: random.Random) -> Written:
    return write_json(rng, lines=True)


def write_json(rng: random.Random, lines: bool = False) -> Written:
    frame, ascii_only = table(rng), rng.random() < 0.5
    dump = partial(json.dumps, ensure_ascii=ascii_only)
    indent = None if lines else rng.choice([None, 1])
    records = frame.to_dict("records")
    if lines:
        text = "".join(f"{dump(record)}\n" for record in records)
    else:
        text = dump(records, indent=indent)
    texts = frame["text"].tolist()
    return Written(
        data=text.encode(),
        texts=texts,
        spans=places(text.encode(), [dump(text)[1:-1].encode() for text in texts]),
        decode=decode_string,
        rewrite=partial(rewrite_json, dump, indent, lines),
    )


def decode_string(content: bytes, quoted: bool) -> str | None:
    """The text of a string of JSON."""
    try:
        return str(json.loads(b'"' + content + b'"'))
    except ValueError:
        return None


def rewrite_json(
    dump: Callable[..., str], indent: int | None, lines: bool, data: bytes
) -> tuple[bytes, list[str]] | None:
    try:
        text = data.decode()
        whole = text if text.endswith("\n") else f"{text}\n"
        records = [json.loads(line) for line in whole.splitlines()] if lines else json.loads(text)
        texts = [record["text"] for record in records]
    except (ValueError, TypeError, KeyError):
        return None
    again = "".join(f"{dump(record)}\n" for record in records)
    # The last line of JSON lines need not have an end; its record is whole without it.
    again = (
        again if lines and whole == text else again[:-1] if lines else dump(records, indent=indent)
    )
    return again.encode(), texts


def write_text(rng: random.Random) -> Written:
    text = "\n\n".join(documents(rng))
    data = text.encode()
    return Written(data=data, texts=[text], spans=[(0, len(data))], decode=decode_text)


def decode_text(content: bytes, quoted: bool) -> str | None:
    """The text of a whole file."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def write_parquet(rng: random.Random, checksums: bool = True) -> Written:
    frame, sink = table(rng), io.BytesIO()
    pq.write_table(
        pa.Table.from_pandas(frame, preserve_index=False),
        sink,
        row_group_size=rng.choice([2, 100]),
        compression=rng.choice(["snappy", "none", "zstd"]),
        use_dictionary=rng.random() < 0.5,
        write_page_checksum=checksums,
    )
    return Written(data=sink.getvalue(), texts=frame["text"].tolist())


def write_dataset(rng: random.Random) -> Written:
    """The Arrow file of a data set that `datasets` has saved."""
    from datasets import Dataset

    texts = documents(rng)
    with tempfile.TemporaryDirectory() as folder:
        Dataset.from_dict({"text": texts}).save_to_disk(folder)
        (file,) = Path(folder).glob("*.arrow")
        return Written(data=file.read_bytes(), texts=texts)


def zst(data: bytes, checksum: bool = False) -> bytes:
    """A Zstandard frame; pyarrow writes none of the checksums that `zstd` itself writes."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    frame = sink.getvalue().to_pybytes()
    if not checksum:
        return frame
    content = xxhash.xxh64(data).intdigest() & 0xFFFFFFFF
    return frame[:4] + bytes([frame[4] | 4]) + frame[5:] + content.to_bytes(4, "little")


def packed(write: Write, pack: Callable[[bytes], bytes]) -> Write:
    """A writer of compressed files."""

    def write_packed(rng: random.Random) -> Written:
        file = write(rng)
        return Written(data=pack(file.data), texts=file.texts)

    return write_packed
