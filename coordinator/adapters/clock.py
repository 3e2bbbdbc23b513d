"""The machine's clock. Everything else takes the time as an argument, so that tests own it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The Clock of every command; its time is UTC."""

    def now(self) -> datetime:
        """Return the time of this machine."""
        return datetime.now(UTC)

    def sleep(self, duration: timedelta) -> None:
        """Return after `duration`; at once if it is negative."""
        time.sleep(max(0.0, duration.total_seconds()))
