"""Parsers of file formats: JSON lines, JSON, Parquet, CSV and plain text.

Each parser takes an open stream, the path for messages, the field or column that holds the text,
and the collector of errors; it yields the documents with their locations.
"""

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from splitlaw.corpus.sources.input_errors import InputErrors

Located = tuple[str, str]
"""The location of a document (file, with its line or row), for messages, and its text."""

COMPRESSED = (".gz", ".zst")
MAX_DOCUMENT_BYTES = 64 << 20
"""A longer document is bad input, so that memory stays bounded. Cleaning drops documents of more
than 1 MB by default anyway."""
DOCUMENT_TOO_LARGE = f"document over {MAX_DOCUMENT_BYTES >> 20} MB"

_MAX_NAMES_SHOWN = 8  # keeps a message that lists fields or columns on one line
_COPY_BYTES = 1 << 20  # of a stream or file at a time
_PARQUET_BATCH_BYTES = 16 << 20  # of text held in memory at a time
_PARQUET_BATCH_ROWS = 256  # in case a few rows are much longer than the mean
_BETWEEN_VALUES = re.compile(r"[\s,\[]*")


def first_line(cause: BaseException) -> str:
    """Return the first line of an error's message, at most 200 characters."""
    return (str(cause) or type(cause).__name__).strip().splitlines()[0][:200]


def _decode(data: bytes, location: str, errors: InputErrors) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        errors.report(location, f"invalid UTF-8 (byte {cause.start})")
        return None


def _record_text(record: Any, field: str, location: str, errors: InputErrors) -> str | None:
    """Return the text of a parsed record, or None after reporting what is wrong with it."""
    if not isinstance(record, dict):
        errors.report(location, f"not a JSON object ({type(record).__name__})")
    elif field not in record:
        errors.report(location, f"no field {field!r} (it has {_names(record)}); set text_field")
    elif not isinstance(record[field], str):
        errors.report(location, f"field {field!r} is not text ({type(record[field]).__name__})")
    else:
        return cast(str, record[field])
    return None


def _names(names: Any) -> str:
    return ", ".join(map(str, list(names)[:_MAX_NAMES_SHOWN]))


def _json_lines(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    number = 0
    while line := stream.readline(MAX_DOCUMENT_BYTES):
        number += 1
        location = f"{path}:{number}"
        if len(line) == MAX_DOCUMENT_BYTES and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_DOCUMENT_BYTES)
            errors.report(location, DOCUMENT_TOO_LARGE)
            continue
        text = _decode(line, location, errors) if line.strip() else None
        if text is None:
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as cause:
            errors.report(location, f"not JSON ({first_line(cause)})")
            continue
        document = _record_text(record, field, location, errors)
        if document is not None:
            yield location, document


def _json(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    for line, record in _json_values(stream, path, errors):
        location = f"{path}:{line}"
        document = _record_text(record, field, location, errors)
        if document is not None:
            yield location, document


def _json_values(stream: BinaryIO, path: Path, errors: InputErrors) -> Iterator[tuple[int, Any]]:
    """Yield the line and value of each element of a list, or of a single object, as it is read."""
    characters = io.TextIOWrapper(stream, "utf-8-sig")
    decoder, buffer, line = json.JSONDecoder(), "", 1
    try:
        # Reading as much as is already buffered keeps the time linear for one long value.
        while added := characters.read(max(_COPY_BYTES, len(buffer))):
            buffer, position = buffer + added, 0
            for start, end, record in _complete_values(decoder, buffer):
                line += buffer.count("\n", position, start)
                yield line, record
                line += buffer.count("\n", start, end)
                position = end
            buffer = buffer[position:]
            if len(buffer) > MAX_DOCUMENT_BYTES:
                errors.report(f"{path}:{line}", f"{DOCUMENT_TOO_LARGE}, or not JSON")
                return
    except UnicodeDecodeError:
        errors.report(f"{path}:{line}", "invalid UTF-8 (at or after this line)")
        return
    rest = buffer.lstrip(" \t\r\n,[")
    line += buffer.count("\n", 0, len(buffer) - len(rest))
    if rest.strip(" \t\r\n]"):
        errors.report(f"{path}:{line}", f"not JSON (truncated or invalid at {rest[:20]!r})")


def _complete_values(decoder: json.JSONDecoder, buffer: str) -> Iterator[tuple[int, int, Any]]:
    """Yield the start, end and content of each JSON value that is completely in `buffer`."""
    end = 0
    while separator := _BETWEEN_VALUES.match(buffer, end):
        try:
            record, end = decoder.raw_decode(buffer, separator.end())
        except (ValueError, RecursionError):
            return
        yield separator.end(), end, record


def _csv(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    csv.field_size_limit(MAX_DOCUMENT_BYTES)
    rows = csv.DictReader(_csv_lines(stream))
    try:
        columns = rows.fieldnames or ()
        if field not in columns:
            errors.report(
                f"{path}:1", f"no column {field!r} (it has {_names(columns)}); set text_field"
            )
            return
        for row in rows:
            location, text = f"{path}:{rows.line_num}", row[field]
            if text is None:
                errors.report(location, f"no field {field!r} (a short row)")
            elif not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text):
                errors.report(location, "invalid UTF-8")
            else:
                yield location, text
    except csv.Error as cause:
        too_large = "limit" in str(cause)
        reason = (
            f"{DOCUMENT_TOO_LARGE}, or an open quote"
            if too_large
            else f"not CSV ({first_line(cause)})"
        )
        errors.report(f"{path}:{rows.line_num + 1}", f"{reason}; the rest of the file is not read")


def _csv_lines(stream: BinaryIO) -> Iterator[str]:
    """Yield lines of bounded length; bytes that are not UTF-8 become lone surrogates."""
    encoding = "utf-8-sig"
    while line := stream.readline(MAX_DOCUMENT_BYTES):
        if len(line) == MAX_DOCUMENT_BYTES and not line.endswith(b"\n"):
            raise csv.Error("line over the limit")
        yield line.decode(encoding, "surrogateescape")
        encoding = "utf-8"


def _plain_text(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    data = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        errors.report(str(path), DOCUMENT_TOO_LARGE)
        return
    text = _decode(data, str(path), errors)
    if text:
        yield str(path), text


def _parquet(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    if path.suffix not in COMPRESSED:
        yield from _parquet_rows(path, path, field, errors)
        return
    with tempfile.NamedTemporaryFile(suffix=".parquet") as copy:  # Parquet requires random access
        shutil.copyfileobj(stream, copy, _COPY_BYTES)
        copy.flush()
        yield from _parquet_rows(Path(copy.name), path, field, errors)


def _parquet_rows(parquet: Path, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    """Yield the rows of the uncompressed file `parquet`; `path` is the name in messages."""
    with pq.ParquetFile(parquet, buffer_size=_COPY_BYTES) as stored:
        schema = stored.schema_arrow
        if field not in schema.names:
            errors.report(
                str(path), f"no column {field!r} (it has {_names(schema.names)}); set text_field"
            )
            return
        kind = schema.field(field).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            errors.report(str(path), f"column {field!r} is not text ({kind})")
            return
        number = 0
        rows = _rows_per_batch(stored.metadata)
        for batch in stored.iter_batches(rows, columns=[field], use_threads=False):
            for text in batch.column(0).to_pylist():
                number += 1
                if text is None:
                    errors.report(f"{path}: row {number}", f"no field {field!r} (null)")
                else:
                    yield f"{path}: row {number}", text


def _rows_per_batch(metadata: pq.FileMetaData) -> int:
    """Return how many rows of mean size fit into `_PARQUET_BATCH_BYTES`."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    rows = _PARQUET_BATCH_BYTES * metadata.num_rows // max(size, 1)
    return max(1, min(_PARQUET_BATCH_ROWS, rows))


FORMATS: dict[str, Callable[[BinaryIO, Path, str, InputErrors], Iterator[Located]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".parquet": _parquet,
    ".csv": _csv,
    ".txt": _plain_text,
}
"""File name suffix to the parser of the format."""
