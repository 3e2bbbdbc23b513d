"""What foreign keys' actions do to rows of other tables, and which constraints those rows meet then. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, TypeVar

from coordinator.rehearse.catalogued import ANY, PARENT, Constraint, Done, Follower, Read, bare

_T = TypeVar("_T")
_OF_PARENTS = frozenset({"update", "delete"})
_NONE: frozenset[str] = frozenset()
_ACTS: Final = re.compile(r"ON (DELETE|UPDATE) (?:CASCADE|SET)", re.IGNORECASE)


@dataclass(frozen=True)
class Following:
    """The actions of a schema's foreign keys, with the constraints that may be met by them."""

    constraints: tuple[Constraint, ...]
    followers: frozenset[Follower]

    def gone_with(self, tables: Collection[str], *, unlike: Following) -> frozenset[str]:
        """Return whose rows go or change with those of some tables by an action that another schema lacks."""
        new = self._leads - unlike._leads
        return frozenset(child for (event, of), (_, child) in new if event == "delete" and of in tables)

    def going(self, tables: Collection[str], columns: Collection[str] | None, event: str) -> frozenset[Done]:
        """Return what is done to rows where that is done to those of some tables, these included.

        `columns` are those that are written; None if it may be any.
        """
        done: frozenset[Done] = frozenset((event, each) for each in tables)
        if event == "update" and columns is not None:
            keys = {(each.of_parent, key) for each in self.followers for key in each.keys}
            done = frozenset(each for each in done if any((each, column) in keys for column in columns))
        return done | below(done, self._leads)

    def acts(self, done: Collection[Done], *, unlike: Following) -> frozenset[tuple[Done, str]]:
        """Return to what an action follows that another schema lacks, each with the table that it acts on."""
        new = self._leads - unlike._leads
        return frozenset((parent, child) for parent, (_, child) in new if parent in done)

    def met(
        self, tables: frozenset[str], columns: frozenset[str] | None
    ) -> tuple[frozenset[Constraint], frozenset[str]]:
        """Return what rows meet that follow those of some tables, and the tables that they are of.

        `columns` are those of the tables that are written; None if it may be any.
        """
        leads = {
            (each.of_parent, each.of_child)
            for each in self.followers
            if each.of_parent[0] == "delete"
            or each.of_parent[1] not in tables
            or columns is None
            or not columns.isdisjoint(each.keys)
        }
        done_to = {event: below([(event, each) for each in tables], leads) for event in _OF_PARENTS}
        found = set()
        for each, rows in self._met_by if leads else ():
            events = frozenset(event for event, done in done_to.items() if not rows.isdisjoint(done))
            if events:
                found.add(replace(each, words=ANY, events=events))
        return frozenset(found), frozenset(table for done in done_to.values() for _, table in done)

    @cached_property
    def _leads(self) -> frozenset[tuple[Done, Done]]:
        """What is done to rows of a table, and what is then done to those of another."""
        return frozenset((each.of_parent, each.of_child) for each in self.followers)

    @cached_property
    def _met_by(self) -> tuple[tuple[Constraint, frozenset[Done]], ...]:
        """The constraints that an action may meet, each with what that has to do to rows."""
        changed: dict[tuple[str, bool], frozenset[str]] = {}
        for each in self.followers:
            event, table = each.of_child
            if event == "update":
                for only_defaults in {False, each.sets_default}:
                    key = (table, only_defaults)
                    changed[key] = changed.get(key, _NONE) | each.columns
        met = ((each, _meeting(each, changed)) for each in self.constraints)
        return tuple((each, rows) for each, rows in met if rows)


def refusing(read: Read) -> Iterator[tuple[Done, str]]:
    """Yield what cannot be done to a table's rows while another one has some that refer to them, with it."""
    for key, definition in read.things.items():
        parent = PARENT.search(definition) if key.startswith("constraint ") else None
        if parent is not None:
            acting = {each[1].lower() for each in _ACTS.finditer(definition)}
            child = bare(read.table_of(key.partition(" ")[2], definition))
            yield from (((event, bare(parent["parent"])), child) for event in sorted(_OF_PARENTS - acting))


def _meeting(constraint: Constraint, changed: Mapping[tuple[str, bool], frozenset[str]]) -> frozenset[Done]:
    """Return what a foreign key's action may do to rows for a constraint to be met.

    Columns that are unique stay so: each NULL is another one, and a parent's keys differ. They refer to
    what they follow, or to nothing. One default is the same for all, and may be no parent's.
    """
    table = constraint.table
    if constraint.is_trigger:
        return frozenset((event, table) for event in constraint.events)
    is_of_row = not constraint.is_unique and not constraint.text.upper().startswith("FOREIGN KEY")
    is_met = not changed.get((table, not is_of_row), _NONE).isdisjoint(constraint.words)
    return frozenset({("update", table)}) if is_met else frozenset()


def below(tables: Collection[_T], pairs: Collection[tuple[_T, _T]]) -> frozenset[_T]:
    """Return all that pairs lead to from some tables."""
    found: frozenset[_T] = frozenset()
    reached = frozenset(tables)
    while more := {child for parent, child in pairs if parent in reached} - found:
        found |= more
        reached |= more
    return found
