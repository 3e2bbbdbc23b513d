"""Which sample rows a scratch database has, and what is tried where a migration fails on them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from coordinator.errors import DatabaseError
from coordinator.model import Engine, Migration
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.free_parents import free_parents
from coordinator.rehearse.subject import Subject
from coordinator.rehearse.walk import Apply
from coordinator.wanted import NOTHING, WantedRows, wanted_by


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

    def fill(self, database: RehearsalDatabase, wanted: WantedRows) -> tuple[str, ...]:
        """Give rows to the first state; return a clause for each table that stays empty."""
        if self is SampleRows.NEVER:
            return ()
        with_nulls = self in (SampleRows.WANTED, SampleRows.ALWAYS)
        return database.fill(with_nulls=with_nulls, wanted=wanted if self is SampleRows.WANTED else NOTHING)

    def after(self, apply: Apply, engine: Engine, wanted: WantedRows) -> Apply:
        """Return what applies a migration, and gives rows to the tables that it made if they are wanted.

        Where it gives each parent a child, one stays without: see free_parents.
        """

        def apply_and_fill(database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
            error = apply(database, migration)
            if error is None:
                free_parents(database, migration, engine)
                if self is not SampleRows.FIRST:
                    self.fill(database, wanted)
            return error

        return apply if self is SampleRows.NEVER else apply_and_fill


def wanted_of(subjects: Iterable[Subject], engine: Engine) -> WantedRows:
    """Return the rows that the queries of some versions look for."""
    texts = (query.text for each in subjects for query in each.catalogue.queries)
    return wanted_by(dict.fromkeys(texts), engine)
