"""A PostgreSQL URL as libpq reads it, and the one way to connect with it: no message shows a part of it.

SQLAlchemy's form is translated first (sqlalchemy_url.py), and what Go's drivers take (go_url.py). psycopg's
and libpq's own texts quote what they could not read, and a password that is not percent-encoded is read as
something else. So a URL that may have been misread is refused before anybody is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg.types.string import TextLoader

from coordinator.adapters import postgresql_logins, silent_hosts
from coordinator.adapters.batches import NO_CONNECTION_LEFT
from coordinator.adapters.go_url import for_libpq
from coordinator.adapters.postgresql_refusals import message_of, scrub
from coordinator.adapters.sqlalchemy_url import without_driver
from coordinator.errors import DatabaseError, Usage
from coordinator.secret import Secret

Connection = psycopg.Connection[tuple[object, ...]]
_CONNECT_SECONDS = 10
_MOMENTS = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")
"""What is left as the server writes it: psycopg does not read each `DateStyle` and `IntervalStyle`, nor a
moment that Python has not (`infinity`, 44 BC), and setting them would change what a migration does.
"""
_CROWDED = re.compile(
    "too many (?:clients|connections)|connection slots are reserved|no more connections allowed"
)
"""What PostgreSQL and PgBouncer say in English; libpq passes no SQLSTATE on where it does not get in. One who
says something else is asked once more (postgresql_logins.py)."""
_REFUSED = re.compile(
    r"authentication failed|is not permitted to log in|role \".*\" does not exist|no such user", re.DOTALL
)
"""The same, of a user or a password that is not taken."""
_NO_SLOT = "53300"
_NO_LOGIN = "28"
"""too_many_connections, and the class Invalid Authorization Specification (PostgreSQL, Appendix A)."""


def connect(url: Secret, *, called: str, label: str, database: str | None = None) -> Connection:
    """Connect; the server sees `label` as application_name. `database` is another one than the URL's.

    Raises: Usage `bad-database-url`, DatabaseError `database-unreachable`, which names it as `called`.
    """
    parameters = parameters_of(url)
    more: dict[str, str | int] = {
        name: value for name, value in silent_hosts.OF_LIBPQ.items() if name not in parameters
    }
    if database is not None:
        more["dbname"] = database
    conninfo = make_conninfo(_for_libpq(url).reveal(), **more)
    try:
        connection = psycopg.connect(
            conninfo,
            autocommit=True,
            prepare_threshold=None,
            application_name=label,
            client_encoding="utf8",
            connect_timeout=int(parameters.get("connect_timeout", _CONNECT_SECONDS)),
        )
    except psycopg.Error as error:
        is_crowded, is_refused = (bool(each.search(str(error))) for each in (_CROWDED, _REFUSED))
        if not is_crowded and not is_refused:
            said = postgresql_logins.sqlstate_of(error, conninfo)
            is_crowded, is_refused = said == _NO_SLOT, said[:2] == _NO_LOGIN
        check = "Check user, password, host and database in the URL, the network and the server."
        raise DatabaseError(
            "database-unreachable",
            f"{called} cannot be reached: {scrub(message_of(error), shown_by(url))}.",
            next_step=NO_CONNECTION_LEFT if is_crowded else check,
            sqlstate=error.sqlstate,
            is_login_refused=is_refused,
        ) from None  # psycopg's own text may quote the URL
    for each in _MOMENTS:
        connection.adapters.register_loader(each, TextLoader)
    return connection


def address_of(server: Secret, *, database: str, like: Secret) -> Secret:
    """Return the URL of a database on a server, with the scheme of `like`, which another program reads.

    Everything else stands in the query, where every driver takes a folder of sockets for a host.
    Raises: Usage `bad-database-url`.
    """
    found = re.match(r"pgx[45]?(?=:)|postgres(?:ql(?:\+\w+)?)?(?=:)", like.reveal())
    scheme = found[0] if found else "postgresql"
    parameters = {**parameters_of(server), "dbname": database}
    user, password = (quote(parameters.pop(name, ""), safe="") for name in ("user", "password"))
    host, name = parameters.pop("host", ""), quote(parameters.pop("dbname"), safe="")
    port = parameters.pop("port", "")
    is_plain = bool(re.fullmatch(r"[A-Za-z0-9.-]+", host)) and "," not in port
    if not is_plain:
        parameters |= {key: value for key, value in (("host", host), ("port", port)) if value}
    who = f"{user}:{password}" if password else user
    where = (f"{host}:{port}" if port else host) if is_plain else ""
    query = "&".join(f"{key}={quote(value, safe='/')}" for key, value in parameters.items())
    return Secret(f"{scheme}://{who}{'@' if who else ''}{where}/{name}{'?' if query else ''}{query}")


def shown_by(url: Secret) -> tuple[str, ...]:
    """Return what must never be shown of a URL, longest first. Raises: Usage `bad-database-url`."""
    password = parameters_of(url).get("password", "")
    secrets = {url.reveal(), _for_libpq(url).reveal(), password, quote(password, safe="")} - {""}
    return tuple(sorted(secrets, key=len, reverse=True))


def parameters_of(url: Secret) -> Mapping[str, str]:
    """Return libpq's parameters of a URL or conninfo string. Raises: Usage `bad-database-url`."""
    text = _for_libpq(url).reveal()
    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except psycopg.ProgrammingError:
        raise _bad_url() from None  # psycopg's own text quotes the URL
    if _is_misread(parameters):
        raise _bad_url()
    return parameters


def _for_libpq(url: Secret) -> Secret:
    return for_libpq(without_driver(url), known=_known_to_libpq())


@cache
def _known_to_libpq() -> frozenset[str]:
    """Return libpq's own parameters, and `ssl`, which it reads for JDBC's sake."""
    return frozenset({"ssl", *(option.keyword.decode() for option in Conninfo.get_defaults())})


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
