"""Which sample rows a scratch database has, and what is tried where a migration fails on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from coordinator.errors import DatabaseError
from coordinator.model import Engine, Migration
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.free_parents import free_parents
from coordinator.rehearse.met import events_of
from coordinator.rehearse.subject import Subject
from coordinator.rehearse.walk import Apply
from coordinator.rehearse.written import targets_of
from coordinator.sql import split_statements
from coordinator.wanted import NOTHING, WantedRows, wanted_by


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a release wants of sample rows."""

    wanted: WantedRows
    """What its queries look for."""
    seeded: Sequence[tuple[str, frozenset[str]]]
    """Its migrations' names, in order, each with the tables, in small letters, into which it puts rows.

    A row of ours beside those that are there may have the key of one that comes: the migration would fail, or
    leave its own row out (`ON CONFLICT DO NOTHING`), and nobody would see that it is new.
    """

    def after(self, migration: Migration) -> Wishes:
        """Return what is left to be wished for when a migration has run."""
        names = [name for name, _ in self.seeded]
        return replace(self, seeded=self.seeded[names.index(migration.name) + 1 :])

    @property
    def left_alone(self) -> frozenset[str]:
        """Return the tables that get no rows beside those that are there, and none that queries want."""
        return frozenset[str]().union(*(tables for _, tables in self.seeded))


class SampleRows(Enum):
    """Which rows there are, in the order in which they are tried."""

    WANTED = auto()
    """At the first state, and after each migration in the tables that it made; also what queries want."""
    ALWAYS = auto()
    """The same without what queries want: it may be what a migration ends, or alike where it wants no two."""
    FULL = auto()
    """The same without the rows that are NULL wherever that is allowed: it may be what a migration ends."""
    FIRST = auto()
    """Those at the first state alone: a migration copies rows into a table that an earlier one made."""
    NEVER = auto()

    def fill(self, database: RehearsalDatabase, wishes: Wishes) -> tuple[str, ...]:
        """Give rows to the first state; return a clause for each table that stays empty."""
        if self is SampleRows.NEVER:
            return ()
        with_nulls = self in (SampleRows.WANTED, SampleRows.ALWAYS)
        alone = wishes.left_alone
        wanted = {table: rows for table, rows in wishes.wanted.items() if table not in alone}
        return database.fill(
            with_nulls=with_nulls, wanted=wanted if self is SampleRows.WANTED else NOTHING, left_alone=alone
        )

    def after(self, apply: Apply, engine: Engine, wishes: Wishes) -> Apply:
        """Return what applies a migration, and gives rows to the tables that it made if they are wanted.

        Where it gives each parent a child, one stays without: see free_parents.
        """

        def apply_and_fill(database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
            error = apply(database, migration)
            if error is None:
                free_parents(database, migration, engine)
                if self is not SampleRows.FIRST:
                    self.fill(database, wishes.after(migration))
            return error

        return apply if self is SampleRows.NEVER else apply_and_fill


def wishes_of(subjects: Iterable[Subject], pending: Iterable[Migration], engine: Engine) -> Wishes:
    """Return what the queries of some versions, and the migrations between them, want of sample rows."""
    texts = (query.text for each in subjects for query in each.catalogue.queries)
    seeded = [(each.name, _seeded_by(each, engine)) for each in pending]
    return Wishes(wanted_by(dict.fromkeys(texts), engine), seeded)


def _seeded_by(migration: Migration, engine: Engine) -> frozenset[str]:
    texts = (each.text for each in migration.up.statements) if migration.up else ()
    statements = (each.text for text in texts for each in split_statements(text, engine))
    return frozenset[str]().union(*(targets_of(each) for each in statements if "insert" in events_of(each)))
