"""The SQLSTATE of a connection that a server refuses, which libpq hears and does not pass on.

Its trace has it. So who was refused in words that nobody here reads, as the server speaks another language,
asks once more and listens. The trace stays in memory: it may hold what is sent of the password.
"""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.pq import PGconn, PollingStatus
from psycopg.pq import abc as wires

_SECONDS: Final = 10
_WAITS: Final = (PollingStatus.READING, PollingStatus.WRITING)
_SAID: Final = re.compile(r"failed: \S+:  ")
"""How libpq begins with the words of a server; its own have no second space."""
_CODE: Final = re.compile(r'\tErrorResponse\t.*? C "([0-9A-Z]{5})"')


def sqlstate_of(error: psycopg.Error, conninfo: str) -> str:
    """Return why a server refuses a connection; empty where none answered, or this system has no trace."""
    if not _SAID.search(str(error)) or not hasattr(os, "memfd_create"):
        return ""
    codes = _CODE.findall(_trace_of(conninfo))
    return str(codes[-1]) if codes else ""


def _trace_of(conninfo: str) -> str:
    with open(os.memfd_create("refusal"), "rb") as trace, _begun(conninfo) as wire:  # noqa: PTH123 - of no path
        wire.trace(trace.fileno())
        until = time.monotonic() + _SECONDS
        while (status := PollingStatus(wire.connect_poll())) in _WAITS:
            if time.monotonic() >= until or not _is_ready(wire, status, until - time.monotonic()):
                break
        wire.untrace()
        trace.seek(0)
        return trace.read().decode(errors="replace")


def _is_ready(wire: wires.PGconn, status: PollingStatus, seconds: float) -> bool:
    waits = select.poll()
    waits.register(wire.socket, select.POLLIN if status is PollingStatus.READING else select.POLLOUT)
    return bool(waits.poll(seconds * 1000))


@contextmanager
def _begun(conninfo: str) -> Iterator[wires.PGconn]:
    wire = PGconn.connect_start(conninfo.encode())
    try:
        yield wire
    finally:
        wire.finish()
