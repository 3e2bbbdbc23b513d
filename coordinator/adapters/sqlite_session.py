"""A session of SQLite: every transaction begins with the write lock, nothing commits by itself.

Python's `executescript` commits whatever is open and its `execute` takes one statement only, so a text of
several statements is cut here, where SQLite itself says that a statement is complete (it knows triggers).
SQLite has no advisory locks (sqlite_file_lock.py has one): the write lock and the batch's guard keep whole
transactions of two coordinators apart.
Several transactions that follow each other become one, each in a savepoint: a commit waits for the disk.
A release and its rehearsal use the same session, so that both meet the same errors.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from itertools import islice, takewhile
from pathlib import Path

from coordinator.adapters.batches import (
    DISK_FULL,
    as_read_only,
    cursor_moved,
    ledger_changed,
    transaction_ended,
    transaction_left_open,
)
from coordinator.adapters.sqlite_file_lock import locked_beside
from coordinator.adapters.sqlite_lock_waits import BUSY, LockWaits, look_refused
from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.ports.databases import Batch, LockId, Target
from coordinator.sql import split_statements

_BLANKS = " \t\n\f\r"
"""White space as SQLite's tokenizer has it: after anything else, a no-break space say, it has to answer."""
_LEADING = _BLANKS + "\v\ufeff"
"""What SQLite skips before a statement; its check of completeness knows no trigger after the last two."""

_INSTRUCTIONS = 10_000
"""After so many of SQLite's virtual machine a query is asked for its time: some tenths of a millisecond."""
_WORTH_IT = 2
_MOST = 16
"""Transactions that share one: whoever asks to stop waits for it."""
_LONGEST = 0.02
"""Seconds after which several transactions that became one are committed, however many are still to come."""
_UNDONE = frozenset({"ALTER", "CREATE", "DELETE", "DROP", "INSERT", "UPDATE"})
_ELSEWHERE = frozenset({"TEMP", "TEMPORARY", "VIRTUAL"})
"""What is in no file, or kept by a module of its own (CREATE VIRTUAL TABLE)."""
_TOLD = 3
_FOREIGN_KEY_CHECK = re.compile(r"\s*PRAGMA\s+(?:\w+\.)?foreign_key_check\b", re.IGNORECASE)

Rows = list[tuple[object, ...]]
Watch = Callable[[str, int, Callable[[], Rows]], None]
"""Runs a statement of a batch, given with its line in its text, and looks at what it does."""


class SqliteSession:
    """One connection; see ports.Session."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, watch: Watch | None = None) -> None:
        self._connection = connection
        self._path = path
        self._watch = watch
        self._spent = timedelta()
        """What readers may have waited already for the transaction that is sent next."""

    def close(self) -> None:
        """Close the connection; what is open is rolled back."""
        self._connection.close()

    def relabel(self, label: str) -> None:
        """Do nothing: SQLite knows no names of sessions."""

    def target(self, table: str | None) -> Target:
        """Return what this connection is connected to."""
        return Target(Engine.SQLITE, str(self._path), None, table)

    def query(self, sql: str, *, within: timedelta | None = None) -> list[tuple[object, ...]]:
        """Run one query in a transaction that is rolled back, and return its rows."""
        self._send("BEGIN")
        if within is not None:
            deadline = time.monotonic() + within.total_seconds()
            self._connection.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
        try:
            return self._send(sql)
        except DatabaseError as error:
            if error.code != BUSY:
                raise
            raise look_refused(self._path, error) from error
        finally:
            if within is not None:
                self._connection.set_progress_handler(None, 0)
            self._roll_back()

    def execute(self, batch: Batch) -> None:
        """Send a batch; with `transaction`, either all of it is committed on return or none of it."""
        waits = None
        if batch.patience is not None:
            spent, self._spent = self._spent, timedelta()
            waits = LockWaits(self._connection, self._path, batch.patience, spent=spent)
        try:
            if not batch.transaction:
                self._execute_each(batch, waits)
            elif waits:
                waits.repeat(lambda: self._execute_together(batch))
            else:
                self._execute_together(batch)
        finally:
            self._roll_back()

    def execute_all(self, batches: Iterable[Batch], *, labels: Sequence[str]) -> int:
        """Send transactions as savepoints of one, which waits for the disk once; see ports.LiveSession.

        Others wait for the write lock at most `_LONGEST` longer than for the slowest of them alone. Where the
        file is busy, or has no room, none of them is there. None goes so where foreign keys are enforced: a
        row without its parent that one leaves behind would be forgiven where a later one brings the parent.
        """
        del labels
        fit = tuple(takewhile(_can_share, islice(batches, _MOST)))
        patience = fit[0].patience if fit else None
        if patience is None or len(fit) < _WORTH_IT:
            return 0
        if self._send("PRAGMA foreign_keys") != [(0,)]:
            return 0
        count = 0

        def act() -> None:
            nonlocal count
            count = self._execute_in_one(fit)

        try:
            is_done, spent = LockWaits(self._connection, self._path, patience).once(act)
        except DatabaseError as error:
            if error.ambiguous:
                raise
            return 0  # there is no room for all of them, and perhaps for the first
        finally:
            self._roll_back()
        if not is_done:
            self._spent = spent
        return count

    def make_durable(self) -> None:
        """Do nothing: a commit is as durable as this database makes it when it is answered."""

    def cut_off(self) -> None:
        """End what is under way: there is no connection that could be lost."""
        self._connection.interrupt()

    @contextmanager
    def locked(self, lock_ids: Sequence[LockId], *, timeout: timedelta) -> Iterator[None]:
        """Hold one lock of the kernel beside the file, also when the session is closed before; none for none.

        Waiting with the holder when time is up. Tools ask for no locks here.
        """
        with locked_beside(self._path, timeout=timeout) if lock_ids else nullcontext():
            yield

    def _execute_together(self, batch: Batch) -> None:
        self._send("BEGIN IMMEDIATE")
        self._execute_inside(batch)
        self._send("COMMIT", commits=True)

    def _execute_in_one(self, batches: Sequence[Batch]) -> int:
        """Commit batches together, up to the first that is refused; return how many, or none of them."""
        self._send("BEGIN IMMEDIATE")
        began = time.monotonic()
        count = 0
        for batch in batches:
            self._send("SAVEPOINT one_of_several")
            try:
                self._execute_inside(batch)
            except DatabaseError as error:
                if error.code == BUSY:
                    raise
                if not self._connection.in_transaction:  # a conflict or a trigger has rolled back all of them
                    return self._execute_in_one(batches[:count]) if count else 0
                self._send("ROLLBACK TO one_of_several")
                break
            self._send("RELEASE one_of_several")
            count += 1
            if time.monotonic() - began > _LONGEST:
                break
        if count:
            self._send("COMMIT", commits=True)
        return count

    def _execute_inside(self, batch: Batch) -> None:
        """Send a batch in the transaction that is open."""
        if batch.guard is not None and self._send(batch.guard):
            raise ledger_changed()
        if batch.fence is not None and len(self._send(f"{batch.fence} RETURNING 1")) != 1:
            raise cursor_moved()
        for index, text in enumerate(batch.statements):
            for offset, statement in split_complete(text):
                self._run(statement, text, index=index, offset=offset)
                if not self._connection.in_transaction:
                    raise transaction_ended(index)

    def _execute_each(self, batch: Batch, waits: LockWaits | None) -> None:
        has_run = False
        for index, text in enumerate(batch.statements):
            for offset, statement in split_complete(text):
                run = partial(self._run, statement, text, index=index, offset=offset, commits=True)
                if waits is None or self._connection.in_transaction:  # nobody may repeat a part of that
                    run()
                else:
                    waits.repeat(run, may_stop=not has_run)
                has_run = True
            if mark := batch.mark_after(index):
                self._send(mark)
        if self._connection.in_transaction:
            raise transaction_left_open()

    def _run(self, statement: str, text: str, *, index: int, offset: int, commits: bool = False) -> None:
        """Send a statement of a batch, which begins at `offset` of its text."""

        def send() -> Rows:
            rows = self._send(statement, index=index, offset=offset, commits=commits)
            if rows and _FOREIGN_KEY_CHECK.match(statement):
                raise _foreign_keys_broken(rows, index=index, offset=offset)
            return rows

        if self._watch is None:
            send()
        else:
            self._watch(statement, text.count("\n", 0, offset) + 1, send)

    def _send(
        self, text: str, *, index: int | None = None, offset: int | None = None, commits: bool = False
    ) -> Rows:
        try:
            return self._connection.execute(text).fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _error_from(error, index=index, offset=offset, commits=commits) from error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _can_share(batch: Batch) -> bool:
    """Tell whether a transaction does as a savepoint of a longer one what it does by itself.

    Its records, which are the tool's own, do.
    """
    return (
        batch.transaction
        and batch.guard is not None
        and batch.fence is None
        and all(_can_be_undone(each) for text in batch.of_file for _, each in split_complete(text))
    )


def _can_be_undone(statement: str) -> bool:
    """Tell whether a savepoint undoes all of a statement, read by SQLite and by us as one."""
    pieces = split_statements(statement, Engine.SQLITE)
    if len(pieces) != 1 or not pieces[0].is_closed:
        return False
    words = pieces[0].words
    return words[:1] != () and words[0] in _UNDONE and _ELSEWHERE.isdisjoint(words)


def split_complete(text: str) -> Iterator[tuple[int, str]]:
    """Yield the statements of a text with their offset in it; what follows the last `;` comes as it is."""
    start = 0
    end = text.find(";")
    while end != -1:
        piece = text[start : end + 1]
        statement = piece.lstrip(_LEADING)
        if sqlite3.complete_statement(statement):
            yield end + 1 - len(statement), piece
            start = end + 1
        end = text.find(";", end + 1)
    rest = text[start:]
    if rest.strip(_BLANKS):
        yield len(text) - len(rest.lstrip(_BLANKS)), rest


def _foreign_keys_broken(rows: Rows, *, index: int, offset: int) -> DatabaseError:
    """Return that a check which its author wrote into the file has found something.

    SQLite answers with rows and no error (pragma.html: table, rowid, parent, number of the key), and a tool
    that does not read them goes on.
    """
    told = [
        f"{table}, {'a row' if row is None else f'row {row}'}: no such row in {parent}"
        for table, row, parent, _ in rows[:_TOLD]
    ]
    more = f", and {len(rows) - _TOLD} more" if len(rows) > _TOLD else ""
    return DatabaseError(
        "foreign-keys-broken",
        f"PRAGMA foreign_key_check found rows without a parent: {'; '.join(told)}{more}.",
        next_step="Mend those rows, or take the check out of the file if they may stay.",
        statement=index,
        position=offset + 1,
    )


def _error_from(error: Exception, *, index: int | None, offset: int | None, commits: bool) -> DatabaseError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    busy = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    refusal = DatabaseError(
        BUSY if busy else "statement-failed",
        f"SQLite refused a statement: {error}.",
        next_step="Run the command again when nobody else writes." if busy else "",
        ambiguous=commits and code == sqlite3.SQLITE_IOERR,
        statement=index,
        position=None if offset is None else offset + 1,
        sqlstate=DISK_FULL if code == sqlite3.SQLITE_FULL else None,
    )
    if code != sqlite3.SQLITE_READONLY:
        return refusal
    return as_read_only(
        refusal,
        why="The file or its folder may not be written to.",
        next_step="Mend their rights, and run the command again.",
    )
