"""The server that a rehearsal works on, whosever it is, and what is to be said about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Final

import pymysql
from pymysql.connections import Connection

from coordinator.adapters.mysql_refusals import LOST
from coordinator.adapters.mysql_url import Address, address_of, connect, connect_at, message_of, shown_by
from coordinator.adapters.rehearsals._mysql.connection import PREFIX, fetch
from coordinator.adapters.rehearsals._mysql.own_server import own_server
from coordinator.adapters.rehearsals._mysql.programs import server_program
from coordinator.adapters.rehearsals._mysql.scratch import ScratchDatabase, ScratchServer, drop
from coordinator.adapters.rehearsals._mysql.settings import STARTED_WITH, Traits, traits_from, traits_of
from coordinator.adapters.rehearsals._scratch.lost import server_lost
from coordinator.errors import Usage
from coordinator.model import Engine
from coordinator.ports.databases import Session
from coordinator.rehearsal_ports import RehearsalServer
from coordinator.secret import Secret

_LABEL: Final = "coordinator rehearsal"
_SAME: Final = """
SHOW GLOBAL VARIABLES WHERE Variable_name IN
    ('server_uuid', 'server_uid', 'hostname', 'port', 'socket', 'datadir', 'pid_file')
"""
"""Of two servers at least one of these differs; both may have the numbers of the one that was copied."""
_NAMES: Final = {Engine.MARIADB: "MariaDB", Engine.MYSQL: "MySQL"}
_ANYWHERE: Final = ("lower_case_table_names",)
"""Settings that mean the same to both kinds of server."""


class MysqlServer:
    """A place for scratch databases; see rehearsal_ports.RehearsalServer."""

    def __init__(self, scratch: ScratchServer, *, notes: tuple[str, ...], doubt: str | None) -> None:
        self._scratch = scratch
        self.version = scratch.traits.name
        self.notes = notes
        self.doubt = doubt

    @contextmanager
    def database(self, dump: str | None = None) -> Iterator[ScratchDatabase]:
        """Make a scratch database, empty or with the schema of a dump; it is removed at the end."""
        with self._scratch.database() as database:
            if dump is not None:
                database.restore([dump])
            yield database
            if database.left_out:
                listed = ", ".join(sorted({f"`{each} …`" for each in database.left_out}))
                clause = f"statements about accounts were left out of the rehearsal: {listed}"
                self.notes += () if clause in self.notes else (clause,)


def is_same_server(url: Secret, session: Session) -> bool:
    """Tell whether a URL and a session lead to one server, by whatever host, user or database.

    Raises: Usage `bad-database-url`, DatabaseError `database-unreachable`.
    """
    with closing(connect(url, label=_LABEL)) as connection:
        return sorted(fetch(connection, _SAME)) == sorted(session.query(_SAME))


@contextmanager
def server(engine: Engine, *, url: Secret | None, live_version: str | None) -> Iterator[RehearsalServer]:
    """Connect to the team's server at `url`, or start one of our own."""
    try:
        with _found(engine, url, traits_from(live_version), live_version) as found:
            yield found
    except pymysql.Error as error:
        number = error.args[0] if error.args else 0
        if number not in LOST and not isinstance(error, pymysql.InterfaceError):
            raise
        raise server_lost(message_of(error)) from error


@contextmanager
def _found(
    engine: Engine, url: Secret | None, live: Traits | None, live_version: str | None
) -> Iterator[MysqlServer]:
    if url is not None:
        with _reached(replace(address_of(url), database=""), shown_by(url), engine, live) as reached:
            yield reached
        return
    program = server_program(engine, live_version)
    settings = _settings_for(program.traits, live)
    with own_server(program, settings) as address, _reached(address, (), engine, live) as reached:
        yield reached


@contextmanager
def _reached(
    address: Address, secrets: tuple[str, ...], engine: Engine, live: Traits | None
) -> Iterator[MysqlServer]:
    with closing(connect_at(address, label=_LABEL, secrets=secrets)) as maintenance:
        [[version]] = fetch(maintenance, "SELECT VERSION()")
        settings = _settings_for(traits_of(str(version)), live)
        traits = traits_of(str(version), settings)
        _refuse_unable(maintenance)
        _drop_abandoned(maintenance)
        yield MysqlServer(
            ScratchServer(address, maintenance, traits, secrets),
            notes=tuple(_notes(maintenance, traits, live)),
            doubt=_doubt(traits, live, engine),
        )


def _settings_for(traits: Traits, live: Traits | None) -> Mapping[str, str]:
    """Return the live server's settings, as far as a server of this kind understands them."""
    settings = {} if live is None else live.settings
    if live is None or live.engine is traits.engine:
        return settings
    return {name: settings[name] for name in _ANYWHERE if name in settings}


def _doubt(traits: Traits, live: Traits | None, engine: Engine) -> str | None:
    """Return why what this server answers proves nothing: it is another one than the live one."""
    wanted = engine if live is None else live.engine
    if traits.engine is not wanted:
        asked, live_one = _NAMES[traits.engine], _NAMES[wanted]
        return f"{asked} was asked, and the live server is {live_one}: they read SQL differently"
    if live is None or (difference := _difference(traits, live)) is None:
        return None
    return f"{traits.name} was asked, and the live server is {live.name}: {difference}"


def _difference(traits: Traits, live: Traits) -> str | None:
    """Return how the SQL of two servers of one kind differs."""
    if traits.enforces_checks is not live.enforces_checks:
        forgetful, other = (live, traits) if traits.enforces_checks else (traits, live)
        return f"{forgetful.version} reads a CHECK and forgets it, {other.version} refuses rows by it"
    return None if traits.has_sql_of(live) else "what one of them accepts the other may refuse"


def _notes(maintenance: Connection, traits: Traits, live: Traits | None) -> Iterator[str]:
    if live is None or not live.settings:
        yield "the live server's settings are not known: its sql_mode and its collations may be others"
    if live is None:
        if not traits.enforces_checks:
            yield f"{traits.name} reads a CHECK and forgets it, so no row was refused by one"
        return
    if live.engine is not traits.engine:
        return
    names = ", ".join(f"'{name}'" for name in STARTED_WITH)
    rows = fetch(maintenance, f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")
    here = {str(name): str(value) for name, value in rows}
    for name, value in live.settings.items():
        if name in STARTED_WITH and name != "sql_mode" and here.get(name) != value:
            yield f"`{name}` is {here.get(name)} where it was rehearsed, and {value} on the live server"


def _refuse_unable(maintenance: Connection) -> None:
    """Check that scratch databases can be made here. Raises: Usage `rehearsal-server-unfit`."""
    [[read_only]] = fetch(maintenance, "SELECT @@GLOBAL.read_only")
    if str(read_only) not in ("0", "OFF"):
        raise _unfit("it is read-only, where nothing can be made")
    grants = " ".join(str(row[0]) for row in fetch(maintenance, "SHOW GRANTS"))
    may = "ALL PRIVILEGES ON *.*" in grants or ("CREATE USER" in grants and "GRANT OPTION" in grants)
    if not may:
        raise _unfit("its user may not make databases and accounts")


def _drop_abandoned(maintenance: Connection) -> None:
    """Drop each scratch database of ours, and each account, whose owner is gone."""
    like = PREFIX.replace("_", "\\_") + "%"
    found = {
        str(name)
        for sql in (
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE %s",
            "SELECT user FROM mysql.user WHERE user LIKE %s",
        )
        for [name] in _seen(maintenance, sql, like)
    }
    for name in sorted(found):
        [[is_free]] = fetch(maintenance, "SELECT IS_FREE_LOCK(%s)", (name,))
        if is_free:
            drop(maintenance, name)


def _seen(maintenance: Connection, sql: str, like: str) -> list[tuple[object, ...]]:
    try:
        return fetch(maintenance, sql, (like,))
    except pymysql.Error:  # it may make accounts, and not read who has one
        return []


def _unfit(why: str) -> Usage:
    return Usage(
        "rehearsal-server-unfit",
        f"The server of the plan's `rehearsal: {{url: …}}` cannot be used: {why}.",
        next_step="Grant its user ALL PRIVILEGES ON *.* WITH GRANT OPTION, name another server, or leave the"
        " url out: a server of this machine is used then.",
    )
