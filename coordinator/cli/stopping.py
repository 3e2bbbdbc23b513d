"""Ctrl-C, SIGTERM and a lost terminal: once means finish the effect at hand, twice means now."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from coordinator.errors import ExitCode

_SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def stopping(tell: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Yield a question: was this command asked to stop? The second signal ends the process at once.

    That is safe: the journal is durable at every instant, and what was at hand is found in doubt. `tell` is
    called from a signal handler, so it may take no lock.
    """
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked:
            stop_at_once()
        asked.append(number)
        tell("Stopping after the effect at hand; once more stops at once.")

    before = {number: signal.signal(number, ask) for number in _signals()}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signals() -> Iterator[signal.Signals]:
    yield from (signal.SIGINT, signal.SIGTERM)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asked to live on
        yield signal.SIGHUP


def stop_at_once() -> None:
    """End the process without waiting for anything."""
    tell_at_once("Stopped at once. The same command finds out what was done and goes on.")
    os._exit(ExitCode.INTERRUPTED)


def tell_at_once(text: str) -> None:
    """Write a line to stderr, past every buffer and lock; a signal handler may call it."""
    cursor = _SHOW_CURSOR if os.isatty(2) else b""
    try:
        os.write(2, cursor + f"\n{text}\n".encode())
    except OSError:
        return  # nobody reads it any more
