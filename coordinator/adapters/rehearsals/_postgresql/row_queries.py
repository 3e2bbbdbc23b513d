"""Which live rows a change does not bear, from definitions as PostgreSQL itself writes them."""

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
from coordinator.evidence import Change
from coordinator.rehearsal_ports import RowQuery

_UNCHECKED: Final = re.compile(r" NOT (?:VALID|ENFORCED)$")
_KEY: Final = re.compile(r"(?:UNIQUE(?P<alike> NULLS NOT DISTINCT)?|PRIMARY KEY) (?=\()")
_FOREIGN_KEY: Final = re.compile(
    r"FOREIGN KEY \((?P<columns>[^)]*)\) REFERENCES (?P<parent>.+?)\((?P<keys>[^)]*)\)"
)
_INDEX: Final = re.compile(r"CREATE UNIQUE INDEX .+? ON (?!ONLY ).+? USING \w+ (?=\()")
"""ONLY stands there for a partitioned table, whose partitions have the index themselves."""
_ORDER: Final = re.compile(r"(?: ASC| DESC)?(?: NULLS (?:FIRST|LAST))?$")


def rows_against(change: Change) -> RowQuery | None:
    """Return what finds the rows that a change does not bear."""
    before, after, table = change.before, change.after, change.relation
    if after is None or table is None or _UNCHECKED.search(after):
        return None
    if change.kind == "column":
        return missing(table, change.name) if becomes_not_null(before, after) else None
    if change.kind == "constraint":
        return _of_constraint(table, after)
    return _of_index(table, after) if change.kind == "index" else None


# A key, unlike a check, is not about the rows of tables that inherit. Partitions have keys of their own.


def _of_constraint(table: str, definition: str) -> RowQuery | None:
    if definition.startswith("CHECK ("):
        own = f"ONLY {table}" if definition.endswith(" NO INHERIT") else table
        return failing(own, inside(definition, definition.index("(")))
    if key := _KEY.match(definition):
        terms = tuple(terms_of(inside(definition, key.end())))
        return repeated(f"ONLY {table}", terms, nulls_are_alike=bool(key["alike"]))
    if found := _FOREIGN_KEY.match(definition):
        columns, keys = tuple(terms_of(found["columns"])), tuple(terms_of(found["keys"]))
        return orphaned(f"ONLY {table}", columns, found["parent"], keys)
    return None


def _of_index(table: str, definition: str) -> RowQuery | None:
    found = _INDEX.match(definition)
    if found is None:
        return None
    listed = inside(definition, found.end())
    rest = definition[found.end() + len(listed) + 2 :]
    _, _, where = rest.partition(" WHERE ")
    terms = tuple(_ORDER.sub("", each) for each in terms_of(listed))
    return repeated(
        f"ONLY {table}", terms, where=where or None, nulls_are_alike=" NULLS NOT DISTINCT" in rest
    )
