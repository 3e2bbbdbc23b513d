"""Sample values for a column: by its type, and by what the checks of its table compare it with."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from coordinator.adapters.rehearsals._mysql.connection import SqlValue
from coordinator.adapters.rehearsals._mysql.schema import Table, TableColumn
from coordinator.adapters.rehearsals._mysql.tokens import tokens_of
from coordinator.adapters.rehearsals._scratch.literals import likeliest_first, suggested
from coordinator.adapters.rehearsals._scratch.turns import document_of, one_of_few, place_of, text_of, turned
from coordinator.rehearsal_ports import Texts

_LARGER: Final = 100
"""How much larger a number is for a check that compares two columns."""
_MEMBER: Final = re.compile(r"'((?:[^']|'')*)'")


def typed(column: TableColumn, number: int, place: int = 0, texts: Texts = Texts.WORDS) -> SqlValue:
    """Return the value that a column's type suggests for the row of a number; `place` as in `turned`."""
    row = turned(number, place)
    if few := _few(column):
        return one_of_few(few, number, place, column.default)
    if column.kind == "json":
        return document_of(row, texts)
    if column.kind in _BY_TYPE:
        return _BY_TYPE[column.kind](row)
    text = text_of(column.name, number, place, texts)
    if texts is Texts.DOCUMENTS and len(text) > (column.length or len(text)):
        text = text_of(column.name, number, place)
    text = text[-(column.length or 0) :]
    return text.encode() if column.kind in _OF_BYTES else text


def _few(column: TableColumn) -> Sequence[SqlValue]:
    return (1, 0) if column.declared in ("tinyint(1)", "bit(1)") else members(column)


def _members(column: TableColumn) -> list[str]:
    return [each.replace("''", "'") for each in _MEMBER.findall(column.declared)]


def members(column: TableColumn) -> Sequence[SqlValue]:
    """Return every value of an enum, and every member of a set; other columns have none."""
    return _members(column) if column.kind in ("enum", "set") else ()


def edges(column: TableColumn) -> Sequence[SqlValue]:
    """Return values at the edges of a column's type: the largest, the smallest, below zero, empty."""
    if column.declared == "tinyint(1)" or column.kind in ("enum", "set"):
        return ()
    if column.kind in _BYTES:
        return _edges_of_integer(_BYTES[column.kind], is_unsigned="unsigned" in column.declared)
    if column.kind in _LONGEST_TEXT:
        longest = min(column.length or _LONGEST_TEXT[column.kind], _LONGEST_TEXT[column.kind])
        return ("x" * longest, "", "Ä😀"[:longest])
    if column.kind == "decimal" and (found := _PRECISION.search(column.declared)):
        precision, scale = int(found[1]), int(found[2] or 0)
        return (f"{'9' * (precision - scale) or '0'}.{'9' * scale or '0'}", "-1", "0")
    return _EDGES.get(column.kind, ())


def _edges_of_integer(width: int, *, is_unsigned: bool) -> Sequence[SqlValue]:
    largest = 2 ** (8 * width - (not is_unsigned)) - 1
    return (largest, 0) if is_unsigned else (largest, -largest - 1, -1, 0)


_BYTES: Final[Mapping[str, int]] = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}
_LONGEST_TEXT: Final[Mapping[str, int]] = {
    "char": 255,
    "varchar": 20_000,
    "tinytext": 255,
    **dict.fromkeys(("text", "mediumtext", "longtext"), 20_000),
}
"""Characters of the longest text that is tried."""
_PRECISION: Final = re.compile(r"\((\d+)(?:,\s*(\d+))?\)")
_EDGES: Final[Mapping[str, Sequence[SqlValue]]] = {
    "float": (-1.0, 0.0, 1e10),
    "double": (-1.0, 0.0, 1e10),
    "date": ("1901-01-01", "2199-01-01"),
    "datetime": ("2001-02-03 03:04:05.123456", "1901-01-01 00:00:00", "2199-01-01 00:00:00"),
    "timestamp": ("2001-02-03 03:04:05.123456",),
    "json": ("[]", "{}"),
}


def _point(number: int) -> bytes:
    """Return a point as MySQL keeps it: its reference system, and the point in WKB."""
    return struct.pack("<IBIdd", 0, 1, 1, number, number)


def _small(number: int) -> int:
    return number % 120  # which a tinyint takes


def _instant(number: int) -> str:
    return f"2001-02-{number % 28 + 1:02} 03:04:05"


_OF_BYTES: Final = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
_BY_TYPE: Final[Mapping[str, Callable[[int], SqlValue]]] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), _small),
    "decimal": lambda number: number % 9,
    "float": lambda number: number + 0.5,
    "double": lambda number: number + 0.5,
    "bit": lambda number: number % 2,
    "year": lambda number: 2000 + number % 99,
    "date": lambda number: f"2001-02-{number % 28 + 1:02}",
    "datetime": _instant,
    "timestamp": _instant,
    "time": lambda number: f"03:04:{number % 60:02}",
    "uuid": lambda number: f"00000000-0000-4000-8000-{number:012}",
    "inet4": lambda number: f"192.0.2.{number % 250}",
    "inet6": lambda number: f"2001:db8::{number}",
    "geometry": _point,
    "point": _point,
}
"""Other types have texts."""


def candidates(table: Table, column: TableColumn, number: int, texts: Texts = Texts.WORDS) -> list[SqlValue]:
    """Return values to try for a row, the likeliest first; those that checks speak of stand ahead."""
    other = [typed(column, number + _LARGER)] if is_checked(table, column) else []
    other += [typed(column, number)] if texts is not Texts.WORDS else []
    own = typed(column, number, place_of(column, table.columns, _first), texts)
    return likeliest_first(_of_checks(table, column, number), own, number, other)


def _first(column: TableColumn) -> object:
    """Return the value in the first row; that of a flag is another one than an equal number."""
    return _few(column), typed(column, 1)


def is_checked(table: Table, column: TableColumn) -> bool:
    """Tell whether a check of the table speaks of a column."""
    return any(_speaks_of(column, check) for check in table.checks.values())


def _speaks_of(column: TableColumn, check: str) -> bool:
    return any(token.name == column.name.lower() for token in tokens_of(check))


def _of_checks(table: Table, column: TableColumn, number: int) -> Iterator[SqlValue]:
    for check in table.checks.values():
        if _speaks_of(column, check):
            yield from suggested(tokens_of(check), number)
