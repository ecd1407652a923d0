"""The files of a prepared domain: Parquet files of each split, and a card that describes them.

The Parquet files have the columns `id` (hexadecimal, a hash of text and seed), `source` and
`text`; rows are in the order of `id`. A split of more than `corpus.max_file_bytes` has several
files, named as on the Hugging Face Hub. `datasets` and `pandas` can open them too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, sha256_file, write_json
from splitlaw.corpus.splitting import SPLITS

SCHEMA = pa.schema([("id", pa.string()), ("source", pa.string()), ("text", pa.string())])
Documents = tuple[list[str], list[str], list[bytes]]
"""Ids, sources and UTF-8 texts of a batch."""
DroppedCounts = dict[str, tuple[int, int]]
"""The numbers of documents and bytes dropped for each reason."""

_READ_ROWS = 1024  # rows per batch; at a few kilobytes each, some megabytes of memory
_SAMPLES = 3  # enough to recognise the kind of text
_SAMPLE_CHARACTERS = 300


@dataclass(kw_only=True)
class FileContent:
    """Description of the documents in a file."""

    sha256: str = ""
    documents: dict[str, int] = field(default_factory=dict)
    """Number of documents by source."""
    bytes: dict[str, int] = field(default_factory=dict)
    """UTF-8 bytes of text by source."""
    samples: list[str] = field(default_factory=list)
    """Beginnings of the first documents."""

    def add(self, batch: Documents) -> None:
        """Count the documents of a batch."""
        _, sources, texts = batch
        for source, text in zip(sources, texts, strict=True):
            self.documents[source] = self.documents.get(source, 0) + 1
            self.bytes[source] = self.bytes.get(source, 0) + len(text)
        for text in texts[: _SAMPLES - len(self.samples)]:
            self.samples.append(text.decode("utf-8")[:_SAMPLE_CHARACTERS])


def split_path(corpus: Path, domain: str, split: str) -> Path:
    """Return the path of the documents of a split that is in one file."""
    return corpus / domain / file_names(split, 1)[0]


def file_names(split: str, count: int) -> list[str]:
    """Return the names of the files of a split."""
    if count == 1:
        return [f"{split}.parquet"]
    return [f"{split}-{number:05}-of-{count:05}.parquet" for number in range(count)]


def split_files(corpus: Path, domain: str, split: str) -> list[Path]:
    """Return the files of a split in order; raises `UserError` if one is missing."""
    whole = split_path(corpus, domain, split)
    if whole.is_file():
        return [whole]
    found = sorted(path.name for path in whole.parent.glob(f"{split}-*-of-*.parquet"))
    count = int(found[0].rpartition("-")[2].removesuffix(".parquet")) if found else 1
    if found != (names := file_names(split, count)):
        missing = next(name for name in names if name not in found)
        raise UserError(
            f"{whole.parent / missing}: no such file; run prepare_corpus with domain {domain} first"
        )
    return [whole.parent / name for name in found]


def remove_other_files(corpus: Path, domain: str, names: list[str]) -> None:
    """Remove the Parquet files of a domain that an earlier corpus had in addition to `names`."""
    for path in (corpus / domain).glob("*.parquet"):
        if path.name not in names:
            path.unlink()


def write_documents(path: Path, batches: Iterable[Documents]) -> FileContent:
    """Write a file, one row group per batch; the same documents give the same bytes."""
    content = FileContent()
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for batch in batches:
            ids, sources, texts = batch
            utf8 = pa.array(texts, pa.binary()).cast(pa.string())
            columns = [pa.array(ids), pa.array(sources), utf8]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
            content.add(batch)
    content.sha256 = sha256_file(path)
    return content


def read_documents(corpus: Path, domain: str, split: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the sources and texts of a split in batches, in the order of the files.

    Raises `UserError` if the corpus does not have the files.
    """
    for path in split_files(corpus, domain, split):
        yield from read_file_documents(path)


def read_file_documents(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the sources and texts of one file in batches."""
    with pq.ParquetFile(path) as stored:
        for batch in stored.iter_batches(_READ_ROWS, columns=["source", "text"]):
            yield batch.column("source").to_pylist(), batch.column("text").to_pylist()


def write_card(
    corpus: Path,
    domain: str,
    *,
    files: list[tuple[dict[str, Any], FileContent]],
    sources: list[str],
    versions: Mapping[str, str],
    dropped: DroppedCounts,
    to_general: int,
    cut: int,
    long: int,
    includes_domains: bool,
    encodings: Mapping[str, int],
    notes: Mapping[str, tuple[int, str]],
    skipped: list[str],
    label: str = "",
) -> None:
    """Write `card.json` of a domain: its sources, what was dropped and why, counts and samples.

    `files` are the `split` and `file`, the name, of each file, with its content. `versions` are
    those of sources whose text depends on the running Python. `to_general` is the number of
    documents moved to `general`, and `cut` that of documents held out by passage, of which the
    files contain the parts. `long` is the number of documents that were longer than
    `max_characters` and therefore cut; it is only written if there are any, and `includes_domains`,
    whether these are the documents of all domains, only if it is true. `encodings` are the numbers
    of files by the encoding that was detected, where it was, `notes` the numbers of files or rows
    by a remark on them, with the first one, and `skipped` the steps of cleaning that the
    configuration turns off. `label` has words of a discovered domain, and is only written
    for one. The card depends only on this domain's documents, so that a
    rule that reads it does not run again when another domain changes.
    """
    write_json(
        corpus / domain / "card.json",
        {
            "domain": domain,
            **({"label": label} if label else {}),
            "sources": sources,
            **({"versions": dict(versions)} if versions else {}),
            "documents_to_general": to_general,
            "documents_cut": cut,
            **({"long_documents_cut": long} if long else {}),
            **({"includes_domains": True} if includes_domains else {}),
            **({"encodings": dict(sorted(encodings.items()))} if encodings else {}),
            **({"notes": _describe_notes(notes)} if notes else {}),
            **({"steps_skipped": skipped} if skipped else {}),
            "dropped": {
                reason: {"documents": count, "bytes": size}
                for reason, (count, size) in sorted(dropped.items())
            },
            "splits": {split: _describe_split(split, files) for split in SPLITS},
        },
    )


def _describe_notes(notes: Mapping[str, tuple[int, str]]) -> dict[str, dict[str, Any]]:
    return {
        remark: {"number": number, "first": first}
        for remark, (number, first) in sorted(notes.items())
    }


def _describe_split(split: str, files: list[tuple[dict[str, Any], FileContent]]) -> dict[str, Any]:
    own = [(file["file"], content) for file, content in files if file["split"] == split]
    documents: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for _, content in own:
        documents.update(content.documents)
        size.update(content.bytes)
    names = [{"file": name, "sha256": content.sha256} for name, content in own]
    return {
        **(names[0] if len(names) == 1 else {"files": names}),
        "documents": documents.total(),
        "bytes": size.total(),
        "by_source": {
            source: {"documents": documents[source], "bytes": size[source]}
            for source in sorted(documents)
        },
        "samples": [sample for _, content in own for sample in content.samples][:_SAMPLES],
    }
