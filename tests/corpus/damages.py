"""Damage files of every corpus format, and count the texts that are read wrongly without a message.

python tests/corpus/damages.py --count 2000 --out results/campaign/damages.csv

A damage is structural: separators, quotes, newlines, missing cells and keys, truncation, encodings,
joined files. A reading is right if each document is the one that was written, apart from as many
characters as the damage has changed within it, or if the file is refused in one line. Rows that a
cut at the end of a row has removed leave no trace in a file of text, and are not expected. A text
that is read wrongly is no fault if a message names the file, such as one on its missing checksums.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import io
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.corpus_settings import Source

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
FEW = 12
"""Characters that a damage may change within a text without a trace, as in any text."""


@dataclass(kw_only=True)
class Written:
    """A file before its damage."""

    data: bytes
    texts: list[str]


def documents(rng: random.Random) -> list[str]:
    """A few different texts: each contains its own number."""
    return [
        f"{number} {' '.join(rng.choices(PARTS, k=rng.randrange(1, 4)))} {rng.random():.6f}"
        for number in range(rng.randrange(3, 8))
    ]


def table(rng: random.Random) -> pd.DataFrame:
    """The texts between two other columns, in random order."""
    texts = documents(rng)
    columns = {"id": range(1000, 1000 + len(texts)), "text": texts, "note": ["x, y"] * len(texts)}
    return pd.DataFrame(columns)[rng.sample(list(columns), 3)]


def write_csv(rng: random.Random, separator: str = ",") -> Written:
    frame, quoting = table(rng), rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    text = frame.to_csv(index=False, sep=separator, quoting=quoting)
    return Written(data=text.encode(), texts=frame["text"].tolist())


def write_jsonl(rng: random.Random) -> Written:
    frame = table(rng)
    lines = [json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in frame.to_dict("records")]
    return Written(data="\n".join([*lines, ""]).encode(), texts=frame["text"].tolist())


def write_json(rng: random.Random) -> Written:
    frame = table(rng)
    text = json.dumps(frame.to_dict("records"), indent=rng.choice([None, 1]), ensure_ascii=False)
    return Written(data=text.encode(), texts=frame["text"].tolist())


def write_text(rng: random.Random) -> Written:
    text = "\n\n".join(documents(rng))
    return Written(data=text.encode(), texts=[text])


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


Damage = Callable[[random.Random, Written], bytes]


def text_damages(marks: bytes) -> dict[str, Damage]:
    """Damages of a format of text, in which `marks` are the characters of its structure."""

    def place(rng: random.Random, data: bytes) -> int:
        return rng.choice([at for at, byte in enumerate(data) if byte in marks])

    def dropped(rng: random.Random, file: Written) -> bytes:
        at = place(rng, file.data)
        return file.data[:at] + file.data[at + 1 :]

    def added(rng: random.Random, file: Written) -> bytes:
        at = rng.randrange(len(file.data.decode()) + 1)
        text = file.data.decode()
        return (text[:at] + chr(rng.choice(marks)) + text[at:]).encode()

    def swapped(rng: random.Random, file: Written) -> bytes:
        at = place(rng, file.data)
        return file.data[:at] + bytes([rng.choice(marks)]) + file.data[at + 1 :]

    def several(rng: random.Random, file: Written) -> bytes:
        gone = {place(rng, file.data) for _ in range(2)}
        return bytes(byte for at, byte in enumerate(file.data) if at not in gone)

    def joined(rng: random.Random, file: Written) -> bytes:
        return file.data.replace(b"\n", b"", 1)

    def mac(rng: random.Random, file: Written) -> bytes:
        return file.data.replace(b"\n", rng.choice([b"\r", b"\r\n"]))

    def line_lost(rng: random.Random, file: Written) -> bytes:
        """A part of a record is lost, from one mark to another one.

        Without the end of a record, the halves of two of them may be one in any parser.
        """
        first, last = sorted((place(rng, file.data), place(rng, file.data)))
        ends = [file.data.find(end, first, last) for end in (b"\n", b"}")]
        last = min([last, *(end for end in ends if end >= 0)])
        return file.data[:first] + file.data[last:]

    return {
        "mark dropped": dropped,
        "mark added": added,
        "mark swapped": swapped,
        "two marks dropped": several,
        "lines joined": joined,
        "line ends changed": mac,
        "cells lost": line_lost,
        **BYTES,
    }


def truncated(rng: random.Random, file: Written) -> bytes:
    return file.data[: rng.randrange(1, len(file.data))]


def recoded(rng: random.Random, file: Written) -> bytes:
    encoding = rng.choice(["cp1252", "utf-16", "utf-16-le", "utf-32", "gb18030", "utf-8-sig"])
    return file.data.decode().encode(encoding, "replace")


def bad_byte(rng: random.Random, file: Written) -> bytes:
    at = rng.randrange(len(file.data))
    return file.data[:at] + bytes([rng.choice(b"\0\xff\xc3\xe9")]) + file.data[at:]


def zeroed(rng: random.Random, file: Written) -> bytes:
    at, size = rng.randrange(len(file.data)), rng.randrange(1, 200)
    return file.data[:at] + bytes(len(file.data[at : at + size])) + file.data[at + size :]


BYTES: dict[str, Damage] = {
    "truncated": truncated,
    "recoded": recoded,
    "byte added": bad_byte,
    "part zeroed": zeroed,
}


def chunk_lost(rng: random.Random, file: Written) -> bytes:
    at, size = rng.randrange(len(file.data)), rng.randrange(1, 200)
    return file.data[:at] + file.data[at + size :]


def chunk_moved(rng: random.Random, file: Written) -> bytes:
    first, middle, last = sorted(rng.sample(range(len(file.data) + 1), 3))
    d = file.data
    return d[:first] + d[middle:last] + d[first:middle] + d[last:]


def footer_changed(rng: random.Random, file: Written) -> bytes:
    at = len(file.data) - rng.randrange(1, min(200, len(file.data)))
    return file.data[:at] + rng.randbytes(1) + file.data[at + 1 :]


BINARY: dict[str, Damage] = {
    "truncated": truncated,
    "beginning lost": lambda rng, file: file.data[rng.randrange(1, len(file.data)) :],
    "part lost": chunk_lost,
    "parts exchanged": chunk_moved,
    "end changed": footer_changed,
    "bytes as text": lambda rng, file: file.data.decode("latin-1").encode("utf-8"),
    "newlines changed": lambda rng, file: file.data.replace(b"\n", b"\r\n"),
}


@dataclass(frozen=True, kw_only=True)
class Format:
    """A corpus format."""

    suffix: str
    write: Callable[[random.Random], Written]
    damages: dict[str, Damage]
    joins: bool = True
    """Whether two files can be joined to one."""

    def damaged(self, rng: random.Random) -> tuple[Written, str]:
        """A file with one damage, and the name of the damage."""
        file = self.write(rng)
        kind = rng.choice([*self.damages, *([JOINED] if self.joins else [])])
        if kind == JOINED:
            other = self.write(rng)
            return Written(data=file.data + other.data, texts=file.texts + other.texts), kind
        return Written(data=self.damages[kind](rng, file), texts=file.texts), kind


JOINED = "files joined"


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


def packed(
    write: Callable[[random.Random], Written], pack: Callable[[bytes], bytes]
) -> Callable[[random.Random], Written]:
    """A writer of compressed files."""

    def write_packed(rng: random.Random) -> Written:
        file = write(rng)
        return Written(data=pack(file.data), texts=file.texts)

    return write_packed


def write_dataset(rng: random.Random) -> Written:
    """The Arrow file of a data set that `datasets` has saved."""
    from datasets import Dataset

    texts = documents(rng)
    with tempfile.TemporaryDirectory() as folder:
        Dataset.from_dict({"text": texts}).save_to_disk(folder)
        (file,) = Path(folder).glob("*.arrow")
        return Written(data=file.read_bytes(), texts=texts)


CSV, TSV, JSON = b',"\n', b'\t"\n', b'{}[]:,"\n\\'

FORMATS: dict[str, Format] = {
    "csv": Format(suffix=".csv", write=write_csv, damages=text_damages(CSV)),
    "tsv": Format(suffix=".tsv", write=lambda rng: write_csv(rng, "\t"), damages=text_damages(TSV)),
    "jsonl": Format(suffix=".jsonl", write=write_jsonl, damages=text_damages(JSON)),
    "json": Format(suffix=".json", write=write_json, damages=text_damages(JSON)),
    "txt": Format(suffix=".txt", write=write_text, damages=BYTES, joins=False),
    "md": Format(suffix=".md", write=write_text, damages=BYTES, joins=False),
    "parquet": Format(suffix=".parquet", write=write_parquet, damages=BINARY),
    "parquet without checksums": Format(
        suffix=".parquet", write=lambda rng: write_parquet(rng, False), damages=BINARY
    ),
    "jsonl.gz": Format(
        suffix=".jsonl.gz", write=packed(write_jsonl, gzip.compress), damages=BINARY
    ),
    "jsonl.zst": Format(
        suffix=".jsonl.zst",
        write=packed(write_jsonl, lambda data: zst(data, checksum=True)),
        damages=BINARY,
    ),
    "jsonl.zst without checksums": Format(
        suffix=".jsonl.zst", write=packed(write_jsonl, zst), damages=BINARY
    ),
    "csv.gz": Format(suffix=".csv.gz", write=packed(write_csv, gzip.compress), damages=BINARY),
    "arrow": Format(suffix="", write=write_dataset, damages=BINARY),
}


@contextlib.contextmanager
def stored(file: Written, suffix: str, folder: Path) -> Iterator[Source]:
    """The file as a source of the corpus."""
    if suffix:
        path = folder / f"file{suffix}"
        path.write_bytes(file.data)
        yield Source(files=str(path))
        return
    from datasets import Dataset

    saved = folder / "saved"
    shutil.rmtree(saved, ignore_errors=True)
    Dataset.from_dict({"text": ["x"]}).save_to_disk(saved)
    (path,) = saved.glob("*.arrow")
    path.write_bytes(file.data)
    yield Source(dataset=str(saved))


def reading(source: Source) -> tuple[list[str] | None, str]:
    """The texts that are read, None where they are refused, and the messages."""
    messages = io.StringIO()
    with contextlib.redirect_stderr(messages):
        try:
            return list(read_source(source, InputErrors("stop"))), messages.getvalue()
        except UserError as error:
            return None, f"{messages.getvalue()}{error}"


def is_near(text: str, found: str) -> bool:
    """Whether two texts differ in a few adjacent characters only; newlines may be of any system."""
    text, found = ("\n".join(part.splitlines()) for part in (text, found))
    first = next((i for i, (a, b) in enumerate(zip(text, found, strict=False)) if a != b), None)
    if first is None:
        return abs(len(text) - len(found)) <= FEW
    text, found = text[first:][::-1], found[first:][::-1]
    same = next((i for i, (a, b) in enumerate(zip(text, found, strict=False)) if a != b), None)
    same = min(len(text), len(found)) if same is None else same
    return max(len(text), len(found)) - same <= FEW


def is_part(found: list[str], texts: list[str]) -> bool:
    """Whether the found texts are some of the texts, in order, one of them without a part.

    No parser can know that whole rows, or words within a cell, are missing.
    """
    left = iter(texts)
    return all(any(is_near(text, got) or is_cut(text, got) for text in left) for got in found)


def is_cut(text: str, found: str) -> bool:
    """Whether a text is another one without a part in its middle."""
    return any(
        text.startswith(found[:at]) and text.endswith(found[at:]) for at in range(len(found) + 1)
    )


def outcome(name: str, file: Written, kind: str, folder: Path) -> str:
    """`right`, `refused`, `reported` (read, with a message), or what is wrong."""
    form = FORMATS[name]
    with stored(file, form.suffix, folder) as source:
        found, messages = reading(source)
    if found is None:
        lines = messages.strip().splitlines()
        return "refused" if len(lines) == 1 else f"fault: {len(lines)} lines of message"
    if name in ("txt", "md"):
        return "right" if "".join(found) == file.data.decode("utf-8-sig") else "fault: other text"
    if kind == "cells lost" and is_part(found, file.texts):
        return "right"
    near = [is_near(text, got) for text, got in zip(file.texts, found, strict=False)]
    if len(found) == len(file.texts) and all(near):
        return "right"
    if messages:
        return "reported"
    if kind == "truncated" and len(found) < len(file.texts) and found == file.texts[: len(found)]:
        return "right"
    return f"fault: {len(found)} of {len(file.texts)} texts, {near.count(False)} of them others"


def campaign(name: str, count: int, seed: int = 0) -> pd.DataFrame:
    """Try `count` damages of a format: columns `format, damage, outcome, example`."""
    rng = random.Random(f"{name} {seed}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            file, kind = FORMATS[name].damaged(rng)
            found = outcome(name, file, kind, Path(folder))
            example = repr(file.data)[:2000] if found.startswith("fault") else ""
            rows.append((name, kind, found, example))
    return pd.DataFrame(rows, columns=["format", "damage", "outcome", "example"])


def summarise(rows: pd.DataFrame) -> str:
    """A line for each format: damages by outcome."""
    kinds = rows["outcome"].str.partition(":")[0]
    return pd.crosstab(rows["format"], kinds, margins=True, margins_name="all").to_string()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=2000, help="damages of each format")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="table to write, as CSV")
    arguments = parser.parse_args()
    rows = pd.concat([campaign(n, arguments.count, arguments.seed) for n in arguments.formats])
    counts = rows.groupby(["format", "damage", "outcome"]).size().rename("damages").reset_index()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    counts.to_csv(arguments.out, index=False)
    print(summarise(rows))
    faults = rows[rows["outcome"].str.startswith("fault")]
    for row in faults.groupby(["format", "damage"]).head(1).itertuples():
        print(f"{row.format}, {row.damage}: {row.outcome}: {row.example}")
    raise SystemExit(len(faults) > 0)


if __name__ == "__main__":
    main()
