"""PostgreSQL by psycopg: one connection a step; what is sent over it is in adapters/postgresql_session.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from coordinator.adapters.postgresql_session import PostgresqlSession, message_of, scrub
from coordinator.errors import DatabaseError, Usage
from coordinator.secret import Secret

_CONNECT_SECONDS = 10
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
        secrets, options = _parameters(self._url)
        milliseconds = round(self._lock_timeout / timedelta(milliseconds=1))
        settings = f"SET lock_timeout = {milliseconds}"
        try:
            connection = psycopg.connect(
                self._url.reveal(),
                autocommit=True,
                prepare_threshold=None,
                application_name=name,
                client_encoding="utf8",
                connect_timeout=int(options.get("connect_timeout", _CONNECT_SECONDS)),
            )
        except psycopg.Error as error:
            raise DatabaseError(
                "database-unreachable",
                f"The database cannot be reached: {scrub(message_of(error), secrets)}.",
                next_step="Check the URL, the network and the server.",
                sqlstate=error.sqlstate,
            ) from None  # psycopg's own text may quote the URL
        try:
            yield PostgresqlSession(connection, secrets=secrets, settings=settings)
        finally:
            connection.close()


def connect(url: Secret, *, lock_timeout: timedelta) -> PostgresqlDatabase:
    """Return the database at a libpq URL (or conninfo string); contacts nothing yet.

    `lock_timeout` is the server's: how long a statement waits for a lock before it fails.
    """
    return PostgresqlDatabase(url, lock_timeout=lock_timeout)


def _parameters(url: Secret) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return what must never be shown of a URL, longest first, and its connection parameters."""
    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(url.reveal()).items()}
    except psycopg.ProgrammingError:
        raise _bad_url() from None  # psycopg's own text quotes the URL
    if _is_misread(parameters):
        raise _bad_url()
    password = parameters.get("password", "")
    shown = {url.reveal(), password, quote(password, safe="")} - {""}
    return tuple(sorted(shown, key=len, reverse=True)), parameters


def _is_misread(parameters: Mapping[str, str]) -> bool:
    """Tell whether a piece of a password may stand in another parameter, which libpq quotes in its errors.

    That is what a `/`, `:` or `@` in a password does to a URL where it is not percent-encoded.
    """
    numbers = (parameters.get(name, "") for name in ("port", "connect_timeout"))
    are_numbers = all(re.fullmatch("[0-9,]*", number) for number in numbers)
    return not are_numbers or "@" in parameters.get("host", "") + parameters.get("dbname", "")


def _bad_url() -> Usage:
    return Usage(
        "bad-database-url",
        "The database's URL is no PostgreSQL URL.",
        next_step="Write postgresql://user@host:5432/database, put it in quotes in the shell, and"
        " percent-encode what is no letter or digit in the password (/ is %2F, @ is %40).",
    )
