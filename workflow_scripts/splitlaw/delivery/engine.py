"""One thread that continues the prompts of all requests together, a token of each at a time.

Requests join and leave between two tokens, so that none waits for another to be finished. An answer
is bit for bit that of `RoutedModel.generate` with the same seed, whatever else is being answered.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from splitlaw.delivery.batch import Batch, Running
from splitlaw.delivery.decoding import Sampling
from splitlaw.delivery.routed import RoutedModel

Array = npt.NDArray[np.float64]
Progressed = tuple[str, str]
"""The text so far, and `stop` or `length` where it is finished, otherwise empty."""
_ADMITTED = 8
"""Largest number of prompts that are read between two tokens. Reading a short one takes about as
long as a step, so that an answer takes at most about nine times as long while others begin."""


class Busy(Exception):
    """As many requests are being answered as the server answers at a time."""


@dataclass(kw_only=True, eq=False)
class Ticket:
    """A request that is being answered."""

    prompt: str
    weights: Array
    """Weights of the models, as in `RoutedModel.route`."""
    sampling: Sampling
    parts: bool
    """Whether updates are sent after every token, or only when the answer is finished."""
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
        batch = self.model.batch()
        active: dict[Ticket, Running] = {}
        while True:
            for ticket in self._queued(wait=not active):
                if ticket is None:
                    return
                one = self._begin(ticket, batch)
                if one is not None:
                    active[ticket] = one
            self._end(batch, active, [ticket for ticket in active if self._given_up(ticket)])
            try:
                batch.step()
            except Exception as error:  # reported to the clients, and others are answered
                for ticket in active:
                    self._finish(ticket, error)
                batch, active = self.model.batch(), {}
            going = {ticket for ticket, one in active.items() if self._progressed(ticket, one)}
            self._end(batch, active, active.keys() - going)

    def _queued(self, *, wait: bool) -> Iterator[Ticket | None]:
        """Some of the tickets that are queued now, in their order, so that active ones go on.

        With `wait`, there is at least one.
        """
        queued = min(self._new.qsize(), _ADMITTED)
        for _ in range(max(queued, 1) if wait else queued):
            yield self._new.get()

    def _end(
        self, batch: Batch, active: dict[Ticket, Running], tickets: Collection[Ticket]
    ) -> None:
        """Remove tickets from the batch."""
        for ticket in tickets:
            batch.end(active.pop(ticket))

    def _begin(self, ticket: Ticket, batch: Batch) -> Running | None:
        """Read the prompt of a ticket; None if there is nothing more to answer."""
        if self._given_up(ticket):
            return None
        try:
            one = self.model.begin(batch, ticket.prompt, ticket.sampling, ticket.weights)
        except Exception as error:  # reported to the client, and the others go on
            self._finish(ticket, error)
            return None
        if self._progressed(ticket, one):
            return one
        batch.end(one)
        return None

    def _given_up(self, ticket: Ticket) -> bool:
        """Whether the client has gone, or the time is over."""
        late, gone = time.monotonic() > ticket.deadline, ticket.cancelled
        if late or gone:
            self._finish(ticket, TimeoutError())
        return late or gone

    def _progressed(self, ticket: Ticket, one: Running) -> bool:
        """Send the text so far; whether there is more to generate."""
        ticket.generated, ticket.read = len(one.text.tokens), one.text.read
        update = one.text.text, one.text.finished
        if one.text.finished:
            self._finish(ticket, update)
        elif ticket.parts:
            ticket.send(update)
        return not one.text.finished

    def _finish(self, ticket: Ticket, update: Progressed | Exception) -> None:
        with self._lock:  # before the client hears of it, because it may ask again at once
            self._count -= 1
        ticket.send(update)
