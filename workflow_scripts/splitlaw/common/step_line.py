"""How many steps of a short activity are done, for commands without tqdm."""

from __future__ import annotations

import sys
import time
from typing import TextIO

SILENT = 2.0
"""Seconds before the first line: shorter activities need none."""

SECONDS = 5.0
"""Seconds between two lines where there is no terminal."""


class StepLine:
    """Shows the finished steps: one line that is overwritten on a terminal, elsewhere a line each.

    `StepLine("fit_law")(3, 7)` shows `fit_law: 3 of 7 steps, 4 s`.
    """

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self.name, self.stream = name, stream or sys.stderr
        self.began = time.monotonic()
        self.shown: float | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show `done` of `total` steps, unless the activity is short or a line was shown lately."""
        now = time.monotonic()
        terminal = self.stream.isatty()
        lately = self.shown is not None and now - self.shown < SECONDS and not terminal
        if now - self.began < SILENT or lately or done == total:
            return
        self.shown = now
        text = f"{self.name}: {done} of {total} steps, {now - self.began:.0f} s"
        print(f"\r{text}" if terminal else text, end="" if terminal else "\n", file=self.stream)
        self.stream.flush()

    def close(self) -> None:
        """Remove the line of a terminal."""
        if self.shown is not None and self.stream.isatty():
            print("\r\x1b[K", end="", file=self.stream, flush=True)
