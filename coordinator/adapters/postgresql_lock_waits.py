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
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol

import psycopg

from coordinator.adapters.lock_budget import LockBudget
from coordinator.adapters.postgresql_blockers import (
    Blocker,
    Connection,
    LockWatch,
    Wanted,
    cancel,
    holders,
    names_of,
    warm,
)
from coordinator.adapters.postgresql_invalid_indexes import InvalidIndexes
from coordinator.errors import CoordinatorError, DatabaseError
from coordinator.ports.databases import Batch, Patience
from coordinator.sql import SqlStatement, controls_transaction, has_own_transaction, split_statements

_NOT_SERIALIZABLE: Final = "40001"
_BUSY: Final = frozenset({"55P03", "40P01", _NOT_SERIALIZABLE})
"""lock_not_available, deadlock_detected, serialization_failure (PostgreSQL, Appendix A), which the role's
`default_transaction_isolation` may bring: nothing happened, later it may work."""
_CANCELLED: Final = "57014"
_UNNOTICED: Final = timedelta(seconds=2)
"""How long a statement waits for a row, where nobody queues behind it."""
_FIRST_LOOK: Final = timedelta(milliseconds=250)
_LAST_LOOK: Final = timedelta(seconds=1)
"""The longest time between two looks whether a lasting transaction has ended: they cost nobody anything."""

_NAMED: Final = 3
"""How many of those in the way are named at most."""
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

    def execute(
        self,
        batch: Batch,
        *,
        send: Send | None = None,
        opening: str = "",
        watch: LockWatch | None = ...,
    ) -> None:
        """Send a batch by `send`, and `opening` behind the beginning of its transaction; `watch` looks."""
        ...

    def send(self, text: str, *, index: int | None = None, commits: bool = False) -> list[tuple[object, ...]]:
        """Send one text as it is."""
        ...

    def roll_back(self) -> None:
        """End the transaction that is open, if one is."""
        ...

    def shown(self, text: str) -> str:
        """Return a text without what must not be shown."""
        ...


class Send(Protocol):
    """Sends one text of a batch; see PostgresqlSession.send."""

    def __call__(self, text: str, *, index: int, commits: bool) -> object: ...


_Act = Callable[[timedelta, LockWatch], None]
"""What is tried: it may wait so long for a lock, and starts the watch when it is worth a look."""


class LockWaits:
    """Sends batches patiently; `beside` opens a second connection to the same database."""

    def __init__(
        self,
        session: Session,
        beside: Callable[[], Connection],
        patience: Patience,
        *,
        spent: timedelta = timedelta(),
    ) -> None:
        """`spent` is what others have waited already for what is sent first."""
        self._session = session
        self._beside = beside
        self._patience = patience
        self._spent = spent
        self._budget = LockBudget(patience.locks)
        self._second: Connection | None = None
        self._is_alone = False
        """There is no second connection to be had."""
        self._wanted: set[Wanted] = set()
        self._blockers: tuple[Blocker, ...] = ()
        """Who was waited for in the last try."""
        self._met: set[str] = set()
        """Transactions that were there at an earlier look."""
        self._noted: tuple[str, ...] = ()
        """The lasting transactions that were told of."""
        self._has_run = False
        """A statement of the batch has happened, and stays."""

    def execute(self, batch: Batch) -> None:
        """Send a batch. Raises: DatabaseError `lock-blocked` when it is given up; Interrupted."""
        alone = replace(batch, patience=None)
        try:
            if not batch.transaction:
                self._session.execute(alone, send=self._send_alone)
                return
            if can_wait_briefly(batch):
                self._repeat(
                    lambda allowed, watch: self._session.execute(
                        alone, opening=_setting("LOCAL", allowed), watch=watch
                    )
                )
            else:
                texts = enumerate(batch.statements)
                timeouts = self._timeouts(next((at for at, text in texts if not _waits_for_rows(text)), None))
                self._repeat(
                    lambda allowed, watch: self._session.execute(alone, send=timeouts(allowed), watch=watch)
                )
        finally:
            self._end_look()

    def once(self, send: Callable[[str, LockWatch], None]) -> timedelta:
        """Let several transactions be sent, each of which waits no longer than a first try does; once.

        `send` gets what opens each, and what looks meanwhile. Return for how long others may have waited;
        rather too long than too short.
        """
        self._begin()
        allowed = self._budget.allowed()
        watch = self._watch(allowed)
        try:
            with watch:
                send(_setting("LOCAL", allowed), watch)
        finally:
            self._end_look()
        return max(allowed, timedelta(seconds=watch.stalled))

    def _end_look(self) -> None:
        if self._second is not None and not self._second.closed:
            self._second.rollback()

    def _open(self) -> Connection | None:
        """Return the second connection, opened when it is first asked for; None where there cannot be one."""
        if self._second is None and not self._is_alone:
            try:
                self._second = self._beside()
                warm(self._second)
            except (CoordinatorError, psycopg.Error) as error:
                self._is_alone = True
                self._patience.note(f"Nobody can look who holds a lock: {self._session.shown(str(error))}")
        return self._second

    # -- with a transaction -----------------------------------------------------------------------------

    def _timeouts(self, first: int | None) -> Callable[[timedelta], Send]:
        """Return what sends a transaction's texts, with a short wait from the first that may lock a table."""

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

        def watched(allowed: timedelta | None, watch: LockWatch) -> None:
            watch.start()
            send(allowed)

        if len(pieces) == 1 and "CONCURRENTLY" in pieces[0].words:
            self._send_concurrently(pieces[0], send)
        elif _sets(pieces):
            send(None)
        elif self._session.is_in_transaction or not (
            has_own_transaction(pieces) or all(map(_happens_whole, pieces))
        ):
            self._try_once(watched)
        elif _waits_for_rows(text):
            self._repeat(lambda _, watch: watched(_UNNOTICED, watch))
        else:
            self._repeat(watched)
        self._has_run = True

    def _send_concurrently(self, piece: SqlStatement, send: Callable[[timedelta | None], None]) -> None:
        """Send what waits for other transactions and keeps nobody waiting: cut short, it leaves a ruin."""
        self._session.send(_setting("SESSION", self._budget.spec.deadline))
        indexes = InvalidIndexes(self._session, note=self._patience.note)
        indexes.drop_what_a_build_left(piece)
        before = indexes.all()
        watch = self._watch(None, tell=self._tell_waiting)
        try:
            with watch:
                watch.start()
                send(None)
        except DatabaseError as error:
            if error.code == "connection-lost":
                raise
            if error.sqlstate in _BUSY and watch.blockers:
                error.what = f"{error.what} It waited for {self._told(watch.blockers)}."
            indexes.explain(error, before)
            raise

    # -- tries ------------------------------------------------------------------------------------------

    def _repeat(self, act: _Act) -> None:
        """Do `act` until it gets its locks; it leaves nothing behind when it does not."""
        failure: DatabaseError | None = None
        self._begin()
        while True:
            self._let_lasting_ones_end(failure)
            allowed = self._budget.allowed(is_known=bool(self._wanted))
            if not allowed or not self._budget.left(time.monotonic()):
                raise self._given_up(failure)
            try:
                self._try(act, allowed)
            except DatabaseError as error:
                if error.sqlstate not in _BUSY:
                    raise
                failure = error
                self._session.roll_back()
                self._open()  # whoever tries again is watched from the beginning
            else:
                return
            if self._budget.allowed() and not self._lasting():
                pause = self._budget.pause(time.monotonic())
                self._patience.note(f"{self._told_holders()} Trying again in {_seconds(pause)}.")
                self._wait(pause)

    def _try_once(self, act: _Act) -> None:
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
        self._budget = LockBudget(self._patience.locks, spent=self._spent)
        self._spent = timedelta()
        self._wanted, self._blockers, self._noted = set(), (), ()

    def _try(self, act: _Act, allowed: timedelta) -> None:
        began = time.monotonic()
        watch = self._watch(allowed)
        try:
            with watch:
                act(allowed, watch)
        except DatabaseError as error:
            took = time.monotonic() - began
            if error.sqlstate == _CANCELLED and watch.has_cancelled:
                error.sqlstate = "55P03"
            waited = error.sqlstate in _BUSY and (watch.is_blind or bool(watch.wanted))
            cost = max(watch.stalled, min(took, allowed.total_seconds()) if waited else 0.0)
            self._budget.charge(cost, time.monotonic())
            self._learn(watch)
            raise
        self._budget.spent += timedelta(seconds=watch.stalled)

    def _watch(
        self, limit: timedelta | None, *, tell: Callable[[tuple[Blocker, ...]], None] | None = None
    ) -> LockWatch:
        return LockWatch(self._open, self._session.pid, limit, tell, self._tell_standby)

    def _learn(self, watch: LockWatch) -> None:
        self._wanted |= watch.wanted
        self._blockers = watch.blockers

    # -- looks ------------------------------------------------------------------------------------------

    def _let_lasting_ones_end(self, failure: DatabaseError | None) -> None:
        """Return when no lasting transaction holds what is wanted; nobody queues behind us meanwhile."""
        pause = _FIRST_LOOK
        while lasting := self._lasting():
            if not self._budget.left(time.monotonic()):
                raise self._given_up(failure)
            told = tuple(each.transaction for each in lasting)
            if told != self._noted:
                self._noted = told
                self._end_vacuums(lasting)
                self._patience.note(
                    f"{self._told_holders(lasting)} Nobody queues behind us until it is done."
                )
            self._wait(min(pause, self._budget.left(time.monotonic())))
            pause = min(pause * 2, _LAST_LOOK)

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
        wanted = " and ".join(names_of(self._wanted)) or "What it wants to lock"
        blockers = found or self._holders() or self._blockers
        if not self._wanted and not blockers:
            return "It did not get a lock in time, and nobody could see which."
        return f"{wanted} is held by {self._told(blockers) or 'nobody who can be seen'}."

    def _told(self, blockers: Sequence[Blocker]) -> str:
        told = self._session.shown("; ".join(map(str, blockers[:_NAMED])))
        return f"{told}; and {len(blockers) - _NAMED} more" if len(blockers) > _NAMED else told

    def _tell_waiting(self, found: tuple[Blocker, ...]) -> None:
        self._patience.note(f"It waits, and keeps nobody waiting, for {self._told(found)}.")

    def _tell_standby(self) -> None:
        self._patience.note(
            "It is committed here, and waits for a synchronous standby that does not answer"
            " (`synchronous_standby_names`). Until one has it too, nobody sees it."
        )

    def _given_up(self, failure: DatabaseError | None, *, code: str = "lock-blocked") -> DatabaseError:
        spec, pids = self._budget.spec, [each.pid for each in self._holders() or self._blockers if each.pid]
        limit = (
            f"the {_seconds(spec.budget)} that others may be kept waiting (`locks.budget`) are spent"
            if not self._budget.allowed()
            else f"it took longer than {_seconds(spec.deadline)} (`locks.deadline`)"
        )
        tries = f"{self._budget.tries} short {'try' if self._budget.tries == 1 else 'tries'}"
        end = f", or end it (SELECT pg_terminate_backend({pids[0]}))" if pids else ""
        return DatabaseError(
            code,
            failure.what if failure and failure.sqlstate == _NOT_SERIALIZABLE else self._told_holders(),
            why=f"Given up after {tries}: {limit}, and whoever comes after a waiting lock waits as well.",
            next_step=f"Wait until that transaction is done{end}, then run the command again.",
            sqlstate="55P03",
            statement=None if failure is None else failure.statement,
            is_busy=code == "lock-blocked",
        )


def can_wait_briefly(batch: Batch) -> bool:
    """Tell whether a transaction's waits are short from its beginning: nothing before them waits for rows."""
    return not all(map(_waits_for_rows, batch.statements[:1]))


def _setting(scope: str, wait: timedelta) -> str:
    return f"SET {scope} lock_timeout = {max(1, round(wait / timedelta(milliseconds=1)))}"


def _seconds(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:g} s"


def _waits_for_rows(text: str) -> bool:
    return all(piece.words[:1] and piece.words[0] in _ROWS_ONLY for piece in split_statements(text))


def _sets(pieces: Sequence[SqlStatement]) -> bool:
    return all(piece.words[:1] in (("SET",), ("RESET",)) for piece in pieces)


def _happens_whole(piece: SqlStatement) -> bool:
    """Nothing of the statement is committed when it fails, and it leaves no transaction open."""
    return not controls_transaction(piece) and piece.words[:1] not in {(word,) for word in _MAY_COMMIT}
