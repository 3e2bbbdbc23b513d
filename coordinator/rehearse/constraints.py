"""Constraints of a state that the version's own state lacks, and that no set of values met. Pure.

A new CHECK, UNIQUE or FOREIGN KEY that refuses a sample is a break. One that refuses none may still refuse
what a client sends: three rows that are alike in no column cannot show that two rows of the client's are
alike in two. The engine has no answer to that, so the query is unproven. Only what a query writes counts, as
far as its text names it, and of the tables that it writes beside: a word too many costs a proof and no truth.
A trigger that refuses or leaves out rows is such a constraint as well, whatever it asks for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import filterfalse
from typing import TypeVar

from coordinator.rehearsal_ports import Ran
from coordinator.rehearse.by_table import ByTable, lone
from coordinator.rehearse.catalogued import (
    ANY,
    NEW_ROWS,
    Constraint,
    Done,
    Follower,
    Read,
    Room,
    bare,
    bounds,
    called,
    columns_of,
    comes_into,
    constraints,
    domain_checks,
    expressions,
    followers,
    is_narrower,
    may_refuse,
    of_domains,
    partitionings,
    triggers,
    words_of,
)
from coordinator.rehearse.givers import Giver, givers, replacing
from coordinator.rehearse.met import Met, events_of
from coordinator.rehearse.policies import Policy, hidden_otherwise, policies
from coordinator.rehearse.shifted import Shifts, shifted, shifts
from coordinator.rehearse.strict_tables import strict_columns
from coordinator.rehearse.written import columns_by, literals_by, targets_of
from coordinator.sameness import moving

_T = TypeVar("_T")
_ALL_COLUMNS = re.compile(r"(?:\bSELECT(?:\s+(?:ALL|DISTINCT))?|\bRETURNING|,|\.)\s*\*", re.IGNORECASE)
_IGNORES = re.compile(r"\bCONFLICT\b|\bIGNORE\b|\bREPLACE\b|\bDUPLICATE\b", re.IGNORECASE)
_LONGEST = 80
"""Characters of a definition in a sentence."""
_REFUSES = (
    "no sample value meets `{text}`, which `{table}` has here and not where the version was made: whether it"
    " refuses what a client writes is not known"
)
_IGNORED = (
    "no sample value meets `{text}`, which `{table}` has where the version was made and not here: whether a"
    " row is written that was left out is not known"
)
_NO_PARTITION = (
    "no sample value meets the partition `{text}`, which is there where the version was made and not here:"
    " whether every row still has a partition is not known"
)
_LEFT_ALONE = (
    "no sample value meets the foreign key of `{table}` that takes or changes its rows with the ones that go,"
    " where the version was made and not here: whether the version counts on it is not known"
)
_REPLACES = re.compile(r"\b(?:OR\s+REPLACE|REPLACE\s+\w)", re.IGNORECASE)
_TAKEN_ALONG = (
    "the row that it replaces is deleted, and a foreign key of `{table}`, which is not there where the"
    " version was made, takes or changes the rows that refer to it: an UPDATE would leave them alone"
)
_HIDDEN = (
    "the row security of `{table}` is another one here than where the version was made: whether it hides"
    " rows that the version needs, or shows others, is not known"
)
_NEW = re.compile(r"\b(?:INSERT|UPDATE|MERGE)\b", re.IGNORECASE)
_OF_PARENTS = frozenset({"update", "delete"})
_NONE: frozenset[str] = frozenset()
_NARROWER = (
    "no sample value is too large for `{column}`, which has place for less here than where the version was"
    " made: whether all that it computes fits is not known"
)
_ASKED = (
    "no sample value meets `{text}`, which is asked here and not where the version was made: whether it"
    " refuses what a client sends is not known"
)


_REPLACED = (
    "a trigger gives `{column}` a value here or where the version was made, and does not so in both: whether"
    " what a client sends for it stays is not known"
)
_SHIFTED = (
    "`{column}` has another default here than where the version was made, and both differ from run to run:"
    " whether the time that it gives means the same is not known"
)


_READERS = (constraints, of_domains, partitionings, expressions, strict_columns, triggers)


@dataclass(frozen=True)
class Constraints:
    """Those of a state, and what its views and functions are made of.

    Each query is held against them, so what they alone decide is found out once.
    """

    every: tuple[Constraint, ...]
    views: Mapping[str, str]
    functions: Mapping[str, Sequence[str]]
    domains: Mapping[str, frozenset[str]]
    """What the values of each have to meet."""
    followers: frozenset[Follower]
    parts: Collection[tuple[str, str]]
    """Tables, each with one that has some of its rows: a partition, or a table that inherits."""
    columns: Mapping[tuple[str, str], Room | None]
    """By table and name, what they have place for."""
    givers: tuple[Giver, ...]
    """All of them: those of two tables may be equal, which says nothing of a table's own."""
    bounds: frozenset[tuple[str, str]]
    """Partitioned tables, each with the bounds of one of its partitions."""
    shifts: Shifts
    policies: Mapping[str, frozenset[Policy]]
    """By table, what hides its rows from a role."""

    @classmethod
    def of(cls, catalogue: Mapping[str, str]) -> Constraints:
        """Read them from a schema; see rehearsal_ports.RehearsalDatabase.catalogue."""
        read = Read.of(catalogue)
        parts = [key.split(" ")[1:] for key in catalogue if key.startswith(("partition ", "inheritance "))]
        return cls(
            tuple(each for reader in _READERS for each in reader(read)),
            {bare(key): text for key, text in catalogue.items() if key.startswith("view ")},
            read.functions,
            domain_checks(read),
            frozenset(followers(read)),
            frozenset((bare(table), bare(part)) for table, *_, part in parts),
            dict(columns_of(read)),
            tuple(givers(read)),
            frozenset(bounds(read)),
            dict(shifts(read)),
            policies(read),
        )

    def unmet(self, text: str, here: Ran, *, own: Constraints, own_ran: Ran) -> str | None:
        """Return what may refuse a query here and did not at its own state, where it ran in both."""
        before, now = own.written(text, own_ran.written), self.written(text, here.written)
        columns = columns_by(text)
        if columns is not None:
            columns = columns.union(
                *(each.behind(name, columns) for each in (own, self) for name in targets_of(text))
            )
        elif (mine := own.columns_of(before)) and mine <= self.columns_of(now):
            columns = mine  # a text without a list of columns was made for these, and none has another name
        if columns is not None:
            columns = columns.union(*(each.columns for each in self.givers if each.table in now))
        ours, theirs = own.met(before, columns, own_ran), self.met(now, columns, here)
        if _NEW.search(text) and (gone := self.left_without(before, now, own=own)):
            return _NO_PARTITION.format(text=gone)
        if (others := self._acted_on(text, before, now, own=own)) is not None:
            return others
        was_met = partial(self._was_met, text, here)
        for each in filterfalse(was_met, theirs.differing(ours, text, columns)):
            return _REFUSES.format(text=_shown(each.text), table=each.table)
        for each in ours.differing(theirs, text, columns) if _IGNORES.search(text) else ():
            if each.is_unique:
                return _IGNORED.format(text=_shown(each.text), table=each.table)
        if narrower := self.narrower(own, now, columns, here):
            return _NARROWER.format(column=".".join(narrower))
        new = self.asked_by(text) - own.asked_by(text)
        return _ASKED.format(text=_shown(min(new))) if new else None

    def given_otherwise(self, text: str, here: Ran, *, own: Constraints, own_ran: Ran) -> str | None:
        """Return what gives a value, or replaces one that a query sends, here or at its own state alone.

        Of one that is new each time sameness.overwritten tells.
        """
        if not (self.givers or own.givers or self.shifts or own.shifts):
            return None  # as in most schemas, and each query comes here at each state
        now, before = self.written(text, here.written), own.written(text, own_ran.written)
        new = (moving(here.written) | moving(own_ran.written)) - (columns_by(text) or _NONE)
        tables = self.tables_of(now) & own.tables_of(before)
        for each in shifted(own.shifts, self.shifts, tables=tables, columns=new):
            if each in own.columns and each in self.columns:  # one that comes or goes had no other default
                return _SHIFTED.format(column=".".join(each))
        columns = columns_by(text) or self.columns_of(now)
        ours = [each for each in own.givers if each.table in before]
        theirs = [each for each in self.givers if each.table in now]
        column = replacing(
            [*lone(ours, theirs, self.tables_of(now)), *lone(theirs, ours, own.tables_of(before))],
            columns=columns.difference(moving(here.written), moving(own_ran.written)),
            events=events_of(text),
        )
        return _REPLACED.format(column=column) if column else None

    def _acted_on(
        self, text: str, before: frozenset[str], now: frozenset[str], *, own: Constraints
    ) -> str | None:
        """Return what foreign keys' actions do no more to rows of other tables, or do to them newly."""
        left = {each for each in own.going_with(before, unlike=self) if self._every.of({each})}
        if left and "delete" in events_of(text):
            return _LEFT_ALONE.format(table=min(left))
        more = self.going_with(now, unlike=own) if _REPLACES.search(text) else None
        return _TAKEN_ALONG.format(table=min(more)) if more else None

    def going_with(self, tables: Collection[str], *, unlike: Constraints) -> frozenset[str]:
        """Return whose rows go or change with those of some tables by an action that another state lacks."""
        new = self.leads - unlike.leads
        return frozenset(child for (event, of), (_, child) in new if event == "delete" and of in tables)

    def hidden(self, text: str, *, own: Constraints) -> str | None:
        """Return what hides rows from a query that runs as a role here or at its own state, not in both."""
        if not own.policies and not self.policies:
            return None
        texts = " ".join([text, *called(text, {name: (view,) for name, view in self.views.items()})])
        table = hidden_otherwise(texts, own.policies, self.policies, is_read=not events_of(text))
        return _HIDDEN.format(table=table) if table else None

    def _was_met(self, text: str, here: Ran, constraint: Constraint) -> bool:
        """Tell whether a CHECK or a type is of literals of the text alone: then all rows meet it, or none."""
        table = constraint.table
        columns = constraint.words & self.columns_of({table})
        return (
            constraint.text.upper().startswith(("CHECK ", "STRICT "))
            and targets_of(text) == {table}
            and bool(columns)
            and columns <= literals_by(text).difference(*(each.columns for each in self.givers))
            and constraint.words.isdisjoint(self.functions)
            and here.written is not None
            and bool(here.written.count)
        )

    def written(self, text: str, written: Ran | None) -> frozenset[str]:
        """Return the tables that a text writes, also behind views, and those that hold rows of them."""
        if written is None:
            return frozenset()
        names = targets_of(text) | ({bare(written.table)} if written.table else _NONE)
        found = names.union(*map(self.shown, names))
        return found | _below(found, self.parts)

    def tables_of(self, names: frozenset[str]) -> frozenset[str]:
        """Return those that are no views: what is written through one has a table of another name."""
        return names - self.views.keys()

    def columns_of(self, tables: Collection[str]) -> frozenset[str]:
        """Return the columns of some tables."""
        return frozenset(column for (_, column), _ in self._columns.of(tables))

    def narrower(
        self, own: Constraints, tables: frozenset[str], columns: frozenset[str] | None, ran: Ran
    ) -> tuple[str, str] | None:
        """Return a column that is written and has no place here for all values that it has at `own`."""
        beside = {bare(each.table) for each in ran.beside if each.new}
        return next(
            (
                (table, column)
                for (table, column), room in self._columns.of(tables | beside)
                if (table in beside or columns is None or column in columns)
                and is_narrower(room, own.columns.get((table, column)))
            ),
            None,
        )

    def shown(self, name: str) -> frozenset[str]:
        """Return the words that a view is made of; of a table none."""
        return words_of(self.views.get(name, ""))

    def behind(self, view: str, columns: frozenset[str]) -> frozenset[str]:
        """Return the words among which the columns are that a view calls otherwise; none if it does not."""
        named, shown = columns & self.columns_of({view}), self.shown(view)
        return frozenset() if named and named <= self.columns_of(shown) else shown

    def bounds_of(self, tables: Collection[str]) -> frozenset[str]:
        """Return the bounds of the partitions of some tables."""
        return frozenset(self._bounds.of(tables))

    def left_without(self, before: frozenset[str], now: frozenset[str], *, own: Constraints) -> str | None:
        """Return the bounds of a partition, of a table that is written, for whose rows none is left here."""
        for table in sorted(before):
            left = self.bounds_of({table} if table in self.tables_of(now) else now)
            gone = {each for each in own.bounds_of({table}) - left if not comes_into(each, left)}
            if gone and left and "DEFAULT" not in left:
                return min(gone)
        return None

    @cached_property
    def _every(self) -> ByTable[Constraint]:
        return ByTable((each.table, each) for each in self.every)

    @cached_property
    def _columns(self) -> ByTable[tuple[tuple[str, str], Room | None]]:
        return ByTable((table, ((table, column), room)) for (table, column), room in self.columns.items())

    @cached_property
    def _bounds(self) -> ByTable[str]:
        return ByTable(self.bounds)

    @cached_property
    def leads(self) -> frozenset[tuple[Done, Done]]:
        """Return what is done to rows of a table, and what foreign keys then do to those of another."""
        return frozenset((each.of_parent, each.of_child) for each in self.followers)

    def met(self, tables: frozenset[str], columns: frozenset[str] | None, ran: Ran) -> Met:
        """Return those of some tables, of the rows that follow theirs, and of what else a query wrote.

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
        done_to = {event: _below([(event, each) for each in tables], leads) for event in _OF_PARENTS}
        found = {*self._every.of(tables)}
        for each, rows in self._followed if leads else ():
            events = frozenset(event for event, done in done_to.items() if not rows.isdisjoint(done))
            if events and each not in found:
                found.add(replace(each, words=ANY, events=events))
        followed = {table for done in done_to.values() for _, table in done}
        for effect in ran.beside:
            done = (NEW_ROWS if effect.new else _NONE) | (_OF_PARENTS if effect.gone else _NONE)
            table = bare(effect.table)
            found |= {
                replace(each, words=ANY, events=ANY)
                for each in self._every.of({table} - followed)
                if not done.isdisjoint(each.events)
            }
        reached = tables | followed | {bare(effect.table) for effect in ran.beside}
        return Met(frozenset(found), self.tables_of(reached))

    @cached_property
    def _followed(self) -> tuple[tuple[Constraint, frozenset[Done]], ...]:
        """Return those that a foreign key's action may meet, each with what that has to do to rows."""
        changed: dict[tuple[str, bool], frozenset[str]] = {}
        for each in self.followers:
            event, table = each.of_child
            if event == "update":
                for only_defaults in {False, each.sets_default}:
                    key = (table, only_defaults)
                    changed[key] = changed.get(key, _NONE) | each.columns
        met = ((each, self._rows_of(each, changed)) for each in self.every)
        return tuple((each, rows) for each, rows in met if rows)

    @staticmethod
    def _rows_of(
        constraint: Constraint, changed: Mapping[tuple[str, bool], frozenset[str]]
    ) -> frozenset[Done]:
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

    def may_name(self, text: str, table: str, column: str) -> bool:
        """Tell whether a text, or a view or function that it names, may be about a column of a table."""
        bodies = {**self.functions, **{name: (view,) for name, view in self.views.items()}}
        texts = [text, *called(text, bodies)]
        names = words_of(" ".join(texts))
        is_any = any(map(_ALL_COLUMNS.search, texts)) or columns_by(text) is None
        return words_of(table) <= names and (is_any or words_of(column) <= names)

    def asked_by(self, text: str) -> frozenset[str]:
        """Return what a query has to meet by what it names: checks of domains, functions that refuse."""
        found = self._asked.get(text)
        if found is None:
            found = self._asked[text] = self._ask(text)
        return found

    @cached_property
    def _asked(self) -> dict[str, frozenset[str]]:
        return {}

    def _ask(self, text: str) -> frozenset[str]:
        shown = [self.views[name] for name in words_of(text) & self.views.keys()]
        bodies = called(" ".join([text, *shown]), self.functions)
        words = words_of(" ".join([text, *shown, *bodies]))
        checks = frozenset[str]().union(*(self.domains[name] for name in words & self.domains.keys()))
        return checks.union(filter(may_refuse, bodies))


def _below(tables: Collection[_T], pairs: Collection[tuple[_T, _T]]) -> frozenset[_T]:
    """Return all that pairs lead to from some tables."""
    below: frozenset[_T] = frozenset()
    reached = frozenset(tables)
    while more := {child for parent, child in pairs if parent in reached} - below:
        below |= more
        reached |= more
    return below


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
