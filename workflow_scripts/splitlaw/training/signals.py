"""Signals that ask a training to stop, which it does after the current step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""Sent by schedulers, by Slurm before a time limit, and by Ctrl-C."""


class Stopped(SystemExit):
    """The process has saved its state and stops; the code is the one that shells give a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class StopSignals:
    """Remembers a signal to stop that arrives while the signals are caught."""

    def __init__(self) -> None:
        self.received: int | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Note signals to stop, instead of ending at once, while the block runs."""

        def note(number: int, frame: object) -> None:
            self.received = number

        before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
