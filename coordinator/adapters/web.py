"""One bounded GET: a time limit over the whole exchange, a limit on the body, no redirects, no proxies.

`http.client` limits each wait for the socket, so a server that sends a byte a second would hold us for as
long as it likes. A timer that shuts the socket down limits the sum.
"""

from __future__ import annotations

import socket
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Event, Timer
from typing import Final
from urllib.parse import urlsplit

BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a body that are read; what follows is not looked at."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered; `body` ends at BODY_LIMIT."""

    status: int
    body: bytes


class NoReply(Exception):
    """There was no whole answer; the text says why, for a person."""


def get(url: str, *, timeout: timedelta) -> Reply:
    """Return the answer to one GET of `url` (http or https).

    Raises:
        NoReply: the connection was refused or lost, the answer was no HTTP, or `timeout` was over.
    """
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    seconds = timeout.total_seconds()
    with closing(kind(parts.hostname or "", parts.port, timeout=seconds)) as connection:
        late, until, timer = Event(), time.monotonic() + seconds, None
        try:
            connection.connect()
            timer = Timer(until - time.monotonic(), _cut, (connection.sock, late))
            timer.start()
            path = parts.path or "/"
            connection.request("GET", f"{path}?{parts.query}" if parts.query else path)
            with connection.getresponse() as response:
                reply = Reply(response.status, response.read(BODY_LIMIT))
        except (OSError, HTTPException) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                raise NoReply(f"no answer within {seconds:g} s") from error
            raise NoReply(_words(error)) from error
        finally:
            if timer is not None:
                timer.cancel()
    if late.is_set():
        raise NoReply(f"no whole answer within {seconds:g} s")
    return reply


def _cut(connection: socket.socket, late: Event) -> None:
    late.set()
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not SSLSocket's, which would lose its state


def _words(error: OSError | HTTPException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"not an HTTP answer ({type(error).__name__})"
