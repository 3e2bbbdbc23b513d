"""Which tables' rows a text may come to by views, functions, triggers and foreign keys, as words tell. Pure.

It names rather too many: a column that is called as a table is takes that table in as well.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from coordinator.rehearse.catalogued import bare, words_of
from coordinator.rehearse.following import below
from coordinator.rehearse.references import Reference
from coordinator.rehearse.schema import Schema, is_computed
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
    """Those, and all without whose rows they may have none: a child's parent, what a trigger asks for."""
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
        return self._tables.among(words)

    def _come_to(self, text: str) -> Reached:
        words, behind = words_of(text), frozenset[str]()
        is_certain = _BY_NAME.search(text) is None
        while True:
            before = words, behind
            named = self.named(words)
            named |= below(named | behind, self.schema.parts)
            bodies = [each for name in self._bodied.among(words) for each in self._bodies[name]]
            if not words.isdisjoint(_WRITES):
                acting = self._acted_on.among(words) | ((named | behind) & self._acting.keys())
                bodies += [each for name in acting for each in self._acting[name]]
                may_change = None if bodies or behind else _changed_by(text)
                behind |= self._behind(named | behind, may_change)
                bodies += [each for table in named | behind for each in self._asked_of_rows(table)]
            bodies += [each.text for table in named for each in self.schema.policies.get(table, ())]
            words = words.union(*(words_of(_HEAD.sub("CREATE ", each)) for each in bodies))
            is_certain = is_certain and not any(map(_BY_NAME.search, bodies))
            if (words, behind) == before:
                break
        touched = named | behind
        return Reached(touched, self._above(touched), is_certain)

    def _asked_of_rows(self, table: str) -> Iterator[str]:
        """Yield what gives a table's new rows their values, and what these have to meet."""
        yield from self._given[table]
        every = (each.text for each in self.schema.constraints_of({table}))
        yield from (each for each in every if not each.upper().startswith("FOREIGN KEY"))

    def _behind(self, tables: frozenset[str], columns: frozenset[str] | None) -> frozenset[str]:
        """Return the tables that refer to columns that a write may change; None: it may be any of them."""
        referring = (each for table in tables for each in self._children[table])
        return frozenset(
            each.table
            for each in referring
            if columns is None or (columns and self._may_change(each, columns))
        )

    def _may_change(self, each: Reference, columns: frozenset[str]) -> bool:
        given = (self.schema.given.get((each.parent, key), "") for key in each.keys)
        made_of = frozenset[str]().union(*(words_of(one) for one in given if is_computed(one)))
        return not columns.isdisjoint(each.keys | made_of)

    def _above(self, tables: frozenset[str]) -> frozenset[str]:
        found, new = tables, tables
        while new:
            parents = frozenset(each.parent for table in new for each in self._parents[table])
            asked = frozenset[str]().union(*(self.named(words) for words in self._asked_by(new)))
            new = (parents | asked | below(new, self.schema.wholes)) - found
            found |= new
        return found

    def _asked_by(self, tables: frozenset[str]) -> Iterator[frozenset[str]]:
        """Yield the words of what may refuse a new row because of other rows."""
        for each in self.schema.constraints_of(tables):
            if each.is_trigger or not self.schema.functions.keys().isdisjoint(words_of(each.text)):
                yield self.schema.words_behind(each.text)

    @cached_property
    def _tables(self) -> _Names:
        return _Names(bare(key) for key in self.schema.catalogue if key.startswith("table "))

    @cached_property
    def _acted_on(self) -> _Names:
        return _Names(self._acting)  # also views: INSTEAD OF

    @cached_property
    def _bodied(self) -> _Names:
        return _Names(self._bodies)

    @cached_property
    def _bodies(self) -> Mapping[str, Sequence[str]]:
        domains = {name: tuple(sorted(checks)) for name, checks in self.schema.domains.items()}
        return {**domains, **self.schema.bodies}

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


class _Names:
    """Names, found by their words: one may have several (`"order-lines"`), or none (`"2024"`)."""

    def __init__(self, names: Iterable[str]) -> None:
        self._words = {name: words_of(name) for name in names}
        self._by_word = _grouped((min(words, default=""), name) for name, words in self._words.items())

    def among(self, words: frozenset[str]) -> frozenset[str]:
        """Return the names of which each word is among some."""
        alike = (name for word in (words | {""}) & self._by_word.keys() for name in self._by_word[word])
        return frozenset(name for name in alike if self._words[name] <= words)


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
