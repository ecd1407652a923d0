"""The files of a prepared domain: one Parquet file per split, and a card that describes them.

The Parquet files have the columns `id` (hexadecimal, a hash of text and seed), `source` and
`text`; rows are in the order of `id`. `datasets` and `pandas` can open them too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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


def split_path(corpus: Path, domain: str, split: str) -> Path:
    """Return the path of the documents of a domain's split."""
    return corpus / domain / f"{split}.parquet"


def write_documents(path: Path, batches: Iterable[Documents]) -> None:
    """Write a split, one row group per batch; the same documents give the same bytes."""
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for ids, sources, texts in batches:
            utf8 = pa.array(texts, pa.binary()).cast(pa.string())
            columns = [pa.array(ids), pa.array(sources), utf8]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))


def read_documents(corpus: Path, domain: str, split: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the sources and texts of a split in batches, in the order of the file.

    Raises `UserError` if the corpus does not have the file.
    """
    path = split_path(corpus, domain, split)
    if not path.is_file():
        raise UserError(f"{path}: no such file; run prepare_corpus with domain {domain} first")
    with pq.ParquetFile(path) as stored:
        for batch in stored.iter_batches(_READ_ROWS, columns=["source", "text"]):
            yield batch.column("source").to_pylist(), batch.column("text").to_pylist()


def write_card(
    corpus: Path,
    domain: str,
    *,
    sources: list[str],
    dropped: DroppedCounts,
    to_general: int,
    cut: int,
    long: int,
    includes_domains: bool,
    encodings: Mapping[str, int],
    skipped: list[str],
) -> None:
    """Write `card.json` of a domain: its sources, what was dropped and why, counts and samples.

    `to_general` is the number of documents moved to `general`, and `cut` that of documents held out
    by passage, of which the files contain the parts. `long` is the number of documents that were
    longer than `max_characters` and therefore cut; it is only written if there are any, and
    `includes_domains`, whether these are the documents of all domains, only if it is true.
    `encodings` are the numbers of files by the encoding that was detected, where it was, and
    `skipped` the steps of cleaning that the configuration turns off. The card depends only on this
    domain's documents, so that a rule that reads it does not run again when another domain changes.
    """
    write_json(
        corpus / domain / "card.json",
        {
            "domain": domain,
            "sources": sources,
            "documents_to_general": to_general,
            "documents_cut": cut,
            **({"long_documents_cut": long} if long else {}),
            **({"includes_domains": True} if includes_domains else {}),
            **({"encodings": dict(sorted(encodings.items()))} if encodings else {}),
            **({"steps_skipped": skipped} if skipped else {}),
            "dropped": {
                reason: {"documents": count, "bytes": size}
                for reason, (count, size) in sorted(dropped.items())
            },
            "splits": {split: _describe_split(corpus, domain, split) for split in SPLITS},
        },
    )


def _describe_split(corpus: Path, domain: str, split: str) -> dict[str, Any]:
    documents: Counter[str] = Counter()
    size: Counter[str] = Counter()
    samples: list[str] = []
    for sources, texts in read_documents(corpus, domain, split):
        for source, text in zip(sources, texts, strict=True):
            documents[source] += 1
            size[source] += len(text.encode("utf-8"))
        samples += [text[:_SAMPLE_CHARACTERS] for text in texts[: _SAMPLES - len(samples)]]
    path = split_path(corpus, domain, split)
    return {
        "file": path.name,
        "sha256": sha256_file(path),
        "documents": documents.total(),
        "bytes": size.total(),
        "by_source": {
            source: {"documents": documents[source], "bytes": size[source]}
            for source in sorted(documents)
        },
        "samples": samples,
    }
