"""What a state's catalogue says, in the form in which queries are held against it. Pure.

It is read once for a state, and asked about thousands of queries that are each about a few tables: so things
are found by their tables, and what a schema alone decides is found out once. What follows for a query where
two states differ is in unmet.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from coordinator.rehearsal_ports import Ran
from coordinator.rehearse.acting import Acting, acting
from coordinator.rehearse.bodies import without_casts
from coordinator.rehearse.by_table import ByTable
from coordinator.rehearse.catalogued import (
    Constraint,
    Done,
    Follower,
    Read,
    Room,
    bare,
    bounds,
    called,
    columns_of,
    constraints,
    domain_checks,
    followers,
    may_refuse,
    of_domains,
    partitionings,
    triggers,
    words_of,
)
from coordinator.rehearse.computed import expressions
from coordinator.rehearse.conflicts import Conflicts, conflicts
from coordinator.rehearse.counters import Numbers, counted, never_again, sequences
from coordinator.rehearse.following import Following, below, refusing
from coordinator.rehearse.givers import Giver, givers
from coordinator.rehearse.homonyms import Homonyms, homonyms, others, without
from coordinator.rehearse.labels import Labels, labels
from coordinator.rehearse.nullable import never_null
from coordinator.rehearse.policies import Policy, policies
from coordinator.rehearse.references import Reference, references
from coordinator.rehearse.shifted import Shifts, shifts
from coordinator.rehearse.strict_tables import strict_columns
from coordinator.rehearse.written import columns_by, targets_of

_CALLED = re.compile(r"`(?P<column>[^`]+)` as `(?P<name>[^`]+)`", re.IGNORECASE)
"""A column of a view, as MySQL and MariaDB tell its text."""
_ALL_COLUMNS = re.compile(r"(?:\bSELECT(?:\s+(?:ALL|DISTINCT))?|\bRETURNING|,|\.)\s*\*", re.IGNORECASE)
_VIEWS = ("view ", "materialized view ")
_VIRTUAL = re.compile(r"CREATE VIRTUAL TABLE .*? USING (?P<made_of>.*)", re.IGNORECASE | re.DOTALL)
_GIVES = re.compile(r"\b(?:default|generated always as) .*|\bas \(.*", re.IGNORECASE | re.DOTALL)
_COMPUTES = ("generated", "as ")
_BEHIND_TYPE = re.compile(r" (?:not null|default|collate|generated|storage)\b")
_TEXT = re.compile(
    r"(?:text|character varying)(?:\(\d+\))?(?! *\[)(?!.*\bcollate\b)(?= |$)", re.IGNORECASE | re.DOTALL
)
"""PostgreSQL's types of a text that is compared as it stands: no array, and in no collation of its own."""
_CONSTRAINTS = (constraints, of_domains, partitionings, expressions, strict_columns, triggers)
"""What reads them from a catalogue."""


@dataclass(frozen=True)
class Schema:
    """The constraints of a state, what gives values and hides rows there, and what its views are made of."""

    constraints: tuple[Constraint, ...]
    views: Mapping[str, str]
    functions: Mapping[str, Sequence[str]]
    domains: Mapping[str, frozenset[str]]
    """What the values of each have to meet."""
    followers: frozenset[Follower]
    references: frozenset[Reference]
    """Its foreign keys."""
    parts: Collection[tuple[str, str]]
    """Tables, each with one that has some of its rows: a partition, or a table that inherits."""
    columns: Mapping[tuple[str, str], Room | None]
    """By table and name, what they have place for."""
    givers: tuple[Giver, ...]
    """All of them: those of two tables may be equal, which says nothing of a table's own."""
    acting: tuple[Acting, ...]
    """All triggers and rules."""
    bounds: frozenset[tuple[str, str]]
    """Partitioned tables, each with the bounds of one of its partitions."""
    shifts: Shifts
    policies: Mapping[str, frozenset[Policy]]
    """By table, what hides its rows from a role."""
    given: Mapping[tuple[str, str], str]
    """By table and column, its `default …`, a domain's if it has none, or what computes it."""
    conflicts: Conflicts
    sequences: Mapping[str, Numbers]
    counted: Mapping[tuple[str, str], str]
    """By table and column that counts, the sequence that gives its value."""
    never_again: frozenset[tuple[str, str]]
    """Keys, each with its table, that do not get the number of a row that is gone again."""
    labels: Labels
    never_null: frozenset[tuple[str, str]]
    """Columns, each with its table, that are NOT NULL."""
    refusing: frozenset[tuple[Done, str]]
    """What cannot be done to a table's rows while one of another table refers to them, with that table."""
    ambiguous: frozenset[str]
    """Names, without schema, that tables or views of several schemas have."""
    catalogue: Mapping[str, str] = field(repr=False)
    """What it was read from."""

    @classmethod
    def of(cls, catalogue: Mapping[str, str]) -> Schema:
        """Read it; see rehearsal_ports.RehearsalDatabase.catalogue."""
        read = Read.of(catalogue)
        parts = [key.split(" ")[1:] for key in catalogue if key.startswith(("partition ", "inheritance "))]
        return cls(
            constraints=tuple(each for reader in _CONSTRAINTS for each in reader(read)),
            views={bare(key): text for key, text in catalogue.items() if key.startswith(_VIEWS)},
            functions=read.functions,
            domains=domain_checks(read),
            followers=frozenset(followers(read)),
            references=frozenset(references(read)),
            parts=frozenset((bare(table), bare(part)) for table, *_, part in parts),
            columns=dict(columns_of(read)),
            givers=tuple(givers(read)),
            acting=tuple(acting(read)),
            bounds=frozenset(bounds(read)),
            shifts=dict(shifts(read)),
            policies=policies(read),
            given=dict(_given(catalogue)),
            conflicts=conflicts(read),
            sequences=dict(sequences(read)),
            counted=counted(read),
            never_again=never_again(read),
            labels=labels(read),
            never_null=never_null(read),
            refusing=frozenset(refusing(read)),
            ambiguous=frozenset(homonyms(catalogue)),
            catalogue=catalogue,
        )

    def about(self, text: str, *, known: Iterable[str], ran: Ran) -> Schema:
        """Return the schema without tables that have the names of those that a text is about.

        `known` are tables of which the engine told.
        """
        if not self._homonyms:
            return self
        beside = {bare(each.table) for each in ran.beside}
        left = others(text, self._homonyms, known=known, beside=beside)
        if not left:
            return self
        if left not in self._about:
            alone = Schema.of(without(self.catalogue, left))
            self._about[left] = replace(alone, ambiguous=self.ambiguous)
        return self._about[left]

    @cached_property
    def _homonyms(self) -> Homonyms:
        return homonyms(self.catalogue)

    @cached_property
    def _about(self) -> dict[frozenset[str], Schema]:
        return {}

    @cached_property
    def following(self) -> Following:
        """What its foreign keys' actions do."""
        return Following(self.constraints, self.followers)

    def constraints_of(self, tables: Collection[str]) -> list[Constraint]:
        """Return those of some tables."""
        return self._constraints.of(tables)

    def bounds_of(self, tables: Collection[str]) -> frozenset[str]:
        """Return the bounds of the partitions of some tables."""
        return frozenset(self._bounds.of(tables))

    def rooms_of(self, tables: Collection[str]) -> list[tuple[tuple[str, str], Room | None]]:
        """Return the columns of some tables, each with its table and what it has place for."""
        return self._columns.of(tables)

    def columns_of(self, tables: Collection[str]) -> frozenset[str]:
        """Return the names of the columns of some tables."""
        return frozenset(column for (_, column), _ in self._columns.of(tables))

    def tables_of(self, names: frozenset[str]) -> frozenset[str]:
        """Return those that are no views: what is written through one has a table of another name."""
        return names - self.views.keys()

    def written(self, text: str, written: Ran | None) -> frozenset[str]:
        """Return the tables that a text writes, also behind views, and those that hold rows of them."""
        if written is None:
            return frozenset()
        names = targets_of(text) | ({bare(written.table)} if written.table else frozenset())
        found = names.union(*map(self._shown, names))
        return found | below(found, self.parts)

    def behind(self, view: str, columns: frozenset[str]) -> frozenset[str]:
        """Return the words among which the columns are that a view calls otherwise; none if it does not."""
        named, shown = columns & self.columns_of({view}), self._shown(view)
        if named and named <= self.columns_of(shown):
            return frozenset()
        told = [
            (each["column"].lower(), each["name"].lower())
            for each in _CALLED.finditer(self.views.get(view, ""))
        ]
        behind = frozenset(column for column, name in told if name in columns)
        is_told = columns <= {name for _, name in told} and shown.isdisjoint(self.views)
        return behind if is_told else shown

    def through(self, view: str, column: str) -> frozenset[tuple[str, str]]:
        """Return the columns, each with its table, among which the one is that a view shows as a column."""
        shown = self._shown(view)
        words = self.behind(view, frozenset({column})) or {column}
        return frozenset(name for name in self.columns if name[0] in shown and name[1] in words)

    def relations_behind(self, view: str) -> frozenset[str]:
        """Return the tables and views of which a view shows rows; of a table none."""
        return self._shown(view) & self.relations

    def with_views(self, text: str) -> str:
        """Return a text with what the views are made of that it names."""
        return " ".join([text, *called(text, self._bodies_of_views)])

    def may_name(self, text: str, table: str, column: str) -> bool:
        """Tell whether a text, or a view or function that it names, may be about a column of a table."""
        texts = [text, *called(text, self.bodies)]
        names = words_of(" ".join(texts))
        is_any = any(map(_ALL_COLUMNS.search, texts)) or columns_by(text) is None
        return words_of(table) <= names and (is_any or words_of(column) <= names)

    def words_behind(self, text: str) -> frozenset[str]:
        """Return the words of a text, and of the views and functions that it names."""
        return words_of(" ".join([text, *called(text, self.bodies)]))

    def asked_by(self, text: str) -> frozenset[str]:
        """Return what a query has to meet by what it names: checks of domains, functions that refuse."""
        found = self._asked.get(text)
        if found is None:
            found = self._asked[text] = self._ask(text)
        return found

    def _ask(self, text: str) -> frozenset[str]:
        shown = [self.views[name] for name in words_of(text) & self.views.keys()]
        bodies = called(" ".join([text, *shown]), self.functions)
        words = words_of(" ".join([text, *shown, *bodies]))
        checks = frozenset[str]().union(*(self.domains[name] for name in words & self.domains.keys()))
        return checks.union(filter(may_refuse, bodies))

    def _shown(self, name: str) -> frozenset[str]:
        """Return the words that a view is made of, with the views that it names; of a table none."""
        found: set[str] = set()
        new = {name}
        while new := new & self.views.keys() - found:
            found |= new
            new = {word for each in new for word in words_of(self.views[each])}
        return frozenset[str]().union(*(words_of(self.views[each]) for each in found))

    @cached_property
    def _asked(self) -> dict[str, frozenset[str]]:
        return {}

    @cached_property
    def bodies(self) -> Mapping[str, Sequence[str]]:
        """By name, what its functions and views are made of, and what searches texts."""
        return {**self.searches, **self.functions, **self._bodies_of_views}

    @cached_property
    def searches(self) -> Mapping[str, Sequence[str]]:
        """By name, what PostgreSQL's texts are searched by, and of what SQLite's virtual tables are made."""
        found: dict[str, Sequence[str]] = {}
        for key, text in self.catalogue.items():
            virtual = _VIRTUAL.match(text) if key.startswith("table ") else None
            if virtual or key.startswith("text search "):
                found[bare(key)] = (virtual["made_of"] if virtual else text,)
        return found

    @cached_property
    def uniques(self) -> frozenset[Constraint]:
        """What is unique by columns alone in all rows of a table."""
        every = (each for each in self.constraints if each.is_unique and each.keys)
        return frozenset(each for each in every if "where" not in each.words and "EXCLUDE" not in each.text)

    @cached_property
    def materialized(self) -> frozenset[str]:
        """Its views that hold rows."""
        return frozenset(bare(key) for key in self.catalogue if key.startswith("materialized view "))

    @cached_property
    def types(self) -> Mapping[tuple[str, str], str]:
        """By table and column, what its values are of."""
        columns = (key for key in self.catalogue if key.startswith("column "))
        parts = ((key, key.partition(" ")[2].rpartition(".")) for key in columns)
        return {
            (bare(table), bare(column)): _BEHIND_TYPE.split(self.catalogue[key])[0]
            for key, (table, _, column) in parts
        }

    def family(self, tables: frozenset[str]) -> frozenset[str]:
        """Return some tables with their partitions, and with what they are partitions of."""
        return tables | below(tables, self.parts) | below(tables, self.wholes)

    @cached_property
    def wholes(self) -> frozenset[tuple[str, str]]:
        """Its parts, each with the table of which it has some rows."""
        return frozenset((part, table) for table, part in self.parts)

    @cached_property
    def relations(self) -> frozenset[str]:
        """What tables and views are called."""
        return frozenset(table for table, _ in self.columns) | self.views.keys()

    @cached_property
    def names(self) -> frozenset[str]:
        """What tables, views and columns are called."""
        return frozenset(name for pair in self.columns for name in pair)

    @cached_property
    def _bodies_of_views(self) -> Mapping[str, Sequence[str]]:
        return {name: (view,) for name, view in self.views.items()}

    @cached_property
    def shown(self) -> Mapping[str, str]:
        """What its views are made of, without casts that say only that a column is a `varchar`.

        A function of the schema may be another one for either, so nothing is left out beside one.
        """
        others, texts = set[str](), set[str]()
        for key, definition in self.catalogue.items():
            if key.startswith("column "):
                (texts if _TEXT.match(definition) else others).add(bare(key.partition(" ")[2]))
        return {
            name: view if words_of(view) & self.functions.keys() else without_casts(view, texts - others)
            for name, view in self.views.items()
        }

    @cached_property
    def _constraints(self) -> ByTable[Constraint]:
        return ByTable((each.table, each) for each in self.constraints)

    @cached_property
    def _columns(self) -> ByTable[tuple[tuple[str, str], Room | None]]:
        return ByTable((table, ((table, column), room)) for (table, column), room in self.columns.items())

    @cached_property
    def _bounds(self) -> ByTable[str]:
        return ByTable(self.bounds)


def _given(catalogue: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield by table and column what gives a value that a query does not write."""
    domains = {
        key.partition(" ")[2]: found[0]
        for key, definition in catalogue.items()
        if key.startswith("domain ") and (found := _GIVES.search(definition)) is not None
    }
    for key, definition in catalogue.items():
        if key.startswith("column "):
            found = _GIVES.search(definition)
            given = found[0] if found is not None else domains.get(definition.partition(" ")[0])
            if given is not None:
                table, _, column = key.partition(" ")[2].rpartition(".")
                yield (bare(table), bare(column)), given.lower()


def is_computed(given: str) -> bool:
    """Tell whether what gives a column its value does so whenever the row is written."""
    return given.startswith(_COMPUTES)
