"""Connections to a scratch database: what is asked there leaves nothing, reaches nothing else, and ends.

The account of a scratch database has every right on it and none elsewhere, so the server itself keeps a text
from other databases, from files and from its settings. What would commit by itself is not sent: of a text
that is not known to stay in its transaction nothing is asked. The clock stands still and the dice are ours,
so that the same question has the same answer each time.

`describe` speaks the protocol's own COM_STMT_PREPARE, which PyMySQL does not: it compiles a text, tells its
columns as every driver sees them, and runs nothing (MySQL Internals, "COM_STMT_PREPARE").
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CR
from pymysql.protocol import FieldDescriptorPacket

from coordinator.adapters.mysql_url import message_of
from coordinator.adapters.rehearsals._mysql.fields import type_of
from coordinator.evidence import Objection
from coordinator.model import Engine
from coordinator.rehearsal_ports import Column
from coordinator.sql import split_statements

SqlValue = str | bytes | int | float | None
Row = tuple[Any, ...]

PREFIX: Final = "coordinator_rehearsal_"
"""How the names of scratch databases begin."""
_SCRATCH_NAME: Final = re.compile(rf"(?<![`\w])`?{PREFIX}[0-9a-f]+`?\.")
REFUSED: Final = "CO001"
"""Objection code: coordinator does not run this text on a scratch database, and the server was not asked."""

_ASKED: Final = frozenset({"SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "VALUES", "TABLE"})
"""First words of texts that stay in their transaction and can be taken back."""
_NOW: Final = 1_709_210_096
"""2024-02-29 12:34:56 UTC: what `now()` is in every question. A leap day, far from each sample value."""
TODAY: Final = "2024-02-29"
_SECONDS: Final = 5
"""A question on a few sample rows takes milliseconds."""
_PREPARE: Final = 0x16
_CLOSE: Final = 0x19
REFUSALS: Final = (pymysql.Error, UnicodeError)
"""What a text may raise; Python refuses lone surrogates itself, before the server sees them."""

_FIXED: Final = (
    f"SET SESSION time_zone = '+00:00', timestamp = {_NOW}, rand_seed1 = 1, rand_seed2 = 2,"
    " innodb_lock_wait_timeout = 10, lock_wait_timeout = 10"
)
_LIMITS: Final = {
    Engine.MARIADB: f"SET SESSION max_statement_time = {_SECONDS}, max_recursive_iterations = 4294967295",
    Engine.MYSQL: f"SET SESSION max_execution_time = {_SECONDS * 1000}, information_schema_stats_expiry = 0",
}


@dataclass(frozen=True, slots=True)
class Described:
    """What the server says of a text that it has compiled."""

    parameters: int
    fields: tuple[Any, ...]
    """pymysql's descriptions of its columns; their `table_name` is what the text calls the table."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns as a client sees them."""
        return tuple(map(_column, self.fields))


def _column(field: Any) -> Column:
    origin = (field.org_table, field.org_name) if field.org_table and field.org_name else None
    return Column(field.name, type_of(field), origin, may_be_null=bool(field.flags % 2 == 0))


def settle(connection: Connection, engine: Engine, sql_mode: str | None) -> None:
    """Set what makes answers the same each time, and ends what does not end."""
    with connection.cursor() as cursor:
        cursor.execute(_FIXED)
        cursor.execute(_LIMITS[engine])
        if sql_mode is not None:
            cursor.execute("SET SESSION sql_mode = %s", (sql_mode,))


def refusal_of(text: str) -> Objection | None:
    """Return why a text is not sent at all."""
    if "\0" in text:
        return Objection(REFUSED, "it holds a NUL character")
    statements = split_statements(text, Engine.MARIADB)
    words = statements[0].words if statements else ()
    if not words or words[0] not in _ASKED:
        return Objection(
            REFUSED,
            "coordinator does not run this on a scratch database: it may commit by itself, and could not be"
            " taken back",
        )
    return None


def describe(connection: Connection, text: str) -> Described:
    """Compile a text and do not run it. Raises: one of REFUSALS."""
    wire: Any = connection
    wire._execute_command(_PREPARE, text)  # noqa: SLF001 - PyMySQL has no other way to it
    first = wire._read_packet()  # noqa: SLF001
    first.advance(1)
    number, columns, parameters = first.read_uint32(), first.read_uint16(), first.read_uint16()
    for _ in range(parameters + bool(parameters)):
        wire._read_packet()  # noqa: SLF001
    fields = tuple(wire._read_packet(FieldDescriptorPacket) for _ in range(columns))  # noqa: SLF001
    if columns:
        wire._read_packet()  # noqa: SLF001
    wire._execute_command(_CLOSE, struct.pack("<I", number))  # noqa: SLF001 - it has no answer
    return Described(parameters, fields)


@dataclass(frozen=True, slots=True)
class Result:
    """What a text returned, and how many rows it touched."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...] | None
    count: int


def run(connection: Connection, text: str, values: Sequence[object], *, most: int) -> Result:
    """Run a text with its values as a prepared statement. Raises: one of REFUSALS."""
    names = [f"@coordinator_{number}" for number in range(1, len(values) + 1)]
    with connection.cursor() as cursor:
        cursor.execute("SET @coordinator_text = %s", (text,))
        cursor.execute("PREPARE coordinator_asked FROM @coordinator_text")
        for name, value in zip(names, values, strict=True):
            cursor.execute(f"SET {name} = %s", (value,))
        cursor.execute(f"EXECUTE coordinator_asked{' USING ' if names else ''}{', '.join(names)}")
        fields = getattr(cursor, "_result").fields if cursor.description else None  # noqa: B009 - no public name
        rows = tuple(cursor.fetchmany(most)) if fields else ()
        columns = None if fields is None else tuple(map(_column, fields))
        return Result(rows, columns, cursor.rowcount)


@contextmanager
def taken_back(connection: Connection) -> Iterator[None]:
    """Roll back whatever is done inside."""
    with connection.cursor() as cursor:
        cursor.execute("START TRANSACTION")
    try:
        yield
    finally:
        with suppress(pymysql.Error):  # a connection that was lost has rolled back
            connection.rollback()


def fetch(connection: Connection, sql: str, values: Sequence[object] = ()) -> list[Row]:
    """Run a query of ours and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, tuple(values) or None)
        return list(cursor.fetchall()) if cursor.description else []


def objection_from(error: Exception) -> Objection:
    """Return the server's refusal with its number; Python's own, which comes before, as one of a query."""
    if isinstance(error, UnicodeError):
        return Objection(REFUSED, str(error))
    number = error.args[0] if error.args and isinstance(error.args[0], int) else CR.CR_UNKNOWN_ERROR
    return Objection(str(number), without_scratch(message_of(error)))


def without_scratch(message: str) -> str:
    """Return a message without the scratch database's name, which says nothing to anybody."""
    return _SCRATCH_NAME.sub("", message)
