"""The journal in one SQLite file beside the plan: WAL, synchronous=FULL, so what is acknowledged is durable.

The primary key (run, sequence) is the fence: of two writers that both believe to be alone, one gets a
conflict and stops. Measured: one append costs one fdatasync. The file must be on a local disk (SQLite's
locks are not to be trusted on network file systems: sqlite.org/wal.html).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from coordinator.errors import CoordinatorError, JournalConflict, StepFailed, Waiting

_TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS event
  (run TEXT NOT NULL, sequence INTEGER NOT NULL, record TEXT NOT NULL,
   PRIMARY KEY (run, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS request (number INTEGER PRIMARY KEY, run TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS run (number INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE);
"""
_PATIENCE = 10.0
"""Seconds that a write waits for another one; ours last milliseconds."""


class SqliteJournal:
    """ports.Journal. A connection for each call: commands are short, and threads share nothing."""

    def __init__(self, file: Path, *, patience: float = _PATIENCE) -> None:
        self._file = file
        self._patience = patience
        self._is_made = False

    def append(self, run: str, sequence: int, record: str) -> None:
        with self._connected() as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                if sequence == 1:
                    connection.execute("INSERT INTO run (run) VALUES (?)", (run,))
                connection.execute("INSERT INTO event VALUES (?, ?, ?)", (run, sequence, record))
                connection.execute("COMMIT")
            except sqlite3.IntegrityError as error:
                raise JournalConflict(
                    "journal-conflict",
                    f"Event {sequence} of run {run} was written by somebody else.",
                    why="Another coordinator works on the same run; this one stops before it does more.",
                    next_step="Let the other one finish, then run again.",
                ) from error

    def records(self, run: str) -> tuple[str, ...]:
        return self._column("SELECT record FROM event WHERE run = ? ORDER BY sequence", run)

    def runs(self) -> tuple[str, ...]:
        return self._column("SELECT run FROM run ORDER BY number")

    def ask(self, run: str, request: str) -> None:
        with self._connected() as connection:
            connection.execute("INSERT INTO request (run, record) VALUES (?, ?)", (run, request))

    def requests(self, run: str) -> tuple[str, ...]:
        return self._column("SELECT record FROM request WHERE run = ? ORDER BY number", run)

    def _column(self, sql: str, *values: str) -> tuple[str, ...]:
        if not self._file.exists():
            return ()
        with self._connected() as connection:
            return tuple(str(row[0]) for row in connection.execute(sql, values))

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(
                sqlite3.connect(self._file, timeout=self._patience, isolation_level=None)
            ) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                if not self._is_made:
                    connection.executescript(_TABLES)
                    self._is_made = True
                yield connection
        except (sqlite3.DatabaseError, OSError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> CoordinatorError:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            return Waiting(
                "journal-busy",
                f"Another process has kept the journal {self._file} locked for {self._patience:g} seconds.",
                why="A coordinator that was suspended (Ctrl-Z, SIGSTOP) in the middle of a write does that.",
                next_step="Let it go on (`fg`) or end it, and run the command again.",
            )
        return StepFailed(
            "journal-unusable",
            f"The journal {self._file} cannot be read or written: {error}.",
            why="Without its journal a run could not be resumed, so nothing more is done.",
            next_step="Free space on the disk or mend the file's rights, and run again.",
        )
