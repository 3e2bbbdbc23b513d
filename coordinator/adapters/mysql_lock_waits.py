"""A change of the schema on MySQL or MariaDB, on a table that others use: tried again in short tries.

Whoever waits for a table's metadata lock makes everybody wait who comes after him, and the server's own limit
for that wait has whole seconds. So a second connection looks on, and cuts the statement short (KILL QUERY)
when it has waited for as long as the plan lets others wait. It has done nothing then: it is sent again after
a pause in which everybody passes.

Only one change of the schema alone is repeated. A text of several statements may have happened in part, and
a statement that waits for rows keeps nobody waiting who wants others. A statement that takes several things
(DROP TABLE a, b; RENAME TABLE) waits for all of them before it touches the first, but may be hit a moment
later: it is repeated where everything that was there while it waited is still there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, Self

import pymysql
from pymysql.connections import Connection

from coordinator.adapters.lock_budget import LockBudget
from coordinator.errors import DatabaseError
from coordinator.ports.databases import Patience
from coordinator.sql import SqlStatement, stays_in_transaction

CUT_SHORT: Final = "70100"
"""The SQLSTATE of ER_QUERY_INTERRUPTED: what KILL QUERY leaves."""
_FIRST_LOOK: Final = 0.02
"""Seconds until somebody looks on: most statements are done by then, and need no second connection."""
_CLOSE: Final = 0.01
_NAMED: Final = 3
_IS_WAITING: Final = """
SELECT info FROM information_schema.processlist WHERE id = {process} AND state LIKE 'Waiting for %lock%'
"""
_COMPARED: Final = 200
"""Letters of a statement by which it is known again."""
_GRANTED: Final = """
SELECT DISTINCT t.processlist_id, t.processlist_user, t.processlist_host, t.processlist_command,
       t.processlist_time, t.processlist_info
FROM performance_schema.metadata_locks w
JOIN performance_schema.metadata_locks g
  ON g.object_type = w.object_type AND g.object_schema = w.object_schema AND g.object_name = w.object_name
 AND g.lock_status = 'GRANTED' AND g.owner_thread_id <> w.owner_thread_id
JOIN performance_schema.threads t ON t.thread_id = g.owner_thread_id
JOIN performance_schema.threads mine ON mine.thread_id = w.owner_thread_id
WHERE w.lock_status = 'PENDING' AND mine.processlist_id = {process}
"""
_OPEN: Final = """
SELECT p.id, p.user, p.host, p.command, p.time, p.info
FROM information_schema.innodb_trx x JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id
WHERE p.id NOT IN ({process}, CONNECTION_ID()) ORDER BY x.trx_started
"""


class LockWaits:
    """The tries of one batch; `beside` opens a second connection, closed at the end."""

    def __init__(self, connection: Connection, beside: Callable[[], Connection], patience: Patience) -> None:
        self._connection = connection
        self._process: int = connection.thread_id()  # type: ignore[no-untyped-call]
        self._beside = beside
        self._patience = patience
        self._second: Connection | None = None

    def __enter__(self) -> Self:
        """Return itself, for `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the second connection, if one was needed."""
        if self._second is not None:
            with suppress(pymysql.Error):
                self._second.close()

    def repeat(
        self, text: str, act: Callable[[], object], *, has_run: bool, takes_several: bool = False
    ) -> None:
        """Do `act`, which sends a text that `may_repeat`, until it gets its table.

        `has_run` says that something of the batch stays, so that no pause may end the step; `takes_several`
        is as the function of that name tells.

        Raises: DatabaseError `lock-blocked` when the budget is spent or the deadline over, ambiguous where a
        statement that takes several things may have taken one; Interrupted.
        """
        budget = LockBudget(self._patience.locks)
        wait = self._patience.sleep if has_run else self._patience.wait
        while True:
            watch = _Watch(self._open, self._process, text, allowed=budget.allowed(is_known=True))
            try:
                with watch:
                    act()
            except DatabaseError as error:
                is_cut_short = watch.has_cut_short and error.sqlstate == CUT_SHORT
                if error.code != "lock-timeout" and not is_cut_short:
                    raise
                if takes_several and not watch.is_all_there():
                    error.ambiguous, error.is_busy = True, False
                    raise
                now = time.monotonic()
                budget.charge(watch.stalled, now)
                if budget.is_over(now):
                    raise _given_up(budget, watch.holders, error) from error
                pause = budget.pause(now)
                self._patience.note(f"{_told(watch.holders)} Trying again in {pause.total_seconds():g} s.")
                wait(pause)
            else:
                if watch.has_cut_short:  # it was done just before, and the next statement must not be hit
                    with suppress(pymysql.Error):
                        _rows(self._connection, "DO 0")
                return

    def _open(self) -> Connection:
        if self._second is None:
            self._second = self._beside()
        return self._second


def may_repeat(statements: Sequence[SqlStatement]) -> bool:
    """Tell whether a text is one change of the schema that happens whole or not at all."""
    if len(statements) != 1 or stays_in_transaction(statements[0]):
        return False
    first, *_ = (*statements[0].words, "")
    return first in {"ALTER", "CREATE", "DROP", "RENAME", "TRUNCATE"}


def takes_several(statements: Sequence[SqlStatement]) -> bool:
    """Tell whether a statement that is cut off may leave one thing taken and another not."""
    return any(
        each.words[:1] == ("RENAME",)
        or each.words[:2] in (("DROP", "DATABASE"), ("DROP", "SCHEMA"))
        or each.words[:3] == ("CREATE", "OR", "REPLACE")
        or (each.words[:1] == ("DROP",) and "," in each.text)
        for each in statements
    )


class _Watch:
    """Looks on at one statement, and cuts it short when it has kept others waiting for too long.

    Behind a proxy the second connection may be another server's, where the number is somebody else's. So a
    process is only believed to be ours while it runs our statement.
    """

    def __init__(
        self, open_second: Callable[[], Connection], process: int, text: str, *, allowed: timedelta
    ) -> None:
        self._open = open_second
        self._process = process
        self._text = _known_by(text)
        self._allowed = allowed.total_seconds()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="lock-watch", daemon=True)
        self.stalled = 0.0
        """Seconds for which the statement was seen to wait."""
        self.has_cut_short = False
        self.holders: tuple[str, ...] = ()
        self._there: frozenset[tuple[object, ...]] | None = None
        """The tables and views that were there while the statement waited."""

    def is_all_there(self) -> bool:
        """Tell whether all is there that was there while the statement was seen to wait."""
        with suppress(pymysql.Error, DatabaseError):
            return self._there is not None and self._there <= _tables(self._open())
        return False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look_on(self) -> None:
        if self._is_over.wait(_FIRST_LOOK):
            return
        with suppress(pymysql.Error, DatabaseError):  # without a second connection the server's limit ends it
            second, since = self._open(), time.monotonic()
            while not self._is_over.wait(_CLOSE):
                before, since = since, time.monotonic()
                found = _rows(second, _IS_WAITING.format(process=self._process))
                if not any(_known_by(str(info)) == self._text for (info,) in found):
                    continue
                self.stalled += since - before
                if self._there is None:
                    self._there = _tables(second)
                    self.holders = _holders(second, self._process)
                if self.stalled >= self._allowed:
                    self.has_cut_short = True
                    _rows(second, f"KILL QUERY {self._process}")
                    return


def _known_by(text: str) -> str:
    """Return the beginning of a statement, which the server shows without what stands around it."""
    return text.strip().rstrip(";").strip()[:_COMPARED].strip()


def _rows(connection: Connection, sql: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


def _tables(connection: Connection) -> frozenset[tuple[object, ...]]:
    return frozenset(_rows(connection, "SELECT table_schema, table_name FROM information_schema.tables"))


def _holders(connection: Connection, process: int) -> tuple[str, ...]:
    """Return who has the table, where the server tells; else whose transactions are open."""
    for query, word in ((_GRANTED, ""), (_OPEN, "perhaps ")):
        with suppress(pymysql.Error):  # no such table there, or no right to it
            rows = _rows(connection, query.format(process=process))
            if rows:
                return tuple(f"{word}process {_shown(row)}" for row in rows)
    return ()


def _shown(row: tuple[object, ...]) -> str:
    pid, user, host, command, seconds, info = row
    does = " ".join(str(info).split())[:160] if info else "nothing at the moment"
    return f"{pid} ({user} from {host}, {command} for {seconds} s: {does})"


def _told(holders: tuple[str, ...]) -> str:
    if not holders:
        return "The table is held, and nobody could see by whom."
    more = f"; and {len(holders) - _NAMED} more" if len(holders) > _NAMED else ""
    return f"The table is held by {'; '.join(holders[:_NAMED])}{more}."


def _given_up(budget: LockBudget, holders: tuple[str, ...], failure: DatabaseError) -> DatabaseError:
    spec = budget.spec
    limit = (
        f"it took longer than {spec.deadline.total_seconds():g} s (`locks.deadline`)"
        if budget.allowed(is_known=True)
        else f"others were kept waiting for {spec.budget.total_seconds():g} s (`locks.budget`)"
    )
    return DatabaseError(
        "lock-blocked",
        _told(holders),
        why=f"Given up after {budget.tries} short tries: {limit}.",
        next_step="Wait until that transaction is done, or end it (KILL), then run the command again.",
        statement=failure.statement,
        position=failure.position,
        committed=failure.committed,
        is_busy=failure.committed == 0,
    )
