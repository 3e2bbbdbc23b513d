"""A batch on a SQLite file that others read and write: tried again, no longer than the plan allows.

SQLite has one lock for the whole file. Whoever waits to begin a transaction keeps nobody waiting. With a
rollback journal, whoever waits to commit does: a reader that comes after him is refused until he is done
(sqlite.org/lockingv3.html, the PENDING lock; with a write-ahead log readers never notice). So a try is short,
is rolled back whole when it fails, and what readers were kept waiting is taken from a budget.

SQLite does not tell who has the file; on Linux the kernel does (`/proc/locks`, proc(5)).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from coordinator.adapters.lock_budget import LockBudget
from coordinator.errors import DatabaseError
from coordinator.ports.databases import Patience

BUSY: Final = "lock-timeout"
_LOOK: Final = timedelta(milliseconds=50)
"""The time between two tries to begin, for which nobody waits."""
_NAMED: Final = 3
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has the file locked."""

    pid: int
    name: str

    def __str__(self) -> str:
        """Return it for a message."""
        return f"process {self.pid} ({self.name})"


@dataclass(frozen=True, slots=True)
class _Busy:
    """A try that was refused."""

    failure: DatabaseError
    blockers: tuple[Holder, ...]
    was_queue: bool
    """Readers had to wait for it."""


class LockWaits:
    """The tries of one batch, or of several at once, on one connection."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        patience: Patience,
        *,
        spent: timedelta = timedelta(),
    ) -> None:
        """`spent` is what readers may have waited already for what is sent first."""
        self._connection = connection
        self._path = path
        self._patience = patience
        self._budget = LockBudget(patience.locks, spent=spent)
        self._told = ""

    def repeat(self, act: Callable[[], None], *, may_stop: bool = True) -> None:
        """Do `act` until it is not refused as busy; it must leave nothing when it is.

        `may_stop` says that nothing of the batch has happened, so that a pause may end the step.

        Raises: DatabaseError `lock-blocked` when the budget is spent or the deadline over; Interrupted.
        """
        with self._short_waits():
            while busy := self._try(act):
                now = time.monotonic()
                if self._budget.is_over(now):
                    raise self._given_up(busy.failure, busy.blockers) from busy.failure
                self._note(busy.blockers)
                pause = self._budget.pause(now) if busy.was_queue else _LOOK
                (self._patience.wait if may_stop else self._patience.sleep)(pause)
        self._budget = LockBudget(self._patience.locks)

    def once(self, act: Callable[[], None]) -> tuple[bool, timedelta]:
        """Do `act`, which must leave nothing when it is refused as busy, and not again.

        Return whether it was done, and for how long readers may have waited if it was not.
        """
        with self._short_waits():
            busy = self._try(act)
        return busy is None, self._budget.spent

    @contextmanager
    def _short_waits(self) -> Iterator[None]:
        """Let each try say how long it waits, and the connection wait as it did before when they are over."""
        [(ordinary,)] = self._connection.execute("PRAGMA busy_timeout").fetchall()
        try:
            yield
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {ordinary}")

    def _try(self, act: Callable[[], None]) -> _Busy | None:
        """Do `act`; return why not where it is refused as busy, rolled back and taken from the budget."""
        allowed = self._budget.allowed(is_known=True)
        self._connection.execute(f"PRAGMA busy_timeout = {max(1, allowed // _MILLISECOND)}")
        keeps_readers_out = self._has_rollback_journal()
        began = time.monotonic()
        try:
            act()
        except DatabaseError as error:
            if error.code != BUSY:
                raise
            failure = error
        else:
            return None
        now = time.monotonic()
        has_begun = self._connection.in_transaction
        blockers = holders(self._path)  # before our own rollback lets them pass
        if has_begun:
            self._connection.execute("ROLLBACK")
        was_queue = keeps_readers_out and (has_begun or failure.statement is not None)
        self._budget.charge(min(now - began, allowed.total_seconds()) if was_queue else 0.0, now)
        return _Busy(failure, blockers, was_queue)

    def _has_rollback_journal(self) -> bool:
        with suppress(sqlite3.Error):
            [(mode,)] = self._connection.execute("PRAGMA journal_mode").fetchall()
            return str(mode) != "wal"
        return True

    def _note(self, blockers: tuple[Holder, ...]) -> None:
        said = f"{self._path} is in use{_by(blockers)}. Trying again."
        if said != self._told:
            self._told = said
            self._patience.note(said)

    def _given_up(self, failure: DatabaseError, blockers: tuple[Holder, ...]) -> DatabaseError:
        spec = self._budget.spec
        limit = (
            f"took longer than {spec.deadline.total_seconds():g} s (`locks.deadline`)"
            if self._budget.allowed(is_known=True)
            else f"kept readers waiting for {spec.budget.total_seconds():g} s (`locks.budget`)"
        )
        return DatabaseError(
            "lock-blocked",
            f"{self._path} is in use{_by(blockers)}.",
            why=f"Given up after {self._budget.tries} tries, which {limit}.",
            next_step=_when_it_is_free(self._path, blockers),
            statement=failure.statement,
            is_busy=True,
        )


def look_refused(path: Path, failure: DatabaseError) -> DatabaseError:
    """Return the refusal of a question with who has the file: one who writes at this moment, or VACUUM."""
    blockers = holders(path)
    return DatabaseError(
        BUSY,
        f"{path} is in use{_by(blockers)}: nobody else may even read it.",
        why=failure.what,
        next_step=_when_it_is_free(path, blockers),
        is_busy=True,
    )


def _when_it_is_free(path: Path, blockers: tuple[Holder, ...]) -> str:
    wait = "Wait until whoever has the file is done, or end it, then run the command again."
    return wait if blockers else f"{wait} `fuser -v {path}` names who has it open."


def holders(path: Path) -> tuple[Holder, ...]:
    """Return the other processes that have a lock on a SQLite file or its log; none where no kernel says."""
    files: set[int] = set()
    for each in (path, path.with_name(f"{path.name}-shm")):
        with suppress(OSError):
            files.add(each.stat().st_ino)
    with suppress(OSError):
        lines = Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
        pids = sorted(set(_pids(lines, files)) - {os.getpid()})
        return tuple(Holder(pid, _name_of(pid)) for pid in pids if _has_open(pid, path))
    return ()


def _pids(lines: Iterable[str], files: set[int]) -> Iterator[int]:
    """Yield who holds a lock on one of `files`: `7: POSIX ADVISORY WRITE 123 08:01:4711 0 EOF`, proc(5)."""
    for line in lines:
        _, *words = line.split()
        if words[:1] == ["->"]:  # it waits, and holds nothing
            continue
        kind, _, _, pid, place, *_ = words
        if kind == "POSIX" and int(place.rpartition(":")[2]) in files:
            yield int(pid)


def _has_open(pid: int, path: Path) -> bool:
    """Tell whether a process has the file open: an inode's number alone is not unique between devices."""
    with suppress(OSError):
        real = path.resolve()
        return any(each.resolve() == real for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _name_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    return "ended"


def _by(blockers: tuple[Holder, ...]) -> str:
    if not blockers:
        return ""
    more = f" and {len(blockers) - _NAMED} more" if len(blockers) > _NAMED else ""
    return f" by {', '.join(map(str, blockers[:_NAMED]))}{more}"
