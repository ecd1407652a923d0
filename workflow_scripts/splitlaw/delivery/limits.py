"""Limits of the server on the size, time and number of requests."""

from __future__ import annotations

from dataclasses import dataclass

from splitlaw.common.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server accepts; it answers with an error beyond it."""

    requests: int = 64
    """Requests that are answered at a time."""
    bytes: int = 65_536
    """Bytes of the body of a request."""
    seconds: float = 60.0
    """Seconds from the first byte of a request to the last token of its answer."""
    read_seconds: float = 10.0
    """Seconds within which the headers of a request must be complete, and then its body."""

    def __post_init__(self) -> None:
        for name in ("requests", "bytes", "seconds"):
            if not getattr(self, name) > 0:
                raise UserError(f"--max-{name} {getattr(self, name)}: give a positive number")
