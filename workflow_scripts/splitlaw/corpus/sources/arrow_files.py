"""Checks of Arrow files, which `datasets` maps into memory as they are."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from splitlaw.common.errors import UserError
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


def saved_files(folder: Path) -> list[Path]:
    """Return the Arrow files of a data set that `datasets` has saved in `folder`."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return [folder / part["filename"] for part in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # `datasets` reports it


def check_arrow_files(files: Iterable[Path]) -> None:
    """Raise `UserError` for a damaged file.

    Offsets beyond the end of a buffer would end the process with a signal, and batches after an end
    mark would be left out without a message.
    """
    for file in filter(Path.is_file, files):
        try:
            problem = _problem(file)
        except (pa.ArrowException, OSError, ValueError) as cause:
            problem = f"truncated or damaged ({first_line(cause)})"
        if problem:
            raise UserError(f"{file}: {problem}; save the data set again")


def _problem(file: Path) -> str | None:
    """Why a file is refused; None if its structure is valid."""
    with pa.memory_map(str(file)) as source:
        if source.read(len(_FILE_FORMAT)) == _FILE_FORMAT:
            reader = pa.ipc.open_file(source)
            for number in range(reader.num_record_batches):
                reader.get_batch(number).validate(full=True)
            return None
        source.seek(0)
        for batch in pa.ipc.open_stream(source):
            batch.validate(full=True)
        if source.tell() < source.size():
            return "bytes after its end mark; a part may be lost, or several files joined"
    return None


def arrow_remarks(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield the name of each file and what cannot be checked in it."""
    for file in files:
        with file.open("rb") as stream:
            is_stream = stream.read(len(_FILE_FORMAT)) != _FILE_FORMAT
            stream.seek(max(file.stat().st_size - len(_END), 0))
            if is_stream and stream.read() != _END:
                yield str(file), _NO_END
        yield str(file), _NO_CHECKSUM
