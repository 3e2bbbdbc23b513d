"""What SQLite does where a row breaks a constraint of its table, as far as the table says it. Pure.

A UNIQUE of two columns that no two sample rows share shows no row that is replaced or left out, and a query
that runs with every set of values at its own state meets nothing that refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from coordinator.rehearse.catalogued import Read, bare, words_of

Conflicts = Mapping[str, frozenset[str]]
"""By table, its constraints with what is done."""
_OWN_WORD: Final = re.compile(r"\b(?:INSERT|UPDATE)\s+OR\s+\w|\bREPLACE\s+INTO\b", re.IGNORECASE)
"""A statement's own word counts, whatever the table says."""


def conflicts(read: Read) -> Conflicts:
    """Return those of a schema."""
    found: dict[str, frozenset[str]] = {}
    for key, does in read.things.items():
        kind, _, name = key.partition(" ")
        if kind == "conflict":
            table = read.table_of(name, "")
            rule = f"{name[len(table) + 1 :]} ON CONFLICT {does}".upper()
            found[bare(table)] = found.get(bare(table), frozenset()) | {rule}
    return found


def differing(
    own: Conflicts, here: Conflicts, text: str, *, columns: frozenset[str] | None, inserts: bool
) -> Iterator[tuple[str, str]]:
    """Yield the tables, each with a constraint, of which the same is not done at both states."""
    for table in sorted(own.keys() | here.keys()) if not _OWN_WORD.search(text) else ():
        for rule in sorted(own.get(table, frozenset()) ^ here.get(table, frozenset())):
            if inserts or columns is None or not columns.isdisjoint(words_of(rule)):
                yield table, rule
