"""What a query may meet at a state, and which of it another state has not. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from coordinator.rehearsal_ports import Effect, Ran
from coordinator.rehearse.by_table import lone
from coordinator.rehearse.catalogued import ANY, NEW_ROWS, Constraint, bare, is_as_fine
from coordinator.rehearse.schema import Schema

_OF_NULL = re.compile(r"CHECK (?:[\s()\"`]|\w+[\"`]? IS (?:NOT )?NULL|AND)+", re.IGNORECASE)
_INSERTS = re.compile(r"\b(?:INSERT|REPLACE|MERGE)\b", re.IGNORECASE)
_EVENTS = {
    "insert": _INSERTS,
    "update": re.compile(r"\b(?:UPDATE|MERGE)\b", re.IGNORECASE),
    "delete": re.compile(r"\b(?:DELETE|REPLACE|MERGE)\b", re.IGNORECASE),
}
"""By what a trigger may wait for, the words of texts that do it."""
_OF_OLD_ROWS: Final = frozenset({"update", "delete"})
_NONE: Final = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Met:
    """What a query may meet at a state, in which tables."""

    every: frozenset[Constraint]
    tables: frozenset[str]

    @classmethod
    def at(cls, schema: Schema, *, tables: frozenset[str], columns: frozenset[str] | None, ran: Ran) -> Met:
        """Return it of a query that ran and wrote some tables.

        `columns` are those of them that it may write; None if it may be any.
        """
        of_followers, followed = schema.following.met(tables, columns)
        # Of equal ones the first stays: it says which columns it is about.
        found = frozenset(schema.constraints_of(tables)) | of_followers
        for effect in ran.beside:
            done = done_by(effect)
            found |= {
                replace(each, words=ANY, events=ANY)
                for each in schema.constraints_of({bare(effect.table)} - followed)
                if not done.isdisjoint(each.events)
            }
        reached = tables | followed | {bare(effect.table) for effect in ran.beside}
        return cls(found, schema.tables_of(reached))

    def differing(
        self, other: Met, text: str, columns: frozenset[str] | None, *, tries_null: bool = True
    ) -> Iterator[Constraint]:
        """Yield those that the other state has not, as far as a text may write what they are about.

        `tries_null` tells that a set of values has NULL for all that the text writes.
        """
        inserts = bool(_INSERTS.search(text))
        events = events_of(text) | ANY
        for each in lone(self.every - other.every, other.every, other.tables):
            may_meet = (each.is_unique and inserts) or columns is None or bool((columns | ANY) & each.words)
            if (
                not events.isdisjoint(each.events)
                and may_meet
                and not (tries_null and asks_for_null(each))
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


def done_by(effect: Effect) -> frozenset[str]:
    """Return what may have been done to the rows of a table beside."""
    return (NEW_ROWS if effect.new else _NONE) | (_OF_OLD_ROWS if effect.gone else _NONE)


def asks_for_null(constraint: Constraint) -> bool:
    """Tell whether a CHECK asks for NULL alone: a set of values has NULL wherever that was taken.

    Of one column or another it does not: what the other one has in the row decides as well.
    """
    return not constraint.is_unique and _OF_NULL.fullmatch(constraint.text) is not None


def _is_implied(constraint: Constraint, others: Iterable[Constraint], *, inserts: bool) -> bool:
    """Tell whether rows that are unique already cannot be alike.

    Where that is checked at the end only, an INSERT of rows meets it all the same, and an UPDATE may pass.
    """
    if constraint.keys is None:
        return False
    takes_nulls = "distinct" not in constraint.words  # NULLS NOT DISTINCT: two NULLs are alike
    return any(
        each.keys is not None
        and all(any(is_as_fine(key, of) for key in constraint.keys) for of in each.keys)
        and "where" not in each.words
        and (takes_nulls or "distinct" in each.words or each.text.startswith("PRIMARY KEY "))
        and (inserts or "deferrable" not in each.words or "deferrable" in constraint.words)
        for each in others
        if each.is_unique
    )
