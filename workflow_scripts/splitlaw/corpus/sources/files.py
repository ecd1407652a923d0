"""Documents of files that a glob pattern matches, compressed or not.

Files are read as streams. An unreadable document is reported with its file and line; reading
continues after it if the format allows that.
"""

import glob
import gzip
import io
import lzma
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from splitlaw.common.decompression import DECOMPRESSORS, decompressed, stream_of
from splitlaw.common.file_kinds import LONGEST_MARK, compression, other_format
from splitlaw.corpus.shards import WHOLE, Shard
from splitlaw.corpus.sources.availability import matching_paths
from splitlaw.corpus.sources.checksums import (
    NO_CHECKSUM,
    NO_XZ_CHECKSUM,
    has_checksums,
    has_xz_checksums,
)
from splitlaw.corpus.sources.encodings import AUTO, UTF_8, as_utf8, detect_encoding
from splitlaw.corpus.sources.formats import BINARY, FORMATS, file_format, is_text_file
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.located import (
    COMPRESSED,
    DOCUMENT_TOO_LARGE,
    MAX_DOCUMENT_BYTES,
    Located,
    first_line,
)

_POINTER = b"version https://git-lfs.github.com/spec/"
"""Beginning of the text file that Git LFS leaves where a file was not downloaded."""
POINTER = "is a pointer of Git LFS, not the file; run git lfs pull"
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)
"""Errors of a file that cannot be opened or decompressed."""
_UNKNOWN = f"unknown format; use {', '.join(FORMATS)}, also with {', '.join(COMPRESSED)}"
_NO_TEXTS = "folder without text files; give a pattern for its files, such as {}/*.jsonl"
_OTHER_FILES = (
    "files in a folder that is one document are not read, as they are not .txt or .md; give a "
    "pattern for them"
)
_BUFFER_BYTES = 1 << 18
"""Larger than Python's default of 8 KB, for fewer system calls."""


def read_files(
    pattern: str,
    text_field: str,
    errors: InputErrors,
    *,
    encoding: str = UTF_8,
    shard: Shard = WHOLE,
) -> Iterator[Located]:
    """Yield the documents of every file that `pattern` matches; a folder is one document."""
    paths = matching_paths(pattern)
    if not paths:
        errors.report(pattern, "matches no file")
    for path in files_of_shard(paths, shard):
        if path.is_dir():
            yield from _read_folder(path, errors, encoding)
        else:
            yield from read_file(path, text_field, errors, encoding=encoding)


def files_of_shard(paths: Sequence[Path], shard: Shard) -> list[Path]:
    """Return the files that a shard reads."""
    if shard.count == 1:
        return list(paths)
    sizes = [path.stat().st_size if path.exists() else 0 for path in paths]
    return [paths[item] for item in shard.own(sizes)]


def _read_folder(folder: Path, errors: InputErrors, encoding: str) -> Iterator[Located]:
    """Yield one document: the text files below `folder`, joined in the order of their paths."""
    parts, size = [], 0
    # As in patterns, linked folders are followed, and hidden files are left out.
    for path in matching_paths(f"{glob.escape(str(folder))}/**/*"):
        if path.is_file() and not is_text_file(path) and file_format(path) in FORMATS:
            errors.note(str(path), _OTHER_FILES, once=True)
        if path.is_file() and is_text_file(path):
            for _, text in read_file(path, "", errors, encoding=encoding):
                parts.append(text)
                size += len(text)
        if size > MAX_DOCUMENT_BYTES:
            errors.report(str(folder), DOCUMENT_TOO_LARGE)
            return
    if parts:
        yield str(folder), "\n\n".join(parts)
    else:
        errors.report(str(folder), _NO_TEXTS.format(folder))


def read_file(
    path: Path, text_field: str, errors: InputErrors, *, encoding: str = UTF_8
) -> Iterator[Located]:
    """Yield the documents of one file; a file without any is counted, and stops nothing."""
    errors_before, documents = errors.counts.total(), 0
    for located in _parse_file(path, text_field, errors, encoding):
        documents += 1
        yield located
    if not documents and errors.counts.total() == errors_before:
        errors.count_empty(str(path))


def _parse_file(
    path: Path, text_field: str, errors: InputErrors, encoding: str
) -> Iterator[Located]:
    parse = FORMATS.get(file_format(path))
    if parse is None:
        errors.report(str(path), _UNKNOWN)
        return
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            errors.report(str(path), "is a pipe, socket or device; write its content to a file")
            return
        if status.st_size == 0:
            return
        if problem := _wrong_content(path):
            errors.report(str(path), problem)
            return
        if file_format(path) in BINARY:
            encoding = UTF_8
        elif encoding == AUTO:
            with open_decompressed(path) as stream:
                detected = detect_encoding(stream)
            if detected is None:
                errors.report(str(path), "no encoding fits (it may be damaged UTF-8, or binary)")
                return
            errors.encodings[detected] += 1
            encoding = detected
        with open_decompressed(path) as stream:
            suffix = path.suffix.lower()
            if suffix == ".zst" and not has_checksums(path):
                errors.note(str(path), NO_CHECKSUM, once=True)
            if suffix == ".xz" and not has_xz_checksums(path):
                errors.note(str(path), NO_XZ_CHECKSUM, once=True)
            yield from parse(as_utf8(stream, encoding), path, text_field, errors)
    except UnicodeDecodeError as cause:
        errors.report(str(path), f"invalid {cause.encoding} (byte {cause.start})")
    except UnicodeError as cause:  # UTF-16 without a mark
        errors.report(str(path), f"invalid {encoding} ({cause}); name the encoding in its source")
    except UNREADABLE as cause:
        unreadable = isinstance(cause, OSError) and cause.errno is not None
        problem = "cannot be read" if unreadable else "truncated or damaged"
        errors.report(str(path), f"{problem} ({first_line(cause)})")


def is_pointer(path: Path) -> bool:
    """Return whether Git LFS has left a pointer where it did not download a file."""
    return _head(path) == _POINTER


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(len(_POINTER))


def _wrong_content(path: Path) -> str | None:
    """Why the first bytes of a file show that it does not hold what its name says."""
    head = _head(path)
    if head == _POINTER:
        return POINTER
    found, suffix = compression(head), path.suffix.lower()
    if found and found != suffix:
        return f"is compressed; add {found} to its name"
    if found:
        with open_decompressed(path) as stream:
            head = stream.read(LONGEST_MARK)
    if found and compression(head):
        return "is compressed twice; decompress it once"
    name = None if file_format(path) in BINARY else other_format(head)
    return f"is {name}; save its text in a format that is read" if name else None


@contextmanager
def open_decompressed(path: Path) -> Iterator[BinaryIO]:
    """Open a file, compressed or not, for reading."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        with gzip.open(path) as stream:
            yield cast(BinaryIO, stream)
    elif suffix == ".zst":
        # pyarrow opens only paths that are UTF-8.
        with pa.PythonFile(path.open("rb")) as raw, pa.CompressedInputStream(raw, "zstd") as inner:
            yield cast(BinaryIO, io.BufferedReader(cast(Any, inner), _BUFFER_BYTES))
    elif suffix in DECOMPRESSORS:
        with path.open("rb") as raw:
            yield stream_of(decompressed(raw, suffix))
    else:
        with path.open("rb", _BUFFER_BYTES) as plain:
            yield plain
