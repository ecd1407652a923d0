"""Documents out of files: JSON lines, JSON, Parquet, CSV, text; each also in `.gz` and `.zst`.

Files are read as streams. What cannot be read is reported with file and line, and the rest of the
file goes on where the format allows it.
"""

import csv
import glob
import gzip
import io
import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from splitlaw.corpus.sources.input_errors import InputErrors

Located = tuple[str, str]
"""Where a document stands, for messages, and its text."""

LONGEST = 64 << 20
"""Bytes of one document; a longer one is bad input, so that memory stays bounded."""

TOO_LONG = f"document over {LONGEST >> 20} MB"

_BETWEEN = re.compile(r"[\s,\[]*")
_COMPRESSED = (".gz", ".zst")


def resolve(pattern: str) -> list[Path]:
    """The files and folders that a glob matches, sorted; hidden ones are left out."""
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - a pattern may be absolute
    return sorted(map(Path, matches))


def read_files(pattern: str, text_field: str, trouble: InputErrors) -> Iterator[Located]:
    """Yield the documents of every file that `pattern` matches; a folder is one document."""
    paths = resolve(pattern)
    if not paths:
        trouble.report(pattern, "matches no file; mend the glob")
    for path in paths:
        if path.is_dir():
            yield from _read_folder(path, trouble)
        else:
            yield from _read_file(path, text_field, trouble)


def _format(path: Path) -> str:
    plain = path.with_suffix("") if path.suffix in _COMPRESSED else path
    return plain.suffix


def _read_file(path: Path, text_field: str, trouble: InputErrors) -> Iterator[Located]:
    before, documents = trouble.counts.total(), 0
    for located in _read(path, text_field, trouble):
        documents += 1
        yield located
    if not documents and trouble.counts.total() == before:
        trouble.report(str(path), "empty file")


def _read(path: Path, text_field: str, trouble: InputErrors) -> Iterator[Located]:
    reader = _READERS.get(_format(path))
    if reader is None:
        trouble.report(str(path), f"unknown format; use {', '.join(_READERS)}, also .gz and .zst")
        return
    try:
        if path.stat().st_size == 0:
            return
        with _opened(path) as stream:
            yield from reader(stream, path, text_field, trouble)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as cause:
        trouble.report(str(path), f"truncated or damaged ({_first_line(cause)})")


def _read_folder(folder: Path, trouble: InputErrors) -> Iterator[Located]:
    """One document: the text files below `folder`, in the order of their names."""
    parts, size = [], 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and _format(path) == ".txt":
            for _, text in _read_file(path, "", trouble):
                parts.append(text)
                size += len(text)
        if size > LONGEST:
            trouble.report(str(folder), TOO_LONG)
            return
    if parts:
        yield str(folder), "\n\n".join(parts)
    else:
        trouble.report(str(folder), "folder without text files")


def _first_line(cause: BaseException) -> str:
    return (str(cause) or type(cause).__name__).strip().splitlines()[0][:200]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed."""
    if path.suffix == ".gz":
        with gzip.open(path) as stream:
            yield cast(BinaryIO, stream)
    elif path.suffix == ".zst":
        with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, "zstd") as inner:
            yield cast(BinaryIO, io.BufferedReader(cast(Any, inner), 1 << 18))
    else:
        with path.open("rb", 1 << 18) as plain:
            yield plain


def _decode(data: bytes, where: str, trouble: InputErrors) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        trouble.report(where, f"invalid UTF-8 (byte {cause.start})")
        return None


def _text(record: Any, field: str, where: str, trouble: InputErrors) -> str | None:
    """The text of a parsed record, or None after reporting what is wrong with it."""
    if not isinstance(record, dict):
        trouble.report(where, f"not a JSON object ({type(record).__name__})")
    elif field not in record:
        known = ", ".join(map(str, list(record)[:8]))
        trouble.report(where, f"no field {field!r} (it has {known}); set text_field")
    elif not isinstance(record[field], str):
        trouble.report(where, f"field {field!r} is not text ({type(record[field]).__name__})")
    else:
        return cast(str, record[field])
    return None


def _json_lines(
    stream: BinaryIO, path: Path, field: str, trouble: InputErrors
) -> Iterator[Located]:
    number = 0
    while line := stream.readline(LONGEST):
        number += 1
        where = f"{path}:{number}"
        if len(line) == LONGEST and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = stream.readline(LONGEST)
            trouble.report(where, TOO_LONG)
            continue
        text = _decode(line, where, trouble) if line.strip() else None
        if text is None:
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as cause:
            trouble.report(where, f"not JSON ({_first_line(cause)})")
            continue
        document = _text(record, field, where, trouble)
        if document is not None:
            yield where, document


def _json(stream: BinaryIO, path: Path, field: str, trouble: InputErrors) -> Iterator[Located]:
    for line, record in _objects(stream, path, trouble):
        where = f"{path}:{line}"
        document = _text(record, field, where, trouble)
        if document is not None:
            yield where, document


def _objects(stream: BinaryIO, path: Path, trouble: InputErrors) -> Iterator[tuple[int, Any]]:
    """The objects of a list, or the one object, each with its line, parsed as they are read."""
    characters = io.TextIOWrapper(stream, "utf-8-sig")
    parser, buffer, line = json.JSONDecoder(), "", 1
    try:
        while fresh := characters.read(max(1 << 20, len(buffer))):
            buffer, position = buffer + fresh, 0
            for start, end, record in _complete(parser, buffer):
                line += buffer.count("\n", position, start)
                yield line, record
                line += buffer.count("\n", start, end)
                position = end
            buffer = buffer[position:]
            if len(buffer) > LONGEST:
                trouble.report(f"{path}:{line}", f"{TOO_LONG}, or not JSON")
                return
    except UnicodeDecodeError:
        trouble.report(f"{path}:{line}", "invalid UTF-8 (at or after this line)")
        return
    left = buffer.lstrip(" \t\r\n,[")
    line += buffer.count("\n", 0, len(buffer) - len(left))
    if left.strip(" \t\r\n]"):
        trouble.report(f"{path}:{line}", f"not JSON (it breaks off or goes wrong at {left[:20]!r})")


def _complete(parser: json.JSONDecoder, buffer: str) -> Iterator[tuple[int, int, Any]]:
    """Start, end and content of the values that `buffer` holds whole."""
    end = 0
    while gap := _BETWEEN.match(buffer, end):
        try:
            record, end = parser.raw_decode(buffer, gap.end())
        except (ValueError, RecursionError):
            return
        yield gap.end(), end, record


def _csv(stream: BinaryIO, path: Path, field: str, trouble: InputErrors) -> Iterator[Located]:
    csv.field_size_limit(LONGEST)
    rows = csv.DictReader(_lines(stream))
    try:
        if field not in (rows.fieldnames or ()):
            known = ", ".join(list(rows.fieldnames or ())[:8])
            trouble.report(f"{path}:1", f"no column {field!r} (it has {known}); set text_field")
            return
        for row in rows:
            where, text = f"{path}:{rows.line_num}", row[field]
            if text is None:
                trouble.report(where, f"no field {field!r} (a short row)")
            elif any("\udc80" <= character <= "\udcff" for character in _beyond_ascii(text)):
                trouble.report(where, "invalid UTF-8")
            else:
                yield where, text
    except csv.Error as cause:
        limit = "limit" in str(cause)
        reason = f"{TOO_LONG}, or an open quote" if limit else f"not CSV ({_first_line(cause)})"
        trouble.report(f"{path}:{rows.line_num + 1}", f"{reason}; the rest is left out")


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Lines of bounded length; bytes that are no UTF-8 come through as lone surrogates."""
    encoding = "utf-8-sig"
    while line := stream.readline(LONGEST):
        if len(line) == LONGEST and not line.endswith(b"\n"):
            raise csv.Error("line over the limit")
        yield line.decode(encoding, "surrogateescape")
        encoding = "utf-8"


def _beyond_ascii(text: str) -> str:
    return "" if text.isascii() else text


def _whole(stream: BinaryIO, path: Path, field: str, trouble: InputErrors) -> Iterator[Located]:
    data = stream.read(LONGEST + 1)
    if len(data) > LONGEST:
        trouble.report(str(path), TOO_LONG)
        return
    text = _decode(data, str(path), trouble)
    if text:
        yield str(path), text


def _parquet(stream: BinaryIO, path: Path, field: str, trouble: InputErrors) -> Iterator[Located]:
    if path.suffix not in _COMPRESSED:
        yield from _parquet_rows(path, path, field, trouble)
        return
    with tempfile.NamedTemporaryFile(suffix=".parquet") as plain:  # Parquet is read from its end
        shutil.copyfileobj(stream, plain, 1 << 20)
        plain.flush()
        yield from _parquet_rows(Path(plain.name), path, field, trouble)


def _parquet_rows(plain: Path, path: Path, field: str, trouble: InputErrors) -> Iterator[Located]:
    with pq.ParquetFile(plain, buffer_size=1 << 20) as stored:
        schema = stored.schema_arrow
        if field not in schema.names:
            known = ", ".join(schema.names[:8])
            trouble.report(str(path), f"no column {field!r} (it has {known}); set text_field")
            return
        kind = schema.field(field).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            trouble.report(str(path), f"column {field!r} is not text ({kind})")
            return
        number = 0
        rows = _rows_at_once(stored.metadata)
        for batch in stored.iter_batches(rows, columns=[field], use_threads=False):
            for text in batch.column(0).to_pylist():
                number += 1
                if text is None:
                    trouble.report(f"{path}: row {number}", f"no field {field!r} (null)")
                else:
                    yield f"{path}: row {number}", text


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    """As many rows as hold about 16 MB, by the mean of the file, up to 256."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    return max(1, min(256, (16 << 20) * metadata.num_rows // max(size, 1)))


_READERS: dict[str, Callable[[BinaryIO, Path, str, InputErrors], Iterator[Located]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".parquet": _parquet,
    ".csv": _csv,
    ".txt": _whole,
}
