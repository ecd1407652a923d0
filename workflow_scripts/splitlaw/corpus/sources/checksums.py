"""Whether files have checksums, without which damage to their text may go unnoticed.

A `.gz` and a `.bz2` file always have them.
"""

from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

NO_CHECKSUM = (
    "no checksum, so damage to the text may not be noticed; recompress the file with zstd --check"
)
NO_XZ_CHECKSUM = (
    "no checksum, so damage to the text may not be noticed; recompress the file with xz"
)
NO_PAGE_CHECKSUM = (
    "no checksums of pages, so changed bytes may not be noticed; write_page_checksum=True of "
    "pyarrow stores them"
)
_SKIPPABLE = 0x184D2A50
"""Magic number of a frame without content; its last hexadecimal digit is free."""
_CHECKSUM_FLAG = 0x04
_INTEGERS_BEFORE_CHECKSUM = 3
"""Type of the page, and its size with and without compression (parquet.thrift, PageHeader)."""
_NEXT_INTEGER = b"\x15"
"""Field with the next number, an integer of 32 bits."""
_RUN_BLOCK = 1
"""Type of a block that repeats one byte."""


def has_checksums(path: Path) -> bool:
    """Return whether every frame of a Zstandard file ends with a checksum of its content.

    The blocks are not decompressed. The format is that of RFC 8878, section 3.1.
    """
    with path.open("rb") as stream:
        while magic := stream.read(4):
            if _number(magic) & 0xFFFFFFF0 == _SKIPPABLE:
                stream.seek(_number(stream.read(4)), 1)
            elif not _skip_checked_frame(stream):
                return False
    return True


def has_xz_checksums(path: Path) -> bool:
    """Return whether the first stream of an xz file has checksums, which `xz` writes by default.

    The last byte of its eight bytes of header says which (The .xz File Format, section 2.1.1).
    """
    with path.open("rb") as stream:
        return stream.read(8)[-1:] != b"\0"


def has_page_checksums(stream: BinaryIO, metadata: pq.FileMetaData, field: str) -> bool:
    """Return whether the first page of the column `field` of a Parquet file has a checksum.

    The header of a page is a structure of Thrift's compact protocol: three integers, of one byte
    for the field and up to five for the value, and then the checksum or another kind of field.
    """
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    column = next(column for column in columns if column.path_in_schema == field)
    place = stream.tell()
    stream.seek(column.dictionary_page_offset or column.data_page_offset)
    header = stream.read(_INTEGERS_BEFORE_CHECKSUM * 6 + 1)
    stream.seek(place)
    for _ in range(_INTEGERS_BEFORE_CHECKSUM):
        rest = header[1:].lstrip(bytes(range(0x80, 0x100)))  # bytes that others continue
        header = rest[1:]
    return header[:1] == _NEXT_INTEGER


def _skip_checked_frame(stream: BinaryIO) -> bool:
    """Move to the end of a frame; return False if it has no checksum or is not complete."""
    descriptor = _number(stream.read(1))
    if not descriptor & _CHECKSUM_FLAG:
        return False
    is_single_segment = descriptor >> 5 & 1
    size_bytes = (is_single_segment, 2, 4, 8)[descriptor >> 6]
    dictionary_bytes = (0, 1, 2, 4)[descriptor & 3]
    stream.seek((1 - is_single_segment) + dictionary_bytes + size_bytes, 1)
    while len(header := stream.read(3)) == 3:
        block = _number(header)
        stream.seek(1 if block >> 1 & 3 == _RUN_BLOCK else block >> 3, 1)
        if block & 1:  # the last one
            return len(stream.read(4)) == 4
    return False


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
