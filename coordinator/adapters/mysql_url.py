"""A URL of MySQL or MariaDB, as people and migration tools write it, and the one way to connect with it.

Three forms are read, so that nobody needs a second secret: `mysql://user:password@host:3306/shop`,
golang-migrate's `mysql://user:password@tcp(host:3306)/shop`, and the bare form of Go's driver, which goose
takes. They differ in how a password is escaped: by percent signs; by these and `+` for a blank; not at all.
SQLAlchemy's `mysql+pymysql://…` is translated first (sqlalchemy_url.py).
No message shows a part of the URL. A parameter that nobody here knows is refused: it may have been meant to
protect the connection.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlencode

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT

from coordinator.adapters import go_url
from coordinator.adapters.batches import NO_CONNECTION_LEFT
from coordinator.adapters.silent_hosts import give_up_silence
from coordinator.adapters.sqlalchemy_url import without_driver
from coordinator.errors import DatabaseError, Usage
from coordinator.secret import PLACEHOLDER, Secret

_CONNECT_SECONDS = 10
_PORT = 3306
_SCHEME = "(?:mysql|mariadb)://"
_ANY_SCHEME = r"(?:mysql|mariadb)(?:\+\w+)?://"
_USER = r"(?:(?P<user>[^:@/]*)(?::(?P<password>.*))?@)?"
_URL_USER = r"(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/?#]*))?@)?"
_URL_HOST = r"(?P<address>\[[0-9a-fA-F:.]+\](?::[0-9]+)?|[^@/:?#()]+(?::[0-9]+)?)"
_GO_HOST = r"(?:tcp\((?P<address>[^()]*)\)|unix\((?P<socket>[^()]*)\))"
_DATABASE = r"/(?P<database>[^/?#]*)(?:\?(?P<query>.*))?"
_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[str], str]], ...]] = (
    (re.compile(_SCHEME + _USER + _GO_HOST + _DATABASE), unquote_plus),
    (re.compile(_SCHEME + _URL_USER + _URL_HOST + _DATABASE), unquote),
    (re.compile(_USER + _GO_HOST + _DATABASE), str),
)
"""golang-migrate's form (its mysql.go), a URL, and the DSN of github.com/go-sql-driver/mysql."""

_VERIFY: Final[Mapping[str, str]] = {
    "false": "disabled",
    "0": "disabled",
    "disabled": "disabled",
    "preferred": "preferred",
    "skip-verify": "required",
    "required": "required",
    "verify_ca": "verify_ca",
    "true": "verify_identity",
    "1": "verify_identity",
    "verify_identity": "verify_identity",
    "custom": "verify_identity",
}
"""`tls` as Go's driver has it (`custom` is golang-migrate's), `ssl-mode` as the mysql client has it."""
_FILES: Final = {
    "ca": ("ssl-ca", "x-tls-ca"),
    "cert": ("ssl-cert", "x-tls-cert"),
    "key": ("ssl-key", "x-tls-key"),
}
_SECONDS = re.compile(r"([0-9]{1,5})s?")
_IGNORED: Final = frozenset(
    {
        "charset",
        "collation",
        "parseTime",
        "multiStatements",
        "loc",
        "interpolateParams",
        "allowNativePasswords",
        "allowAllFiles",
        "checkConnLiveness",
        "clientFoundRows",
        "columnsWithAlias",
        "compress",
        "connectionAttributes",
        "maxAllowedPacket",
        "readTimeout",
        "rejectReadOnly",
        "timeTruncate",
        "writeTimeout",
        "x-no-lock",
        "x-statement-timeout",
    }
)
"""They change what Go's driver or golang-migrate does with values, or what is always so here."""
_CHECK: Final = "Check user, password and host in the URL, the network and the server."
_NO_RIGHT: Final = 1044
"""ER_DBACCESS_DENIED_ERROR: the password was right."""
_CROWDED: Final = frozenset({1040, 1203, 1226})
"""ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED: nothing is wrong with the URL."""
_REFUSED: Final = frozenset({1045, 1698, 1862, 3118, 4151})
"""ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ER_MUST_CHANGE_PASSWORD_LOGIN, MySQL's and
MariaDB's ER_ACCOUNT_HAS_BEEN_LOCKED."""
_RIGHTS: Final = (
    "Grant the user its rights on that database. If they come by a role, make it one that is active at login:"
    " `SET DEFAULT ROLE … TO user` on MySQL, `SET DEFAULT ROLE … FOR user` on MariaDB."
)
_OF_TLS: Final = frozenset({"tls", "ssl-mode", "x-tls-insecure-skip-verify"}).union(*_FILES.values())
_KNOWN: Final = frozenset(
    {"tls", "ssl-mode", "timeout", "connect_timeout", "unix_socket", "x-tls-insecure-skip-verify"}
).union(_IGNORED, *_FILES.values())


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL says. `tls` is an `ssl-mode` of the mysql client in lower case, None for its default."""

    user: str
    password: str = field(repr=False)
    host: str
    port: int
    socket: str | None
    database: str
    tls: str | None
    ca: str | None
    cert: str | None
    key: str | None
    connect_seconds: int


def connect(url: Secret, *, label: str) -> Connection:
    """Connect; the server has `label` as the connection attribute program_name.

    Raises: Usage `bad-database-url`, DatabaseError `database-unreachable`.
    """
    return connect_at(address_of(url), label=label, secrets=shown_by(url))


def connect_at(
    address: Address, *, label: str, secrets: tuple[str, ...], counts_found: bool = False
) -> Connection:
    """Connect to an address, of a URL or otherwise; `secrets` are kept out of what is said of a failure.

    With `counts_found` an UPDATE counts the rows that it finds, else those that it changes.

    Raises: Usage `bad-database-url`, DatabaseError `database-unreachable`.
    """
    tls = _context_of(address)
    try:
        return _Connection(
            user=address.user,
            password=address.password.encode(),  # as text it would be sent in Latin-1
            host=address.host,
            port=address.port,
            unix_socket=address.socket,
            database=address.database,
            charset="utf8mb4",
            autocommit=True,
            client_flag=CLIENT.MULTI_STATEMENTS | (CLIENT.FOUND_ROWS if counts_found else 0),
            connect_timeout=address.connect_seconds,
            program_name=label,
            ssl=tls,
            ssl_disabled=address.tls == "disabled",
        )
    except RuntimeError:  # the driver's word for a missing `cryptography`
        raise DatabaseError(
            "database-unreachable",
            "The server wants the password encrypted: no TLS protects it on its way.",
            why="Its user has caching_sha2_password or sha256_password, and without TLS both need RSA.",
            next_step="Let the connection use TLS (no `tls=false`, no `ssl-mode=DISABLED`) or a socket, or"
            " install the Python package cryptography beside coordinator.",
        ) from None
    except (pymysql.Error, OSError) as error:
        number = error.args[0] if error.args else None
        raise DatabaseError(
            "database-unreachable",
            f"The database cannot be reached: {scrub(message_of(error), secrets)}.",
            next_step=_next_step(number),
            is_login_refused=number in _REFUSED,
        ) from None  # its own text may quote what is in the URL


class _Connection(Connection):
    """PyMySQL's, but that it reads no certificates where none is compared: that takes longest of all.

    And it does not wait for a server that is gone without a word, nor for one that takes a connection and
    then says nothing.
    """

    def connect(self, sock: socket.socket | None = None) -> None:
        self._read_timeout = self.connect_timeout
        super().connect(sock)
        self._read_timeout = None
        give_up_silence(self._sock)  # type: ignore[attr-defined]  # unknown to the stubs

    def _create_ssl_ctx(self, sslp: ssl.SSLContext | Mapping[str, object]) -> ssl.SSLContext:
        return sslp if isinstance(sslp, ssl.SSLContext) else _of_any_server()


@cache
def _of_any_server() -> ssl.SSLContext:
    """Return what makes TLS with a server whose certificate nobody looks at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _next_step(number: object) -> str:
    if number in _CROWDED:
        return NO_CONNECTION_LEFT
    return _RIGHTS if number == _NO_RIGHT else _CHECK


def address_of(url: Secret) -> Address:
    """Read a URL. Raises: Usage `bad-database-url`."""
    text = without_driver(url).reveal()
    for form, unescape in _FORMS:
        if match := form.fullmatch(text):
            return _address_from({name: value or "" for name, value in match.groupdict().items()}, unescape)
    raise _bad_url("is not one that MySQL or MariaDB is reached by")


def written_like(address: Address, like: Secret) -> Secret:
    """Return an address in the form that a URL has, with its parameters, as another program reads them.

    A socket has no TLS. In the form of a URL it is the parameter `unix_socket`, which most drivers know.
    """
    text, user = like.reveal(), f"{address.user}:{quote(address.password, safe='')}"
    options = dict(parse_qsl(text.partition("?")[2], keep_blank_values=True))
    if address.socket is not None:
        options = {name: value for name, value in options.items() if name.replace("_", "-") not in _OF_TLS}
        place = f"unix({address.socket})"
    else:
        place = f"tcp({address.host}:{address.port})"
    scheme = re.match(_ANY_SCHEME, text)
    if scheme is not None and re.search(r"@(?:tcp|unix)\(", text) is None:
        place = f"{address.host}:{address.port}"
        options |= {} if address.socket is None else {"unix_socket": address.socket}
    tail = f"?{urlencode(options)}" if options else ""
    return Secret(f"{scheme[0] if scheme else ''}{user}@{place}/{address.database}{tail}")


def _address_from(parts: Mapping[str, str], unescape: Callable[[str], str]) -> Address:
    host, port = _host_and_port(parts["address"])
    if not parts["database"]:
        raise _bad_url("names no database")
    options = dict(parse_qsl(parts["query"], keep_blank_values=True))
    if unknown := sorted(set(options) - _KNOWN):
        if unknown[0].startswith(go_url.TABLE):
            raise go_url.refused_parameter(unknown[0])
        raise _bad_url(f"has a parameter that coordinator does not know ({', '.join(map(_shown, unknown))})")
    files = {
        name: next((options[key] for key in keys if key in options), None) for name, keys in _FILES.items()
    }
    seconds = _SECONDS.fullmatch(
        options.get("connect_timeout", options.get("timeout", str(_CONNECT_SECONDS)))
    )
    if seconds is None or int(seconds[1]) == 0:
        raise _bad_url("has a timeout that is no whole number of seconds")
    return Address(
        user=unescape(parts["user"]),
        password=unescape(parts["password"]),
        host=host,
        port=port,
        socket=parts.get("socket") or options.get("unix_socket"),
        database=unquote(parts["database"]),
        tls=_tls_of(options, ca=files["ca"]),
        connect_seconds=int(seconds[1]),
        **files,
    )


def _host_and_port(address: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^\[\]:]*))(?::(?P<port>[0-9]{1,5}))?", address)
    if match is None or not 0 < (port := int(match["port"] or _PORT)) < 1 << 16:
        raise _bad_url("has no host and port that can be read")
    return match["six"] or match["host"] or "localhost", port


def _tls_of(options: Mapping[str, str], *, ca: str | None) -> str | None:
    said = options.get("tls", options.get("ssl-mode"))
    if said is None:
        return None if ca is None else "verify_ca"
    mode = _VERIFY.get(said.lower())
    if mode is None:
        raise _bad_url("has a `tls` or `ssl-mode` that is none")
    if options.get("x-tls-insecure-skip-verify", "false").lower() in ("true", "1", "t"):
        return "required" if mode.startswith("verify") else mode
    return mode


def _context_of(address: Address) -> ssl.SSLContext | None:
    """Return what TLS asks of the server; None for PyMySQL's default: TLS where the server offers it."""
    if address.tls in (None, "preferred", "disabled"):
        return None
    try:
        context = ssl.create_default_context(cafile=address.ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # MySQL's own certificates are not strict ones
        context.check_hostname = address.tls == "verify_identity"
        context.verify_mode = ssl.CERT_NONE if address.tls == "required" else ssl.CERT_REQUIRED
        if address.cert is not None:
            context.load_cert_chain(address.cert, keyfile=address.key)
    except OSError as error:
        raise _bad_url(
            f"names a file for TLS that cannot be used ({error.strerror or 'it is no PEM'})"
        ) from None
    return context


def shown_by(url: Secret) -> tuple[str, ...]:
    """Return what must never be shown of a URL, longest first. Raises: Usage `bad-database-url`."""
    password = address_of(url).password
    secrets = {url.reveal(), without_driver(url).reveal(), password, quote(password, safe="")} - {""}
    return tuple(sorted(secrets, key=len, reverse=True))


def scrub(message: str, secrets: tuple[str, ...]) -> str:
    """Return `message` with every secret replaced."""
    for secret in secrets:
        message = message.replace(secret, PLACEHOLDER)
    return message


def message_of(error: Exception) -> str:
    """Return the driver's or the server's words, without the driver's own punctuation."""
    words = error.args[1] if len(error.args) > 1 else (error.args or ("no reason was given",))[0]
    return " ".join(str(words).split()).rstrip(".")


def _shown(name: str) -> str:
    return name if re.fullmatch(r"[\w-]{1,40}", name) else "one whose name is odd"


def _bad_url(problem: str) -> Usage:
    return Usage(
        "bad-database-url",
        f"The database's URL {problem}.",
        next_step="Write mysql://user@host:3306/database, put it in quotes in the shell, and percent-encode"
        " what is no letter or digit in the password (/ is %2F, @ is %40).",
    )
