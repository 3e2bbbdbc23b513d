"""Scratch databases: made, cloned and dropped on a server, and asked through the parts beside this module.

One connection asks, and is opened when it is first needed. It is closed whenever a migration's session opens
or a clone is made: PostgreSQL copies no database that somebody is connected to, and settings that a
migration gives to the database or a role reach new connections only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from secrets import token_hex

from psycopg import sql

from coordinator.adapters.postgresql_session import PostgresqlSession
from coordinator.adapters.postgresql_url import Connection, address_of, connect
from coordinator.adapters.rehearsals._postgresql import asking
from coordinator.adapters.rehearsals._postgresql.catalogue import catalogue
from coordinator.adapters.rehearsals._postgresql.choice import choose
from coordinator.adapters.rehearsals._postgresql.execution import execute
from coordinator.adapters.rehearsals._postgresql.lookups import look_up
from coordinator.adapters.rehearsals._postgresql.probe import ProbedSession
from coordinator.adapters.rehearsals._postgresql.restoring import restore
from coordinator.adapters.rehearsals._postgresql.roles import RoleMaking, Roles
from coordinator.adapters.rehearsals._postgresql.sample import fill
from coordinator.adapters.rehearsals._postgresql.stars import expand
from coordinator.adapters.rehearsals._postgresql.team_server import PREFIX, drop, lock_of
from coordinator.evidence import Objection, StatementEvidence
from coordinator.ports.databases import Session
from coordinator.rehearsal_ports import THREE_ROWS, Description, Lookup, Ran, Sampling, Values
from coordinator.secret import Secret

_SETTINGS = """
SELECT r.rolname, split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)
FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS setting
WHERE d.datname = %s
"""
_OF_MIGRATIONS = "SET lock_timeout = '10s'"


def connected(url: Secret, database: str | None = None) -> Connection:
    """Connect to a server that rehearses. Raises: Usage `bad-database-url`, DatabaseError."""
    return connect(url, called="The rehearsal's server", label="coordinator rehearsal", database=database)


class ScratchServer:
    """A server with a connection that makes and drops databases."""

    def __init__(self, url: Secret, maintenance: Connection, *, is_ours: bool) -> None:
        self._url = url
        self._maintenance = maintenance
        self._roles = Roles(maintenance) if is_ours else None
        """None on a server of the team, where roles are not ours to make."""

    @property
    def server_version(self) -> int:
        """Return the version as libpq has it: 180006."""
        return self._maintenance.info.server_version

    def database(self) -> AbstractContextManager[ScratchDatabase]:
        """Make an empty database."""
        return self.copy("template0", self._roles.copy() if self._roles else None)

    @contextmanager
    def copy(
        self, template: str, roles: Roles | None, *, filled: frozenset[str] = frozenset()
    ) -> Iterator[ScratchDatabase]:
        """Make a database, which goes at the end, or with the next command that finds it abandoned."""
        name = f"{PREFIX}{token_hex(8)}"
        self._maintenance.execute("SELECT pg_catalog.pg_advisory_lock(%s)", [lock_of(name)])
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        try:
            self._maintenance.execute(make)
            self._copy_settings(template, name)
            with closing(ScratchDatabase(self, name, roles, filled)) as database:
                yield database
        finally:
            if not self._maintenance.closed:
                drop(self._maintenance, name)
                self._maintenance.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", [lock_of(name)])

    def address(self, database: str, like: Secret) -> Secret:
        """Return the address of one of the databases, with the scheme of `like`."""
        return address_of(self._url, database=database, like=like)

    def connect(self, database: str) -> Connection:
        """Connect to one of the databases; no statement there may take for ever."""
        connection = connected(self._url, database)
        connection.execute("SET statement_timeout = '60s'; SET lock_timeout = '10s'")
        return connection

    def _copy_settings(self, template: str, database: str) -> None:
        """Give a clone the settings of `ALTER DATABASE … SET`, which CREATE DATABASE does not copy."""
        rows = self._maintenance.execute(_SETTINGS, [template]).fetchall()
        for role, name, value in rows:
            subject = (
                sql.SQL("DATABASE {database}")
                if role is None
                else sql.SQL("ROLE {role} IN DATABASE {database}")
            )
            # From the session, because a list (search_path) is one text here and several words in SQL.
            change = sql.SQL("ALTER {subject} SET {name} FROM CURRENT").format(
                subject=subject.format(database=sql.Identifier(database), role=sql.Identifier(str(role))),
                name=sql.SQL(".").join(map(sql.Identifier, str(name).split("."))),
            )
            with self._maintenance.transaction():
                self._maintenance.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])
                self._maintenance.execute(change)


class ScratchDatabase:
    """One scratch database; see rehearsal_ports.RehearsalDatabase."""

    def __init__(self, server: ScratchServer, name: str, roles: Roles | None, filled: frozenset[str]) -> None:
        self._server = server
        self._name = name
        self._roles = roles
        self._filled = set(filled)
        self._asking: Connection | None = None
        self._seen: list[StatementEvidence] = []
        self._is_watched = False

    def close(self) -> None:
        """Leave the database alone, so that it can be copied or dropped; the next question connects again."""
        if self._asking is not None:
            self._asking.close()
            self._asking = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Connect as the owner, to apply migrations."""
        self.close()
        with closing(self._server.connect(self._name)) as connection:
            session: Session = (
                ProbedSession(connection, record=self._seen.append, settings=_OF_MIGRATIONS)
                if self._is_watched
                else PostgresqlSession(connection, secrets=(), settings=_OF_MIGRATIONS)
            )
            yield session if self._roles is None else RoleMaking(session, self._roles, self._seen)

    def address(self, like: Secret) -> Secret:
        """Return where another program finds this database."""
        return self._server.address(self._name, like)

    def take_statements(self) -> tuple[StatementEvidence, ...]:
        """Return what was seen since the last call; watching begins with the first."""
        self._is_watched = True
        taken = tuple(self._seen)
        self._seen.clear()
        return taken

    def restore(self, dump: str) -> tuple[str, ...]:
        """Run a dump; return a clause for each role of it that this server does not have."""
        with closing(self._server.connect(self._name)) as connection:
            return restore(connection, dump, self._roles)

    def clone(self) -> AbstractContextManager[ScratchDatabase]:
        """Make a second database with the same schema and rows; no session may be open on this one."""
        self.close()
        roles = self._roles.copy() if self._roles else None
        return self._server.copy(self._name, roles, filled=frozenset(self._filled))

    def prepare(self, texts: Sequence[str]) -> list[Description | Objection]:
        """Ask whether each text parses and binds."""
        return asking.prepare(self._connection, texts)

    def expand_star(self, texts: Sequence[str]) -> list[str]:
        """Return each text with the columns that its `*` stand for now; see _postgresql/stars.py."""
        expanded = expand(self._connection, texts)
        changed = [place for place, text in enumerate(texts) if expanded[place] != text]
        before = self.prepare([texts[place] for place in changed])
        after = self.prepare([expanded[place] for place in changed])
        for place, old, new in zip(changed, before, after, strict=True):
            if old != new:  # it would not be what the client has
                expanded[place] = texts[place]
        return expanded

    def plan(self, texts: Sequence[str], *, role: str | None) -> list[Objection | None]:
        """Ask whether each text can be planned, and whether `role` has the privileges."""
        return asking.plan(self._connection, texts, role=role)

    def look_up(self, asks: Sequence[tuple[str, Values]]) -> list[Lookup | None]:
        """Ask how each text finds its rows, whatever its values are."""
        return look_up(self._connection, [text for text, _ in asks])

    def fill(self, sampling: Sampling = THREE_ROWS) -> tuple[str, ...]:
        """Insert sample rows into the empty tables that were not there at the last call."""
        return fill(self._connection, sampling, filled=self._filled)

    def choose(self, texts: Sequence[str], *, role: str | None) -> list[Values | Objection]:
        """Find sample values with which each text runs here."""
        return choose(self._connection, texts, role=role)

    def execute(self, asks: Sequence[tuple[str, Values]], *, role: str | None) -> list[Ran | Objection]:
        """Run each text with its values in a transaction of its own that is rolled back."""
        return execute(self._connection, asks, role=role)

    @contextmanager
    def held(self, texts: Sequence[str]) -> Iterator[Callable[[], list[Objection | None]]]:
        """Prepare each text in a session that stays; the function asks again after a migration."""
        with closing(self._server.connect(self._name)) as connection, asking.held(connection, texts) as ask:
            yield ask

    def catalogue(self) -> Mapping[str, str]:
        """Return the schema as name → definition."""
        return catalogue(self._connection)

    @property
    def _connection(self) -> Connection:
        if self._asking is None or self._asking.closed:
            self._asking = self._server.connect(self._name)
        return self._asking
