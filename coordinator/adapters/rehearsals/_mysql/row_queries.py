"""Which live rows a change does not bear, from definitions as schema.py writes them."""

from __future__ import annotations

import re
from typing import Final

from coordinator.adapters.rehearsals._scratch.row_queries import (
    becomes_not_null,
    failing,
    inside,
    missing,
    orphaned,
    repeated,
    terms_of,
)
from coordinator.adapters.rehearsals._scratch.tokens import quoted
from coordinator.evidence import Change
from coordinator.rehearsal_ports import RowQuery

_FOREIGN_KEY: Final = re.compile(
    r"foreign key \((?P<columns>[^)]*)\) references (?P<parent>.+?) \((?P<keys>[^)]*)\)"
)
_FILLED: Final = re.compile(r"^timestamp\b|\bauto_increment\b")
"""Columns in which the server puts the present time, or the next number, for NULL."""
_UNIQUE: Final = "a UNIQUE index ("
_CHECK: Final = "check ("
_INTRODUCED: Final = re.compile(r"\b_\w+\\'")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_TERM: Final = re.compile(r"(?P<name>.+?)(?:\((?P<length>\d+)\))?(?: collate \w+)?(?: desc)?")


def rows_against(change: Change) -> RowQuery | None:
    """Return what finds the rows that a change does not bear."""
    before, after = change.before, change.after
    if after is None or change.relation is None:
        return None
    table = quoted(change.relation)
    if change.kind == "column":
        is_asked = becomes_not_null(before, after) and not _FILLED.search(after)
        return missing(table, quoted(change.name)) if is_asked else None
    if after.startswith(_CHECK):
        return failing(table, _as_written(after[len(_CHECK) : -1]))
    if after.startswith(_UNIQUE):
        return repeated(table, tuple(map(_term, terms_of(inside(after, len(_UNIQUE) - 1)))))
    if found := _FOREIGN_KEY.match(after):
        columns, keys = (tuple(map(quoted, terms_of(found[each]))) for each in ("columns", "keys"))
        return orphaned(table, columns, quoted(found["parent"]), keys)
    return None


def _as_written(check: str) -> str:
    r"""Return a check as its author wrote it: MySQL keeps it escaped (`b <> _utf8mb4\'one\'`)."""
    return _ESCAPED.sub(r"\1", check) if _INTRODUCED.search(check) else check


def _term(text: str) -> str:
    """Return what an index is made of: a column, what it begins with, or on MySQL an expression."""
    found = _TERM.fullmatch(text)
    if found is None or text.startswith("("):
        return text
    name = quoted(found["name"])
    return f"left({name}, {found['length']})" if found["length"] else name
