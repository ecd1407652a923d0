"""Signals that request a training to stop, which it does after the current step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""Sent by schedulers, by Slurm before a time limit, and by Ctrl-C."""


class Stopped(SystemExit):
    """The process has saved its state and stops; the exit status is 128 + signal, as in shells."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class StopSignals:
    """Remembers a signal to stop that arrives while the signals are caught."""

    def __init__(self) -> None:
        self.received: int | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Record signals to stop while the block runs, instead of ending immediately."""

        def note(number: int, frame: object) -> None:
            self.received = number

        before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
