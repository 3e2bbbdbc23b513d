"""A schema as SQL, and a database made from it: for a dump of the live schema, and for a clone.

The server's own SHOW CREATE says what a thing is, so no program has to be on this machine, and no password in
an argv. Who a view or a body runs as (DEFINER) is left out: the live server's accounts are not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

import pymysql
from pymysql.connections import Connection

from coordinator.adapters.mysql_url import message_of
from coordinator.adapters.rehearsals._mysql.connection import fetch
from coordinator.adapters.rehearsals._mysql.schema import Query
from coordinator.adapters.rehearsals._scratch.tokens import quoted
from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.sql import SqlStatement, split_statements

DUMP_SECONDS: Final = timedelta(seconds=10)
"""How long a dump waits for a table that a migration of somebody else holds."""
_RELAXED: Final = "NO_AUTO_VALUE_ON_ZERO"
"""What was made under another mode (`DEFAULT '0000-00-00'`) is made again; mysqldump does so too."""
_NAME: Final = r"(?:`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|[\w.%]+(?:\(\))?)"
_DEFINER: Final = re.compile(rf"\bDEFINER\s*=\s*{_NAME}(?:\s*@\s*{_NAME})?\s*", re.IGNORECASE)
_TABLES: Final = """
SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE()
    AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE', 'VIEW')
ORDER BY table_type = 'VIEW', table_type <> 'SEQUENCE', table_name
"""
_ROUTINES: Final = """
SELECT routine_type, routine_name FROM information_schema.routines WHERE routine_schema = DATABASE()
    AND routine_type IN ('FUNCTION', 'PROCEDURE') ORDER BY 1, 2
"""
_TRIGGERS: Final = """
SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()
ORDER BY event_object_table, action_timing, event_manipulation, action_order
"""
_EVENTS: Final = "SELECT event_name FROM information_schema.events WHERE event_schema = DATABASE() ORDER BY 1"
_COPIED: Final = """
SELECT table_name, group_concat(concat('`', replace(column_name, '`', '``'), '`') ORDER BY ordinal_position)
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = %s AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    AND coalesce(generation_expression, '') = '' GROUP BY table_name
"""


_SEQUENCES: Final = """
SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = 'SEQUENCE'
"""


def dump_of(query: Query) -> str:
    """Return the schema of the database that `query` is connected to."""
    return "".join(f"{each};\n" for each in [*tables_of(query), *triggers_of(query)])


def tables_of(query: Query) -> Iterator[str]:
    """Yield what makes everything that does not act on its own: tables, functions, views."""
    [[database]] = query("SELECT DATABASE()")
    found = query(_TABLES)
    for name, kind in found:
        if kind != "VIEW":
            yield _plain(query(f"SHOW CREATE TABLE {quoted(name)}")[0][1], database)
    for kind, name in query(_ROUTINES):
        yield _plain(query(f"SHOW CREATE {kind} {quoted(name)}")[0][2], database)
    for name, kind in found:
        if kind == "VIEW":
            yield _plain(query(f"SHOW CREATE VIEW {quoted(name)}")[0][1], database)


def triggers_of(query: Query) -> Iterator[str]:
    """Yield what makes the triggers and events, which would act on rows that are copied."""
    [[database]] = query("SELECT DATABASE()")
    for [name] in query(_TRIGGERS):
        yield _plain(query(f"SHOW CREATE TRIGGER {quoted(name)}")[0][2], database)
    for [name] in query(_EVENTS):
        yield _plain(query(f"SHOW CREATE EVENT {quoted(name)}")[0][3], database)


def _plain(sql: object, database: object) -> str:
    """Return a CREATE that makes the thing in another database too."""
    return without_definer(str(sql)).replace(f"{quoted(str(database))}.", "")


def without_definer(sql: str) -> str:
    """Return a CREATE without whom it runs as."""
    return _DEFINER.sub("", sql, count=1)


def restore(connection: Connection, statements: Sequence[str], *, sql_mode: str | None) -> None:
    """Make what a dump says. A view may need one that comes later, so what fails is tried again.

    Raises: DatabaseError `dump-not-restored`.
    """
    fetch(connection, "SET SESSION foreign_key_checks = 0")
    left = [each for text in statements for each in split_statements(text, Engine.MARIADB)]
    while left:
        failed = [(each, error) for each in left if (error := _made(connection, each, sql_mode)) is not None]
        if len(failed) == len(left):
            statement, error = failed[0]
            raise DatabaseError(
                "dump-not-restored",
                f"The scratch server does not take the live schema: {message_of(error)}.",
                why=" ".join(statement.text.split())[:200],
                next_step="Rehearse on the files (`base: replay`), or name a scratch server that is like the"
                " live one: `rehearsal: {url: env:…}`.",
            )
        left = [each for each, _ in failed]


def _made(connection: Connection, statement: SqlStatement, sql_mode: str | None) -> pymysql.Error | None:
    is_table = statement.words[1:2] in (("TABLE",), ("SEQUENCE",))
    mode = _relaxed(sql_mode) if is_table else sql_mode
    try:
        fetch(connection, "SET SESSION sql_mode = %s", (mode,)) if mode is not None else fetch(
            connection, "SET SESSION sql_mode = DEFAULT"
        )
        fetch(connection, without_definer(statement.text))
    except pymysql.Error as error:
        return error
    return None


def _relaxed(sql_mode: str | None) -> str:
    kept = [each for each in ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES") if each in (sql_mode or "")]
    return ",".join([_RELAXED, *kept])


def copy_rows(maintenance: Connection, *, source: str, target: str) -> None:
    """Copy the rows of all tables to a database that has the same ones; sequences go on alike in both."""
    for [name] in fetch(maintenance, _SEQUENCES, (source,)):
        there, here = (f"{quoted(database)}.{quoted(name)}" for database in (target, source))
        [[number]] = fetch(maintenance, f"SELECT next_not_cached_value FROM {here}")
        for each in (here, there):
            fetch(maintenance, f"ALTER SEQUENCE {each} RESTART WITH {number}")
    fetch(
        maintenance, "SET SESSION foreign_key_checks = 0, unique_checks = 0, group_concat_max_len = 1000000"
    )
    fetch(maintenance, "SET SESSION sql_mode = %s", (_RELAXED,))
    for name, columns in fetch(maintenance, _COPIED, (source,)):
        there, here = (f"{quoted(database)}.{quoted(name)}" for database in (target, source))
        fetch(maintenance, f"INSERT INTO {there} ({columns}) SELECT {columns} FROM {here}")
