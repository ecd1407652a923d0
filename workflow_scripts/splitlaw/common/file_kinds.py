"""Formats of files that their first bytes show."""

from __future__ import annotations

COMPRESSED = {
    b"\x1f\x8b": ".gz",
    b"\x28\xb5\x2f\xfd": ".zst",
    b"BZh": ".bz2",
    b"\xfd7zXZ\x00": ".xz",
}
"""First bytes of compressed files, and their usual suffix."""
_BLOCK_OF_BZIP2 = (b"1AY&SY", b"\x17rE8P\x90")
"""The bytes after the first four of a bzip2 file: those of a block, or of an empty file's end."""

OTHER_FORMATS = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet or document",
    b"%PDF-": "a PDF document",
    b"PAR1\x15": "a Parquet file",
    b"ARROW1\x00\x00": "an Arrow file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3\x00": "an SQLite database",
}
"""First bytes of formats that are not text, and what to call them. A text may begin with the
letters `PK` or `PAR1`, and so the bytes after them belong to the mark."""

LONGEST_MARK = 16
"""Bytes at the beginning of a file that the functions of this module need."""


def compression(head: bytes) -> str | None:
    """The suffix of a compressed file that begins with `head`; None for other files."""
    for mark, suffix in COMPRESSED.items():
        if head.startswith(mark):
            # A text may begin with the letters `BZh`.
            is_text = suffix == ".bz2" and not head[4:].startswith(_BLOCK_OF_BZIP2)
            return None if is_text else suffix
    return None


def other_format(head: bytes) -> str | None:
    """The name of the format of a file that begins with `head` and is not text, if it is known."""
    return next((name for mark, name in OTHER_FORMATS.items() if head.startswith(mark)), None)
