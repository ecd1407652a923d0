"""The parsers of all file formats, and that of plain text.

Each parser takes an open stream, the path for messages, the field or column that holds the text,
and the collector of errors; it yields the documents with their locations.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from splitlaw.corpus.sources.csv_files import read_csv, read_tsv
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.json_files import read_json, read_json_lines
from splitlaw.corpus.sources.located import COMPRESSED, MAX_DOCUMENT_BYTES, Located, decode_utf8
from splitlaw.corpus.sources.parquet_files import read_parquet


def _plain_text(stream: BinaryIO, path: Path, field: str, errors: InputErrors) -> Iterator[Located]:
    """Yield the text of a file, in parts of `MAX_DOCUMENT_BYTES` if it is longer."""
    rest, location = b"", str(path)
    while data := rest + stream.read(MAX_DOCUMENT_BYTES - len(rest)):
        end = len(data) if len(data) < MAX_DOCUMENT_BYTES else _last_boundary(data)
        text = decode_utf8(data[:end], location, errors)
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
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
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
