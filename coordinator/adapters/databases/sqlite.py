"""A database in a file of SQLite, by the standard library; its sessions are in adapters/sqlite_session.py."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from coordinator.adapters.sqlite_session import SqliteSession
from coordinator.adapters.sqlite_url import path_from
from coordinator.errors import DatabaseError
from coordinator.ports.databases import Batch
from coordinator.secret import Secret


class SqliteDatabase:
    """A database file of the plan; see ports.Database."""

    def __init__(self, path: Path, *, lock_timeout: timedelta) -> None:
        self._path = path
        self._lock_timeout = lock_timeout

    @contextmanager
    def session(self, *, label: str) -> Iterator[SqliteSession]:
        """Open the file for one step; SQLite knows no names of sessions."""
        del label
        session = (
            _OfNewFile(self._path, self._open)
            if _may_be_made(self._path)
            else SqliteSession(self._open(), self._path)
        )
        try:
            yield session
        finally:
            session.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(
                self._path,
                timeout=self._lock_timeout.total_seconds(),
                isolation_level=None,
                check_same_thread=False,  # the next step may go on with it: one thread after the other
            )
        except sqlite3.Error as error:
            raise DatabaseError(
                "database-unreachable",
                f"The SQLite file {self._path} cannot be opened: {error}.",
                next_step="Check that its folder exists and may be written.",
            ) from error


def _may_be_made(path: Path) -> bool:
    try:
        return not path.exists() and path.parent.is_dir() and os.access(path.parent, os.W_OK)
    except OSError:  # nobody lets this user look into the folder
        return False


class _OfNewFile(SqliteSession):
    """A session of a file that is not there: the first batch makes it, and no question does.

    So `plan` and `doctor` leave nothing behind where a path is misspelt.
    """

    def __init__(self, path: Path, open_file: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False), path)
        self._open_file = open_file
        self._is_open = False

    def query(self, sql: str, *, within: timedelta | None = None) -> list[tuple[object, ...]]:
        if self._path.exists():  # somebody has made it meanwhile
            self._open()
        return super().query(sql, within=within)

    def execute(self, batch: Batch) -> None:
        self._open()
        super().execute(batch)

    def execute_all(self, batches: Iterable[Batch], *, labels: Sequence[str]) -> int:
        self._open()
        return super().execute_all(batches, labels=labels)

    def _open(self) -> None:
        if not self._is_open:
            opened = self._open_file()
            self.close()
            self._connection, self._is_open = opened, True


def connect(url: Secret, *, lock_timeout: timedelta) -> SqliteDatabase:
    """Return the database at `sqlite://PATH` or at a bare path; see `path_from`.

    `lock_timeout` is how long a transaction waits for the write lock. The first batch makes the file if it is
    absent; a question is answered as of an empty one.
    """
    return SqliteDatabase(path_from(url), lock_timeout=lock_timeout)
