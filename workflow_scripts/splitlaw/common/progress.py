"""Progress of a long activity: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from tqdm import tqdm

from splitlaw.common.status_file import current

MINUTE = 60.0
"""Seconds between two lines of a log: a day of training gives 1,440 lines, which users can read."""


class Progress:
    """Counts how much of an activity is done; the status file of the job shows the same.

    As a context it begins at once and reports its end; otherwise call `expect` and `finish`.
    """

    def __init__(
        self,
        name: str,
        *,
        total: int | None = None,
        unit: str = "tokens",
        stream: TextIO | None = None,
        seconds: float = MINUTE,
        quiet: bool = False,
    ) -> None:
        """`unit` is a plural; `B` (bytes) follows the number without a space.

        `seconds` is the time between two lines where there is no terminal. Nothing is printed where
        `quiet` is true.
        """
        self.name, self.unit, self.total = name, unit, total
        self.stream = stream or sys.stderr
        self.seconds = seconds
        self.quiet = quiet
        self.bar: tqdm[object] | None = None
        self.done = 0
        self.loss: float | None = None
        self.began = self.reported = time.monotonic()
        self.first: tuple[float, int] | None = None
        """When the first amount was added, and what was done then."""

    def expect(self, total: int | None) -> None:
        """Begin to count towards `total`; None where it is unknown."""
        self.total, self.done, self.first = total, 0, None
        self.began = self.reported = time.monotonic()
        if (file := current()) is not None:
            file.follow(self)
        if self.stream.isatty() and not self.quiet:
            self.bar = tqdm(
                desc=self.name,
                total=total,
                unit=self.unit if self.unit == "B" else f" {self.unit}",
                unit_scale=True,
                file=self.stream,
                dynamic_ncols=True,
                leave=False,
            )

    def add(self, amount: int = 1, loss: float | None = None) -> None:
        """Count an amount that has just been done; give `loss` where it is known on the CPU."""
        now = time.monotonic()
        self.done += amount
        self.first = self.first or (now, self.done)
        if loss is not None:
            self.loss = loss
        if self.bar is not None:
            if loss is not None:
                self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            self.bar.update(amount)
        elif now - self.reported > self.seconds:
            self.reported = now
            self.say(self.line())

    @property
    def throughput(self) -> float | None:
        """Mean amount per second, None before the second `add`.

        The time before the end of the first step does not count: models are compiled in it.
        """
        if self.first is None or self.done == self.first[1]:
            return None
        seconds = time.monotonic() - self.first[0]
        return (self.done - self.first[1]) / seconds if seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the total is reached at this throughput, None where that is unknown."""
        throughput = self.throughput
        if self.total is None or not throughput:
            return None
        return max(self.total - self.done, 0) / throughput

    def line(self) -> str:
        """The progress in one line."""
        of = "" if self.total is None else f" of {self._amount(self.total)}"
        parts = [f"{self.name}: {self._amount(self.done, unit=self.total is None)}{of}"]
        if self.throughput is not None:
            parts.append(self._rate(self.throughput))
        if self.loss is not None:
            parts.append(f"loss {self.loss:.3f}")
        if self.seconds_left is not None:
            parts.append(f"{tqdm.format_interval(self.seconds_left)} left")
        return ", ".join(parts)

    def say(self, line: str) -> None:
        """Print a line without breaking the bar."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.write(line, file=self.stream)
        else:
            print(line, file=self.stream, flush=True)

    def close(self) -> None:
        """End the activity and remove the bar."""
        if (file := current()) is not None:
            file.forget(self)
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def finish(self, throughput: float | None = None) -> None:
        """End the activity and print what was done, at `throughput` or in how much time."""
        self.close()
        if self.unit == "tokens" and not self.done:
            self.say(f"{self.name}: done, all models were trained before")
            return
        took = f"in {tqdm.format_interval(time.monotonic() - self.began)}"
        rate = took if throughput is None else self._rate(throughput)
        self.say(f"{self.name}: done, {self._amount(self.done)}, {rate}")

    def __enter__(self) -> Progress:
        """Begin to count."""
        self.expect(self.total)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the activity, and report it unless an error was the reason."""
        if kind is None:
            self.finish()
        else:
            self.close()

    def _amount(self, number: float, *, unit: bool = True) -> str:
        """`5.00GB`, `1.20M tokens`, `600 documents`."""
        if self.unit == "B":
            return f"{scaled(number)}B"
        return f"{scaled(number)} {self.unit}" if unit else scaled(number)

    def _rate(self, throughput: float) -> str:
        if self.unit == "B":
            return f"{scaled(throughput)}B/s"
        return f"{throughput:,.0f} {self.unit}/s"


def scaled(number: float) -> str:
    """A number with three digits and a prefix: 600, 1.20M, 5.00G."""
    return tqdm.format_sizeof(number) if number >= 1000 else f"{number:.0f}"
