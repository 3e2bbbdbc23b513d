"""Result columns without running anything: a temporary view over a query has its names and declared types.

Python tells a result's columns only of a query that runs. A statement that writes is no view, so the columns
of its RETURNING are asked of a SELECT on the same table.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Final

from coordinator.adapters.rehearsals._scratch.tokens import Token, select_of
from coordinator.adapters.rehearsals._sqlite.connection import REFUSALS, limited, taken_back
from coordinator.rehearsal_ports import Column

_VIEW: Final = "coordinator_description"
_CONVERTED: Final = re.compile(r"BOOL(EAN)?|DATE|DATETIME|TIME|TIMESTAMP")
"""Declared types that the drivers of Go and Python turn into values of another type than SQLite's own."""
_AFFINITIES: Final = (
    ("INTEGER", ("INT",)),
    ("TEXT", ("CHAR", "CLOB", "TEXT")),
    ("BLOB", ("BLOB",)),
    ("REAL", ("REAL", "FLOA", "DOUB")),
)
"""In the order of SQLite's rules (datatype3.html, "Determination Of Column Affinity")."""
_DUPLICATE: Final = re.compile(r":\d+$")
"""What SQLite appends to the second column of a name in a view."""


def describe(
    connection: sqlite3.Connection, text: str, tokens: Sequence[Token], *, width: int
) -> tuple[Column, ...]:
    """Return a result's columns; where no view can tell, their number alone, without names and types."""
    seen = columns_of(connection, select_of(text, tokens))
    return seen if len(seen) == width else (Column("", ""),) * width


def columns_of(connection: sqlite3.Connection, select: str) -> tuple[Column, ...]:
    """Return the columns of a SELECT without parameters; empty if it makes no view."""
    with taken_back(connection):
        try:
            with limited(connection):
                connection.execute(f"CREATE TEMP VIEW {_VIEW} AS {select}")
            rows = connection.execute(f"PRAGMA temp.table_xinfo({_VIEW})").fetchall()
        except REFUSALS:
            return ()
    return tuple(Column(_DUPLICATE.sub("", row[1]), type_of(row[2])) for row in rows)


def type_of(declared: str) -> str:
    """Return what a client can tell of a declared type: its affinity, or what its driver converts.

    `varchar(20)` and `text` are the same to every client; `integer` and `boolean` are not.
    """
    word = declared.upper().partition("(")[0].strip()
    if not word:
        return ""
    if _CONVERTED.fullmatch(word):
        return word
    return next((name for name, parts in _AFFINITIES if any(part in word for part in parts)), "NUMERIC")
