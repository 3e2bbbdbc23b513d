"""The journal in one SQLite file beside the plan: WAL, synchronous=FULL, so what is acknowledged is durable.

The primary key (run, sequence) is the fence: of two writers that both believe to be alone, one gets a
conflict and stops. So does who finds that the record before is not there: the file is another one. Measured:
one append costs one fdatasync, however many records it has. The file must be on a local disk (SQLite's locks
are not to be trusted on network file systems: sqlite.org/wal.html).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.errors import CoordinatorError, InDoubt, JournalConflict, StepFailed, Waiting

_TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS event
  (run TEXT NOT NULL, sequence INTEGER NOT NULL, record TEXT NOT NULL,
   PRIMARY KEY (run, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS request (number INTEGER PRIMARY KEY, run TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS run (number INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE);
"""
_IS_THERE = "SELECT 1 FROM event WHERE run = ? AND sequence = ?"
_IS_DAMAGED = (
    "Put a whole copy back, if there is one; else move the file away: the next `coordinator run` finds out"
    " what is applied and who serves, and goes on from there."
)
_PATIENCE = 10.0
"""Seconds that a write waits for another one; ours last milliseconds."""
_PAUSE = 0.01


class SqliteJournal:
    """ports.Journal. It keeps its connection: whoever is the last to close a file in WAL mode rewrites it."""

    def __init__(self, file: Path, *, patience: float = _PATIENCE) -> None:
        self._file = file
        self._patience = patience
        self._is_made = False
        self._kept: sqlite3.Connection | None = None
        self._kept_for: tuple[int, int, int] | None = None
        self._alone = threading.Lock()

    def append(self, run: str, sequence: int, *records: str) -> None:
        with self._connected() as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                if sequence == 1:
                    connection.execute("INSERT INTO run (run) VALUES (?)", (run,))
                elif not connection.execute(_IS_THERE, (run, sequence - 1)).fetchall():
                    raise self._lost()
                rows = ((run, number, record) for number, record in enumerate(records, sequence))
                connection.executemany("INSERT INTO event VALUES (?, ?, ?)", rows)
                connection.execute("COMMIT")
            except sqlite3.IntegrityError as error:
                raise JournalConflict(
                    "journal-conflict",
                    f"Event {sequence} of run {run}, or one after it, was written by somebody else.",
                    why="Another coordinator works on the same run; this one stops before it does more.",
                    next_step="Let the other one finish, then run again.",
                ) from error

    def records(self, run: str) -> tuple[str, ...]:
        found = self._rows("SELECT sequence, record FROM event WHERE run = ? ORDER BY sequence", run)
        for number, (sequence, _) in enumerate(found, 1):
            if sequence != number:
                raise self._incomplete(run, number)
        return tuple(str(record) for _, record in found)

    def runs(self) -> tuple[str, ...]:
        return self._column("SELECT run FROM run ORDER BY number")

    def ask(self, run: str, request: str) -> None:
        with self._connected() as connection:
            connection.execute("INSERT INTO request (run, record) VALUES (?, ?)", (run, request))

    def requests(self, run: str) -> tuple[str, ...]:
        return self._column("SELECT record FROM request WHERE run = ? ORDER BY number", run)

    def _column(self, sql: str, *values: str) -> tuple[str, ...]:
        return tuple(str(value) for [value] in self._rows(sql, *values))

    def _rows(self, sql: str, *values: str) -> list[tuple[object, ...]]:
        if not self._is_there():
            return []
        with self._connected() as connection:
            return connection.execute(sql, values).fetchall()

    def _is_there(self) -> bool:
        try:
            return self._identity() is not None
        except OSError as error:  # a folder that is another user's
            raise self._unusable(error) from error

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._alone:
            try:
                connection = self._connection()
                try:
                    yield connection
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            except (sqlite3.DatabaseError, OSError) as error:
                self._let_go()
                raise self._unusable(error) from error

    def _connection(self) -> sqlite3.Connection:
        """Return the connection; a new one where the file is another one than it was, or gone."""
        identity = self._identity()
        if self._kept is not None and identity is not None and identity == self._kept_for:
            return self._kept
        self._let_go()
        if self._is_made and identity is None:
            raise self._lost()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self._file, timeout=self._patience, isolation_level=None, check_same_thread=False
        )
        weakref.finalize(self, connection.close)
        self._kept = connection
        connection.execute("PRAGMA synchronous = FULL")
        if not self._is_made:
            self._make(connection)
            self._is_made = True
        self._kept_for = self._identity()
        return connection

    def _make(self, connection: sqlite3.Connection) -> None:
        """Make what is not there, also where another process does the same: `status` beside the first `run`.

        Its timeout does not hold for a change of the journal mode: SQLite refuses that at once while another
        connection is about to write.
        """
        until = time.monotonic() + self._patience
        while True:
            try:
                connection.executescript(_TABLES)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() >= until:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _identity(self) -> tuple[int, int, int] | None:
        """Name the file as this process sees it: what was deleted or forked is not the same."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return None
        return os.getpid(), found.st_dev, found.st_ino

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._kept = self._kept_for = None

    def _lost(self) -> JournalConflict:
        return JournalConflict(
            "journal-lost",
            f"What this run wrote last is not in its journal {self._file} any more.",
            why="The file was deleted, or an older copy was put in its place; nothing more is done.",
            next_step="Put the newest file back, if there is one, and run again. Without one `coordinator"
            " run` finds out what is applied and who serves, and goes on from there.",
        )

    def _incomplete(self, run: str, missing: int) -> InDoubt:
        return InDoubt(
            "journal-incomplete",
            f"Event {missing} of run {run} is missing in its journal {self._file}, and later ones are there.",
            why="The file was damaged, or somebody edited it: what the run has done is not known from it.",
            next_step=_IS_DAMAGED,
        )

    def _unusable(self, error: Exception) -> CoordinatorError:
        if _is_busy(error):
            return Waiting(
                "journal-busy",
                f"Another process has kept the journal {self._file} locked for {self._patience:g} seconds.",
                why="A coordinator that was suspended (Ctrl-Z, SIGSTOP) in the middle of a write does that.",
                next_step="Let it go on (`fg`) or end it, and run the command again.",
            )
        said = error.strerror if isinstance(error, OSError) else error
        return StepFailed(
            "journal-unusable",
            f"The journal {self._file} cannot be read or written: {said}.",
            why="Without its journal a run could not be resumed, so nothing more is done.",
            next_step=_IS_DAMAGED
            if _code_of(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            else "Free space on the disk or mend the file's rights, and run again.",
        )


def _is_busy(error: Exception) -> bool:
    return _code_of(error) == sqlite3.SQLITE_BUSY


def _code_of(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
