"""PostgreSQL by psycopg: one connection a step, and one beside it while it waits for locks.

What is sent over them is in adapters/postgresql_session.py and adapters/postgresql_lock_waits.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

from coordinator.adapters import postgresql_url
from coordinator.adapters.postgresql_session import PostgresqlSession
from coordinator.secret import Secret

_LABEL_BYTES = 63


class PostgresqlDatabase:
    """A database of the plan; see ports.Database."""

    def __init__(self, url: Secret, *, lock_timeout: timedelta) -> None:
        self._url = url
        self._lock_timeout = lock_timeout

    @contextmanager
    def session(self, *, label: str) -> Iterator[PostgresqlSession]:
        """Connect for one step; the server sees `label` as application_name."""
        name = label.encode()[:_LABEL_BYTES].decode(errors="ignore")
        secrets = postgresql_url.shown_by(self._url)
        milliseconds = round(self._lock_timeout / timedelta(milliseconds=1))
        settings = f"SET lock_timeout = {milliseconds}"

        def connect_once_more() -> postgresql_url.Connection:
            return postgresql_url.connect(self._url, called="The database", label=name)

        connection = connect_once_more()
        with closing(connection):
            yield PostgresqlSession(connection, secrets=secrets, settings=settings, beside=connect_once_more)


def connect(url: Secret, *, lock_timeout: timedelta) -> PostgresqlDatabase:
    """Return the database at a libpq URL (or conninfo string); contacts nothing yet.

    `lock_timeout` is the server's: how long a statement waits for a lock before it fails.
    """
    return PostgresqlDatabase(url, lock_timeout=lock_timeout)
