"""One thread that continues the prompts of all requests, a token of each in turn.

Every request is decoded by itself, so that its answer is bit for bit that of `RoutedModel.stream`
with the same seed, whatever else is being answered.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from splitlaw.delivery.decoding import Sampling
from splitlaw.delivery.routed import RoutedModel

Progressed = tuple[str, str]
"""The text so far, and `stop` or `length` where it is finished, otherwise empty."""


class Busy(Exception):
    """As many requests are being answered as the server answers at a time."""


@dataclass(kw_only=True)
class Ticket:
    """A request that is being answered."""

    prompt: str
    sampling: Sampling
    deadline: float
    """Value of `time.monotonic` at which the request is given up."""
    loop: asyncio.AbstractEventLoop
    updates: asyncio.Queue[Progressed | Exception] = field(default_factory=asyncio.Queue)
    cancelled: bool = False
    generated: int = 0
    """Tokens generated so far."""
    read: int = 0
    """Tokens of the prompt that the models have read."""

    def send(self, update: Progressed | Exception) -> None:
        """Pass an update from the engine's thread to the server's."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.updates.put_nowait, update)


class Engine:
    """Answers tickets in a thread of its own."""

    def __init__(self, model: RoutedModel, *, requests: int) -> None:
        """`requests` is the largest number of tickets at a time."""
        self.model = model
        self.requests = requests
        self._count = 0
        self._lock = threading.Lock()
        """Guards `_count`, the number of tickets that are being answered."""
        self._new: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, ticket: Ticket) -> None:
        """Begin to answer a ticket, until it is finished, cancelled or late.

        Raises `Busy` where there are too many tickets.
        """
        with self._lock:
            if self._count >= self.requests:
                raise Busy
            self._count += 1
        self._new.put(ticket)

    def close(self) -> None:
        """Stop the thread after the current token."""
        self._new.put(None)
        self._thread.join()

    def _run(self) -> None:
        active: list[tuple[Ticket, Iterator[Progressed]]] = []
        while True:
            while not active or not self._new.empty():
                ticket = self._new.get()
                if ticket is None:
                    return
                active.append((ticket, self._answer(ticket)))
            active = [one for one in active if self._advance(*one)]

    def _answer(self, ticket: Ticket) -> Iterator[Progressed]:
        for continuation in self.model.stream(ticket.prompt, ticket.sampling):
            ticket.generated, ticket.read = len(continuation.tokens), continuation.read
            yield continuation.text, continuation.finished

    def _advance(self, ticket: Ticket, answer: Iterator[Progressed]) -> bool:
        """Generate one token; whether there may be more."""
        update: Progressed | Exception | None = None
        if not ticket.cancelled:
            try:
                if time.monotonic() > ticket.deadline:
                    raise TimeoutError
                update = next(answer)
            except Exception as error:  # reported to the client, and the others go on
                update = error
        more = isinstance(update, tuple) and not update[1]
        if not more:  # before the client hears of it, because it may ask again at once
            with self._lock:
                self._count -= 1
        if update is not None:
            ticket.send(update)
        return more
