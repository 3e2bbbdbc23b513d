"""Layers execute and result: run a text on the sample rows, keep what it saw and wrote, and take it back.

Each text has a connection of its own, so that `changes()`, `last_insert_rowid()` and temporary tables start
anew. What depends on the order in which SQLite happens to read rows is found by asking a second time with
that order reversed (PRAGMA reverse_unordered_selects), and is not compared.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from coordinator.adapters.rehearsals._scratch.rows import effects_between, sorted_texts, steady
from coordinator.adapters.rehearsals._scratch.sets import run_all
from coordinator.adapters.rehearsals._scratch.tokens import quoted
from coordinator.adapters.rehearsals._sqlite.asking import Compiled, compile_text
from coordinator.adapters.rehearsals._sqlite.columns import describe, type_of
from coordinator.adapters.rehearsals._sqlite.connection import (
    REFUSALS,
    TODAY,
    asking,
    limited,
    objection_from,
    taken_back,
)
from coordinator.adapters.rehearsals._sqlite.schema import columns_of_table
from coordinator.adapters.rehearsals._sqlite.tokens import numbered, parameters_of, tokens_of
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import PRESENT, Column, Ran, Values

_MOST_ROWS: Final = 1_000
_ORPHAN: Final = Objection("SQLITE_CONSTRAINT_FOREIGNKEY", "FOREIGN KEY constraint failed at COMMIT")

_OF_FILE: Final = ("pragma_", "sqlite_", "dbstat")
"""How names begin whose rows are about the file and the library, and not comparable."""


def run(path: Path, text: str, values: Values) -> Ran | Objection:
    """Run a text with each set of its values and take it back."""
    return run_all(values, partial(_run, path, text))


def _run(path: Path, text: str, values: Values) -> Ran | Objection:
    try:
        with asking(path) as connection:
            ran = run_on(connection, text, values)
            if isinstance(ran, Objection):
                return ran
            if any((token.name or "").startswith(_OF_FILE) for token in tokens_of(text)):
                return Ran((), None)
            connection.execute("PRAGMA reverse_unordered_selects = ON")
            again = run_on(connection, text, values)
            settled = ran if isinstance(again, Objection) else steady(ran, again)
            # Last, because the view that tells the columns makes SQLite read the schema anew.
            return replace(settled, columns=_columns(connection, text))
    except REFUSALS as error:
        return objection_from(error)


def run_on(connection: sqlite3.Connection, text: str, values: Values) -> Ran | Objection:
    """Run a text once on a connection and take it back; its columns are not told. Raises: one of REFUSALS."""
    tokens = tokens_of(text)
    compiled = compile_text(connection, text)
    with taken_back(connection):
        before = _table_rows(connection, compiled.written)
        others = _others(connection, compiled)
        rows_of_others = {table: _table_rows(connection, table) for table in others}
        orphans = _orphans(connection) if compiled.written else 0
        with limited(connection):
            cursor = connection.execute(numbered(text, parameters_of(tokens)), values)
            rows = cursor.fetchmany(_MOST_ROWS)
            cursor.close()
        [changed] = connection.execute("SELECT changes()").fetchone()
        if compiled.written and _orphans(connection) > orphans:
            return _ORPHAN
        after = _table_rows(connection, compiled.written)
        written = _written(connection, compiled.written, before, after)
        effects = effects_between(rows_of_others, {table: _table_rows(connection, table) for table in others})
    count = len(rows) if compiled.width is not None else int(changed) if compiled.written else 0
    growth = after.total() - before.total() if compiled.written else None
    return Ran(sorted_texts(rows, _text), count, written=written, growth=growth, beside=effects)


def _columns(connection: sqlite3.Connection, text: str) -> tuple[Column, ...]:
    width = compile_text(connection, text).width
    return () if width is None else describe(connection, text, tokens_of(text), width=width)


# -- what was written -----------------------------------------------------------------------------------


def _orphans(connection: sqlite3.Connection) -> int:
    """Return how many rows point at nothing: a deferred foreign key would refuse them at COMMIT."""
    deferred = connection.execute(
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%INITIALLY%DEFERRED%'"
    ).fetchone()
    return len(connection.execute("PRAGMA foreign_key_check").fetchall()) if deferred else 0


def _table_rows(connection: sqlite3.Connection, table: str | None) -> Counter[tuple[object, ...]]:
    names = [column.name for column in columns_of_table(connection, table)] if table else []
    if not names:
        return Counter()
    listed = ", ".join(map(quoted, names))
    return Counter(connection.execute(f"SELECT {listed} FROM {quoted(table or '')}").fetchall())


def _others(connection: sqlite3.Connection, compiled: Compiled) -> frozenset[str]:
    """Return the tables that triggers and foreign keys let a text write, but for those behind its view."""
    others = compiled.reached - {compiled.written}
    if not others or compiled.written is None:
        return others
    return others - compile_text(connection, f"SELECT * FROM {quoted(compiled.written)}").read


def _written(
    connection: sqlite3.Connection,
    table: str | None,
    before: Counter[tuple[object, ...]],
    after: Counter[tuple[object, ...]],
) -> Ran | None:
    """Return the rows of a table that were not there before."""
    if table is None:
        return None
    columns = tuple(Column(each.name, type_of(each.declared)) for each in columns_of_table(connection, table))
    new = list((after - before).elements())
    present = sorted_texts(list(before.elements()), _written_text)
    return Ran(sorted_texts(new, _written_text), len(new), columns, only_changed=True, present=present)


def _written_text(value: object) -> str:
    return PRESENT if isinstance(value, str) and value.startswith(TODAY) else _text(value)


def _text(value: object) -> str:
    """Return a value as SQL writes it, so that 12 and '12' differ."""
    return f"x'{value.hex()}'" if isinstance(value, bytes) else repr(value)
