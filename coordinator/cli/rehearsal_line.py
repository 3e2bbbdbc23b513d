"""What a rehearsal is at, while somebody waits at a terminal: one line on stderr that leaves no trace."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from coordinator.cli.edge import columns_of, escaped, silence
from coordinator.cli.watching import is_live
from coordinator.rehearsal_ports import Tell

_PACE: Final = 0.1
"""Seconds between two lines: nobody reads faster."""
_ANEW: Final = "\r\x1b[2K"
"""Back to the line's begin, and nothing on it."""


@contextmanager
def rehearsal_line() -> Iterator[Tell]:
    """Yield what shows a line in the place of the one before, and clear it away; off a terminal, nothing."""
    if not is_live():
        yield lambda _: None
        return
    last = 0.0

    def tell(line: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PACE:
            last = now
            _write(_ANEW + escaped(line)[: columns_of(sys.stderr, otherwise=80) - 1] + "\r")

    try:
        yield tell
    finally:
        if last:
            _write(_ANEW)


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)  # the terminal is gone; what was asked for is not
