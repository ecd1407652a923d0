"""Parsers of file formats: JSON lines, JSON and plain text; `FORMATS` lists all.

Each parser takes an open stream, the path for messages, the field or column that holds the text,
and the collector of errors; it yields the documents with their locations.
"""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from splitlaw.corpus.sources.csv_files import read_csv, read_tsv
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.located import (
    COMPRESSED,
    DOCUMENT_TOO_LARGE,
    MAX_DOCUMENT_BYTES,
    Located,
    first_line,
    joined,
)
from splitlaw.corpus.sources.parquet_files import read_parquet

_COPY_BYTES = 1 << 20  # of a stream at a time
_BETWEEN_VALUES = re.compile(r"[\s,\[]*")
_AFTER_TEXT = re.compile(r"\s*[,\]]")
"""End of a text in a list."""


def _decode(data: bytes, location: str, errors: InputErrors) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        errors.report(location, f"invalid UTF-8 (byte {cause.start})", size=len(data))
        return None


class _Repeated(dict[str, Any]):
    """An object with a key that occurs twice: two records may have been joined."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values; of a repeated key, JSON itself keeps the last."""
    record = dict(pairs)
    return record if len(record) == len(pairs) else _Repeated(record)


def _record_text(record: Any, field: str, location: str, errors: InputErrors) -> str | None:
    """Return the text of a parsed record, or None after reporting what is wrong with it."""
    if not isinstance(record, dict):
        errors.report(location, f"not a JSON object ({type(record).__name__})")
    elif isinstance(record, _Repeated):
        errors.report(location, "a key occurs twice in an object; two records may have been joined")
    elif field not in record:
        errors.report(location, f"no field {field!r} (it has {joined(record)}); set text_field")
    elif not isinstance(record[field], str):
        errors.report(location, f"field {field!r} is not text ({type(record[field]).__name__})")
    else:
        return cast(str, record[field])
    return None


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
            record = json.loads(text, object_pairs_hook=_distinct)
        except (ValueError, RecursionError) as cause:
            errors.report(location, f"not JSON ({first_line(cause)})")
            continue
        document = _record_text(record, field, location, errors)
        if document is not None:
            yield location, document


def _json(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    of_texts: bool | None = None
    for line, record in _json_values(stream, path, errors):
        location = f"{path}:{line}"
        if of_texts is None:  # `datasets` names the column of a list of texts `text`
            of_texts = isinstance(record, str) and field == "text"
        if not of_texts:
            document = _record_text(record, field, location, errors)
        elif isinstance(record, str):
            document = record
        else:
            document = None
            errors.report(location, "not a text, unlike the first element of the list")
        if document is not None:
            yield location, document


def _json_values(stream: BinaryIO, path: Path, errors: InputErrors) -> Iterator[tuple[int, Any]]:
    """Yield the line and value of each element of a list, or of a single object, as it is read."""
    characters = io.TextIOWrapper(stream, "utf-8-sig")
    decoder = json.JSONDecoder(object_pairs_hook=_distinct)
    buffer, line, first = "", 1, ""
    try:
        # Reading as much as is already buffered keeps the time linear for one long value.
        while added := characters.read(max(_COPY_BYTES, len(buffer))):
            buffer, position = buffer + added, 0
            first = first or buffer.lstrip()[:1]
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
    if rest.strip(" \t\r\n]") or (first == "[" and "]" not in rest):
        errors.report(f"{path}:{line}", f"not JSON (truncated or invalid at {rest[:20]!r})")


def _complete_values(decoder: json.JSONDecoder, buffer: str) -> Iterator[tuple[int, int, Any]]:
    """Yield the start, end and content of each JSON value that is completely in `buffer`."""
    end = 0
    while separator := _BETWEEN_VALUES.match(buffer, end):
        try:
            record, end = decoder.raw_decode(buffer, separator.end())
        except (ValueError, RecursionError):
            return
        if isinstance(record, str) and not _AFTER_TEXT.match(buffer, end):
            return  # a key of an object without its beginning, or the end of the buffer
        yield separator.end(), end, record


def _plain_text(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    """Yield the text of a file, in parts of `MAX_DOCUMENT_BYTES` if it is longer."""
    rest, location = b"", str(path)
    while data := rest + stream.read(MAX_DOCUMENT_BYTES - len(rest)):
        end = len(data) if len(data) < MAX_DOCUMENT_BYTES else _last_boundary(data)
        text = _decode(data[:end], location, errors)
        if text is None:
            return
        if text:
            yield location, text
        rest = data[end:]


def _last_boundary(data: bytes) -> int:
    """Return the end of the last paragraph or line in the second half, else of a character."""
    for boundary in (b"\n\n", b"\n"):
        place = data.rfind(boundary, len(data) // 2)
        if place >= 0:
            return place + len(boundary)
    end = len(data)
    while end > len(data) - 4 and data[end - 1] & 0xC0 == 0x80:
        end -= 1
    return end - 1  # before the first byte of a character, of which the rest may follow


FORMATS: dict[str, Callable[[BinaryIO, Path, str, InputErrors], Iterator[Located]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".txt": _plain_text,
    ".md": _plain_text,
}
"""File name suffix in lower case to the parser of the format."""
BINARY = (".parquet",)
"""Formats that are not text and have no encoding."""


def file_format(path: Path) -> str:
    """Return the suffix of the uncompressed file in lower case, a key of `FORMATS` if known."""
    compressed = path.suffix.lower() in COMPRESSED
    return (path.with_suffix("") if compressed else path).suffix.lower()


def is_text_file(path: Path) -> bool:
    """Return whether the whole file is one text."""
    return FORMATS.get(file_format(path)) is _plain_text
