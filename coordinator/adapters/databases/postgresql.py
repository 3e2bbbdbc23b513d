"""PostgreSQL by psycopg: one connection a step, and one beside it while it waits for locks.

What is sent over them is in adapters/postgresql_session.py and adapters/postgresql_lock_waits.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from threading import Lock

from coordinator.adapters import postgresql_url
from coordinator.adapters.postgresql_session import PostgresqlSession, shortened
from coordinator.secret import Secret


class PostgresqlDatabase:
    """A database of the plan; see ports.Database."""

    def __init__(self, url: Secret, *, lock_timeout: timedelta) -> None:
        self._url = url
        self._lock_timeout = lock_timeout

    @contextmanager
    def session(self, *, label: str) -> Iterator[PostgresqlSession]:
        """Connect for one step; the server sees `label` as application_name."""
        name = shortened(label)
        secrets = postgresql_url.shown_by(self._url)
        milliseconds = round(self._lock_timeout / timedelta(milliseconds=1))
        settings = f"SET lock_timeout = {milliseconds}"

        def connect_once_more() -> postgresql_url.Connection:
            return postgresql_url.connect(self._url, called="The database", label=name)

        connection, second = connect_once_more(), Second(connect_once_more)
        with closing(connection), closing(second):
            yield PostgresqlSession(connection, secrets=secrets, settings=settings, beside=second.connected)


class Second:
    """Another connection of a session, made when it is first wanted and kept as long as the session.

    Its thread asks for it, and one that looks what a statement of the session waits for.
    """

    def __init__(self, connect: Callable[[], postgresql_url.Connection]) -> None:
        self._connect = connect
        self._alone = Lock()
        self._connection: postgresql_url.Connection | None = None

    def connected(self) -> postgresql_url.Connection:
        """Return the connection; another one where it was lost."""
        with self._alone:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            return self._connection

    def close(self) -> None:
        """Close it, if it was made."""
        if self._connection is not None:
            self._connection.close()


def connect(url: Secret, *, lock_timeout: timedelta) -> PostgresqlDatabase:
    """Return the database at a libpq URL (or conninfo string); contacts nothing yet.

    `lock_timeout` is the server's: how long a statement waits for a lock before it fails.
    """
    return PostgresqlDatabase(url, lock_timeout=lock_timeout)
