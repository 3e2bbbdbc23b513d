"""Layers execute and result: run a text on the sample rows, keep what it saw and wrote, and take it back.

Each text has a connection of its own, so that `changes()`, `last_insert_rowid()` and temporary tables start
anew. What depends on the order in which SQLite happens to read rows is found by asking a second time with
that order reversed (PRAGMA reverse_unordered_selects), and is not compared.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from coordinator.adapters.rehearsals._sqlite.schema import TableColumn, columns_of_table
from coordinator.adapters.rehearsals._sqlite.tokens import numbered, parameters_of, tokens_of
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import PRESENT, Column, Ran, Values

_MOST_ROWS: Final = 1_000
_ORPHAN: Final = Objection("SQLITE_CONSTRAINT_FOREIGNKEY", "FOREIGN KEY constraint failed at COMMIT")

_OF_FILE: Final = ("pragma_", "sqlite_", "dbstat")
"""How names begin whose rows are about the file and the library, and not comparable."""
_Rows = Counter[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Question:
    """A text that SQLite compiled, to be run with several sets of values while the schema stays as it is."""

    text: str
    """With each parameter by its number."""
    compiled: Compiled
    columns: tuple[TableColumn, ...]
    """Those of the table that it writes to."""
    others: Mapping[str, tuple[TableColumn, ...]]
    """The tables that triggers and foreign keys let it write, with their columns."""
    meets_deferred: bool
    """It writes, and a foreign key of the schema is checked at COMMIT only."""


def question_of(connection: sqlite3.Connection, text: str) -> Question:
    """Compile a text. Raises: one of REFUSALS."""
    compiled = compile_text(connection, text)
    return Question(
        numbered(text, parameters_of(tokens_of(text))),
        compiled,
        columns_of_table(connection, compiled.written) if compiled.written else (),
        {table: columns_of_table(connection, table) for table in _others(connection, compiled)},
        compiled.written is not None and _has_deferred(connection),
    )


def run(path: Path, text: str, values: Values) -> Ran | Objection:
    """Run a text with each set of its values and take it back."""
    tokens = tokens_of(text)
    try:
        with asking(path) as connection:
            question = question_of(connection, text)
            width = question.compiled.width
            columns = () if width is None else describe(connection, text, tokens, width=width)
    except REFUSALS as error:
        return objection_from(error)
    ran = run_all(values, partial(_run, path, question))
    if isinstance(ran, Objection):
        return ran
    if any((token.name or "").startswith(_OF_FILE) for token in tokens):
        return Ran((), None)
    return replace(ran, columns=columns)


def _run(path: Path, question: Question, values: Values) -> Ran | Objection:
    try:
        with asking(path) as connection:
            ran = run_on(connection, question, values)
            if isinstance(ran, Objection):
                return ran
            connection.execute("PRAGMA reverse_unordered_selects = ON")
            again = run_on(connection, question, values)
    except REFUSALS as error:
        return objection_from(error)
    return ran if isinstance(again, Objection) else steady(ran, again)


def run_on(connection: sqlite3.Connection, question: Question, values: Values) -> Ran | Objection:
    """Run a text once on a connection and take it back; its columns are not told. Raises: one of REFUSALS."""
    compiled = question.compiled
    with taken_back(connection):
        before, before_others = _rows_in(connection, question), _rows_of_others(connection, question)
        orphans = _orphans(connection) if question.meets_deferred else 0
        with limited(connection):
            cursor = connection.execute(question.text, values)
            rows = cursor.fetchmany(_MOST_ROWS)
            cursor.close()
        [changed] = connection.execute("SELECT changes()").fetchone()
        if question.meets_deferred and _orphans(connection) > orphans:
            return _ORPHAN
        after, after_others = _rows_in(connection, question), _rows_of_others(connection, question)
    count = len(rows) if compiled.width is not None else int(changed) if compiled.written else 0
    return Ran(
        sorted_texts(rows, _text),
        count,
        written=_written(question, before, after),
        growth=after.total() - before.total() if compiled.written else None,
        beside=effects_between(before_others, after_others),
    )


# -- what was written -----------------------------------------------------------------------------------


def _has_deferred(connection: sqlite3.Connection) -> bool:
    deferred = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%INITIALLY%DEFERRED%'"
    return connection.execute(deferred).fetchone() is not None


def _orphans(connection: sqlite3.Connection) -> int:
    """Return how many rows point at nothing: a deferred foreign key would refuse them at COMMIT."""
    return len(connection.execute("PRAGMA foreign_key_check").fetchall())


def _rows_in(connection: sqlite3.Connection, question: Question) -> _Rows:
    return _table_rows(connection, question.compiled.written or "", question.columns)


def _rows_of_others(connection: sqlite3.Connection, question: Question) -> dict[str, _Rows]:
    return {table: _table_rows(connection, table, columns) for table, columns in question.others.items()}


def _table_rows(connection: sqlite3.Connection, table: str, columns: Sequence[TableColumn]) -> _Rows:
    if not columns:
        return Counter()
    listed = ", ".join(quoted(column.name) for column in columns)
    return Counter(connection.execute(f"SELECT {listed} FROM {quoted(table)}").fetchall())


def _others(connection: sqlite3.Connection, compiled: Compiled) -> frozenset[str]:
    """Return the tables that triggers and foreign keys let a text write, but for those behind its view."""
    others = compiled.reached - {compiled.written}
    if not others or compiled.written is None:
        return others
    return others - compile_text(connection, f"SELECT * FROM {quoted(compiled.written)}").read


def _written(question: Question, before: _Rows, after: _Rows) -> Ran | None:
    """Return the rows of a table that were not there before."""
    if question.compiled.written is None:
        return None
    columns = tuple(Column(each.name, type_of(each.declared)) for each in question.columns)
    new = list((after - before).elements())
    present = sorted_texts(list(before.elements()), _written_text)
    rows, table = sorted_texts(new, _written_text), question.compiled.written
    return Ran(rows, len(new), columns, only_changed=True, table=table, present=present)


def _written_text(value: object) -> str:
    return PRESENT if isinstance(value, str) and value.startswith(TODAY) else _text(value)


def _text(value: object) -> str:
    """Return a value as SQL writes it, so that 12 and '12' differ."""
    return f"x'{value.hex()}'" if isinstance(value, bytes) else repr(value)
