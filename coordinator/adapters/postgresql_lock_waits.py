"""A batch on a table that others use: wait for its locks in short tries, no longer than the plan allows.

Whoever waits for a strong lock makes everybody wait who comes after him. So a try is short, and between two
tries nothing of ours stands in the queue: a batch with a transaction is rolled back whole, a statement
without one has not happened, and nothing else is ever repeated. Once it is known which table is wanted, a
second connection looks whether a transaction that lasts holds it, and while one does nobody queues at all.
What the tries cost is taken from a budget, rather too much than too little; when it is spent, or the deadline
is over, the batch is given up and whoever held the table is named.

Rejected: LOCK TABLE … NOWAIT before each statement, which queues nobody at all, and never gets a table that
is always being read; and one lock_timeout for everything, because it bounds each wait alone and a file may
have many.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol

import psycopg

from coordinator.adapters.postgresql_blockers import (
    Blocker,
    Connection,
    LockWatch,
    Wanted,
    cancel,
    holders,
    names_of,
)
from coordinator.adapters.postgresql_invalid_indexes import InvalidIndexes
from coordinator.errors import CoordinatorError, DatabaseError
from coordinator.model import LocksSpec
from coordinator.ports import Batch, Patience
from coordinator.sql import SqlStatement, controls_transaction, split_statements

_BUSY: Final = frozenset({"55P03", "40P01"})
"""lock_not_available, deadlock_detected (PostgreSQL, Appendix A): nothing happened, later it may work."""
_CANCELLED: Final = "57014"
_LEAST: Final = timedelta(milliseconds=5)
"""A shorter wait is none: what is left of the budget is then spent."""
_UNNOTICED: Final = timedelta(seconds=2)
"""How long a statement waits for a row, where nobody queues behind it."""
_FIRST_PAUSE: Final = timedelta(milliseconds=250)
_LONGEST_PAUSE: Final = timedelta(seconds=5)
_LOOKS: Final = timedelta(seconds=1)
"""The longest time between two looks whether a lasting transaction has ended: they cost nobody anything."""

_ROWS_ONLY: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "SELECT", "VALUES", "ANALYZE"})
"""Statements that wait for rows, and whose locks on tables stop no reader and no writer."""
_MAY_COMMIT: Final = frozenset({"CALL", "DO"})
"""Statements that may have committed a part before they fail, where no transaction is around them."""


class Session(Protocol):
    """What is needed of a PostgresqlSession."""

    @property
    def pid(self) -> int:
        """Return the number of its process on the server."""
        ...

    @property
    def is_in_transaction(self) -> bool:
        """Tell whether a transaction is open."""
        ...

    def execute(self, batch: Batch, *, send: Send | None = None) -> None:
        """Send a batch by `send`."""
        ...

    def send(self, text: str, *, index: int | None = None, commits: bool = False) -> list[tuple[object, ...]]:
        """Send one text as it is."""
        ...

    def shown(self, text: str) -> str:
        """Return a text without what must not be shown."""
        ...


class Send(Protocol):
    """Sends one text of a batch; see PostgresqlSession.send."""

    def __call__(self, text: str, *, index: int, commits: bool) -> object: ...


@dataclass
class Budget:
    """What the plan allows for what is tried, and what its tries have cost so far."""

    spec: LocksSpec
    spent: timedelta = timedelta()
    tries: int = 0
    since: float | None = None
    """When the first try has failed."""

    def allowed(self, *, once: bool = False) -> timedelta:
        """Return how long the next try may keep others waiting; all that is left for the only one."""
        left = self.spec.budget - self.spent
        allowed = left if once else min(self.spec.attempt, left)
        return allowed if allowed >= _LEAST else timedelta()

    def left(self) -> timedelta:
        """Return the time that is left until the deadline."""
        waited = 0.0 if self.since is None else time.monotonic() - self.since
        return self.spec.deadline - timedelta(seconds=waited)

    def charge(self, seconds: float) -> None:
        """Count what a try has cost."""
        self.tries += 1
        self.since = time.monotonic() if self.since is None else self.since
        self.spent += timedelta(seconds=seconds)

    def pause(self) -> timedelta:
        """Return how long everybody else has the table before the next try."""
        growing = _FIRST_PAUSE * (1 << (self.tries - 1))
        return min(growing, _LONGEST_PAUSE, max(self.left(), timedelta()))


class LockWaits:
    """Sends batches patiently; `beside` opens a second connection to the same database."""

    def __init__(self, session: Session, beside: Callable[[], Connection], patience: Patience) -> None:
        self._session = session
        self._beside = beside
        self._patience = patience
        self._budget = Budget(patience.locks)
        self._second: Connection | None = None
        self._wanted: set[Wanted] = set()
        self._blockers: tuple[Blocker, ...] = ()
        """Who was waited for in the last try."""
        self._met: set[str] = set()
        """Transactions that were there at an earlier look."""
        self._told: tuple[str | None, ...] = ()
        self._has_run = False
        """A statement of the batch has happened, and stays."""

    def execute(self, batch: Batch) -> None:
        """Send a batch. Raises: DatabaseError `lock-blocked` when it is given up; Interrupted."""
        alone = replace(batch, patience=None)
        try:
            self._second = self._beside()
        except CoordinatorError as error:
            self._patience.note(f"Nobody can look who holds a lock: {error.what}")
        with closing(self._second) if self._second is not None else nullcontext():
            if not batch.transaction:
                self._session.execute(alone, send=self._send_alone)
                return
            timeouts = self._timeouts(batch.statements)
            self._repeat(lambda allowed: self._session.execute(alone, send=timeouts(allowed)))

    # -- with a transaction -----------------------------------------------------------------------------

    def _timeouts(self, texts: Sequence[str]) -> Callable[[timedelta], Send]:
        """Return what sends a transaction's texts, with a short wait from the first that may lock a table."""
        first = next((at for at, text in enumerate(texts) if not _waits_for_rows(text)), len(texts))

        def sending(allowed: timedelta) -> Send:
            def send(text: str, *, index: int, commits: bool) -> object:
                if index == first:
                    self._session.send(_setting("LOCAL", allowed))
                return self._session.send(text, index=index, commits=commits)

            return send

        return sending

    # -- without ----------------------------------------------------------------------------------------

    def _send_alone(self, text: str, *, index: int, commits: bool) -> None:
        pieces = split_statements(text)

        def send(allowed: timedelta | None) -> None:
            if allowed is not None:
                self._session.send(_setting("SESSION", allowed))
            self._session.send(text, index=index, commits=commits)

        if len(pieces) == 1 and "CONCURRENTLY" in pieces[0].words:
            self._send_concurrently(pieces[0], send)
        elif _sets(pieces):
            send(None)
        elif self._session.is_in_transaction or any(map(_may_have_happened, pieces)):
            self._try_once(send)
        elif _waits_for_rows(text):
            self._repeat(lambda _: send(_UNNOTICED))
        else:
            self._repeat(send)
        self._has_run = True

    def _send_concurrently(self, piece: SqlStatement, send: Callable[[timedelta | None], None]) -> None:
        """Send what waits for other transactions and keeps nobody waiting: cut short, it leaves a ruin."""
        self._session.send(_setting("SESSION", self._budget.spec.deadline))
        indexes = InvalidIndexes(self._session, note=self._patience.note)
        indexes.drop_what_a_build_left(piece)
        before = indexes.all()
        try:
            with self._watch(None, tell=self._tell_waiting):
                send(None)
        except DatabaseError as error:
            if error.code == "connection-lost":
                raise
            raise indexes.explained(error, before) from error

    # -- tries ------------------------------------------------------------------------------------------

    def _repeat(self, act: Callable[[timedelta], None]) -> None:
        """Do `act` until it gets its locks; it leaves nothing behind when it does not."""
        failure: DatabaseError | None = None
        self._begin()
        while True:
            self._let_lasting_ones_end(failure)
            allowed = self._budget.allowed()
            if not allowed or self._budget.left() <= timedelta():
                raise self._given_up(failure)
            try:
                self._try(act, allowed)
            except DatabaseError as error:
                if error.sqlstate not in _BUSY:
                    raise
                failure = error
            else:
                return
            if self._budget.allowed():
                pause = self._budget.pause()
                self._patience.note(f"{self._told_holders()} Trying again in {_seconds(pause)}.")
                self._wait(pause)

    def _try_once(self, act: Callable[[timedelta], None]) -> None:
        """Do what may have happened in part when it fails, so that nobody may repeat it."""
        self._begin()
        try:
            self._try(act, self._budget.allowed(once=True))
        except DatabaseError as error:
            if error.sqlstate in _BUSY:
                raise self._given_up(error, code="lock-timeout") from error
            raise

    def _begin(self) -> None:
        """Forget what an earlier statement wanted. What stays done must not be given up half-way for it."""
        self._budget = Budget(self._patience.locks)
        self._wanted, self._blockers, self._told = set(), (), ()

    def _try(self, act: Callable[[timedelta], None], allowed: timedelta) -> None:
        began = time.monotonic()
        watch = self._watch(allowed)
        try:
            with watch:
                act(allowed)
        except DatabaseError as error:
            took = time.monotonic() - began
            if error.sqlstate == _CANCELLED and watch.has_cancelled:
                error.sqlstate = "55P03"
            waited = error.sqlstate in _BUSY and (watch.is_blind or bool(watch.wanted))
            self._budget.charge(max(watch.stalled, min(took, allowed.total_seconds()) if waited else 0.0))
            self._learn(watch)
            raise
        self._budget.spent += timedelta(seconds=watch.stalled)

    def _watch(
        self, limit: timedelta | None, *, tell: Callable[[tuple[Blocker, ...]], None] | None = None
    ) -> LockWatch | _NoWatch:
        if self._second is None:
            return _NoWatch()
        return LockWatch(self._second, self._session.pid, limit, tell)

    def _learn(self, watch: LockWatch | _NoWatch) -> None:
        self._wanted |= watch.wanted
        self._blockers = watch.blockers

    # -- looks ------------------------------------------------------------------------------------------

    def _let_lasting_ones_end(self, failure: DatabaseError | None) -> None:
        """Return when no lasting transaction holds what is wanted; nobody queues behind us meanwhile."""
        pause = _FIRST_PAUSE
        while lasting := self._lasting():
            if self._budget.left() <= timedelta():
                raise self._given_up(failure)
            told = tuple(each.transaction for each in lasting)
            if told != self._told:
                self._told = told
                self._end_vacuums(lasting)
                self._patience.note(
                    f"{self._told_holders(lasting)} Nobody queues behind us until it is done."
                )
            self._wait(min(pause, self._budget.left()))
            pause = min(pause * 2, _LOOKS)

    def _lasting(self) -> tuple[Blocker, ...]:
        """Return who holds what is wanted for longer than a try would wait: a try would be in vain."""
        found = self._holders()
        attempt = self._budget.spec.attempt
        lasting = tuple(
            each
            for each in found
            if (each.transaction in self._met if each.open_for is None else each.open_for > attempt)
        )
        self._met = {each.transaction for each in found}
        return lasting

    def _end_vacuums(self, lasting: Sequence[Blocker]) -> None:
        """End what the server ends itself for whoever waits a second, which we never do; if we may."""
        for each in lasting:
            if each.is_vacuum and each.pid is not None and self._second is not None:
                with suppress(psycopg.Error):  # a role that may not: it is named, and waited for
                    cancel(self._second, each.pid)

    def _holders(self) -> tuple[Blocker, ...]:
        if self._second is None:
            return ()
        with suppress(psycopg.Error):  # a second connection that is lost is one that was not there
            return holders(self._second, self._session.pid, self._wanted)
        return ()

    def _wait(self, duration: timedelta) -> None:
        wait = self._patience.sleep if self._has_run else self._patience.wait
        wait(max(duration, timedelta(milliseconds=1)))

    # -- words ------------------------------------------------------------------------------------------

    def _told_holders(self, found: Sequence[Blocker] = ()) -> str:
        wanted = " and ".join(names_of(self._wanted)) or "What the statement locks"
        blockers = found or self._holders() or self._blockers
        by = self._session.shown("; ".join(map(str, blockers[:3]))) or "nobody who can be seen"
        more = len(blockers) - 3
        return f"{wanted} is held by {by}{f', and {more} more' if more > 0 else ''}."

    def _tell_waiting(self, found: tuple[Blocker, ...]) -> None:
        by = self._session.shown("; ".join(map(str, found[:3])))
        self._patience.note(f"It waits, and keeps nobody waiting, for {by}.")

    def _given_up(self, failure: DatabaseError | None, *, code: str = "lock-blocked") -> DatabaseError:
        spec, pids = self._budget.spec, [each.pid for each in self._holders() or self._blockers if each.pid]
        limit = (
            f"the {_seconds(spec.budget)} that others may be kept waiting (`locks.budget`) are spent"
            if not self._budget.allowed()
            else f"it took longer than {_seconds(spec.deadline)} (`locks.deadline`)"
        )
        end = f", or end it (SELECT pg_terminate_backend({pids[0]}))" if pids else ""
        return DatabaseError(
            code,
            self._told_holders(),
            why=f"Given up after {self._budget.tries} short tries: {limit}, and whoever comes after a waiting"
            " lock waits as well.",
            next_step=f"Wait until that transaction is done{end}, then run the command again.",
            sqlstate="55P03",
            statement=None if failure is None else failure.statement,
        )


class _NoWatch(nullcontext[None]):
    """Stands where nobody can look: what a try took is what it may have cost."""

    stalled = 0.0
    wanted: frozenset[Wanted] = frozenset()
    blockers: tuple[Blocker, ...] = ()
    has_cancelled = False
    is_blind = True


def _setting(scope: str, wait: timedelta) -> str:
    return f"SET {scope} lock_timeout = {max(1, round(wait / timedelta(milliseconds=1)))}"


def _seconds(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:g} s"


def _waits_for_rows(text: str) -> bool:
    return all(piece.words[:1] and piece.words[0] in _ROWS_ONLY for piece in split_statements(text))


def _sets(pieces: Sequence[SqlStatement]) -> bool:
    return all(piece.words[:1] in (("SET",), ("RESET",)) for piece in pieces)


def _may_have_happened(piece: SqlStatement) -> bool:
    """A statement in whose text a part may be committed although it failed, or that opens a transaction."""
    return controls_transaction(piece) or piece.words[:1] in {(word,) for word in _MAY_COMMIT}
