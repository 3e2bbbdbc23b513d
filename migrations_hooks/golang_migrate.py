"""golang-migrate: its file names, its one-row version table, its two lock ids, its dirty flag.

The measure is golang-migrate v4.20.1. It marks the version dirty, runs the file and marks it clean, in three
transactions; a kill in between leaves a dirty version that a person must judge. Where the engine and the
file allow it, this hook puts the file and the version into one transaction, so that nothing in between
exists; the end state is the same. Other files are run as golang-migrate runs them; on MySQL and MariaDB
these are all that change the schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final
from zlib import crc32

from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.errors import StepFailed, Usage
from coordinator.migration_files import declared_phase, decode, unsafe_statements
from coordinator.model import Engine, Migration, Script, SourceFile, Statement
from coordinator.pieces import NewMigration, Piece
from coordinator.ports.databases import Batch, LockId, Target
from coordinator.ports.migrations import Ledger, MigrationTool, Parsed, Pending, Reading
from coordinator.sql import (
    controls_transaction,
    literal,
    may_refuse_transaction,
    refuses_transaction,
    sets_transaction,
    split_statements,
    stays_in_transaction,
)
from migrations_hooks._golang_migrate_names import (
    FILENAME,
    duplicate,
    filename_of,
    no_up_file,
    side_of,
    unnamed,
)

_DEFAULT_TABLE = "schema_migrations"
_LOCK_SALT = 1486364155
_SAME_IN_TRANSACTION = frozenset(
    (word,) for word in ("ALTER", "CREATE", "DELETE", "DROP", "INSERT", "REPLACE", "SELECT", "UPDATE", "WITH")
)
"""First words of statements of SQLite that do inside a transaction what they do alone."""
_SEVERAL = 2
_NOTHING = -1
"""The version before the first: an empty table, or a row of its own when dirty."""


class GolangMigrate:
    """golang-migrate on every engine of ours; see ports.MigrationTool."""

    name = "golang-migrate"
    engines = frozenset(Engine)
    may_be_code = False
    records_start = True
    keeps_history = False
    reads_applied = False

    def sources(
        self, read: Callable[[str], bytes | None], *, section: str | None = None
    ) -> tuple[str | Diagnostic, ...]:
        """Return the folder itself."""
        del read, section
        return ("",)

    def is_migration(self, filename: str) -> bool:
        """Tell whether golang-migrate looks at a file; it never looks at the extension."""
        return FILENAME.fullmatch(filename) is not None

    def parse(self, file: SourceFile, engine: Engine = Engine.POSTGRESQL) -> Parsed:
        """Read one file; its name says which direction it is."""
        match = FILENAME.fullmatch(filename_of(file))
        if match is None:
            return Parsed(None, None, (unnamed(file),))
        text, problems = decode(file.content, file.path)
        if problems:
            return Parsed(None, None, problems)
        is_up = match[3] == "up"
        _, problems = declared_phase(text, file.path)
        statements = _statements_of(text, engine)
        unsafe = tuple(
            problem if is_up else replace(problem, severity=Severity.WARNING)
            for each in statements
            for problem in unsafe_statements(
                each.text, Place(file.path, each.line), transaction=False, engine=engine
            )
        )
        script = Script(statements, transaction=not _needs_no_transaction(text, engine))
        return Parsed(script if is_up else None, None if is_up else script, (*problems, *unsafe))

    def read(self, files: Sequence[SourceFile], engine: Engine = Engine.POSTGRESQL) -> Reading:
        """Read a folder's files; a version's two files are one migration."""
        sides: dict[tuple[int, str], SourceFile] = {}
        diagnostics: list[Diagnostic] = []
        for file in sorted(files, key=lambda each: each.path):
            side = side_of(file)
            if isinstance(side, Diagnostic):
                diagnostics.append(side)
                continue
            if side in sides:
                diagnostics.append(duplicate(file, sides[side]))
                continue
            sides[side] = file
        migrations = []
        for version in sorted({version for version, _ in sides}):
            migration, problems = self._migration(
                version, sides.get((version, "up")), sides.get((version, "down")), engine=engine
            )
            migrations.append(migration)
            diagnostics.extend(problems)
        if engine is Engine.SQLITE and any(each.up and not each.up.transaction for each in migrations):
            migrations = [_without_wrap(each) for each in migrations]
        return Reading(tuple(migrations), tuple(diagnostics))

    def ledger_query(self, target: Target) -> str:
        """Return the query whose one row, or none, `ledger_from` reads.

        On PostgreSQL it also says whether the role may DELETE, and then there always is a row.
        """
        table = _table(target)
        if target.engine is not Engine.POSTGRESQL:
            return f"SELECT version, dirty FROM {table}"  # noqa: S608 - a quoted name
        may = (
            f"SELECT pg_catalog.has_table_privilege({literal(table, target.engine)}, 'DELETE') AS may_delete"
        )
        return (
            "SELECT version, dirty, may_delete"  # noqa: S608 - a quoted name
            f" FROM ({may}) role LEFT JOIN {table} ON true"
        )

    def ledger_exists_query(self, target: Target) -> str:
        """Return a query with one row of one truth value."""
        schema, name = (part.replace("'", "''") for part in _schema_and_name(target))
        if target.engine is Engine.SQLITE:
            return f"SELECT count(*) > 0 FROM sqlite_master WHERE lower(name) = lower('{name}')"  # noqa: S608
        if target.engine.speaks_mysql:
            _table(target)  # refuses a name that could not be put between quotes
            is_same = f"CAST(table_name AS BINARY) = CAST('{name}' AS BINARY)"
            return (
                "SELECT count(*) > 0 FROM information_schema.tables"  # noqa: S608
                f" WHERE table_schema = DATABASE() AND table_name = '{name}'"
                f" AND (@@lower_case_table_names > 0 OR {is_same})"
            )
        return (
            "SELECT count(*) > 0 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"  # noqa: S608
            f" ON n.oid = c.relnamespace WHERE n.nspname = '{schema}' AND c.relname = '{name}'"
        )

    def ledger_from(self, rows: Sequence[tuple[object, ...]]) -> Ledger:
        """Read the version table: the last applied version only, for golang-migrate keeps no history.

        Raises: StepFailed `ledger-unreadable` for more than one row, which golang-migrate never writes.
        """
        is_truncated = any(not may for _, _, *told in rows for may in told)
        kept = [(version, dirty) for version, dirty, *_ in rows if version is not None]
        match [(int(str(version)), bool(dirty)) for version, dirty in kept]:
            case []:
                return Ledger(exists=True, is_truncated=is_truncated)
            case [(version, True)]:
                return Ledger(exists=True, dirty=version, is_truncated=is_truncated)
            case [(version, False)]:
                return Ledger(exists=True, applied=(version,), is_truncated=is_truncated)
        raise StepFailed(
            "ledger-unreadable",
            f"golang-migrate's version table has {len(rows)} rows; it never has more than one.",
            why="Somebody else wrote to it, so nobody can tell which migrations are applied.",
            next_step="Find out which version the schema has, and keep that row alone.",
        )

    def create_ledger(self, target: Target) -> Batch:
        """Return golang-migrate's own table."""
        table = _table(target)
        if target.engine is not Engine.SQLITE:
            columns = "(version bigint not null primary key, dirty boolean not null)"
            return Batch((f"CREATE TABLE IF NOT EXISTS {table} {columns}",), transaction=True)
        create = f"CREATE TABLE IF NOT EXISTS {table} (version uint64,dirty bool)"
        index = f"CREATE UNIQUE INDEX IF NOT EXISTS version_unique ON {table} (version)"
        return Batch((create, index), transaction=True)

    def first_rows(self, target: Target) -> tuple[str, ...]:
        """Return nothing: where nothing is applied its table has no row."""
        del target
        return ()

    def pending(self, migrations: Sequence[Migration], ledger: Ledger) -> Pending:
        """Return what is above the version of the table; nobody can tell whether all below it ran."""
        known = {each.version for each in migrations}
        if ledger.dirty is not None:
            above = tuple(each for each in migrations if int(each.version) > int(ledger.dirty))
            return Pending(above, (_dirty(migrations, int(ledger.dirty)),))
        current = _current(ledger)
        above = tuple(each for each in migrations if int(each.version) > current)
        is_unknown = current != _NOTHING and current not in known
        return Pending(above, (_unknown(migrations, current),) if is_unknown else ())

    def up(self, migration: Migration, *, target: Target, ledger: Ledger) -> tuple[Batch, ...]:
        """Return what applies and records a migration; a version without an up file is recorded only."""
        return _batches(migration.up, int(migration.version), target=target, ledger=ledger)

    def after(self, ledger: Ledger, migration: Migration) -> Ledger:
        """Return the ledger once a migration is recorded: it keeps no history."""
        return Ledger(exists=True, applied=(migration.version,), is_truncated=ledger.is_truncated)

    def down(
        self, migration: Migration, *, migrations: Sequence[Migration], target: Target, ledger: Ledger
    ) -> tuple[Batch, ...]:
        """Return what undoes a migration and records the version of the file before it."""
        versions = (int(each.version) for each in migrations)
        below = (each for each in versions if each < int(migration.version))
        return _batches(migration.down, max(below, default=_NOTHING), target=target, ledger=ledger)

    def write(self, new: NewMigration) -> tuple[tuple[str, str], ...]:
        """Return the file of each direction; the phase counts where it goes up."""
        name = f"{new.version:0{new.width}}_{new.title}"
        up = (f"{name}.up.sql", f"-- coordinator: phase={new.phase}\n\n{_text_of(new.up)}")
        return (up,) if new.down is None else (up, (f"{name}.down.sql", _text_of(new.down)))

    def lock_ids(self, target: Target) -> tuple[LockId, ...]:
        """Return the lock of the command line, which hashes the URL's path and slash, then the library's.

        On MySQL both hash the database's and the table's name (golang-migrate's database/mysql/mysql.go).
        """
        schema, name = _schema_and_name(target)
        if target.engine.speaks_mysql:
            return (str(_lock_id(f"{target.database}:{name}")),)
        if target.engine is not Engine.POSTGRESQL:
            return ()
        return tuple(_lock_id(f"{schema}\0{name}\0{slash}{target.database}") for slash in ("/", ""))

    def _migration(
        self, version: int, up: SourceFile | None, down: SourceFile | None, *, engine: Engine
    ) -> tuple[Migration, tuple[Diagnostic, ...]]:
        files = tuple(file for file in (up, down) if file is not None)
        parsed = [self.parse(file, engine) for file in files]
        problems = tuple(problem for each in parsed for problem in each.diagnostics)
        declaration = None
        if up is not None:
            declaration, _ = declared_phase(decode(up.content, up.path)[0], up.path)
        else:
            problems = (*problems, no_up_file(files[0]))
        migration = Migration(
            version,
            filename_of(files[0]).rpartition(".")[0].rpartition(".")[0],
            up=next((each.up for each in parsed if each.up), None),
            down=next((each.down for each in parsed if each.down), None),
            files=files,
            declared=declaration.phase if declaration else None,
            declared_at=declaration.place if declaration else None,
        )
        return migration, problems


def _lock_id(text: str) -> int:
    """Return golang-migrate's advisory lock id of a name (its database/util.go)."""
    return (crc32(text.encode()) * _LOCK_SALT) & 0xFFFFFFFF


# -- the table ------------------------------------------------------------------------------------------


def _schema_and_name(target: Target) -> tuple[str, str]:
    """Return the parts of the table's name; in double quotes as x-migrations-table-quoted has it."""
    table = target.table or _DEFAULT_TABLE
    if target.engine is not Engine.POSTGRESQL:
        return "", table
    if target.schema is None:
        raise Usage(
            "no-schema",
            "The connection has no current schema: its search_path names none that exists.",
            next_step="Create the schema, or give the URL another search_path.",
        )
    quoted = re.findall(r'"(.*?)"', table) if re.fullmatch(r'".*"', table) else []
    match quoted:
        case []:
            return target.schema, table
        case [name]:
            return target.schema, name
        case [schema, name]:
            return schema, name
    raise Usage(
        "bad-table-name",
        f"`{table}` is no name of a version table.",
        next_step='Write name, or "schema"."name" in double quotes.',
    )


def _table(target: Target) -> str:
    schema, name = _schema_and_name(target)
    if target.engine is Engine.POSTGRESQL:
        return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))
    if target.engine.speaks_mysql:
        if not name or set(name) & set("`'\\"):
            raise Usage(
                "bad-table-name",
                f"`{name}` is no name of a version table.",
                next_step="Write a name without backticks, quotes and backslashes; it is put into backticks.",
            )
        return f"`{name}`"
    if not re.fullmatch(r"[^\W\d]\w*", name):
        raise Usage(
            "bad-table-name",
            f"`{name}` is no name of a version table on SQLite.",
            next_step="Write letters, digits and underscores.",
        )
    return name


def _current(ledger: Ledger) -> int:
    return max(map(int, ledger.applied), default=_NOTHING)


def _set_version(target: Target, version: int, *, dirty: bool, is_truncated: bool) -> tuple[str, ...]:
    """Return what leaves one row, or none.

    golang-migrate empties the table on PostgreSQL by TRUNCATE, which makes new files at each migration and
    shuts out whoever reads the version. What is left is the same by DELETE, where the role may do that.
    The LIMIT is golang-migrate's: MySQL wants one with `sql_safe_updates`.
    """
    table = _table(target)
    clear = f"TRUNCATE {table}" if is_truncated else f"DELETE FROM {table}"  # noqa: S608
    if target.engine.speaks_mysql:
        clear += " LIMIT 1"
    if version == _NOTHING and not dirty:
        return (clear,)
    flag = int(dirty) if target.engine is Engine.SQLITE else str(dirty).lower()
    return clear, f"INSERT INTO {table} (version, dirty) VALUES ({version}, {flag})"  # noqa: S608


def _batches(script: Script | None, version: int, *, target: Target, ledger: Ledger) -> tuple[Batch, ...]:
    """Return the file and its record: in one transaction where file and engine allow it, else dirty first."""
    texts = tuple(statement.text for statement in script.statements) if script else ()
    is_truncated = ledger.is_truncated
    clean = _set_version(target, version, dirty=False, is_truncated=is_truncated)
    guard = _moved_query(target, _current(ledger))
    if script is None or script.transaction:
        return (Batch((*texts, *clean), transaction=True, guard=guard, records=len(clean)),)
    return (
        Batch(
            _set_version(target, version, dirty=True, is_truncated=is_truncated),
            transaction=True,
            guard=guard,
        ),
        Batch(texts, transaction=False),
        Batch(clean, transaction=True),
    )


def _moved_query(target: Target, before: int) -> str:
    """Return a query that has a row if the table no longer says what was read."""
    same = f"SELECT 1 FROM {_table(target)} WHERE version = {before}"  # noqa: S608
    if before == _NOTHING:
        return f"SELECT 1 FROM {_table(target)}"  # noqa: S608
    dual = "FROM DUAL " if target.engine.speaks_mysql else ""  # MySQL 5.7 and MariaDB want a table's name
    return f"SELECT 1 {dual}WHERE NOT EXISTS ({same} AND NOT dirty)"


def _statements_of(text: str, engine: Engine) -> tuple[Statement, ...]:
    """Return a file's text, or its statements where only `x-multi-statement=true` can have applied it.

    PostgreSQL takes a text of several statements for a transaction, which some of them refuse: without that
    parameter the file fails for certain.
    """
    pieces = split_statements(text) if engine is Engine.POSTGRESQL else ()
    is_whole = len(pieces) < _SEVERAL or not any(refuses_transaction(each) for each in pieces)
    if is_whole or any(controls_transaction(each) or not each.is_closed for each in pieces):
        return (Statement(text, 1),) if text.strip() else ()
    found, begin = [], 0
    for each in pieces:
        start = text.index(each.text, begin)
        begin = start + len(each.text)
        found.append(Statement(each.text, 1 + text.count("\n", 0, start)))
    return tuple(found)


def _needs_no_transaction(text: str, engine: Engine) -> bool:
    if engine.speaks_mysql:
        return not all(stays_in_transaction(statement) for statement in split_statements(text, engine))
    if engine is Engine.SQLITE:
        # any other file runs inside one, also VACUUM, which then fails as with the tool
        return any(controls_transaction(statement) for statement in split_statements(text, engine))
    return any(
        controls_transaction(statement) or may_refuse_transaction(statement) or sets_transaction(statement)
        for statement in split_statements(text)
    )


def _without_wrap(migration: Migration) -> Migration:
    """Return a migration as `x-no-tx-wrap=true` has it, with which a folder was applied that needs it.

    A file with BEGIN fails without that parameter. With it PRAGMA foreign_keys does something in every file
    of the folder: a table that is built anew would else take along what refers to its rows. What does the
    same inside a transaction stays in one, with its record.
    """
    return replace(migration, up=_bare(migration.up), down=_bare(migration.down))


def _bare(script: Script | None) -> Script | None:
    if script is None or not script.transaction:
        return script
    pieces = (each for text in script.statements for each in split_statements(text.text, Engine.SQLITE))
    return replace(script, transaction=all(each.words[:1] in _SAME_IN_TRANSACTION for each in pieces))


def _text_of(pieces: Sequence[Piece]) -> str:
    return "\n".join(f"{line}\n" for each in pieces for line in (*each.comments, each.text))


# -- files against table --------------------------------------------------------------------------------


def _dirty(migrations: Sequence[Migration], version: int) -> Diagnostic:
    named = next((each for each in migrations if each.version == version), None)
    return Diagnostic(
        "database-dirty",
        Place(named.files[0].path if named else "migrations"),
        f"golang-migrate stopped half-way at version {version} (dirty).",
        "It failed or was killed there, or the server is still at work on it; the migration may be applied,"
        " in part or not at all.",
        "Compare the schema with the file, complete or undo it by hand, and run `migrate force VERSION`.",
    )


def _unknown(migrations: Sequence[Migration], current: int) -> Diagnostic:
    newest = max((int(each.version) for each in migrations), default=_NOTHING)
    return Diagnostic(
        "database-newer" if current > newest else "migration-file-missing",
        Place(migrations[-1].files[0].path if migrations else "migrations"),
        f"The database is at version {current}, and no file here has that version.",
        "golang-migrate refuses to go on: it cannot tell which migration comes next.",
        "Check that this is the right checkout.",
    )


TOOL: Final[MigrationTool] = GolangMigrate()
