"""A URL in SQLAlchemy's form, `postgresql+psycopg://…`, and what it is for our own drivers.

A team with Alembic has its address in that form, for its env.py: the part after `+` says which driver is
loaded there, and the query is for that driver. Our own session must reach the same database, so the URL is
read by SQLAlchemy's grammar, which is not libpq's (a `/` in a password is a letter there), and each
parameter is translated by a table. A parameter that has no translation is refused by name: it may have
chosen another server, or have protected the connection.

Only a URL that names a driver is taken for one of SQLAlchemy; without it the forms of the other tools, which
share the schemes, are meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from coordinator.errors import Usage
from coordinator.secret import Secret

_FORM: Final = re.compile(
    r"(?P<dialect>postgresql|mysql|mariadb|sqlite)\+(?P<driver>\w+)://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<host>\[[^/?\]]+\]|[^/:?]*)(?::(?P<port>[0-9]*))?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_OF_HOSTS: Final = ("host", "port")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+")
_PORT: Final = re.compile(r"[0-9]*")
_SOCKET: Final = re.compile(r"(/.*)/\.s\.PGSQL\.([0-9]+)")
_SAME: Final = "="
_UNUSED: Final = ""
"""A parameter of what the driver does with values, and not of where and how it connects."""

_OF_LIBPQ: Final = {
    **dict.fromkeys(
        (
            "application_name",
            "channel_binding",
            "connect_timeout",
            "gssencmode",
            "keepalives",
            "keepalives_count",
            "keepalives_idle",
            "keepalives_interval",
            "krbsrvname",
            "options",
            "passfile",
            "sslcert",
            "sslcrl",
            "sslkey",
            "sslmode",
            "sslrootcert",
            "target_session_attrs",
            "tcp_user_timeout",
        ),
        _SAME,
    ),
    "client_encoding": _UNUSED,
}
_OF_MYSQL: Final = {
    "charset": _UNUSED,
    "collation": _UNUSED,
    "use_unicode": _UNUSED,
    "binary_prefix": _UNUSED,
    "connect_timeout": _SAME,
    "unix_socket": _SAME,
}
_OF_PYMYSQL: Final = {**_OF_MYSQL, "ssl_ca": "ssl-ca", "ssl_cert": "ssl-cert", "ssl_key": "ssl-key"}
_PARAMETERS: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("postgresql", "psycopg"): _OF_LIBPQ,
    ("postgresql", "psycopg_async"): _OF_LIBPQ,
    ("postgresql", "psycopg2"): _OF_LIBPQ,
    ("postgresql", "asyncpg"): {
        "ssl": "sslmode",
        "passfile": _SAME,
        "target_session_attrs": _SAME,
        "command_timeout": _UNUSED,
        "statement_cache_size": _UNUSED,
        "prepared_statement_cache_size": _UNUSED,
    },
    ("postgresql", "pg8000"): {"application_name": _SAME},
    ("mysql", "pymysql"): _OF_PYMYSQL,
    ("mysql", "aiomysql"): _OF_MYSQL,
    ("mysql", "asyncmy"): _OF_MYSQL,
    ("mysql", "mysqldb"): {**_OF_PYMYSQL, "ssl_mode": "ssl-mode"},
    ("sqlite", "pysqlite"): {"timeout": _UNUSED, "check_same_thread": _UNUSED},
    ("sqlite", "aiosqlite"): {"timeout": _UNUSED, "check_same_thread": _UNUSED},
}
"""What each driver's parameters are called in the URLs that our own drivers read."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A URL of SQLAlchemy in parts, decoded."""

    dialect: str
    driver: str
    user: str
    password: str = field(repr=False)
    host: str
    port: str
    database: str
    query: tuple[tuple[str, str], ...] = field(repr=False)


def names_driver(url: Secret) -> bool:
    """Tell whether a URL is one of SQLAlchemy, which names a driver."""
    return re.match(r"(?:postgresql|mysql|mariadb|sqlite)\+", url.reveal()) is not None


def without_driver(url: Secret) -> Secret:
    """Return the URL as our own drivers read it; one that names no driver as it stands.

    Raises: Usage `bad-database-url` where it is not certain that both would reach the same database.
    """
    if not names_driver(url):
        return url
    written = _read(url)
    parameters = list(_translated(written))
    if written.dialect == "sqlite":
        return Secret(f"sqlite://{_file_of(written)}")
    who = quote(written.user, safe="")
    if written.password:
        who += f":{quote(written.password, safe='')}"
    host = f"[{written.host}]" if ":" in written.host else quote(written.host, safe="")
    if written.dialect == "mysql" and not host:
        host = "localhost"
    where = f"{host}:{written.port}" if written.port else host
    query = urlencode(parameters, quote_via=quote)
    tail = f"?{query}" if query else ""
    database = quote(written.database, safe="")
    return Secret(f"{written.dialect}://{who}{'@' if who else ''}{where}/{database}{tail}")


def _read(url: Secret) -> _Written:
    match = _FORM.fullmatch(url.reveal())
    if match is None:
        raise _refused("cannot be read")
    parts = {name: value or "" for name, value in match.groupdict().items()}
    dialect = {"mariadb": "mysql"}.get(parts["dialect"], parts["dialect"])
    driver = parts["driver"]
    if (dialect, driver) not in _PARAMETERS:
        known = ", ".join(name for of, name in _PARAMETERS if of == dialect)
        raise _refused(f"names a driver that coordinator does not know for {dialect}; it knows {known}")
    if "%" in parts["database"]:  # SQLAlchemy decodes it since 2.1, and did not before
        raise _refused("has a percent sign in the database's name")
    return _Written(
        dialect,
        driver,
        user=unquote(parts["user"]),
        password=unquote(parts["password"]),
        host=parts["host"].strip("[]"),
        port=parts["port"],
        database=parts["database"],
        query=tuple(parse_qsl(parts["query"], keep_blank_values=True)),
    )


def _translated(written: _Written) -> Iterator[tuple[str, str]]:
    table = _PARAMETERS[written.dialect, written.driver]
    several = _several_hosts(written) if table is _OF_LIBPQ and not written.host else ()
    yield from several
    query = [(name, value) for name, value in written.query if not several or name not in _OF_HOSTS]
    names = [name for name, _ in query]
    if "unix_sock" in names and written.host:
        raise _refused("has a host and a socket (`unix_sock`)")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise _refused(f"has the parameter {_shown(repeated[0])} more than once")
    for name, value in query:
        if written.dialect == "postgresql" and name == "host" and not written.host and _is_folder(value):
            yield name, value
        elif written.driver == "pg8000" and name == "unix_sock" and (socket := _SOCKET.fullmatch(value)):
            yield from zip(_OF_HOSTS, socket.groups(), strict=True)
        elif name not in table:
            raise _refused(
                f"has a parameter of {written.driver} that has no translation ({_shown(name)})",
            )
        elif table[name] != _UNUSED:
            yield (name if table[name] == _SAME else table[name]), value
    if written.dialect == "mysql" and "ssl_ca" in names and "ssl_mode" not in names:
        yield "ssl-mode", "VERIFY_IDENTITY"  # what PyMySQL makes of an authority


def _several_hosts(written: _Written) -> tuple[tuple[str, str], ...]:
    """Return libpq's two lists for the hosts of a query; none where they are not written in either way that
    SQLAlchemy has for them: `host=a:5432&host=b:5433`, and `host=a,b&port=5432,5433`.
    """
    hosts, ports = ([value for of, value in written.query if of == name] for name in _OF_HOSTS)
    if len(hosts) == len(ports) == 1:
        hosts, ports = hosts[0].split(","), ports[0].split(",")
        pairs = list(zip(hosts, ports, strict=False)) if len(hosts) == len(ports) else []
    elif len(hosts) == 1 and "," in hosts[0]:
        pairs = [(each, "") for each in hosts[0].split(",")] if not ports else []
    else:
        pairs = (
            [(host, port) for host, _, port in (each.partition(":") for each in hosts)] if not ports else []
        )
    if not pairs or not all(_HOST.fullmatch(host) and _PORT.fullmatch(port) for host, port in pairs):
        return ()
    lists = (",".join(host for host, _ in pairs), ",".join(port for _, port in pairs))
    return tuple((name, each) for name, each in zip(_OF_HOSTS, lists, strict=True) if each.strip(","))


def _is_folder(host: str) -> bool:
    """Tell whether a host is a folder of sockets; with a colon or a comma it is a list of several."""
    return host.startswith("/") and not {":", ","} & set(host)


def _file_of(written: _Written) -> str:
    """Return the path: what stands behind the third slash, so that four begin an absolute one."""
    if written.host or written.user or written.port:
        raise _refused("of SQLite has a host: three slashes begin a path, and four an absolute one")
    if not written.database or written.database == ":memory:" or written.database.startswith("file:"):
        raise _refused("names no file of SQLite")
    return written.database


def _shown(name: str) -> str:
    return f"`{name}`" if re.fullmatch(r"\w{1,40}", name) else "one whose name is odd"


def _refused(problem: str) -> Usage:
    return Usage(
        "bad-database-url",
        f"The database's URL, in SQLAlchemy's form, {problem}.",
        why="Our own connection must reach the same database in the same way as env.py, and nobody can tell.",
        next_step="Write postgresql+psycopg://user@host:5432/database (mysql+pymysql://…, sqlite+pysqlite:///"
        "folder/file.db) without it; env.py can give its driver more in `connect_args`.",
    )
