"""An HTTP server of the OpenAI interface for completions, on starlette and uvicorn."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from splitlaw.common.errors import UserError
from splitlaw.delivery.engine import Busy, Engine, Ticket
from splitlaw.delivery.limits import Limits
from splitlaw.delivery.requests import CHAT, COMPLETION, Answer, Refused, read_request
from splitlaw.delivery.routed import RoutedModel

_POLL = 0.5
"""Seconds after which a waiting request looks whether its client has gone."""


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; `UserError` where it is in use or does not exist."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as cause:
        raise UserError(f"--host {host} --port {port}: {cause}; give another address") from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1024)
    except OSError as cause:
        found.close()
        if cause.errno == errno.EADDRINUSE:
            raise UserError(
                f"--port {port}: is in use at {host}; stop the other server or give another port"
            ) from None
        raise UserError(
            f"--host {host} --port {port}: {cause.strerror}; give another address"
        ) from None
    return found


def serve(model: RoutedModel, at: socket.socket, *, name: str, limits: Limits) -> None:
    """Answer requests at a socket until the process is asked to stop."""
    host, port = at.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"Serving {name} at http://{shown}:{port}/v1 (Ctrl-C stops it).", flush=True)
    config = uvicorn.Config(
        Service(model, name=name, limits=limits).application(),
        http=_protocol(limits),
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16_384,
    )
    with suppress(KeyboardInterrupt):  # raised again by uvicorn after it has shut down
        uvicorn.Server(config).run(sockets=[at])


def _protocol(limits: Limits) -> type[H11Protocol]:
    """uvicorn's protocol, with a limit on the time in which headers must arrive."""

    class Protocol(H11Protocol):
        waited = True
        """Whether the last look found no complete headers; a connection begins without any."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(limits.read_seconds, self._look)

        def _look(self) -> None:
            """Close a connection whose headers are incomplete at two looks in a row."""
            if self.transport.is_closing():
                return
            partial = bool(self.conn.trailing_data[0])
            waits = self.cycle is None or (self.cycle.response_complete and partial)
            if waits and self.waited:
                self.transport.close()
                return
            self.waited = waits
            self.loop.call_later(limits.read_seconds, self._look)

    return Protocol


class Service:
    """The routes of the server."""

    def __init__(self, model: RoutedModel, *, name: str, limits: Limits) -> None:
        self.model = model
        self.name = name
        self.limits = limits
        self.engine = Engine(model, requests=limits.requests)
        self.began = int(time.time())

    def application(self) -> Starlette:
        """The application to run."""

        async def complete(request: Request) -> Response:
            return await self.answer(request, COMPLETION)

        async def chat(request: Request) -> Response:
            return await self.answer(request, CHAT)

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            self.engine.close()

        return Starlette(
            routes=[
                Route("/v1/models", self.models),
                Route("/v1/completions", complete, methods=["POST"]),
                Route("/v1/chat/completions", chat, methods=["POST"]),
            ],
            exception_handlers={Refused: _refuse, HTTPException: _refuse_address},
            lifespan=lifespan,
        )

    async def models(self, _: Request) -> Response:
        """The one model that is served, with its domains."""
        own = {"id": self.name, "object": "model", "created": self.began, "owned_by": "splitlaw"}
        listed = [{**own, "domains": self.model.domains}]
        return JSONResponse({"object": "list", "data": listed})

    async def answer(self, request: Request, kind: str) -> Response:
        """Answer a request for a completion, whole or as a stream of events."""
        deadline = time.monotonic() + self.limits.seconds
        asked = read_request(kind, await self._body(request))
        if asked.model != self.name:
            raise Refused(404, f"model: there is no {asked.model!r}; ask for {self.name!r}")
        try:
            sampling = asked.sampling(self.model)
        except UserError as error:
            raise Refused(400, str(error)) from None
        weights = self.model.route([asked.text])[0]
        ticket = Ticket(
            prompt=asked.text,
            weights=weights,
            sampling=sampling,
            parts=asked.stream,
            deadline=deadline,
            loop=asyncio.get_running_loop(),
        )
        used = {
            name: round(float(weight), 6)
            for name, weight in zip(self.model.models, weights, strict=True)
            if weight
        }
        answer = Answer(kind, self.name, sampling.seed, used)
        try:
            self.engine.submit(ticket)
        except Busy:
            raise Refused(
                429, f"{self.limits.requests} requests are being answered; try again", "busy"
            ) from None
        if asked.stream:
            return _Events(self._events(ticket, answer), ticket)
        try:
            return await self._whole(request, ticket, answer)
        finally:
            ticket.cancelled = True

    async def _body(self, request: Request) -> bytes:
        """Read the body, up to the limits of its size and time."""
        body = b""
        try:
            async with asyncio.timeout(self.limits.read_seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > self.limits.bytes:
                        raise Refused(413, f"the body has more than {self.limits.bytes} bytes")
        except TimeoutError:
            raise Refused(408, f"the body took over {self.limits.read_seconds:g} seconds") from None
        except ClientDisconnect:
            raise Refused(499, "the client has gone") from None
        return body

    async def _whole(self, request: Request, ticket: Ticket, answer: Answer) -> Response:
        while True:
            try:
                async with asyncio.timeout(_POLL):
                    update = await ticket.updates.get()
            except TimeoutError:
                if await request.is_disconnected():
                    raise Refused(499, "the client has gone") from None
                continue
            if isinstance(update, Exception):
                raise self._failed(update)
            text, finished = update
            if finished:
                content = answer.whole(text, finished, read=ticket.read, generated=ticket.generated)
                return JSONResponse(content)

    async def _events(self, ticket: Ticket, answer: Answer) -> AsyncIterator[str]:
        """Server-sent events: a chunk for every new part of the text, then `[DONE]`."""
        sent = 0
        while True:
            update = await ticket.updates.get()
            if isinstance(update, Exception):
                yield _event(self._failed(update).content)
                break
            text, finished = update
            if finished or len(text) > sent:
                yield _event(answer.chunk(text[sent:], finished))
                sent = len(text)
            if finished:
                break
        yield "data: [DONE]\n\n"

    def _failed(self, error: Exception) -> Refused:
        """The answer to a request that could not be finished; our own errors are raised."""
        if isinstance(error, TimeoutError):
            return Refused(504, f"the answer took over {self.limits.seconds:g} seconds", "timeout")
        raise error


class _Events(StreamingResponse):
    """A stream of events; its ticket ends with it, also if the client goes before it begins."""

    def __init__(self, events: AsyncIterator[str], ticket: Ticket) -> None:
        super().__init__(events, media_type="text/event-stream")
        self.ticket = ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.ticket.cancelled = True


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    # What is left of a body that is too long or too slow is not read.
    headers = {"Connection": "close"} if error.status in (408, 413) else None
    return JSONResponse(error.content, status_code=error.status, headers=headers)


async def _refuse_address(request: Request, error: Exception) -> Response:
    """The answer to a request for another address, or by another method."""
    assert isinstance(error, HTTPException)
    refused = Refused(
        error.status_code,
        f"{request.method} {request.url.path[:80]}: {error.detail}; there are GET /v1/models, POST "
        "/v1/completions and POST /v1/chat/completions",
    )
    return JSONResponse(refused.content, status_code=refused.status, headers=error.headers)


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"
