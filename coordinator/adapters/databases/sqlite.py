"""A database in a file of SQLite, by the standard library; its sessions are in adapters/sqlite_session.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from coordinator.adapters.sqlite_session import SqliteSession
from coordinator.adapters.sqlite_url import path_from
from coordinator.errors import DatabaseError
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
        try:
            connection = sqlite3.connect(
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
        try:
            yield SqliteSession(connection, self._path)
        finally:
            connection.close()


def connect(url: Secret, *, lock_timeout: timedelta) -> SqliteDatabase:
    """Return the database at `sqlite://PATH` or at a bare path; see `path_from`.

    `lock_timeout` is how long a transaction waits for the write lock. The file is made if it is absent.
    """
    return SqliteDatabase(path_from(url), lock_timeout=lock_timeout)
