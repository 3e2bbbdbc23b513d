"""What a query may meet at a state, and which of it another state has not. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coordinator.rehearse.by_table import lone
from coordinator.rehearse.catalogued import ANY, Constraint, is_as_fine

_OF_NULL = re.compile(r"CHECK (?:[\s()\"`]|\w+\"? IS (?:NOT )?NULL|AND)+", re.IGNORECASE)
_INSERTS = re.compile(r"\b(?:INSERT|REPLACE|MERGE)\b", re.IGNORECASE)
_EVENTS = {
    "insert": _INSERTS,
    "update": re.compile(r"\b(?:UPDATE|MERGE)\b", re.IGNORECASE),
    "delete": re.compile(r"\b(?:DELETE|REPLACE|MERGE)\b", re.IGNORECASE),
}
"""By what a trigger may wait for, the words of texts that do it."""


@dataclass(frozen=True, slots=True)
class Met:
    """What a query may meet at a state, in which tables."""

    every: frozenset[Constraint]
    tables: frozenset[str]

    def differing(self, other: Met, text: str, columns: frozenset[str] | None) -> Iterator[Constraint]:
        """Yield those that the other state has not, as far as a text may write what they are about."""
        inserts = bool(_INSERTS.search(text))
        events = events_of(text) | ANY
        for each in lone(self.every - other.every, other.every, other.tables):
            may_meet = (each.is_unique and inserts) or columns is None or bool((columns | ANY) & each.words)
            if (
                not events.isdisjoint(each.events)
                and may_meet
                and not _asks_for_null(each)
                and not _is_implied(each, other.beside(each), inserts=inserts)
            ):
                yield each

    def beside(self, constraint: Constraint) -> Iterator[Constraint]:
        """Yield what is met with one: in its table, or in any where that is not there."""
        is_there = constraint.table in self.tables
        return (each for each in self.every if not is_there or each.table == constraint.table)


def events_of(text: str) -> frozenset[str]:
    """Return what a text does to rows: `insert`, `update`, `delete`."""
    return frozenset(event for event, words in _EVENTS.items() if words.search(text))


def _asks_for_null(constraint: Constraint) -> bool:
    """Tell whether a CHECK asks for NULL alone: a set of values has NULL wherever that was taken.

    Of one column or another it does not: what the other one has in the row decides as well.
    """
    return not constraint.is_unique and _OF_NULL.fullmatch(constraint.text) is not None


def _is_implied(constraint: Constraint, others: Iterable[Constraint], *, inserts: bool) -> bool:
    """Tell whether rows that are unique already cannot be alike.

    Where that is checked at the end only, an INSERT of rows meets it all the same, and an UPDATE may pass.
    """
    if constraint.keys is None or "distinct" in constraint.words:
        return False
    return any(
        each.keys is not None
        and all(any(is_as_fine(key, of) for key in constraint.keys) for of in each.keys)
        and "where" not in each.words
        and (inserts or "deferrable" not in each.words or "deferrable" in constraint.words)
        for each in others
        if each.is_unique
    )
