"""Which tables' rows a text may come to by views, functions, triggers and foreign keys, as words tell. Pure.

It names rather too many: a column that is called as a table is takes that table in as well.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from coordinator.rehearse.catalogued import bare, called, words_of
from coordinator.rehearse.references import Reference
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.written import columns_by

_T = TypeVar("_T")

_WRITES: Final = frozenset({"insert", "update", "delete", "merge", "replace", "truncate", "copy"})
_HEAD: Final = re.compile(r"^CREATE OR REPLACE ")
_BY_NAME: Final = re.compile(r"\bEXECUTE\b(?!\s+(?:FUNCTION|PROCEDURE)\b)", re.IGNORECASE)
"""SQL that a function puts together: nobody can read whose rows it comes to."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What a text comes to: tables, in small letters and without schema."""

    touched: frozenset[str]
    """It may read or write their rows, or set something off that does."""
    referred: frozenset[str]
    """Those, and all that they refer to: without rows of a parent, a child has none."""
    is_certain: bool = True
    """False where it may come to any other table too."""


class Reach:
    """What texts come to in one schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._found: dict[str, Reached] = {}

    def of(self, text: str) -> Reached:
        """Return what a text comes to."""
        if text not in self._found:
            self._found[text] = self._come_to(text)
        return self._found[text]

    def named(self, words: frozenset[str]) -> frozenset[str]:
        """Return the tables whose names are among some words."""
        alike = set[str]().union(*(self._by_word[word] for word in words & self._by_word.keys()))
        return frozenset(table for table in alike if words_of(table) <= words)

    def _come_to(self, text: str) -> Reached:
        words, below = words_of(text), frozenset[str]()
        is_certain = True
        while True:
            before = words, below
            named = self.named(words)
            bodies = called(" ".join(words), self.schema.bodies)
            if not words.isdisjoint(_WRITES):
                bodies += [each for table in named | below for each in self._acting[table]]
                may_change = None if bodies or below else _changed_by(text)
                below |= self._below(named | below, may_change)
                bodies += [each for table in named | below for each in self._asked_of_rows(table)]
            bodies += [each.text for table in named for each in self.schema.policies.get(table, ())]
            words = words.union(*(words_of(_HEAD.sub("CREATE ", each)) for each in bodies))
            is_certain = is_certain and not any(map(_BY_NAME.search, bodies))
            if (words, below) == before:
                break
        touched = self.named(words) | below
        return Reached(touched, self._above(touched), is_certain)

    def _asked_of_rows(self, table: str) -> Iterator[str]:
        """Yield what gives a table's new rows their values, and what these have to meet."""
        yield from self._given[table]
        every = (each.text for each in self.schema.constraints_of({table}))
        yield from (each for each in every if not each.upper().startswith("FOREIGN KEY"))

    def _below(self, tables: frozenset[str], columns: frozenset[str] | None) -> frozenset[str]:
        """Return the tables that refer to columns that a write may change; None: it may be any of them."""
        referring = (each for table in tables for each in self._children[table])
        return frozenset(each.table for each in referring if columns is None or columns & each.keys)

    def _above(self, tables: frozenset[str]) -> frozenset[str]:
        found, new = tables, tables
        while new:
            new = frozenset(each.parent for table in new for each in self._parents[table]) - found
            found |= new
        return found

    @cached_property
    def _by_word(self) -> Mapping[str, set[str]]:
        tables = (bare(key) for key in self.schema.catalogue if key.startswith("table "))
        found: defaultdict[str, set[str]] = defaultdict(set)
        for table in tables:
            for word in words_of(table):
                found[word].add(table)
        return found

    @cached_property
    def _parents(self) -> Mapping[str, list[Reference]]:
        return _grouped((each.table, each) for each in self.schema.references)

    @cached_property
    def _children(self) -> Mapping[str, list[Reference]]:
        return _grouped((each.parent, each) for each in self.schema.references)

    @cached_property
    def _acting(self) -> Mapping[str, list[str]]:
        return _grouped((each.table, each.text) for each in self.schema.acting)

    @cached_property
    def _given(self) -> Mapping[str, list[str]]:
        return _grouped((table, text) for (table, _), text in self.schema.given.items())


def _changed_by(text: str) -> frozenset[str] | None:
    """Return the words among which the columns of old rows are that a text changes; None if it may be any."""
    does = words_of(text) & _WRITES
    if does == {"insert"}:
        return frozenset()
    return columns_by(text) if does <= {"insert", "update"} else None


def _grouped(pairs: Iterable[tuple[str, _T]]) -> Mapping[str, list[_T]]:
    found: defaultdict[str, list[_T]] = defaultdict(list)
    for name, each in pairs:
        found[name].append(each)
    return found
