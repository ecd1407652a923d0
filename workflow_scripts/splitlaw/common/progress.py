"""What a person sees of a training: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from tqdm import tqdm

NOTHING_NEW = "all was trained before"
"""How the log of a job ends that found the models it was to train."""


class Progress:
    """Tokens trained of those that a process has to train, with speed, loss and time left."""

    def __init__(
        self,
        name: str,
        *,
        stream: TextIO | None = None,
        seconds: float = 60.0,
        quiet: bool = False,
    ) -> None:
        self.stream = stream or sys.stderr
        self.name = name
        self.seconds = seconds
        self.quiet = quiet
        self.bar: tqdm[object] | None = None
        self.total = self.done = 0
        self.loss = float("nan")
        self.began = self.told = time.monotonic()

    def expect(self, tokens: int) -> None:
        """Start counting towards `tokens`."""
        self.total, self.done = tokens, 0
        self.began = self.told = time.monotonic()
        if self.stream.isatty() and not self.quiet:
            self.bar = tqdm(
                total=tokens,
                desc=self.name,
                unit="tok",
                unit_scale=True,
                file=self.stream,
                dynamic_ncols=True,
                leave=False,
            )

    def add(self, tokens: int, loss: float | None = None) -> None:
        """Count tokens just trained; `loss` is given where it has been read off the device."""
        self.done += tokens
        if loss is not None:
            self.loss = loss
        if self.bar is not None:
            if loss is not None:
                self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            self.bar.update(tokens)
        elif time.monotonic() - self.told > self.seconds:
            self.told = time.monotonic()
            self.say(self.line())

    def line(self) -> str:
        """Where the training is, in a line."""
        pace = self.done / max(time.monotonic() - self.began, 1e-9)
        left = max(self.total - self.done, 0) / max(pace, 1e-9)
        return (
            f"{self.name}: {self.done / 1e6:.2f} of {self.total / 1e6:.2f}M tokens, "
            f"{pace:,.0f} tokens/s, loss {self.loss:.3f}, {tqdm.format_interval(left)} left"
        )

    def say(self, line: str) -> None:
        """Print a line without breaking the bar."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.write(line, file=self.stream)
        else:
            print(line, file=self.stream, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
