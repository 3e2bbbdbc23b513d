"""Ctrl-C and SIGTERM: once means finish the effect at hand, twice means now."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from coordinator.errors import ExitCode


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Yield a question: was this command asked to stop? The second signal ends the process at once.

    That is safe: the journal is durable at every instant, and what was at hand is found in doubt.
    """
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked:
            os.write(2, b"\nStopped at once. `coordinator run` finds out what was done and goes on.\n")
            os._exit(ExitCode.INTERRUPTED)
        asked.append(number)
        os.write(2, b"\nStopping after the effect at hand; once more stops at once.\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
