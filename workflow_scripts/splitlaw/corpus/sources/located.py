"""Definitions that the parsers of all file formats share."""

from pathlib import Path
from typing import Any

from splitlaw.corpus.sources.input_errors import InputErrors

Located = tuple[str, str]
"""The location of a document (file, with its line or row), for messages, and its text."""

COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
MAX_DOCUMENT_BYTES = 64 << 20
"""A longer document is bad input, so that memory stays bounded."""
DOCUMENT_TOO_LARGE = f"document over {MAX_DOCUMENT_BYTES >> 20} MB"

_MAX_NAMES_SHOWN = 8  # keeps a message that lists fields or columns on one line


def decode_utf8(data: bytes, location: str, errors: InputErrors) -> str | None:
    """Return a text, or None after reporting that it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        errors.report(location, f"invalid UTF-8 (byte {cause.start})", size=len(data))
        return None


def index_path(path: Path) -> Path:
    """Return the path of Megatron's index of a token file; there need not be one."""
    return path.with_suffix(".idx")


def first_line(cause: BaseException) -> str:
    """Return the first line of an error's message, at most 200 characters."""
    return (str(cause) or type(cause).__name__).strip().splitlines()[0][:200]


def joined(names: Any) -> str:
    """Return the first names of fields or columns, for a message."""
    return ", ".join(" ".join(str(name).split()) for name in list(names)[:_MAX_NAMES_SHOWN])


def column_problem(columns: list[str], field: str) -> str | None:
    """Return why the column `field` cannot be read from a table; None if it can."""
    if field not in columns:
        return f"no column {field!r} (it has {joined(columns)}); set text_field"
    if columns.count(field) > 1:
        return f"two columns are called {field!r}; rename one of them"
    return None
