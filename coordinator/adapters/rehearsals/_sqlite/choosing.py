"""Sample values for a query's parameters, with which it runs at the version's own state and meets rows.

Which column a parameter belongs to is read from the tokens around it, and a wrong guess costs nothing but a
better value: candidates are tried until SQLite takes them, and a try that meets rows is preferred. A written
column has a value that another row has, unless it is unique: that is how a new UNIQUE is met.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Final

from coordinator.adapters.rehearsals._sqlite.asking import count_of
from coordinator.adapters.rehearsals._sqlite.connection import (
    REFUSALS,
    REFUSED,
    SqlValue,
    asking,
    objection_from,
)
from coordinator.adapters.rehearsals._sqlite.execution import run_on
from coordinator.adapters.rehearsals._sqlite.sample import parent_values
from coordinator.adapters.rehearsals._sqlite.schema import Table, TableColumn
from coordinator.adapters.rehearsals._sqlite.tokens import Token, parameters_of, tokens_of
from coordinator.adapters.rehearsals._sqlite.values import candidates
from coordinator.evidence import Objection
from coordinator.rehearsal_ports import Ran, Values

_TRIES: Final = 120
_FRESH: Final = (7, 1_007)
"""Numbers of rows that fill never makes."""
_UNKNOWN: Final[tuple[SqlValue, ...]] = (1, "sample", 0, "{}", "[]", None)
_NEAR: Final = 6
_WALLS: Final = frozenset({"AND", "OR", "WHERE", "SET", "SELECT", "FROM", "ON", "VALUES", "WHEN", "HAVING"})


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a parameter is compared with or becomes."""

    table: Table
    column: TableColumn
    is_written: bool


def choose(path: Path, tables: Mapping[str, Table], text: str) -> Values | Objection:
    """Return values with which a text runs here, if there are any; the first objection where none do."""
    tokens = tokens_of(text)
    parameters = parameters_of(tokens)
    found: Values | None = None
    refusal: Objection | None = None
    try:
        with asking(path) as connection:
            choices = _choices(connection, tables, tokens, parameters)
            for values in _in_turn(choices):
                ran = _tried(connection, text, values)
                if isinstance(ran, Objection):
                    refusal = refusal or ran
                    if ran.code == REFUSED:
                        break  # other values would not help, and an endless query takes its time
                elif ran.count or not choices:
                    return values
                else:
                    found = values if found is None else found
    except REFUSALS as error:
        return objection_from(error)
    return found if found is not None else refusal or Objection("SQLITE_MISUSE", "no value was found")


def _tried(connection: sqlite3.Connection, text: str, values: Values) -> Ran | Objection:
    try:
        return run_on(connection, text, values)
    except REFUSALS as error:
        return objection_from(error)


def _in_turn(choices: Sequence[Sequence[SqlValue]]) -> Iterator[Values]:
    """Yield combinations: the n-th of each, then one parameter changed at a time, then all, up to a limit."""

    def all_of_them() -> Iterator[Values]:
        for turn in range(max(map(len, choices), default=1)):
            yield tuple(each[turn % len(each)] for each in choices)
        first = tuple(each[0] for each in choices)
        for place, each in enumerate(choices):
            for value in each[1:]:
                yield (*first[:place], value, *first[place + 1 :])
        yield from product(*choices)

    return islice(all_of_them(), _TRIES)


def _choices(
    connection: sqlite3.Connection,
    tables: Mapping[str, Table],
    tokens: Sequence[Token],
    parameters: Sequence[tuple[Token, int]],
) -> list[Sequence[SqlValue]]:
    used = [tables[name] for token in tokens if (name := token.name) is not None and name in tables]
    found: list[Sequence[SqlValue]] = [_UNKNOWN] * count_of(parameters)
    inserted = _inserted(tokens, used)
    places = {token.start: place for place, token in enumerate(tokens)}
    for token, number in parameters:
        if number > len(found):
            continue
        place = places[token.start]
        if (word := tokens[place - 1].keyword) in ("LIMIT", "OFFSET"):
            found[number - 1] = (2,) if word == "LIMIT" else (0,)
            continue
        meaning = inserted.get(token.start) or _neighbour(tokens, place, used)
        if meaning is not None:
            found[number - 1] = _values_for(connection, tables, meaning)
    return found


# -- which column ---------------------------------------------------------------------------------------


def _inserted(tokens: Sequence[Token], used: Sequence[Table]) -> dict[int, _Meaning]:
    """Return the column of each parameter among the VALUES of an INSERT, by the parameter's offset."""
    words = [token.keyword if token.depth == 0 else "" for token in tokens]
    if "INTO" not in words or "VALUES" not in words:
        return {}
    begin, values = words.index("INTO"), words.index("VALUES")
    written = {token.name for token in tokens[begin:values] if token.depth == 0}
    table = next((each for each in used if each.name.lower() in written), None)
    if table is None:
        return {}
    named = [token.name for token in tokens[begin:values] if token.depth == 1 and token.name is not None]
    columns = [each for name in named for each in table.columns if each.name.lower() == name]
    columns = columns or list(table.writable)
    found: dict[int, _Meaning] = {}
    place = 0
    for token in tokens[values + 1 :]:
        if token.depth == 0 and token.keyword in ("ON", "RETURNING"):
            break
        place = 0 if token.depth == 0 else place + (token.depth == 1 and token.text == ",")
        if token.kind == "parameter" and place < len(columns):
            found[token.start] = _Meaning(table, columns[place], is_written=True)
    return found


def _neighbour(tokens: Sequence[Token], place: int, used: Sequence[Table]) -> _Meaning | None:
    """Return the column that stands nearest, before the parameter if there is one."""
    is_written = _is_set(tokens, place)
    before = list(reversed(tokens[max(0, place - _NEAR) : place]))
    for near in (before, tokens[place + 1 : place + _NEAR]):
        for token in near:
            if token.keyword in _WALLS:
                break
            for table in used:
                column = next((each for each in table.columns if each.name.lower() == token.name), None)
                if column is not None:
                    return _Meaning(table, column, is_written)
    return None


def _is_set(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether a parameter stands in the SET of an UPDATE and not behind it."""
    words = [token.keyword for token in tokens[:place] if token.depth == 0]
    last = next((word for word in reversed(words) if word in ("SET", "WHERE", "FROM", "RETURNING")), "")
    return last == "SET"


# -- which values ---------------------------------------------------------------------------------------


def _values_for(
    connection: sqlite3.Connection, tables: Mapping[str, Table], meaning: _Meaning
) -> Sequence[SqlValue]:
    table, column = meaning.table, meaning.column
    existing = [each for each in parent_values(connection, table, column.name) if each is not None]
    fresh = [value for number in _FRESH for value in candidates(table, column, number)]
    if not meaning.is_written:
        return _distinct([*existing, *fresh[:2], None])
    key = next((each for each in table.foreign_keys if column.name in each.columns), None)
    if key is not None and key.parent.lower() in tables:
        parent, place = tables[key.parent.lower()], key.columns.index(column.name)
        pointed = [
            each for each in parent_values(connection, parent, key.parent_columns[place]) if each is not None
        ]
        return _distinct([*pointed, *existing, None])
    if (column.name,) in table.uniques:
        return _distinct([*fresh, *existing, None])
    return _distinct([*existing, *fresh, None])


def _distinct(values: Sequence[SqlValue]) -> Sequence[SqlValue]:
    seen: dict[tuple[type, SqlValue], SqlValue] = {(type(each), each): each for each in values}
    return tuple(seen.values())
