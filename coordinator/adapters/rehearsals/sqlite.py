"""Rehearsals on SQLite: no server, a scratch file, and the SQLite library of this Python.

The layers `plan` and `session` stay out. SQLite has no privileges, and what it plans it plans while it
compiles; a statement that was prepared before a migration is compiled anew by SQLite itself. What it cannot
answer at all stands in docs/reference/rehearsal-sqlite.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from coordinator.adapters.rehearsals._sqlite import row_queries, schema
from coordinator.adapters.rehearsals._sqlite.scratch import ScratchDatabase, scratch_folder
from coordinator.adapters.sqlite_url import path_from
from coordinator.errors import DatabaseError, Usage
from coordinator.evidence import Change
from coordinator.model import Layer
from coordinator.ports.databases import Batch, Session
from coordinator.rehearsal_ports import RehearsalDatabase, RehearsalEngine, RehearsalServer, RowQuery
from coordinator.secret import Secret

_OLDEST: Final = (3, 37)
"""The first version that lists its tables with their kinds (PRAGMA table_list; releaselog/3_37_0.html)."""
_LARGEST: Final = 256 * 1024 * 1024
"""Bytes of a live file whose tables are measured; SQLite reads all of it for that."""
_FOREIGN_KEYS: Final = (
    "foreign keys are enforced in the rehearsal (PRAGMA foreign_keys = ON); SQLite leaves them off unless a"
    " service turns them on in each of its connections"
)


class SqliteServer:
    """rehearsal_ports.RehearsalServer: a folder of scratch files."""

    def __init__(self, folder: Path, numbers: Iterator[int], notes: tuple[str, ...]) -> None:
        self.version = library()
        self.notes = notes
        self.doubt: str | None = None
        self._folder = folder
        self._numbers = numbers

    @contextmanager
    def database(self, dump: str | None = None) -> Iterator[RehearsalDatabase]:
        """Make a scratch file, empty or with the schema of a dump."""
        database = ScratchDatabase(self._folder, self._numbers)
        if dump is not None:
            with database.session() as session:
                session.execute(Batch((dump,), transaction=True))
            database.take_statements()
        try:
            yield database
        finally:
            database.remove()


class SqliteRehearsal:
    """rehearsal_ports.RehearsalEngine."""

    layers = frozenset({Layer.PREPARE, Layer.DESCRIBE, Layer.EXECUTE, Layer.RESULT})

    @contextmanager
    def server(self, *, url: Secret | None, live_version: str | None) -> Iterator[RehearsalServer]:
        """Make a private folder for scratch files. Raises: Usage: a scratch server, or an old library."""
        if url is not None:
            raise Usage(
                "sqlite-has-no-server",
                "The plan names a rehearsal server for a SQLite database, and SQLite has none.",
                next_step="Take `url` out of the database's `rehearsal`: its scratch files are made here.",
            )
        if sqlite3.sqlite_version_info < _OLDEST:
            raise Usage(
                "sqlite-too-old",
                f"This Python has {library()}, and a rehearsal needs 3.37 or newer.",
                next_step="Run coordinator with a Python whose sqlite3.sqlite_version is newer.",
            )
        notes: tuple[str, ...] = (_FOREIGN_KEYS,)
        if live_version is not None and live_version != library():
            notes = (f"rehearsed on {library()}, the live database is read by {live_version}", *notes)
        with scratch_folder() as (folder, numbers):
            yield SqliteServer(folder, numbers, notes)

    def identity(self, *, live_version: str | None) -> str | None:  # noqa: ARG002 - there is one library
        """Return the library: its sources, and how it was built."""
        with closing(sqlite3.connect(":memory:")) as connection:
            options = connection.execute("PRAGMA compile_options").fetchall()
            return repr((connection.execute("SELECT sqlite_source_id()").fetchall(), options))

    def is_live_server(self, url: Secret, session: Session) -> bool:  # noqa: ARG002 - there are no servers
        """Return false: `server` refuses every URL."""
        return False

    def live_version(self, session: Session) -> str:
        """Return the library that reads the live file for coordinator; the service's own is not known."""
        [[version]] = session.query("SELECT sqlite_version()")
        return f"sqlite {version}"

    def has_sql_of(self, version: str, live_version: str) -> bool:
        """Compare the libraries."""
        return version == live_version

    def live_catalogue(self, session: Session) -> Mapping[str, str]:
        """Return the live schema as the scratch database's catalogue writes it."""
        with _reading(Path(session.target(None).database)) as connection:
            return schema.catalogue(connection)

    def live_sizes(self, session: Session) -> Mapping[str, int]:
        """Return each table's size; nothing where the file is large or SQLite was built without `dbstat`."""
        [[size]] = session.query("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        if not isinstance(size, int) or size > _LARGEST:
            return {}
        try:
            rows = session.query(
                "SELECT s.tbl_name, sum(d.pgsize) FROM dbstat AS d JOIN sqlite_schema AS s ON s.name = d.name"
                " GROUP BY s.tbl_name"
            )
        except DatabaseError:
            return {}
        return {f"{schema.SCHEMA}.{table}": int(str(size)) for table, size in rows}

    def live_changes_left(self, session: Session) -> Mapping[str, int]:  # noqa: ARG002 - see the port
        """Return nothing: SQLite counts no changes."""
        return {}

    def rows_against(self, change: Change) -> RowQuery | None:
        """Return what finds the rows that a change does not bear."""
        return row_queries.rows_against(change)

    def dump(self, url: Secret) -> str:
        """Return the live schema as SQL: what SQLite keeps of each CREATE, tables first."""
        with _reading(path_from(url)) as connection:
            rows = connection.execute(
                "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"
                " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
                " AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')"
                " ORDER BY type <> 'table', type = 'trigger', rowid"
            ).fetchall()
        return "".join(f"{sql};\n" for [sql] in rows)


def library() -> str:
    """Return name and version of the SQLite library that this Python has."""
    return f"sqlite {sqlite3.sqlite_version}"


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect to a live file without the right to write. Raises: DatabaseError."""
    try:
        with closing(_opened(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise DatabaseError(
            "database-unreachable",
            f"The SQLite file {path} cannot be read: {error}.",
            next_step="Check that it is there and may be read.",
        ) from error


def _opened(path: Path) -> sqlite3.Connection:
    if not path.exists() and path.parent.is_dir():  # the first release makes it
        return sqlite3.connect(":memory:")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


REHEARSAL: Final[RehearsalEngine] = SqliteRehearsal()
