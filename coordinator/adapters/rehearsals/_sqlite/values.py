"""Sample values for a column: by its declared type, and by what the checks of its table compare it with.

A check is not understood. Its literals are candidates, with their neighbours and, for patterns and lengths, a
text of that shape; SQLite says which of them it takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from coordinator.adapters.rehearsals._scratch.literals import likeliest_first, suggested
from coordinator.adapters.rehearsals._scratch.tokens import Token
from coordinator.adapters.rehearsals._scratch.turns import document_of, one_of_few, place_of, text_of, turned
from coordinator.adapters.rehearsals._sqlite.columns import type_of
from coordinator.adapters.rehearsals._sqlite.connection import SqlValue
from coordinator.adapters.rehearsals._sqlite.schema import Table, TableColumn, checks_of
from coordinator.adapters.rehearsals._sqlite.tokens import tokens_of
from coordinator.rehearsal_ports import Texts

_LARGER: Final = 100
"""How much larger a number is for a check that compares two columns."""


def typed(column: TableColumn, number: int, place: int = 0, texts: Texts = Texts.WORDS) -> SqlValue:
    """Return the value that a column's type suggests for the row of a number; `place` as in `turned`."""
    word, row = column.declared.upper(), turned(number, place)
    if "JSON" in word:
        return document_of(row, texts)
    if "UUID" in word:
        return f"00000000-0000-4000-8000-{row:012}"
    if _is_flag(column):
        return one_of_few((1, 0), number, place, column.default)
    of_type = _BY_TYPE.get(kind := type_of(column.declared))
    if of_type is not None:
        return of_type(row)
    text = text_of(column.name, number, place, texts)
    return text.encode() if kind == "BLOB" else text


_BY_TYPE: Final[Mapping[str, Callable[[int], SqlValue]]] = {
    "INTEGER": lambda number: number,
    "NUMERIC": lambda number: number,
    "REAL": lambda number: number + 0.5,
    "DATE": lambda number: f"2001-02-{number % 28 + 1:02}",
    "DATETIME": lambda number: f"2001-02-{number % 28 + 1:02} 03:04:05",
    "TIMESTAMP": lambda number: f"2001-02-{number % 28 + 1:02} 03:04:05",
    "TIME": lambda number: f"03:04:{number % 60:02}",
}
"""Other types have texts."""


def _is_flag(column: TableColumn) -> bool:
    return type_of(column.declared) in ("BOOL", "BOOLEAN")


def edges(column: TableColumn) -> Sequence[SqlValue]:
    """Return values at the edges of a column's type: below zero, empty, long. Some types have none."""
    if column.key:
        return ()
    of_type = _EDGES.get(type_of(column.declared))
    length = _LENGTH.search(column.declared)
    return of_type(int(length[1]) if length else _LONGEST_TEXT) if of_type else ()


_LONGEST_TEXT: Final = 20_000
_LENGTH: Final = re.compile(r"\((\d+)\)")
_EDGES: Final[Mapping[str, Callable[[int], Sequence[SqlValue]]]] = {
    "INTEGER": lambda _: (2_147_483_648, -1, 0),
    "NUMERIC": lambda _: (1.2345, -1, 0),
    "REAL": lambda _: (-1.5, 0.0, 1e10),
    "TEXT": lambda length: ("x" * min(length, _LONGEST_TEXT), "", "007"),
    "DATE": lambda _: ("1901-01-01", "2199-01-01"),
    "DATETIME": lambda _: ("2001-02-03 03:04:05.123456",),
    "TIMESTAMP": lambda _: ("2001-02-03 03:04:05.123456",),
}


def candidates(table: Table, column: TableColumn, number: int, texts: Texts = Texts.WORDS) -> list[SqlValue]:
    """Return values to try for a row, the likeliest first; those that checks speak of stand ahead."""
    other = [typed(column, number + _LARGER)] if is_checked(table, column) else []
    other += [typed(column, number)] if texts is not Texts.WORDS else []
    if texts is Texts.WORDS and column.name.lower() in table.documents:
        texts = Texts.DOCUMENTS
    own = typed(column, number, place_of(column, table.columns, _first), texts)
    return likeliest_first(_of_checks(table, column, number), own, number, other)


def _first(column: TableColumn) -> object:
    """Return the value in the first row; that of a flag is another one than an equal number."""
    return _is_flag(column), typed(column, 1)


def is_checked(table: Table, column: TableColumn) -> bool:
    """Tell whether a check of the table speaks of a column."""
    return any(column.name.lower() in _names(tokens_of(check)) for check in checks_of(table))


def _names(tokens: Sequence[Token]) -> set[str | None]:
    return {token.name for token in tokens}


def _of_checks(table: Table, column: TableColumn, number: int) -> Iterator[SqlValue]:
    for check in checks_of(table):
        tokens = tokens_of(check)
        if column.name.lower() in _names(tokens):
            yield from suggested(tokens, number)
