"""The files of a prepared corpus: one Parquet file a split, opened by `datasets` and `pandas` too.

Columns: `id` (hexadecimal, from text and seed), `source`, `text`. Rows stand in the order of `id`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path

SCHEMA = pa.schema([("id", pa.string()), ("source", pa.string()), ("text", pa.string())])
Documents = tuple[list[str], list[str], list[bytes]]
"""Ids, sources and UTF-8 texts of a batch."""


def split_path(corpus: Path, domain: str, split: str) -> Path:
    """Where the documents of a domain's split are."""
    return corpus / domain / f"{split}.parquet"


def write_documents(path: Path, batches: Iterable[Documents]) -> None:
    """Write a split, a row group for each batch; the same documents give the same bytes."""
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for ids, sources, texts in batches:
            utf8 = pa.array(texts, pa.binary()).cast(pa.string())
            columns = [pa.array(ids), pa.array(sources), utf8]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))


def read_documents(corpus: Path, domain: str, split: str) -> Iterator[tuple[list[str], list[str]]]:
    """The sources and texts of a split, batch by batch, in the order of the file.

    Raises `UserError` where the corpus has no such file.
    """
    path = split_path(corpus, domain, split)
    if not path.is_file():
        raise UserError(f"{path}: no such file; run prepare_corpus with domain {domain} first")
    with pq.ParquetFile(path) as stored:
        for batch in stored.iter_batches(1024, columns=["source", "text"]):
            yield batch.column("source").to_pylist(), batch.column("text").to_pylist()
