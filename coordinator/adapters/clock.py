"""The machine's clock. Everything else takes the time as an argument, so that tests own it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The Clock of every command; its time is UTC.

    The machine is asked for it once, and from there on how much of it has passed: a clock that somebody sets
    while a command runs would end what it waits for, or let it wait for an hour more.
    """

    def __init__(self) -> None:
        self._began, self._steady = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        """Return the time that this machine had at the beginning, and what has passed since."""
        return self._began + timedelta(seconds=time.monotonic() - self._steady)

    def sleep(self, duration: timedelta) -> None:
        """Return after `duration`; at once if it is negative."""
        time.sleep(max(0.0, duration.total_seconds()))
