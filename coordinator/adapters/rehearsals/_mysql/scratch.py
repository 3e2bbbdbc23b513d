"""A scratch database and its account: made, cloned and dropped on a server, and asked by the parts beside.

An account of its own has every right on the database and none elsewhere, so a migration that reaches further
is refused by the server itself, on a server of the team too. Both have the same name, which is never used
twice. Whoever wants a database holds the lock of its name (GET_LOCK), which the server lets go of when its
holder's connection ends, however that ends; so a database whose lock is free is nobody's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from secrets import token_hex
from typing import Final, TypeVar

import pymysql
from pymysql.connections import Connection

from coordinator.adapters.mysql_session import MysqlSession, Rows
from coordinator.adapters.mysql_url import Address, connect_at, written_like
from coordinator.adapters.rehearsals._mysql import asking, execution, sample
from coordinator.adapters.rehearsals._mysql.catalogue import catalogue
from coordinator.adapters.rehearsals._mysql.choosing import choose
from coordinator.adapters.rehearsals._mysql.connection import PREFIX, fetch, settle
from coordinator.adapters.rehearsals._mysql.copying import copy_rows, restore, tables_of, triggers_of
from coordinator.adapters.rehearsals._mysql.lookups import look_up
from coordinator.adapters.rehearsals._mysql.schema import Schema, read_schema
from coordinator.adapters.rehearsals._mysql.settings import Traits
from coordinator.adapters.rehearsals._mysql.watching import Watcher
from coordinator.adapters.rehearsals._scratch import stars
from coordinator.adapters.rehearsals._scratch.tokens import quoted
from coordinator.evidence import Objection, StatementEvidence
from coordinator.model import Engine
from coordinator.rehearsal_ports import (
    THREE_ROWS,
    Description,
    Lookup,
    Ran,
    RehearsalDatabase,
    Sampling,
    Values,
)
from coordinator.secret import Secret
from coordinator.sql import SqlStatement, stays_in_transaction

_LABEL: Final = "coordinator rehearsal"
_T = TypeVar("_T")
_LOCK_TIMEOUT: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class ScratchServer:
    """A server with a connection that makes and drops databases; `traits` has the live server's settings."""

    address: Address
    maintenance: Connection
    traits: Traits
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def sql_mode(self) -> str | None:
        """Return the mode that texts are read in; None: the server's own."""
        return self.traits.settings.get("sql_mode")

    @contextmanager
    def database(self, filled: frozenset[str] = frozenset()) -> Iterator[ScratchDatabase]:
        """Make an empty database with its account; both go at the end, or with the next command."""
        name, password = f"{PREFIX}{token_hex(5)}", token_hex(16)
        fetch(self.maintenance, "SELECT GET_LOCK(%s, 10)", (name,))
        try:
            fetch(self.maintenance, f"CREATE DATABASE {quoted(name)}{self._collated()}")
            fetch(self.maintenance, f"CREATE USER {quoted(name)}@'%%' IDENTIFIED BY %s", (password,))
            escaped = quoted(name.replace("_", "\\_"))  # else each `_` stands for any character
            fetch(self.maintenance, f"GRANT ALL ON {escaped}.* TO {quoted(name)}@'%'")
            address = replace(self.address, user=name, password=password, database=name)
            self._allow_settings(name)
            yield ScratchDatabase(self, address, filled)
        finally:
            if self.maintenance.open:
                drop(self.maintenance, name)
                fetch(self.maintenance, "SELECT RELEASE_LOCK(%s)", (name,))

    def _allow_settings(self, name: str) -> None:
        """Let the account stop its clock; MySQL wants a privilege for that since 8.0.14, MariaDB none."""
        if self.traits.engine is Engine.MYSQL:
            with suppress(pymysql.Error):  # it is older
                fetch(self.maintenance, f"GRANT SESSION_VARIABLES_ADMIN ON *.* TO {quoted(name)}@'%'")

    def _collated(self) -> str:
        charset = self.traits.settings.get("character_set_database")
        collation = self.traits.settings.get("collation_database")
        return f" CHARACTER SET {charset} COLLATE {collation}" if charset and collation else ""

    def connect(self, address: Address, *, counts_found: bool = False) -> Connection:
        """Connect as the account of a scratch database; see mysql_url.connect_at."""
        return connect_at(
            address, label=_LABEL, secrets=(*self.secrets, address.password), counts_found=counts_found
        )


_NUMBERS: Final = """
SELECT SUBSTRING_INDEX(name, '/', -1), table_id FROM information_schema.innodb_tables
WHERE STRCMP(LEFT(name, CHAR_LENGTH(%s)), %s) = 0
"""
"""Partitions and names with odd characters have names of their own here, and are not found."""


def drop(maintenance: Connection, name: str) -> None:
    """Drop a database and its account; harmless when they are gone."""
    for [number] in fetch(
        maintenance, "SELECT id FROM information_schema.processlist WHERE user = %s", (name,)
    ):
        with suppress(pymysql.Error):  # it has just ended
            fetch(maintenance, f"KILL {number}")
    fetch(maintenance, f"DROP DATABASE IF EXISTS {quoted(name)}")
    fetch(maintenance, f"DROP USER IF EXISTS {quoted(name)}@'%'")


class ScratchDatabase:
    """rehearsal_ports.RehearsalDatabase; every question has a connection of its own."""

    def __init__(self, server: ScratchServer, address: Address, filled: frozenset[str]) -> None:
        self._server = server
        self._address = address
        self._watcher = Watcher(
            server.traits.engine, self._look, numbers=self._table_numbers, in_use=self._tables_in_use
        )
        self._filled = set(filled)
        self._schemas: dict[bool, Schema] = {}
        """What the database holds, as connections that are settled read it, and others.

        To read it takes long, and it stays the same until a session sends what may change it."""
        self._has_guests = False
        """Another program was told where this database is, and may change it whenever it likes."""

    @property
    def name(self) -> str:
        """Return the database's name."""
        return self._address.database

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return the first words of statements of migrations that were not sent."""
        return tuple(self._watcher.left_out)

    @contextmanager
    def session(self) -> Iterator[MysqlSession]:
        """Connect as the owner, to apply migrations."""
        connect = partial(self._server.connect, self._address)
        with closing(connect()) as connection:
            try:
                yield MysqlSession(
                    connection,
                    self._server.traits.engine,
                    connect_again=connect,
                    secrets=(self._address.password,),
                    lock_timeout=_LOCK_TIMEOUT,
                    sql_mode=self._server.sql_mode,
                    watch=self._watch,
                )
            finally:
                self._schemas.clear()  # a text with an open quote is sent as it is, and nobody watches

    def _watch(
        self, statement: SqlStatement, send: Callable[[str], Rows], has_warned: Callable[[], bool]
    ) -> None:
        try:
            self._watcher.watch(statement, send, has_warned)
        finally:
            if not stays_in_transaction(statement):
                self._schemas.clear()

    def address(self, like: Secret) -> Secret:
        """Return where another program finds this database."""
        self._has_guests = True
        self._schemas.clear()
        return written_like(self._address, like)

    def take_statements(self) -> tuple[StatementEvidence, ...]:
        """Return what was seen since the last call; watching begins with the first."""
        return self._watcher.take()

    def restore(self, statements: Sequence[str]) -> None:
        """Make what a dump says."""
        self._schemas.clear()
        with closing(self._server.connect(self._address)) as connection:
            restore(connection, statements, sql_mode=self._server.sql_mode)

    @contextmanager
    def clone(self) -> Iterator[RehearsalDatabase]:
        """Make the same schema in a second database, and copy the rows."""
        with closing(self._server.connect(self._address)) as connection:
            query = partial(fetch, connection)
            tables, triggers = list(tables_of(query)), list(triggers_of(query))
        with self._server.database(frozenset(self._filled)) as other:
            other.restore(tables)
            copy_rows(self._server.maintenance, source=self.name, target=other.name)
            other.restore(triggers)
            yield other

    def prepare(self, texts: Sequence[str]) -> list[Description | Objection]:
        """Ask the server to compile each text, and what a client sees of it."""
        with self._asking() as connection:
            return [asking.prepare(connection, text) for text in texts]

    def expand_star(self, texts: Sequence[str]) -> list[str]:
        """Return each text with the columns that its stars stand for now."""
        with self._asking() as connection:
            reader = asking.star_reader(connection)
            return [stars.expand_star(reader, text) for text in texts]

    def plan(self, texts: Sequence[str], *, role: str | None) -> list[Objection | None]:
        """Ask whether each text can be planned; what `role` may do is not known here."""
        with self._asking() as connection:
            return [asking.plan(connection, text, role=role) for text in texts]

    def look_up(self, asks: Sequence[tuple[str, Values]]) -> list[Lookup | None]:
        """Ask how each text finds its rows with its first values."""
        engine = self._server.traits.engine
        with self._asking() as connection:
            tables = frozenset(each.name for each in self._schema(connection).tables)
            return [look_up(connection, text, values, engine=engine, tables=tables) for text, values in asks]

    def fill(self, sampling: Sampling = THREE_ROWS) -> tuple[str, ...]:
        """Insert sample rows into the empty tables that were not there at the last call."""
        with self._asking() as connection:
            tables = self._schema(connection).tables
            return tuple(sample.fill(connection, tables, sampling, filled=self._filled))

    def choose(self, texts: Sequence[str], *, role: str | None) -> list[Values | Objection]:
        """Find sample values with which each text runs here."""
        del role
        return self._on_new_ground([partial(choose, text=text) for text in texts])

    def execute(self, asks: Sequence[tuple[str, Values]], *, role: str | None) -> list[Ran | Objection]:
        """Run each text with its values in a transaction of its own that is rolled back."""
        del role
        return self._on_new_ground(
            [partial(execution.execute, text=text, values=values) for text, values in asks]
        )

    @contextmanager
    def held(self, texts: Sequence[str]) -> Iterator[Callable[[], list[Objection | None]]]:
        """Ask again what `plan` asked: the server prepares anew by itself when a table has changed."""
        yield lambda: self.plan(texts, role=None)

    def _table_numbers(self) -> Mapping[str, object]:
        """Return InnoDB's number of each table on MySQL, which changes when its rows are written anew.

        MariaDB tells by refusing NOCOPY, and is not asked.
        """
        if self._server.traits.engine is not Engine.MYSQL:
            return {}
        rows = fetch(self._server.maintenance, _NUMBERS, (start := f"{self._address.database}/", start))
        return {str(name): number for name, number in rows}

    def _tables_in_use(self) -> frozenset[str]:
        """Return the tables that a session keeps locked: between two statements of a migration, its own."""
        rows = fetch(self._server.maintenance, f"SHOW OPEN TABLES FROM {quoted(self.name)} WHERE In_use > 0")
        return frozenset(str(table) for _, table, *_ in rows)

    def catalogue(self) -> Mapping[str, str]:
        """Return the schema as name → definition."""
        if False in self._schemas:
            return catalogue(self._schemas[False])
        with closing(self._server.connect(self._address)) as connection:
            return catalogue(self._schema(connection, is_settled=False))

    def _look(self) -> Mapping[str, str]:
        """Return the catalogue behind a statement, of which nobody has said yet what it changed."""
        self._schemas.clear()
        return self.catalogue()

    def _schema(self, connection: Connection, *, is_settled: bool = True) -> Schema:
        """Return what the database holds, read where it is not known yet."""
        known = self._schemas.get(is_settled)
        if known is None:
            known = read_schema(partial(fetch, connection))
            if not self._has_guests:
                self._schemas[is_settled] = known
        return known

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        """Connect to ask; that a trigger or versioning changes each row that is found is no difference."""
        with closing(self._server.connect(self._address, counts_found=True)) as connection:
            settle(connection, self._server.traits.engine, self._server.sql_mode)
            yield connection

    def _on_new_ground(self, asks: Sequence[Callable[[execution.Ground], _T]]) -> list[_T]:
        """Put each question on a connection that nobody has used; the schema is the same for all.

        Counters are set back in the end: a row that a migration inserts later shall have the same number
        here as in a database where nothing was asked.
        """
        if not asks:
            return []
        with self._asking() as connection:
            schema, counters = self._schema(connection), _counters(connection)
        answers = []
        for ask in asks:
            with self._asking() as connection:
                answers.append(ask(execution.Ground(connection, schema)))
        with self._asking() as connection:
            now = _counters(connection)
            for table, number in counters.items():
                if now.get(table) != number:
                    fetch(connection, f"ALTER TABLE {quoted(table)} AUTO_INCREMENT = {number}")
        return answers


def _counters(connection: Connection) -> Mapping[str, int]:
    """Return each table's next AUTO_INCREMENT."""
    return dict(
        fetch(
            connection,
            "SELECT table_name, auto_increment FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND auto_increment IS NOT NULL",
        )
    )
