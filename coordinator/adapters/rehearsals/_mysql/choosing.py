"""Sample values for a query's parameters, with which it runs at the version's own state and meets rows.

Candidates are tried until the server takes them, and a try that meets rows is preferred. A written column has
a value that another row has, unless it is unique: that is how a new UNIQUE is met. Further sets follow
(_scratch/sets.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from coordinator.adapters.rehearsals._mysql.asking import is_limit
from coordinator.adapters.rehearsals._mysql.connection import (
    REFUSALS,
    REFUSED,
    SqlValue,
    describe,
    objection_from,
    refusal_of,
)
from coordinator.adapters.rehearsals._mysql.execution import Ground, lasting, run_once
from coordinator.adapters.rehearsals._mysql.sample import rows_of
from coordinator.adapters.rehearsals._mysql.schema import Table
from coordinator.adapters.rehearsals._mysql.tokens import tokens_of
from coordinator.adapters.rehearsals._mysql.values import candidates, edges, members
from coordinator.adapters.rehearsals._scratch.meanings import Meaning, meanings
from coordinator.adapters.rehearsals._scratch.sets import (
    Beside,
    column_of,
    first_set,
    other_case,
    with_further,
)
from coordinator.adapters.rehearsals._scratch.tokens import Token
from coordinator.evidence import Objection
from coordinator.model import Engine
from coordinator.rehearsal_ports import Ran, Values
from coordinator.wanted import WantedRows, wanted_first, wanted_rows

_FRESH: Final = (7, 101)
"""Numbers of rows that fill never makes."""
_UNKNOWN: Final[tuple[SqlValue, ...]] = (1, "sample", 0, "2001-02-03 03:04:05", "{}", "[]", None)
_ALL: Final = 1_000
"""Rows that a LIMIT with a parameter keeps: all of them, so that their order decides nothing."""
_ENDED: Final = frozenset({REFUSED, "1969", "3024", "1317"})
"""Ours, ER_STATEMENT_TIMEOUT, ER_QUERY_TIMEOUT, ER_QUERY_INTERRUPTED: other values would take as long."""


def choose(ground: Ground, text: str) -> Values | Objection:
    """Return sets of values with which a text runs here, if there are any; else the first objection."""
    if (refused := refusal_of(text) or lasting(ground, text)) is not None:
        return refused
    try:
        count = describe(ground.connection, text).parameters
    except REFUSALS as error:
        return objection_from(error)
    choices, run = _choices(ground, text, count), partial(_tried, ground, text)
    first = first_set(choices, run=run, is_hopeless=_is_hopeless)
    if not isinstance(first, tuple):
        return first or Objection(REFUSED, "no value was found")
    beside = _beside(ground, text, count) if choices else ()
    return with_further(first, beside, run=run, is_hopeless=_is_hopeless)


def _is_hopeless(ended: Objection) -> bool:
    return ended.code in _ENDED


def _tried(ground: Ground, text: str, values: Values) -> Ran | Objection:
    try:
        return run_once(ground, text, values)
    except REFUSALS as error:
        return objection_from(error)


def _choices(ground: Ground, text: str, count: int) -> list[Sequence[SqlValue]]:
    """Return values to try for each parameter, of which the server has counted `count`."""
    tokens = tokens_of(text)
    wanted = wanted_rows(text, Engine.MYSQL)
    names = {token.name for token in tokens}
    used = [table for table in ground.schema.tables if table.name.lower() in names]
    known = meanings(tokens, used)
    places = [place for place, token in enumerate(tokens) if token.kind == "parameter"]
    if len(places) != count:
        return [_UNKNOWN] * count
    return [
        _of_limit(tokens, place)
        if is_limit(tokens, place)
        else _values_for(ground, known[tokens[place].start], wanted)
        if tokens[place].start in known
        else _UNKNOWN
        for place in places
    ]


def _beside(ground: Ground, text: str, count: int) -> list[Beside[SqlValue]]:
    """Return what each parameter could be beside its first value."""
    tokens = tokens_of(text)
    wanted = wanted_rows(text, Engine.MYSQL)
    names = {token.name for token in tokens}
    known = meanings(tokens, [table for table in ground.schema.tables if table.name.lower() in names])
    places = [place for place, token in enumerate(tokens) if token.kind == "parameter"]
    if len(places) != count:
        return [Beside()] * count
    return [
        Beside()
        if is_limit(tokens, place) or (meaning := known.get(tokens[place].start)) is None
        else _of_column(ground, meaning, wanted)
        for place in places
    ]


def _of_column(ground: Ground, meaning: Meaning[Table], wanted: WantedRows) -> Beside[SqlValue]:
    table, column = meaning.table, meaning.table.columns[meaning.place]
    points = any(column.name in key.columns for key in table.foreign_keys)
    looked_for = wanted.get(table.name.lower(), ())
    rows: list[SqlValue] = column_of(rows_of(ground.connection, table), column.name, looked_for)
    is_free = meaning.is_written and not points and "auto_increment" not in column.extra
    return Beside(
        rows=rows,
        uniques=frozenset(each for each in table.uniques if column.name in each)
        if meaning.is_written
        else frozenset(),
        edges=edges(column) if is_free else (),
        labels=members(column),
        other_case=other_case(rows) if column.collation and not points and not members(column) else None,
        is_written=meaning.is_written,
        may_be_null=not column.not_null,
    )


def _of_limit(tokens: Sequence[Token], place: int) -> Sequence[SqlValue]:
    """Return 0 for where the rows begin, and all of them for their number: `LIMIT begin, number`."""
    after = tokens[place + 1].text if place + 1 < len(tokens) else ""
    return (0,) if tokens[place - 1].keyword == "OFFSET" or after == "," else (_ALL,)


def _values_for(ground: Ground, meaning: Meaning[Table], wanted: WantedRows) -> Sequence[SqlValue]:
    table, column = meaning.table, meaning.table.columns[meaning.place]
    existing = _existing(ground, table, column.name, wanted)
    fresh = [value for number in _FRESH for value in candidates(table, column, number)]
    if not meaning.is_written:
        return _distinct([*existing, *fresh[:2], None])
    key = next((each for each in table.foreign_keys if column.name in each.columns), None)
    parent = None if key is None else ground.table(key.parent)
    if key is not None and parent is not None:
        pointed = _existing(ground, parent, key.parent_columns[key.columns.index(column.name)], wanted)
        return _distinct([*pointed, *existing, None])
    if (column.name,) in table.uniques:
        return _distinct([*fresh, *existing, None])
    return _distinct([*existing, *fresh, None])


def _existing(ground: Ground, table: Table, column: str, wanted: WantedRows) -> list[SqlValue]:
    rows = wanted_first(rows_of(ground.connection, table), wanted.get(table.name.lower(), ()))
    return [row[column] for row in rows if row[column] is not None]


def _distinct(values: Sequence[SqlValue]) -> Sequence[SqlValue]:
    seen: dict[tuple[type, SqlValue], SqlValue] = {(type(each), each): each for each in values}
    return tuple(seen.values())
