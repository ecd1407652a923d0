"""Checks of Arrow files, which `datasets` maps into memory as they are."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from splitlaw.common.errors import UserError
from splitlaw.corpus.shards import Shard
from splitlaw.corpus.sources.located import first_line

_NO_CHECKSUM = (
    "no checksums, as in all Arrow files, so changed bytes may not be noticed; save the data as "
    "Parquet with write_page_checksum=True"
)
_NO_END = "no end mark after the last batch; later ones may be cut"
_FILE_FORMAT = b"ARROW1"
"""Beginning of a file with a footer; others are streams of batches."""
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""End mark of a stream, which is optional."""


def saved_files(folder: Path) -> list[Path] | None:
    """Return the Arrow files of a data set that `datasets` has saved in `folder`.

    It writes none if there are no rows. None if `state.json`, which lists them, cannot be read.
    """
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return [folder / part["filename"] for part in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # `datasets` reports it


def saved_split(folder: Path) -> str | None:
    """Return the split that a saved data set was; None if it was none or is not known."""
    try:
        split = json.loads((folder / "state.json").read_text(encoding="utf-8"))["_split"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(split) if split else None


def check_arrow_files(files: Iterable[Path], shard: Shard | None) -> None:
    """Raise `UserError` for a damaged file.

    Offsets beyond the end of a buffer would end the process with a signal, and batches after an end
    mark would be left out without a message. The offsets are only checked in the batches that
    contain rows of `shard`, in none if it is None: that reads the data.
    """
    counts = {}
    for file in filter(Path.is_file, files):
        with _named(file):
            counts[file] = _count_rows(file)
    begin, end = shard.range(sum(counts.values())) if shard else (0, 0)
    for file, count in counts.items():
        if begin < count and end > 0:
            with _named(file):
                _check_rows(file, begin, end)
        begin, end = begin - count, end - count


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Turn errors of pyarrow into `UserError` with the name of the file."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as cause:
        raise UserError(
            f"{file}: truncated or damaged ({first_line(cause)}); save the data set again"
        ) from None


def _batches(source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a file of either format; they are not read, but mapped into memory."""
    is_file = source.read(len(_FILE_FORMAT)) == _FILE_FORMAT
    source.seek(0)
    if not is_file:
        yield from pa.ipc.open_stream(source)
        return
    reader = pa.ipc.open_file(source)
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def _count_rows(file: Path) -> int:
    """The number of rows; raises `UserError` for bytes after the end of a stream."""
    with pa.memory_map(str(file)) as source:
        is_stream = source.read(len(_FILE_FORMAT)) != _FILE_FORMAT
        source.seek(0)
        count = sum(batch.num_rows for batch in _batches(source))
        if is_stream and source.tell() < source.size():
            raise UserError(
                f"{file}: bytes after its end mark; a part may be lost, or several files joined; "
                "save the data set again"
            )
    return count


def _check_rows(file: Path, begin: int, end: int) -> None:
    """Check the batches that contain rows from `begin` to `end`, counted in this file."""
    with pa.memory_map(str(file)) as source:
        for batch in _batches(source):
            if begin < batch.num_rows and end > 0:
                batch.validate(full=True)
            begin, end = begin - batch.num_rows, end - batch.num_rows


def arrow_remarks(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield the name of each file and what cannot be checked in it."""
    for file in files:
        with file.open("rb") as stream:
            is_stream = stream.read(len(_FILE_FORMAT)) != _FILE_FORMAT
            stream.seek(max(file.stat().st_size - len(_END), 0))
            if is_stream and stream.read() != _END:
                yield str(file), _NO_END
        yield str(file), _NO_CHECKSUM
