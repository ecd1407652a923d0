"""The parser of Parquet files; of all columns, only that of the text is read."""

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from splitlaw.corpus.sources.checksums import NO_PAGE_CHECKSUM, has_page_checksums
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.located import COMPRESSED, Located, column_problem

_COPY_BYTES = 1 << 20  # of a stream or file at a time
_BATCH_BYTES = 16 << 20  # of text held in memory at a time
_BATCH_ROWS = 256  # in case a few rows are much longer than the mean
_TEXT = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)
"""Types of text. Some writers, such as Spark's, mark UTF-8 as binary."""


def read_parquet(
    stream: BinaryIO, path: Path, field: str, errors: InputErrors
) -> Iterator[Located]:
    """Yield the texts of the column `field`, which may be dictionary-encoded or binary UTF-8."""
    if path.suffix.lower() not in COMPRESSED:
        yield from _rows(stream, path, field, errors)  # pyarrow opens only paths that are UTF-8
        return
    # Parquet requires random access. The file has no name, so nothing is left if it is killed.
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy, _COPY_BYTES)
        copy.seek(0)
        yield from _rows(copy, path, field, errors)


def _rows(parquet: Any, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    """Yield the rows of the uncompressed file `parquet`; `path` is the name in messages."""
    # Checksums of pages are verified where the writer has stored them.
    options = {"buffer_size": _COPY_BYTES, "page_checksum_verification": True}
    with pq.ParquetFile(parquet, **options) as stored:
        if stored.metadata.num_rows == 0:
            return  # the columns of an empty file often have no type
        # The descriptions of encrypted columns cannot be read: pyarrow would end the process.
        signed = _is_signed(parquet, stored.metadata)
        if not signed and _is_joined(parquet, stored.metadata):
            errors.report(str(path), "several Parquet files joined to one; keep them apart")
            return
        schema = stored.schema_arrow
        problem = column_problem(schema.names, field) or _type_problem(schema.field(field))
        if problem:
            errors.report(str(path), problem)
            return
        compressed = path.suffix.lower() in COMPRESSED  # these have checksums or a note
        if signed or not (compressed or has_page_checksums(parquet, stored.metadata, field)):
            errors.note(str(path), NO_PAGE_CHECKSUM, once=True)
        number = 0
        rows = _rows_per_batch(stored.metadata)
        for batch in stored.iter_batches(rows, columns=[field], use_threads=False):
            cells = batch.column(0)
            cells = cells.storage if isinstance(cells, pa.ExtensionArray) else cells
            for text in cells.cast(pa.large_binary()).to_pylist():
                number += 1
                location = f"{path}: row {number}"
                if text is None:
                    errors.report(location, f"no field {field!r} (null)")
                    continue
                try:
                    yield location, text.decode("utf-8")
                except UnicodeDecodeError as cause:
                    errors.report(location, f"invalid UTF-8 (byte {cause.start})")
        if number < stored.metadata.num_rows:  # pyarrow skips pages of unknown types
            reason = f"truncated or damaged ({number} of {stored.metadata.num_rows} rows)"
            errors.report(str(path), reason)


_FOOTER_END = 8
"""Bytes after the footer: its length and a mark."""
_SIGNATURE = 28
"""Bytes at the end of the footer of a file of which some columns are encrypted."""


def _is_signed(parquet: Any, metadata: pq.FileMetaData) -> bool:
    """Whether some columns may be encrypted, although the footer is not."""
    with _opened(parquet) as stream:
        place = stream.tell()
        stream.seek(-_FOOTER_END, io.SEEK_END)
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(place)
    return length == metadata.serialized_size + _SIGNATURE


def _opened(parquet: Any) -> contextlib.AbstractContextManager[BinaryIO]:
    """The file as a stream, which is opened and closed if `parquet` is a path."""
    is_path = isinstance(parquet, Path)
    return parquet.open("rb") if is_path else contextlib.nullcontext(parquet)


_JOINT = b"PAR1PAR1"
"""The end of a Parquet file, and the beginning of another."""


def _is_joined(parquet: Any, metadata: pq.FileMetaData) -> bool:
    """Whether several files were joined, of which pyarrow would read the wrong parts.

    The places of the last file's columns are then relative to the beginning of the first one, so
    that as many bytes as the others have lie between the columns and the footer.
    """
    columns = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    end = max(
        (c.dictionary_page_offset or c.data_page_offset) + c.total_compressed_size for c in columns
    )
    with _opened(parquet) as stream:
        place = stream.tell()
        footer = stream.seek(0, io.SEEK_END) - metadata.serialized_size - _FOOTER_END
        try:
            return footer > end and _contains(stream, _JOINT)
        finally:
            stream.seek(place)


def _contains(stream: BinaryIO, mark: bytes) -> bool:
    stream.seek(0)
    before = b""
    while part := stream.read(_COPY_BYTES):
        if mark in before + part:
            return True
        before = part[-len(mark) :]
    return False


def _type_problem(column: pa.Field) -> str | None:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind  # such as JSON
    if any(is_kind(kind) for is_kind in _TEXT):
        return None
    return f"column {column.name!r} is not text ({column.type})"


def _rows_per_batch(metadata: pq.FileMetaData) -> int:
    """Return how many rows of mean size fit into `_BATCH_BYTES`."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    rows = _BATCH_BYTES * metadata.num_rows // max(size, 1)
    return max(1, min(_BATCH_ROWS, rows))
