"""The parsers of JSON lines and of JSON."""

import io
import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from splitlaw.common.decompression import stream_of
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.located import (
    DOCUMENT_TOO_LARGE,
    MAX_DOCUMENT_BYTES,
    Located,
    decode_utf8,
    first_line,
    joined,
)

_COPY_BYTES = 1 << 18  # of a stream at a time
_SPACES = " \t\r\n"
"""Characters that JSON allows between values."""
_BETWEEN_RECORDS = re.compile(f"[{_SPACES}]*")
_BETWEEN_VALUES = re.compile(r"[\s,\[]*")
_AFTER_TEXT = re.compile(r"\s*[,\]]")
"""End of a text in a list."""


class _Repeated(dict[str, Any]):
    """An object with a key that occurs twice: two records may have been joined."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values; of a repeated key, JSON itself keeps the last."""
    record = dict(pairs)
    return record if len(record) == len(pairs) else _Repeated(record)


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct)


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


def read_json_lines(
    stream: BinaryIO, path: Path, field: str, errors: InputErrors
) -> Iterator[Located]:
    """Yield the texts of a file with an object in each line.

    As `pyarrow` does, it reads several objects in one line, and as `datasets` does, a file that
    begins with a list or with an object of several lines, like `read_json`.
    """
    lines = _lines(stream)
    begin: list[bytes] = []
    full: list[bytes] = []
    for line in lines:
        begin.append(line)
        full += [line] if _is_full(line) else []
        if len(full) == 2 or _is_cut(line):
            break
    if _is_one_value(full):
        rest = iter(partial(stream.read, _COPY_BYTES), b"")
        yield from read_json(stream_of(chain(begin, rest)), path, field, errors)
        return
    for number, line in enumerate(chain(begin, lines), start=1):
        location = f"{path}:{number}"
        if _is_cut(line):
            errors.report(location, DOCUMENT_TOO_LARGE)
            continue
        text = decode_utf8(line, location, errors) if _is_full(line) else None
        if text is None:
            continue
        try:
            records = _records(text)
        except (ValueError, RecursionError) as cause:
            errors.report(location, f"not JSON ({first_line(cause)})")
            continue
        for record in records:
            document = _record_text(record, field, location, errors)
            if document is not None:
                yield location, document


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines, of which one of more than `MAX_DOCUMENT_BYTES` is cut there."""
    while line := stream.readline(MAX_DOCUMENT_BYTES):
        yield line
        while _is_cut(line):
            line = stream.readline(MAX_DOCUMENT_BYTES)


def _is_cut(line: bytes) -> bool:
    """Whether a line is longer than a document may be."""
    return len(line) == MAX_DOCUMENT_BYTES and not line.endswith(b"\n")


def _is_full(line: bytes) -> bool:
    """Whether a line is more than white space and a byte-order mark."""
    return bool(line.strip(b" \t\r\n\v\f\xef\xbb\xbf"))


def _is_one_value(lines: list[bytes]) -> bool:
    """Whether the first lines of a file are a list, or an object that the next lines continue.

    `lines` are the first two that are full; one only if it is the last, or longer than a document.
    Otherwise one damaged line would decide how all lines after it are read.
    """
    first, *others = (line.decode("utf-8-sig", "replace").strip(_SPACES) for line in lines or [b""])
    if not others:
        return first.startswith("[")
    if not first.startswith(("[", "{")) or _extent(first) != "open":
        return False
    if first.startswith("["):
        return True
    second = others[0]
    is_record = second.startswith("{") and _extent(second) == "whole"
    return not is_record and _extent(f"{first}\n{second}") != "damaged"


def _extent(text: str) -> Literal["whole", "open", "damaged"]:
    """Whether the JSON value that a text begins with is whole, lacks its end, or is damaged."""
    try:
        _DECODER.raw_decode(text)
    except json.JSONDecodeError as cause:
        return "open" if cause.pos == len(text) else "damaged"
    except (ValueError, RecursionError):
        return "damaged"
    return "whole"


def _records(line: str) -> list[Any]:
    """The values of a line: one, or several objects that only white space separates.

    Raises `ValueError` for a line that is not JSON.
    """
    try:
        return [json.loads(line, object_pairs_hook=_distinct)]
    except json.JSONDecodeError as cause:
        if not cause.msg.startswith("Extra data"):
            raise
        found, end = [], 0
        while end < len(line):
            record, end = _DECODER.raw_decode(line, end)
            if not isinstance(record, dict):
                raise
            found.append(record)
            separator = _BETWEEN_RECORDS.match(line, end)
            end = separator.end() if separator else end
        return found


def read_json(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    """Yield the texts of a list of objects, of a list of texts, or of one object or several."""
    of_texts: bool | None = None
    for number, (line, record) in enumerate(_values(stream, path, errors)):
        location = f"{path}:{line}"
        if of_texts is None:  # `datasets` names the column of a list of texts `text`
            of_texts = isinstance(record, str) and field == "text"
        if of_texts and not isinstance(record, str):
            errors.report(location, "not a text, unlike the first element of the list")
        elif of_texts:
            yield location, record
        elif number == 0 and (column := _pandas_column(record, field)):
            texts = ((f"{path}: row {row}", {field: text}) for row, text in enumerate(column, 1))
            for row, cell in texts:
                document = _record_text(cell, field, row, errors)
                if document is not None:
                    yield row, document
        else:
            document = _record_text(record, field, location, errors)
            if document is not None:
                yield location, document


def _pandas_column(record: Any, field: str) -> list[Any] | None:
    """The cells of a column as `DataFrame.to_json` writes a table; None for another object."""
    column = record.get(field) if type(record) is dict else None
    is_column = type(column) is dict and list(column) == list(map(str, range(len(column))))
    return list(column.values()) if column and is_column else None


def _values(stream: BinaryIO, path: Path, errors: InputErrors) -> Iterator[tuple[int, Any]]:
    """Yield the line and value of each element of a list, or of a single object, as it is read."""
    characters = io.TextIOWrapper(stream, "utf-8-sig")
    buffer, line, first = "", 1, ""
    try:
        # Reading as much as is already buffered keeps the time linear for one long value.
        while added := characters.read(max(_COPY_BYTES, len(buffer))):
            buffer, position = buffer + added, 0
            first = first or buffer.lstrip()[:1]
            for start, end, record in _complete_values(buffer):
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


def _complete_values(buffer: str) -> Iterator[tuple[int, int, Any]]:
    """Yield the start, end and content of each JSON value that is completely in `buffer`."""
    end = 0
    while separator := _BETWEEN_VALUES.match(buffer, end):
        try:
            record, end = _DECODER.raw_decode(buffer, separator.end())
        except (ValueError, RecursionError):
            return
        if isinstance(record, str) and not _AFTER_TEXT.match(buffer, end):
            return  # a key of an object without its beginning, or the end of the buffer
        yield separator.end(), end, record
