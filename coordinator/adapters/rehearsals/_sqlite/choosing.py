"""Sample values for a query's parameters, with which it runs at the version's own state and meets rows.

Candidates are tried until SQLite takes them, and a try that meets rows is preferred. A written
column has a value that another row has, unless it is unique: that is how a new UNIQUE is met. Further sets
follow (_scratch/sets.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from coordinator.adapters.rehearsals._scratch.meanings import Meaning, meanings
from coordinator.adapters.rehearsals._scratch.sets import (
    Beside,
    column_of,
    first_set,
    other_case,
    with_further,
)
from coordinator.adapters.rehearsals._scratch.tokens import Token
from coordinator.adapters.rehearsals._sqlite.asking import count_of
from coordinator.adapters.rehearsals._sqlite.columns import type_of
from coordinator.adapters.rehearsals._sqlite.connection import (
    REFUSALS,
    REFUSED,
    SqlValue,
    asking,
    objection_from,
)
from coordinator.adapters.rehearsals._sqlite.execution import Question, question_of, run_on
from coordinator.adapters.rehearsals._sqlite.sample import rows_of
from coordinator.adapters.rehearsals._sqlite.schema import Table, TableColumn
from coordinator.adapters.rehearsals._sqlite.tokens import parameters_of, tokens_of
from coordinator.adapters.rehearsals._sqlite.values import candidates, edges
from coordinator.evidence import Objection
from coordinator.model import Engine
from coordinator.rehearsal_ports import Ran, Values
from coordinator.wanted import WantedRows, wanted_first, wanted_rows

_FRESH: Final = (7, 1_007)
"""Numbers of rows that fill never makes."""
_UNKNOWN: Final[tuple[SqlValue, ...]] = (1, "sample", 0, "{}", "[]", None)


def choose(
    path: Path, tables: Mapping[str, Table], text: str, *, views: Mapping[str, str]
) -> Values | Objection:
    """Return sets of values with which a text runs here, if there are any; else the first objection."""
    tokens = tokens_of(text)
    parameters = parameters_of(tokens)
    try:
        with asking(path) as connection:
            used = list(_used(tokens, tables, views))
            wanted = wanted_rows(text, Engine.SQLITE)
            choices, beside = _choices(connection, tables, tokens, parameters, used=used, wanted=wanted)
            run = partial(_tried, connection, question_of(connection, text))
            first = first_set(choices, run=run, is_hopeless=_is_hopeless)
            if not isinstance(first, tuple):
                return first or Objection("SQLITE_MISUSE", "no value was found")
            return with_further(first, beside, run=run, is_hopeless=_is_hopeless)
    except REFUSALS as error:
        return objection_from(error)


def _is_hopeless(ended: Objection) -> bool:
    return ended.code == REFUSED  # other values would not help, and an endless query takes its time


def _tried(connection: sqlite3.Connection, question: Question, values: Values) -> Ran | Objection:
    try:
        return run_on(connection, question, values)
    except REFUSALS as error:
        return objection_from(error)


def _choices(
    connection: sqlite3.Connection,
    tables: Mapping[str, Table],
    tokens: Sequence[Token],
    parameters: Sequence[tuple[Token, int]],
    *,
    used: Sequence[Table],
    wanted: WantedRows,
) -> tuple[list[Sequence[SqlValue]], list[Beside[SqlValue]]]:
    """Return values to try for each parameter, and what it could be beside these."""
    found: list[Sequence[SqlValue]] = [_UNKNOWN] * count_of(parameters)
    beside: list[Beside[SqlValue]] = [Beside()] * len(found)
    known = meanings(tokens, used)
    places = {token.start: place for place, token in enumerate(tokens)}
    read: dict[int, Sequence[SqlValue]] = {}
    for token, number in parameters:
        if number > len(found):
            continue
        place = places[token.start]
        if (word := tokens[place - 1].keyword) in ("LIMIT", "OFFSET"):
            found[number - 1] = (2,) if word == "LIMIT" else (0,)
            continue
        if (meaning := known.get(token.start)) is not None:
            values = _values_for(connection, tables, meaning, wanted)
            # Of what is looked for and put in elsewhere, a value that finds a row is the better one.
            found[number - 1] = _distinct([*read.get(number, ()), *values])
            beside[number - 1] = _of_column(connection, meaning, wanted)
            if not meaning.is_written:
                read[number] = values
    return found, beside


def _used(tokens: Sequence[Token], tables: Mapping[str, Table], views: Mapping[str, str]) -> Iterator[Table]:
    """Yield the tables that a text names, also those behind its views."""
    for token in tokens:
        if (name := token.name) is None:
            continue
        if name in tables:
            yield tables[name]
        elif name in views:
            others = {view: text for view, text in views.items() if view != name}
            yield from _used(tokens_of(views[name]), tables, others)


def _of_column(
    connection: sqlite3.Connection, meaning: Meaning[Table], wanted: WantedRows
) -> Beside[SqlValue]:
    table, column = meaning.table, meaning.table.columns[meaning.place]
    points = any(column.name in key.columns for key in table.foreign_keys)
    looked_for = wanted.get(table.name.lower(), ())
    rows: list[SqlValue] = column_of(rows_of(connection, table), column.name, looked_for)
    return Beside(
        rows=rows,
        uniques=frozenset[tuple[str | None, ...]](each for each in table.uniques if column.name in each)
        if meaning.is_written
        else frozenset(),
        edges=edges(column) if meaning.is_written and not points else (),
        other_case=None if points or type_of(column.declared) != "TEXT" else other_case(rows),
        is_written=meaning.is_written,
        may_be_null=not column.not_null and not _is_number_of_row(table, column),
    )


def _is_number_of_row(table: Table, column: TableColumn) -> bool:
    """Tell whether NULL is no value of a column: a new number takes its place. Other keys may have it."""
    keys = [each for each in table.columns if each.key]
    return keys == [column] and column.declared.upper() == "INTEGER" and not table.without_rowid


# -- which values ---------------------------------------------------------------------------------------


def _values_for(
    connection: sqlite3.Connection, tables: Mapping[str, Table], meaning: Meaning[Table], wanted: WantedRows
) -> Sequence[SqlValue]:
    table, column = meaning.table, meaning.table.columns[meaning.place]
    existing = _existing(connection, table, column.name, wanted)
    fresh = [value for number in _FRESH for value in candidates(table, column, number)]
    if not meaning.is_written:
        return _distinct([*existing, *fresh[:2], None])
    key = next((each for each in table.foreign_keys if column.name in each.columns), None)
    if key is not None and key.parent.lower() in tables:
        parent, place = tables[key.parent.lower()], key.columns.index(column.name)
        pointed = _existing(connection, parent, key.parent_columns[place], wanted)
        return _distinct([*pointed, *existing, None])
    if (column.name,) in table.uniques:
        return _distinct([*fresh, *existing, None])
    return _distinct([*existing, *fresh, None])


def _existing(
    connection: sqlite3.Connection, table: Table, column: str, wanted: WantedRows
) -> list[SqlValue]:
    rows = wanted_first(rows_of(connection, table), wanted.get(table.name.lower(), ()))
    return [row[column] for row in rows if row[column] is not None]


def _distinct(values: Sequence[SqlValue]) -> Sequence[SqlValue]:
    seen: dict[tuple[type, SqlValue], SqlValue] = {(type(each), each): each for each in values}
    return tuple(seen.values())
