"""What a person sees of a long stage: a bar on a terminal, a line a minute elsewhere."""

import sys
from typing import TextIO

from tqdm import tqdm

MINUTE = 60.0


class _Lines:
    """A stream on which each state of a bar is a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if line := text.strip():
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def flush(self) -> None:
        self._stream.flush()


def progress(
    name: str, *, total: int | None = None, unit: str = "B", stream: TextIO | None = None
) -> "tqdm[None]":
    """Count what is done of a stage with `update`, on stderr unless told otherwise.

    Off a terminal there is a line at the beginning, each minute, and at the end.
    """
    stream = stream or sys.stderr
    if stream.isatty():
        return tqdm(
            desc=name, total=total, unit=unit, unit_scale=True, file=stream, dynamic_ncols=True
        )
    form = "{desc}: {n_fmt}" + ("" if total is None else " of {total_fmt}")
    return tqdm(
        desc=name,
        total=total,
        unit=unit,
        unit_scale=True,
        file=_Lines(stream),
        mininterval=MINUTE,
        maxinterval=MINUTE,
        bar_format=f"{form}{unit if unit == 'B' else ' ' + unit}, {{elapsed}}, {{rate_fmt}}",
    )
