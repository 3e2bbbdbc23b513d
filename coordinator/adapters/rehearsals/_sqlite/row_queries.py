"""Which live rows a change does not bear, from definitions as schema.py writes them.

Foreign keys are left out: SQLite asks no row about them when a table is made anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from coordinator.adapters.rehearsals._scratch.row_queries import (
    becomes_not_null,
    failing,
    inside,
    missing,
    repeated,
    terms_of,
)
from coordinator.adapters.rehearsals._scratch.tokens import quoted
from coordinator.evidence import Change
from coordinator.rehearsal_ports import RowQuery

_CHECK: Final = "check ("
_UNIQUE: Final = "unique ("
_INDEX: Final = re.compile(r"CREATE UNIQUE INDEX (?:IF NOT EXISTS )?.+? ON .+? (?=\()", re.IGNORECASE)
_WHERE: Final = re.compile(r" WHERE (?P<test>.+)$", re.IGNORECASE | re.DOTALL)
_COLLATES: Final = re.compile(r"\bCOLLATE\b", re.IGNORECASE)
_ORDER: Final = re.compile(r" (?:asc|desc)$", re.IGNORECASE)


def rows_against(change: Change) -> RowQuery | None:
    """Return what finds the rows that a change does not bear."""
    after = change.after
    if after is None or change.relation is None:
        return None
    table = quoted(change.relation.partition(".")[2])
    if change.kind == "column":
        return missing(table, quoted(change.name)) if becomes_not_null(change.before, after) else None
    if change.kind == "constraint" and after.startswith(_CHECK):
        return failing(table, after[len(_CHECK) : -1])
    if change.kind == "constraint" and change.name.startswith(_UNIQUE):
        return _repeated(table, tuple(map(quoted, terms_of(inside(change.name, len(_UNIQUE) - 1)))))
    if change.kind == "index" and (found := _INDEX.match(after)):
        return _of_index(table, after, found.end())
    return None


def _of_index(table: str, definition: str, opening: int) -> RowQuery | None:
    """Return it for one with expressions or a WHERE; any other one is told as a constraint, too."""
    listed = inside(definition, opening)
    found = _WHERE.search(definition, opening)
    where = found["test"] if found else None
    terms = tuple(_ORDER.sub("", each) for each in terms_of(listed))
    return _repeated(table, terms, where=where) if where or "(" in listed else None


def _repeated(table: str, terms: Sequence[str], *, where: str | None = None) -> RowQuery:
    """Return it of values that are the same in any collation: an index, or the table when it is made anew,
    may have another one than the column has now.
    """
    alike = [each if _COLLATES.search(each) else f"{each} COLLATE BINARY" for each in terms]
    return repeated(table, terms, alike=alike, where=where)
