"""What the core asks of the machine: the time, a lease, a journal that lasts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Time, so that tests own it."""

    def now(self) -> datetime:
        """Return the time, with its zone (UTC)."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Return after `duration`."""
        ...


class Lease(Protocol):
    """The right to act on a scope, for as long as this process lives; the kernel frees it when it dies."""

    def held(self, scope: str, *, holder: str) -> AbstractContextManager[None]:
        """Hold the lease; Waiting `lease-held` with the other holder's name if somebody has it."""
        ...


class Journal(Protocol):
    """Append-only records, a chain for each run; nothing is updated or deleted."""

    def append(self, run: str, sequence: int, *records: str) -> None:
        """Make `records` durable, all or none, the first as the run's number `sequence`, without gaps from 1.

        When it returns, they survive a power cut. JournalConflict if a number is taken: another coordinator
        wrote, and this one must stop at once; and if the number before is not there: it is another journal.
        """
        ...

    def records(self, run: str) -> tuple[str, ...]:
        """Return the run's records in order; empty for a run that nobody started.

        Raises: InDoubt `journal-incomplete` where one is missing before another.
        """
        ...

    def runs(self) -> tuple[str, ...]:
        """Return the runs, oldest first."""
        ...

    def ask(self, run: str, request: str) -> None:
        """Leave a request for whoever acts on the run, now or later; needs no lease and is durable."""
        ...

    def requests(self, run: str) -> tuple[str, ...]:
        """Return every request that was ever left for the run, in order."""
        ...
