"""The parser of CSV files, which refuses every row whose cells are uncertain.

The rules are those of RFC 4180, as `pandas` and `pyarrow` write it: a cell that contains a comma, a
quote or a newline is quoted, and a quote within it is doubled. A row must have as many cells as the
header. Otherwise an unquoted comma, a `\\"` or a quote that is never closed would cut or join texts
without a message.
"""

import csv
import io
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.located import (
    DOCUMENT_TOO_LARGE,
    MAX_DOCUMENT_BYTES,
    Located,
    column_problem,
    first_line,
)

_NOT_UTF8 = re.compile("[\udc80-\udcff]")
"""Lone surrogates, which stand for bytes that are not UTF-8."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
"""Without zeros in front, which follow the commas of a thousand in a text."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_OVER_LIMIT = "field larger than field limit"
"""Beginning of the message of the `csv` module about a cell over its limit."""

_BOM = "\ufeff"
_NUL = "NUL bytes in a row, which may have hidden the end of another one"
_BLANK = "empty lines before some rows, in the place of which others may be lost"
_ROWS_WITHIN = "a quoted cell has lines like rows; a quote may be lost"
_STRAY_QUOTE = "an unquoted cell contains a quote; it may be joined with another one"
_NAME_AS_TEXT = "a row equals the header; two files may have been joined"
_SECOND_HEADER = "a second header; two files were joined, whose columns may differ: split them"


def read_tsv(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    """Yield the cells of the column `field` of a file in which tabs separate cells."""
    yield from read_csv(stream, path, field, errors, separator="\t")


def read_csv(
    stream: BinaryIO, path: Path, field: str, errors: InputErrors, *, separator: str = ","
) -> Iterator[Located]:
    """Yield the cells of the column `field`; each location is the line where the row begins."""
    csv.field_size_limit(MAX_DOCUMENT_BYTES)
    lines = _Lines(stream)
    rows = csv.reader(lines, strict=True, delimiter=separator)
    header: list[str] = []
    begin, gaps = 1, _Gaps()
    try:
        for row in rows:
            location, begin = f"{path}:{begin}", rows.line_num + 1
            raw = lines.take()
            if not row:
                gaps.add_blank(location)
            elif not header:
                header, gaps = row, _Gaps()
                problem = _NUL if "\0" in raw else _header_problem(header, field, separator)
                if problem:
                    errors.report(location, problem)
                    return
            else:
                gaps.add_row()
                text = row[header.index(field)] if len(row) == len(header) else ""
                if problem := _row_problem(row, header, raw, text, separator):
                    errors.report(location, problem)
                    continue
                if row == header:
                    errors.note(location, _NAME_AS_TEXT)
                for remark in _row_remarks(row, raw, separator):
                    errors.note(location, remark)
                yield location, text
        if header and not lines.complete:
            errors.note(str(path), "no line end after the last row, which may be cut")
        if gaps.first:
            errors.note(gaps.first, _BLANK)
    except csv.Error as cause:
        problem = None if header else _other_separator(lines.take(), field, separator)
        reason = problem or f"{_reason(cause)}; the rest of the file is not read"
        errors.report(f"{path}:{begin}", reason)


def _header_problem(header: list[str], field: str, separator: str) -> str | None:
    """Return why the column `field` cannot be read; None if it can."""
    if field not in header and header[0].startswith("sep="):
        return "the first line names a separator; remove this line"
    problem = column_problem(header, field)
    if problem and len(header) == 1:
        return _other_separator(header[0], field, separator) or problem
    return problem


def _other_separator(line: str, field: str, separator: str) -> str | None:
    """Return that cells of a header are separated by another character; None if they are not."""
    for sign, name in ((",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if sign != separator and field in [cell.strip('"\r\n') for cell in line.split(sign)]:
            return f"cells are separated by {name}; save it with commas as .csv or tabs as .tsv"
    return None


def _row_problem(
    row: list[str], header: list[str], raw: str, text: str, separator: str
) -> str | None:
    """Return why a row is refused; None if its text is certain."""
    columns = len(header)
    if len(row) == columns > 1 and row[0].lstrip(_BOM) in header:
        names = [row[0].lstrip(_BOM), *row[1:]]  # Excel begins a file with the mark
        if sorted(names) == sorted(header):
            return _SECOND_HEADER
    if "\0" in raw:
        return _NUL
    if len(row) > columns:
        sign = "a tab" if separator == "\t" else "a comma"
        return (
            f"more cells than the header ({len(row)} instead of {columns}); put quotes around text "
            f"that contains {sign}, and write a quote within it twice"
        )
    if len(row) < columns:
        return (
            f"fewer cells than the header ({len(row)} instead of {columns}); put quotes around "
            "text that contains a newline"
        )
    if any(_is_half_quoted(cell, raw) for cell in row if '"' in cell):
        return "a cell has some quotes of a quoted one; quote it, and write quotes in it twice"
    if _NOT_UTF8.search(text):
        return "invalid UTF-8"
    return None


def _row_remarks(row: list[str], raw: str, separator: str) -> Iterator[str]:
    """Yield what may be wrong in a row that is read."""
    if '"' not in raw:
        return
    lines = raw.rstrip("\r\n")
    if ("\n" in lines or "\r" in lines) and _has_rows(row, separator):
        yield _ROWS_WITHIN
    if any(cell.count('"') % 2 and not _is_quoted(cell, raw) for cell in row if '"' in cell):
        yield _STRAY_QUOTE


def _has_rows(row: list[str], separator: str) -> bool:
    """Whether a cell contains the end of one row and the beginning of another one.

    Then quotes were lost: the line break is between the cells that follow this one in its row, and
    those that precede it in the next row.
    """
    if len(row) == 1:
        return False
    for place, cell in enumerate(row):
        if "\n" in cell or "\r" in cell:
            before, after = row[:place], row[place + 1 :]
            lines = _LINE_END.split(cell)
            if any(
                _is_between_rows(first, second, before, after, separator)
                for first, second in pairwise(lines)
            ):
                return True
    return False


def _is_between_rows(
    first: str, second: str, before: list[str], after: list[str], separator: str
) -> bool:
    """Whether the line `first` ends with cells like `after`, and `second` begins as `before`.

    Tabs are rare in text, so that their number is enough. After the commas of a text there mostly
    are spaces; without them, a number must continue one of the row by 1, or the text must be all
    of its cell, with at least two others beside it of which one is a number.
    """
    ends, begins = first.rsplit(separator, len(after)), second.split(separator, len(before))
    if len(ends) <= len(after) or len(begins) <= len(before):
        return False
    pairs = [*zip(before, begins, strict=False), *zip(after, ends[1:], strict=True)]
    numbers = [(own, other) for own, other in pairs if _NUMBER.fullmatch(own.strip(" \t"))]
    if not all(_NUMBER.fullmatch(other) for _, other in numbers):
        return False
    if separator == "\t":
        return True
    if (before and not begins[-1]) or any(cell[:1].isspace() for cell in ends[1:] + begins[1:]):
        return False
    if any(abs(float(own) - float(other)) == 1 for own, other in numbers):
        return True
    whole = separator not in ends[0] and separator not in begins[-1]
    return whole and len(pairs) > 1 and bool(numbers)


def _is_half_quoted(cell: str, raw: str) -> bool:
    """Return whether an unquoted cell is part of a quoted one, of which the rest is elsewhere.

    Such a cell has doubled quotes, or ends with a quote that was not opened. Other quotes, such as
    that of `6" nails`, are read as they are.
    """
    if '""' not in cell and not (cell.endswith('"') and cell.count('"') % 2):
        return False
    return not _is_quoted(cell, raw)


def _is_quoted(cell: str, raw: str) -> bool:
    escaped = cell.replace('"', '""')
    return f'"{escaped}"' in raw


def _reason(cause: csv.Error) -> str:
    message = str(cause)
    if message.startswith(_OVER_LIMIT):
        return f"{DOCUMENT_TOO_LARGE}, or an open quote"
    if "end of data" in message:
        return "open quote (the file ends within a quoted cell)"
    if "expected after" in message:
        return 'open quote, or a quote within text that is not doubled (write it as "")'
    return f"not CSV ({first_line(cause)})"


class _Gaps:
    """Counts the rows that follow an empty line."""

    def __init__(self) -> None:
        self._blank = self._first = ""
        self._rows = self._after = 0

    def add_blank(self, location: str) -> None:
        """Count an empty line."""
        self._blank = self._blank or location

    def add_row(self) -> None:
        """Count a row."""
        self._rows += 1
        self._after += bool(self._blank)
        self._first, self._blank = self._first or self._blank, ""

    @property
    def first(self) -> str:
        """The first empty line before a row; nothing if there is one before every row.

        Python's `csv` writes them on Windows into a file that was opened without `newline=""`.
        """
        return self._first if self._after < self._rows else ""


class _Lines:
    """Iterates over lines of bounded length, and keeps those of the current row."""

    def __init__(self, stream: BinaryIO) -> None:
        # Newlines within quoted cells are kept; those of Windows and of old Macs end a row too.
        self._stream = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        self._row: list[str] = []
        self.complete = True
        """Whether the last line that was read has an end."""

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(MAX_DOCUMENT_BYTES):
            if len(line) == MAX_DOCUMENT_BYTES and not line.endswith(("\n", "\r")):
                raise csv.Error(_OVER_LIMIT)
            self._row.append(line)
            self.complete = line.endswith(("\n", "\r"))
            yield line

    def take(self) -> str:
        """Return the lines that were read since the last call."""
        raw = "".join(self._row)
        self._row.clear()
        return raw
