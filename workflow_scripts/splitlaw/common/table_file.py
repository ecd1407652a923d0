"""Tables in CSV files, read strictly: every cell is text, and no row is shorter or longer."""

import codecs
import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from splitlaw.common.decompression import DECOMPRESSORS, decompressed
from splitlaw.common.errors import UserError
from splitlaw.common.file_kinds import compression, other_format
from splitlaw.common.files import is_file

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""Characters that may separate cells, the most common first."""

SHOWN = 60
"""Characters of a header that a message shows."""


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """The cells of a CSV file as text, without spaces before unquoted cells."""

    path: str
    header: list[str]
    """Names of the columns; columns without a name are `Unnamed: 0` and so on, as in pandas."""

    rows: list[list[str]]
    """Cells of each row, as many as there are columns."""

    lines: list[int]
    """Line of the file in which each row begins, counted from 1."""

    separator: str
    quotes: frozenset[tuple[int, int]]
    """(row, column) of cells with a quotation mark that were not quoted themselves."""

    ended: bool
    """Whether the last line has a line end; the last row of a file that was cut has none."""

    gap: int | None
    """First empty line before some rows, where others may be lost; None if before all or none."""


def read_table_file(path: str | os.PathLike[str], wanted: Collection[str] = ()) -> TableFile:
    """Read a CSV file of UTF-8 or UTF-16 text, which may be compressed.

    The compression is gzip, bzip2, xz or Zstandard, whatever the name of the file. The separator is
    the one of `SEPARATORS` that gives the header the most names among `wanted`, then the most
    columns. Quoted cells may contain separators and line breaks. Empty lines are skipped.

    Raises `UserError` with the line of the first row that does not have as many cells as the
    header, or whose quotes do not match, and if two columns have one name.
    """
    text = _text(Path(path))
    if not text.strip():
        raise UserError(f"{path}: is empty; give a header and rows")
    separator = _separator(text, wanted)
    scanner = _Scanner(str(path), text, separator)
    line, cells, stray = scanner.record()
    header = _header(f"{path}, line {line}", cells, stray)
    rows: list[list[str]] = []
    lines: list[int] = []
    quotes, gaps = set(), []
    while scanner.more():
        gaps += [scanner.blank] if scanner.blank else []
        line, cells, stray = scanner.record()
        if len(cells) != len(header):
            raise UserError(_wrong_length(f"{path}, line {line}", cells, header, separator))
        _check_breaks(f"{path}, line {line}", cells, separator)
        quotes |= {(len(rows), column) for column in stray}
        rows.append(cells)
        lines.append(line)
    return TableFile(
        path=str(path),
        header=header,
        rows=rows,
        lines=lines,
        separator=separator,
        quotes=frozenset(quotes),
        ended=text.endswith(("\n", "\r")),
        gap=gaps[0] if 0 < len(gaps) < len(rows) else None,
    )


def _text(path: Path) -> str:
    if not is_file(path):
        raise UserError(f"{path}: no such file; name an existing table")
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise UserError(f"{path}: cannot be read ({cause.strerror}); make it readable") from None
    suffix = compression(data)
    if suffix is not None:
        try:
            data = _decompress(data, suffix)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as cause:
            raise UserError(
                f"{path}: is compressed, and damaged ({cause}); write it again"
            ) from None
    if found := other_format(data):
        raise UserError(f"{path}: is {found}; save the table as CSV")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        encoding = "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        raise UserError(
            f"{path}, line {line}: is not {encoding.removesuffix('-sig').upper()} text; "
            "save the table as CSV in UTF-8"
        ) from None
    if "\0" in text:
        raise UserError(f"{path}: is not a text file; save the table as CSV")
    return text


def _decompress(data: bytes, suffix: str) -> bytes:
    if suffix in DECOMPRESSORS:
        return b"".join(decompressed(io.BytesIO(data), suffix))
    if suffix == ".gz":
        return gzip.decompress(data)
    import pyarrow as pa  # takes a second; few tables are compressed by Zstandard

    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        return bytes(stream.read())


def _separator(text: str, wanted: Collection[str]) -> str:
    """The separator under which the first line has the most names that are `wanted`."""
    first = next(line for line in re.split(r"[\r\n]", text) if line.strip())

    def merit(separator: str) -> tuple[int, int]:
        names = [cell.strip(' "') for cell in first.split(separator)]
        return len(set(names) & set(wanted)), len(names)

    return max(SEPARATORS, key=merit)


def _header(where: str, cells: list[str], stray: list[int]) -> list[str]:
    """The names of the columns; `UserError` where two are the same or a quote is open."""
    if cells[0].startswith("sep="):  # which Excel understands
        raise UserError(f"{where}: names the separator; remove this line")
    if len(cells) == 1:
        raise UserError(
            f"{where}: the header has one column, {cells[0][:SHOWN]!r}; separate the cells by "
            f"{', '.join(SEPARATORS.values())}"
        )
    if stray:
        raise UserError(f"{where}: column {cells[stray[0]]!r} contains a quotation mark; remove it")
    names = [cell.strip() or f"Unnamed: {number}" for number, cell in enumerate(cells)]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UserError(
                f"{where}: columns {names.index(name) + 1} and {number + 1} are both called "
                f"{name}; remove one or rename it"
            )
    return names


def _wrong_length(where: str, cells: list[str], header: list[str], separator: str) -> str:
    count, wanted = len(cells), len(header)
    if count > wanted and separator == ",":
        remedy = "write numbers without thousands separators, and quote text with commas"
    elif count > wanted:
        remedy = f"quote text that contains {SEPARATORS[separator]}"
    else:
        remedy = "complete the row or remove it"
    return f"{where}: {count} cells, but the header has {wanted}; {remedy}"


class _Scanner:
    """Reads a text record by record."""

    def __init__(self, path: str, text: str, separator: str) -> None:
        self.path, self.text, self.separator = path, text, separator
        self.at, self.line, self.blank = 0, 1, 0
        space = " " if separator == "\t" else r" \t"
        end = rf"[{separator}\r\n]"
        self.quoted = re.compile(rf'[{space}]*"((?:[^"]++|"")*+)"[{space}]*(?={end}|\Z)')
        self.plain = re.compile(rf"[^{separator}\r\n]*")
        self.empty = re.compile(rf"[{space}]*(?:\r\n|\r|\n|\Z)")

    def more(self) -> bool:
        """Whether a record follows; empty lines are skipped, of which `blank` is the first."""
        self.blank = 0
        while self.at < len(self.text):
            empty = self.empty.match(self.text, self.at)
            if empty is None:
                return True
            self.blank = self.blank or self.line
            self._advance(empty.end())
        return False

    def record(self) -> tuple[int, list[str], list[int]]:
        """Line, cells, and columns of the unquoted cells with a quotation mark, of one record."""
        self.more()
        line = self.line
        cells: list[str] = []
        stray: list[int] = []
        while True:
            cell, is_stray = self._cell()
            if is_stray:
                stray.append(len(cells))
            cells.append(cell)
            if self.at == len(self.text):
                break
            if self.text[self.at] != self.separator:
                self._advance(self.at + (2 if self.text.startswith("\r\n", self.at) else 1))
                break
            self.at += 1
        return line, cells, stray

    def _cell(self) -> tuple[str, bool]:
        match = self.quoted.match(self.text, self.at)
        if match is not None:
            self._advance(match.end())
            return match[1].replace('""', '"'), False
        match = self.plain.match(self.text, self.at)
        assert match is not None
        cell = match[0].lstrip(" ")
        if cell.startswith('"'):
            raise UserError(
                f"{self.path}, line {self.line}: a quotation mark opens a cell that does not end "
                f"with one ({cell[:SHOWN]}); close it, or double the marks within the cell"
            )
        self.at = match.end()
        return cell, '"' in cell

    def _advance(self, end: int) -> None:
        """Move to `end`, and count the lines passed: by \\n, \\r\\n or \\r."""
        passed = self.text[self.at : end]
        self.line += passed.count("\n") + passed.count("\r") - passed.count("\r\n")
        self.at = end


def _check_breaks(where: str, cells: list[str], separator: str) -> None:
    """Refuse a cell with line breaks that contains as many numbers as the rest of its row.

    Such a cell comes from two missing quotation marks: it begins in one row and ends in the same
    column of another, so it contains the numbers of a row. A text seldom does.
    """
    broken = [cell for cell in cells if "\n" in cell or "\r" in cell]
    if not broken:
        return
    numbers = sum(map(_looks_like_number, cells))
    for cell in broken:
        parts = re.split(rf"[{separator}\r\n]", cell)
        if 0 < numbers <= sum(map(_looks_like_number, parts)):
            raise UserError(
                f"{where}: a quoted cell contains the numbers of another row "
                f"({cell[:SHOWN]!r}); close its quotation mark"
            )


def _looks_like_number(cell: str) -> bool:
    return re.fullmatch(r'[\s"]*[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?[\s"]*', cell) is not None
