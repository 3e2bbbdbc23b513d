"""Alembic: its revision files, its version table that has the heads alone, its branches as phases.

The measure is Alembic 1.20. A revision is code: nothing of it is run here, and what applies it is Alembic
itself in a process of its own (coordinator/adapters/runners/alembic.py), with the user's env.py. What is said
here about sending is for a scratch database, to which a revision's offline SQL goes statement by statement,
so that its locks are seen; the rows of the version table are those that Alembic would leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final
from zlib import crc32

from coordinator.diagnostics import Diagnostic, Place
from coordinator.errors import Usage
from coordinator.model import Engine, Migration, MigrationId, SourceFile
from coordinator.pieces import NewMigration
from coordinator.ports.databases import Batch, LockId, Target
from coordinator.ports.migrations import Ledger, MigrationTool, Parsed, Pending, Reading
from migrations_hooks._alembic_graph import Placed, order
from migrations_hooks._alembic_layout import layout_of
from migrations_hooks._alembic_source import Environment, Revision, read_environment, read_revision

_DEFAULT_TABLE: Final = "alembic_version"
_NO_ENVIRONMENT: Final = Environment(None, may_commit=False)


class Alembic:
    """Alembic on every engine of ours; see ports.MigrationTool."""

    name = "alembic"
    engines = frozenset(Engine)
    records_start = False
    keeps_history = True
    reads_applied = True
    may_be_code = False

    def sources(
        self, read: Callable[[str], bytes | None], *, section: str | None = None
    ) -> tuple[str | Diagnostic, ...]:
        """Return env.py and the folders of versions, which the project's configuration names."""
        layout = layout_of(read, section)
        return (layout,) if isinstance(layout, Diagnostic) else (layout.env, *layout.versions)

    def is_migration(self, filename: str) -> bool:
        """Tell whether Alembic imports a file of its folders, as it tells it itself."""
        return filename.endswith(".py") and not filename.startswith((".#", "__init__"))

    def parse(self, file: SourceFile, engine: Engine = Engine.POSTGRESQL) -> Parsed:
        """Read one file; what its code sends is not in its text."""
        del engine
        _, problems = read_revision(file)
        return Parsed(None, None, problems)

    def read(self, files: Sequence[SourceFile], engine: Engine = Engine.POSTGRESQL) -> Reading:
        """Read env.py and the revisions; the order is that of their graph."""
        environment, problems = _NO_ENVIRONMENT, list[Diagnostic]()
        revisions: list[Revision] = []
        for file in sorted(files, key=lambda each: each.path):
            if file.path.rpartition("/")[2] == "env.py":
                environment, found = read_environment(file)
            else:
                revision, found = read_revision(file)
                revisions.extend([revision] if revision else [])
            problems.extend(found)
        if problems:
            return Reading((), tuple(problems))
        line, wrong = order(revisions)
        return Reading(tuple(_migration(each, environment, engine) for each in line), wrong)

    def ledger_query(self, target: Target) -> str:
        """Return the query whose rows are the heads."""
        return f"SELECT version_num FROM {_table(target)}"  # noqa: S608 - a quoted name

    def ledger_exists_query(self, target: Target) -> str:
        """Return a query with one row of one truth value."""
        schema, name = _schema_and_name(target)
        if target.engine is Engine.SQLITE:
            return f"SELECT count(*) > 0 FROM sqlite_master WHERE lower(name) = lower({_literal(name)})"  # noqa: S608
        if target.engine.speaks_mysql:
            where = _literal(schema) if schema else "DATABASE()"
            return (
                "SELECT count(*) > 0 FROM information_schema.tables"  # noqa: S608
                f" WHERE table_schema = {where} AND table_name = {_literal(name)}"
                f" AND (@@lower_case_table_names > 0 OR BINARY table_name = {_literal(name)})"
            )
        return f"SELECT to_regclass({_literal(_table(target))}) IS NOT NULL"

    def ledger_from(self, rows: Sequence[tuple[object, ...]]) -> Ledger:
        """Read the version table: its rows are the heads, and whatever they stand on is applied too."""
        return Ledger(exists=True, applied=tuple(str(version) for (version,) in rows))

    def create_ledger(self, target: Target) -> Batch:
        """Return Alembic's own table."""
        name = _schema_and_name(target)[1]
        columns = (
            "version_num VARCHAR(32) NOT NULL",
            f"CONSTRAINT {_quoted(f'{name}_pkc', target.engine)} PRIMARY KEY (version_num)",
        )
        return Batch((f"CREATE TABLE {_table(target)} ({', '.join(columns)})",), transaction=True)

    def first_rows(self, target: Target) -> tuple[str, ...]:
        """Return nothing: where nothing is applied its table has no row."""
        del target
        return ()

    def pending(self, migrations: Sequence[Migration], ledger: Ledger) -> Pending:
        """Return what the heads do not stand on, and the heads that no file has."""
        parents = {each.version: each.parents for each in migrations}
        unknown = [each for each in ledger.applied if each not in parents]
        applied = _with_ancestors(ledger.applied, parents)
        left = tuple(each for each in migrations if each.version not in applied)
        return Pending(left, (_unknown(migrations, unknown),) if unknown else ())

    def up(self, migration: Migration, *, target: Target, ledger: Ledger) -> tuple[Batch, ...]:
        """Return a revision's offline SQL and its row; a row of what it stands on is a head no more."""
        del ledger
        gone = [_delete(target, each) for each in migration.parents]
        insert = f"INSERT INTO {_table(target)} (version_num) VALUES ({_literal(str(migration.version))})"  # noqa: S608
        return _batches(migration, (*gone, insert), guard=_row(target, migration.version))

    def after(self, ledger: Ledger, migration: Migration) -> None:
        """Return nothing: which heads a revision replaces, Alembic's table says."""
        del ledger, migration

    def down(
        self, migration: Migration, *, migrations: Sequence[Migration], target: Target, ledger: Ledger
    ) -> tuple[Batch, ...]:
        """Return nothing: only Alembic itself undoes a revision."""
        del migrations, target, ledger
        raise Usage(
            "alembic-downgrade",
            f"{migration.name} is code, and its way back is not sent from here.",
            next_step="Run `alembic downgrade` yourself.",
        )

    def write(self, new: NewMigration) -> tuple[tuple[str, str], ...]:
        """Refuse: a revision is code, and no two files of SQL make two of it."""
        del new
        raise Usage(
            "split-not-possible",
            "A revision of Alembic is code, which is not cut in two from here.",
            next_step="Write two revisions, one on the branch `expand` and one on the branch `contract`.",
        )

    def lock_ids(self, target: Target) -> tuple[LockId, ...]:
        """Return a lock of our own, for Alembic has none: it keeps coordinators apart, and nobody else."""
        number = crc32(f"alembic {target.database} {_table(target)}".encode())
        match target.engine:
            case Engine.SQLITE:
                return ()
            case Engine.POSTGRESQL:
                return (number,)
        return (f"alembic {number}",)


def _migration(placed: Placed, environment: Environment, engine: Engine) -> Migration:
    revision = placed.revision
    commits = revision.may_commit or environment.may_commit or engine is not Engine.POSTGRESQL
    return Migration(
        revision.id,
        revision.name,
        None,
        None,
        (revision.file,),
        declared=revision.phase,
        declared_at=revision.phase_at,
        is_code=True,
        parents=placed.parents,
        branch_labels=revision.labels,
        needs_database=revision.asks or environment.asks,
        is_atomic=not commits,
    )


def _with_ancestors(
    heads: Iterable[MigrationId], parents: Mapping[MigrationId, tuple[MigrationId, ...]]
) -> set[MigrationId]:
    found: set[MigrationId] = set()
    left = list(heads)
    while left:
        here = left.pop()
        if here not in found:
            found.add(here)
            left.extend(parents.get(here, ()))
    return found


def _batches(migration: Migration, record: Sequence[str], *, guard: str) -> tuple[Batch, ...]:
    texts = tuple(each.text for each in migration.up.statements) if migration.up else ()
    if migration.up is None or migration.up.transaction:
        return (Batch((*texts, *record), transaction=True, guard=guard),)
    return Batch(texts, transaction=False), Batch(tuple(record), transaction=True, guard=guard)


def _row(target: Target, version: MigrationId) -> str:
    return f"SELECT 1 FROM {_table(target)} WHERE version_num = {_literal(str(version))}"  # noqa: S608


def _delete(target: Target, version: MigrationId) -> str:
    return f"DELETE FROM {_table(target)} WHERE version_num = {_literal(str(version))}"  # noqa: S608


def _schema_and_name(target: Target) -> tuple[str | None, str]:
    schema, _, name = (target.table or _DEFAULT_TABLE).rpartition(".")
    return schema or None, name


def _table(target: Target) -> str:
    schema, name = _schema_and_name(target)
    return ".".join(_quoted(each, target.engine) for each in (schema, name) if each)


def _quoted(name: str, engine: Engine) -> str:
    quote = "`" if engine.speaks_mysql else '"'
    return quote + name.replace(quote, quote * 2) + quote


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unknown(migrations: Sequence[Migration], unknown: Sequence[MigrationId]) -> Diagnostic:
    names = ", ".join(map(str, unknown))
    return Diagnostic(
        "database-newer",
        Place(migrations[-1].files[0].path if migrations else "versions"),
        f"The database is at revision {names}, and no file here has it.",
        "Alembic refuses to go on: it cannot tell what that revision stands on.",
        "Check out the code that has it, or look whether this is the right database.",
    )


TOOL: Final[MigrationTool] = Alembic()
