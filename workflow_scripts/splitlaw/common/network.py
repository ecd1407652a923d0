"""Errors of the libraries that the clients of the Hub use for HTTP."""

from __future__ import annotations

_LIBRARIES = ("aiohttp", "httpx", "httpx2", "requests", "urllib3")


def is_network_error(error: BaseException) -> bool:
    """Whether a library for HTTP has raised the error, such as a connection that was closed.

    The errors of `httpx` are not of type `OSError`, so that they are recognised by their module.
    """
    return type(error).__module__.partition(".")[0] in _LIBRARIES
