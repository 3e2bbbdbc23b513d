"""A scratch database: a file in a private temporary folder, which is gone when nobody needs it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from coordinator.adapters.own_folder import own_folder
from coordinator.adapters.rehearsals._scratch import stars
from coordinator.adapters.rehearsals._sqlite import asking, execution, sample, schema
from coordinator.adapters.rehearsals._sqlite import connection as connections
from coordinator.adapters.rehearsals._sqlite.choosing import choose
from coordinator.adapters.rehearsals._sqlite.columns import columns_of
from coordinator.adapters.rehearsals._sqlite.lookups import look_up
from coordinator.adapters.rehearsals._sqlite.tokens import tokens_of
from coordinator.adapters.rehearsals._sqlite.watching import Watcher, tables_in, watched_session
from coordinator.adapters.sqlite_session import SqliteSession
from coordinator.adapters.sqlite_url import written_like
from coordinator.evidence import Objection, StatementEvidence
from coordinator.rehearsal_ports import (
    THREE_ROWS,
    Description,
    Lookup,
    Ran,
    RehearsalDatabase,
    Sampling,
    Values,
)
from coordinator.secret import Secret

_PREFIX: Final = "coordinator-sqlite-"


class ScratchDatabase:
    """rehearsal_ports.RehearsalDatabase on one file; every question has a connection of its own."""

    def __init__(self, folder: Path, numbers: Iterator[int], *, tables: frozenset[str] = frozenset()) -> None:
        self.path = folder / f"{next(numbers)}.db"
        self._numbers = numbers
        self._watcher = Watcher(tables)
        self._filled: set[str] = set()

    @contextmanager
    def session(self) -> Iterator[SqliteSession]:
        """Connect as a release does; what would reach another file is refused."""
        with watched_session(self.path, self._watcher) as session:
            yield session

    def address(self, like: Secret) -> Secret:
        """Return where another program finds the file."""
        return written_like(self.path, like)

    def take_statements(self) -> tuple[StatementEvidence, ...]:
        """Return what was seen since the last call."""
        return self._watcher.take()

    @contextmanager
    def clone(self) -> Iterator[RehearsalDatabase]:
        """Copy the file, page by page."""
        tables = tables_in(self.catalogue())
        other = ScratchDatabase(self.path.parent, self._numbers, tables=tables)
        other._filled |= self._filled
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(other.path)) as target:
            source.backup(target)
        try:
            yield other
        finally:
            other.remove()

    def remove(self) -> None:
        """Remove the file, with those that SQLite keeps beside it."""
        for each in self.path.parent.glob(f"{self.path.name}*"):
            each.unlink(missing_ok=True)

    def prepare(self, texts: Sequence[str]) -> list[Description | Objection]:
        """Ask SQLite to compile each text, and what a client sees of it."""
        with connections.asking(self.path) as connection:
            return [asking.prepare(connection, text) for text in texts]

    def expand_star(self, texts: Sequence[str]) -> list[str]:
        """Return each text with the columns that its stars stand for now."""
        with connections.asking(self.path) as connection:
            engine = stars.Engine(
                tokens_of, lambda select: [each.name for each in columns_of(connection, select)]
            )
            return [stars.expand_star(engine, text) for text in texts]

    def plan(self, texts: Sequence[str], *, role: str | None) -> list[Objection | None]:
        """Ask again what `prepare` asked: SQLite has no privileges, and compiling includes planning."""
        del role
        with connections.asking(self.path) as connection:
            return [asking.plan(connection, text) for text in texts]

    def look_up(self, asks: Sequence[tuple[str, Values]]) -> list[Lookup | None]:
        """Ask how each text finds its rows, whatever its values are."""
        with connections.asking(self.path) as connection:
            names = frozenset(table.name.lower() for table in schema.tables(connection))
            return [look_up(connection, text, names) for text, _ in asks]

    def fill(self, sampling: Sampling = THREE_ROWS) -> tuple[str, ...]:
        """Insert sample rows into the empty tables that were not there at the last call."""
        with connections.asking(self.path) as connection:
            return tuple(sample.fill(connection, sampling, filled=self._filled))

    def choose(self, texts: Sequence[str], *, role: str | None) -> list[Values | Objection]:
        """Find sample values with which each text runs here."""
        del role
        with connections.asking(self.path) as connection:
            known = {table.name.lower(): table for table in schema.tables(connection)}
            views = schema.views(connection)
        return [choose(self.path, known, text, views=views) for text in texts]

    def execute(self, asks: Sequence[tuple[str, Values]], *, role: str | None) -> list[Ran | Objection]:
        """Run each text with its values in a transaction of its own that is rolled back."""
        del role
        return [execution.run(self.path, text, values) for text, values in asks]

    @contextmanager
    def held(self, texts: Sequence[str]) -> Iterator[Callable[[], list[Objection | None]]]:
        """Ask again what `prepare` asked: SQLite compiles anew by itself when the schema has changed.

        A session that stays would tell less: EXPLAIN does not look whether its idea of the schema is old.
        """
        yield lambda: self.plan(texts, role=None)

    def catalogue(self) -> Mapping[str, str]:
        """Return the schema as name → definition."""
        with connections.asking(self.path) as connection:
            return schema.catalogue(connection)


@contextmanager
def scratch_folder() -> Iterator[tuple[Path, Iterator[int]]]:
    """Make a private folder with a supply of numbers for its files; remove what killed commands left."""
    with own_folder(_PREFIX) as folder:
        yield folder, count(1)
