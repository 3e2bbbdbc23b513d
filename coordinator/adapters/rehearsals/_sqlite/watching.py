"""What each statement of a migration did: how long it took, what it wrote and rewrote, what it changed.

SQLite has one lock for the whole file, so there is none to tell of a table. Before a statement writes to a
table SQLite asks its authorizer, rows or no rows; the rest is the difference of two catalogues. Watching only
reads, so that a migration ends here as it would without.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.adapters.rehearsals._sqlite.asking import WRITES
from coordinator.adapters.rehearsals._sqlite.connection import allow_within_scratch
from coordinator.adapters.rehearsals._sqlite.schema import SCHEMA, catalogue
from coordinator.adapters.rehearsals._sqlite.tokens import tokens_of
from coordinator.adapters.sqlite_session import Rows, SqliteSession
from coordinator.diagnostics import Place
from coordinator.evidence import Change, StatementEvidence
from coordinator.model import Statement
from coordinator.rehearsal_ports import BOOKS

_NAMED_SECOND: Final = (sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_DROP_INDEX)
"""Actions whose second argument is the table; that of the others is the first."""
_MAKES: Final = (
    *_NAMED_SECOND,
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_DROP_TABLE,
)
_EDITS: Final = frozenset({"schema_version", "writable_schema"})
"""The pragmas of who changes a schema behind SQLite's back."""
_OF_A_TABLE: Final = ("column", "conflict", "constraint", "index", "trigger")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A statement that ran, with the catalogues around it and what SQLite asked its authorizer."""

    statement: Statement
    before: Mapping[str, str]
    after: Mapping[str, str]
    actions: tuple[tuple[int, str], ...]
    seconds: float
    in_transaction: bool

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return the difference of the two catalogues, which are mostly one."""
        if self.before is self.after:
            return ()
        names = [name for name in {**self.before, **self.after} if self._at(name)[0] != self._at(name)[1]]
        return tuple(_change(name, *self._at(name)) for name in names)

    def _at(self, name: str) -> tuple[str | None, str | None]:
        return self.before.get(name), self.after.get(name)

    def tables(self, *actions: int) -> set[str]:
        """Return the tables of a service with which it did one of some actions."""
        return {table for action, table in self.actions if action in actions and not _is_own(table)}

    @property
    def is_of_the_tool(self) -> bool:
        """It made or wrote the version table of a migration tool, and nothing else."""
        tables = self.tables(*WRITES, *_MAKES)
        return bool(tables) and tables <= BOOKS


class Watcher:
    """Collects what the statements of one scratch database did; `tables` are those that it begins with."""

    def __init__(self, tables: frozenset[str] = frozenset()) -> None:
        self._evidence: list[StatementEvidence] = []
        self._now = tables
        self._origins = {name: name for name in tables}
        """Each table that was there before the migration: its name now → its name then."""
        self._dropped: set[str] = set()
        """Names that tables had before the migration which are gone."""
        self._actions: list[tuple[int, str]] | None = None
        self._seen: tuple[object, Mapping[str, str]] | None = None
        """The catalogue as the session last read it, which takes long, with the file's number of it."""
        self._is_edited = False
        """That number may say nothing in this session."""

    def begin(self) -> None:
        """Know nothing of the file: the session is a new one."""
        self._seen, self._is_edited = None, False

    def take(self) -> tuple[StatementEvidence, ...]:
        """Return what was seen since the last call; what is there now counts as there before."""
        evidence, self._evidence = tuple(self._evidence), []
        self._origins = {name: name for name in self._now}
        self._dropped = set()
        return evidence

    def allow(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        """Authorize what a migration does, and remember it."""
        if self._actions is not None:
            table = second if action in _NAMED_SECOND else first
            self._actions.append((action, table or ""))
        return allow_within_scratch(action, first)

    def watch(self, connection: sqlite3.Connection, statement: Statement, send: Callable[[], Rows]) -> None:
        """Run a statement and look at what it did; one that fails leaves no evidence."""
        before, in_transaction = self._look(connection), connection.in_transaction
        known, self._seen = self._seen, None  # what is taken back behind a failure sets the number back
        self._actions = []
        begun = time.monotonic()
        try:
            send()
        finally:
            seconds = time.monotonic() - begun
            actions, self._actions = tuple(self._actions), None
            self._is_edited = self._is_edited or any(map(_is_edit, actions))
        self._seen = known
        seen = _Seen(statement, before, self._look(connection), actions, seconds, in_transaction)
        if not seen.is_of_the_tool:
            self._evidence.append(self._judged(seen))
        self._now = tables_in(seen.after)

    def _look(self, connection: sqlite3.Connection) -> Mapping[str, str]:
        """Return the catalogue; SQLite counts its changes, so that it is read anew only behind one."""
        number = connection.execute(f"PRAGMA {SCHEMA}.schema_version").fetchone()
        if self._is_edited or self._seen is None or self._seen[0] != number:
            self._seen = number, _catalogue(connection)
        return self._seen[1]

    def _judged(self, seen: _Seen) -> StatementEvidence:
        there_before = {_full(name) for name in self._origins}
        written = seen.tables(*WRITES) - seen.tables(sqlite3.SQLITE_DROP_TABLE)
        changes = seen.changes
        scanned = {each.relation for each in changes if each.before is None and _reads_the_table(each, seen)}
        return StatementEvidence(
            migration="",
            statement=seen.statement,
            place=Place(""),
            in_transaction=seen.in_transaction,
            seconds=seen.seconds,
            rewritten=tuple(sorted(map(_full, self._rewritten(seen)))),
            scanned=tuple(sorted(there_before & scanned)),
            written=tuple(sorted(there_before & set(map(_full, written)))),
            changes=changes,
        )

    def _rewritten(self, seen: _Seen) -> set[str]:
        """Return the tables whose rows were all written anew, and follow renames.

        Three ways: VACUUM; ALTER TABLE DROP COLUMN (lang_altertable.html); and a new table that takes the
        name of one that was there before, when the old one is gone.
        """
        if [token.keyword for token in tokens_of(seen.statement.text)[:1]] == ["VACUUM"]:
            return set(self._origins)
        before, after = tables_in(seen.before), tables_in(seen.after)
        gone, made = before - after, after - before
        for name in gone & set(self._origins):
            origin = self._origins.pop(name)
            if seen.tables(sqlite3.SQLITE_ALTER_TABLE) and made:
                self._origins[next(iter(made))] = origin
            else:
                self._dropped.add(origin)
        again = {name for name in self._dropped if name in after and name not in self._origins}
        self._dropped -= again
        fewer = narrowed(before & after & set(self._origins), seen.before, seen.after)
        return again | fewer


@contextmanager
def watched_session(path: Path, watcher: Watcher) -> Iterator[SqliteSession]:
    """Connect as adapters/databases/sqlite.py does, with a watcher."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # nobody needs a scratch file after a power cut
        connection.set_authorizer(watcher.allow)
        watcher.begin()

        def watch(text: str, line: int, send: Callable[[], Rows]) -> None:
            watcher.watch(connection, Statement(text.strip(), line), send)

        yield SqliteSession(connection, path, watch=watch)


def _is_edit(action: tuple[int, str]) -> bool:
    return action[0] == sqlite3.SQLITE_PRAGMA and action[1].lower() in _EDITS


def _catalogue(connection: sqlite3.Connection) -> Mapping[str, str]:
    """Return the schema; nothing of it where a migration has left it unreadable (PRAGMA writable_schema)."""
    try:
        return catalogue(connection)
    except sqlite3.DatabaseError:
        return {}


def tables_in(schema: Mapping[str, str]) -> frozenset[str]:
    """Return the names of a catalogue's tables."""
    return frozenset(
        name.removeprefix(f"table {SCHEMA}.") for name in schema if name.startswith(f"table {SCHEMA}.")
    )


def narrowed(
    tables: set[str] | frozenset[str], before: Mapping[str, str], after: Mapping[str, str]
) -> set[str]:
    """Return those of some tables that have fewer columns than before.

    Such a table has lost a column by its name, so only where a name is gone the columns are counted: counting
    reads all of both catalogues for each table, and most statements take nothing away.
    """
    lost = [name for name in before if name not in after]
    return {
        table
        for table in (tables if lost else ())
        if _columns(lost, table) and len(_columns(before, table)) > len(_columns(after, table))
    }


def _columns(schema: Iterable[str], table: str) -> list[str]:
    return [name for name in schema if name.startswith(f"column {SCHEMA}.{table}.")]


def _full(table: str) -> str:
    return f"{SCHEMA}.{table}"


def _is_own(table: str) -> bool:
    return table.startswith("sqlite_")


def _change(name: str, before: str | None, after: str | None) -> Change:
    kind, _, full = name.partition(" ")
    schema, _, rest = full.partition(".")
    table, _, part = rest.partition(".")
    if kind in _OF_A_TABLE:
        return Change(kind, f"{schema}.{table}", part, before, after)
    return Change(kind, full if kind == "table" else None, full, before, after)


def _reads_the_table(change: Change, seen: _Seen) -> bool:
    """An index reads all rows; so does a column that is added with a CHECK (lang_altertable.html)."""
    is_altered = bool(seen.tables(sqlite3.SQLITE_ALTER_TABLE))
    return change.kind == "index" or (is_altered and change.name.startswith("check ("))
