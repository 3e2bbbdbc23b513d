"""Which sample rows a scratch database has, and what is tried where a migration fails on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from coordinator.errors import DatabaseError
from coordinator.model import Engine, Migration
from coordinator.pieces import statements_of
from coordinator.rehearsal_ports import RehearsalDatabase, Sampling
from coordinator.rehearse.catalogued import bare, words_of
from coordinator.rehearse.documents import read_as_documents
from coordinator.rehearse.emptied import NOTHING_EMPTIED, Emptied
from coordinator.rehearse.free_parents import free_parents
from coordinator.rehearse.met import events_of
from coordinator.rehearse.refused_rows import is_of_checks, is_of_values
from coordinator.rehearse.subject import Subject
from coordinator.rehearse.walk import Apply, Failure
from coordinator.rehearse.written import assigned_by, targets_of
from coordinator.sql import split_statements
from coordinator.wanted import NOTHING, WantedRows, read_as_one, wanted_by

_FULL_ROWS: Final = 2
_OF_ROWS_THERE: Final = frozenset({"update", "delete"})


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a release wants of sample rows."""

    wanted: WantedRows
    """What its queries look for, and which rows its migrations change or take away."""
    seeded: Sequence[tuple[str, frozenset[str]]]
    """Its migrations' names, in order, each with the tables, in small letters, into which it puts rows.

    A row of ours beside those that are there may have the key of one that comes: the migration would fail, or
    leave its own row out (`ON CONFLICT DO NOTHING`), and nobody would see that it is new.
    """
    read_as_one: frozenset[str] = frozenset()
    """The tables of which a query takes the only row, and would fail on a second one."""
    documents: frozenset[str] = frozenset()
    """The columns that a query or migration reads as JSON."""

    def after(self, migration: Migration) -> Wishes:
        """Return what is left to be wished for when a migration has run."""
        names = [name for name, _ in self.seeded]
        return replace(self, seeded=self.seeded[names.index(migration.name) + 1 :])

    @property
    def left_alone(self) -> frozenset[str]:
        """Return the tables that get no rows beside those that are there, and none that queries want."""
        return self.read_as_one.union(*(tables for _, tables in self.seeded))


@dataclass(frozen=True, slots=True)
class SampleRows:
    """Which rows there are: as many as no migration fails on, of those that we know to make."""

    wanted: bool = True
    """Also what queries want: it may be what a migration ends, or alike where it wants no two."""
    with_nulls: bool = True
    """Also rows that are NULL wherever that is allowed."""
    anew: bool = True
    """Also after each migration, in the tables that it made; a later one may copy rows into them."""
    numbers: tuple[frozenset[str], ...] = ()
    """The words of migrations that read texts as numbers: columns that one names have such texts."""
    lone: Mapping[str, int] = field(default_factory=dict)
    """Tables of which a migration's CHECK refuses a row, each with the number of the one that it has."""
    emptied: Emptied = NOTHING_EMPTIED

    def fill(self, database: RehearsalDatabase, wishes: Wishes) -> tuple[str, ...]:
        """Give rows to the first state; return a clause for each table that stays empty."""
        alone = wishes.left_alone
        wanted = {
            table: rows for table, rows in wishes.wanted.items() if table not in alone | self.lone.keys()
        }
        unfilled = database.fill(
            Sampling(
                with_nulls=self.with_nulls,
                wanted=wanted if self.wanted else NOTHING,
                left_alone=alone,
                without=self.emptied.tables.keys(),
                lone=self.lone,
                numbers=frozenset(_named_by(self.numbers, database)) if self.numbers else frozenset(),
                documents=wishes.documents,
            )
        )
        return (*unfilled, *self.emptied.clauses)

    def after(self, apply: Apply, engine: Engine, wishes: Wishes) -> Apply:
        """Return what applies a migration, and gives rows to the tables that it made if they are wanted.

        Where it gives each parent a child, one stays without: see free_parents.
        """

        def apply_and_fill(database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
            error = apply(database, migration)
            if error is None:
                free_parents(database, migration, engine)
                if self.anew:
                    self.fill(database, wishes.after(migration))
            return error

        return apply_and_fill

    def less(self, failure: Failure, emptied: Callable[[Emptied], Emptied | None]) -> SampleRows | None:
        """Return what is tried when a migration failed on these; None if it is to be tried without any.

        `emptied` tells which tables are to be left without rows beside those that are already. The others get
        all that they can have again: it was not on their account that there was less.
        """
        words = _words_of(failure.migration)
        if self.lone and is_of_checks(failure.error):  # others' rows have nothing to do with it
            return self._without(failure, emptied)
        if self.wanted:
            return replace(self, wanted=False)
        if is_of_values(failure.error) and words not in self.numbers:
            return replace(self, numbers=(*self.numbers, words))
        if self.with_nulls:
            return replace(self, with_nulls=False)
        if self.anew and not self.emptied.tables:
            return replace(self, anew=False)
        return self._without(failure, emptied)

    def _without(self, failure: Failure, emptied: Callable[[Emptied], Emptied | None]) -> SampleRows | None:
        """Return what is tried with another row alone in some tables, and in the end without any there."""
        more = emptied(self.emptied)
        if more is None:
            return None
        found = more.tables.keys() - self.emptied.tables.keys()
        number = min(self.lone.get(table, _FULL_ROWS + 1) for table in found) - 1
        lone = {table: number for table, number in self.lone.items() if table not in found}
        if number and is_of_checks(failure.error):
            return replace(FIRST_TRIED, emptied=self.emptied, lone=lone | dict.fromkeys(found, number))
        return replace(FIRST_TRIED, emptied=more, lone=lone)


FIRST_TRIED: Final = SampleRows()


def _words_of(migration: Migration) -> frozenset[str]:
    """Return the words of a migration, without columns that a function or a trigger of it changes.

    What that does to other texts (`lower(code)`) only rows tell, see changed_rows; numbers would hide it.
    """
    text = "\n".join(each.text for each in migration.up.statements) if migration.up else ""
    bodies = (each.text for each in split_statements(text) if each.words[:1] == ("CREATE",))
    return words_of(text) - frozenset[str]().union(*map(assigned_by, bodies))


def _named_by(texts: Sequence[frozenset[str]], database: RehearsalDatabase) -> Iterator[tuple[str, str]]:
    """Yield the columns, each with its table, that a migration names."""
    for key in database.catalogue():
        if key.startswith("column "):
            table, _, column = key.partition(" ")[2].rpartition(".")
            if any(words_of(f"{bare(table)} {bare(column)}") <= words for words in texts):
                yield bare(table), bare(column)


def wishes_of(subjects: Iterable[Subject], pending: Iterable[Migration], engine: Engine) -> Wishes:
    """Return what the queries of some versions, and the migrations between them, want of sample rows."""
    statements = {each.name: [one.text for one in statements_of(each, engine)] for each in pending}
    migrating = [text for texts in statements.values() for text in texts]
    changing = [text for text in migrating if events_of(text) & _OF_ROWS_THERE]
    asked = dict.fromkeys(query.text for each in subjects for query in each.catalogue.queries)
    seeded = [(name, _seeded_by(texts)) for name, texts in statements.items()]
    wanted = wanted_by(dict.fromkeys((*changing, *asked)), engine)
    return Wishes(wanted, seeded, read_as_one(asked, engine), read_as_documents((*asked, *migrating)))


def _seeded_by(statements: Iterable[str]) -> frozenset[str]:
    return frozenset[str]().union(*(targets_of(each) for each in statements if "insert" in events_of(each)))
