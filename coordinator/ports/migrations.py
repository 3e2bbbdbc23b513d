"""What the core asks of a migration tool: what its files mean, and what its version table says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from coordinator.diagnostics import Diagnostic
from coordinator.model import Engine, Migration, MigrationId, Script, SourceFile
from coordinator.pieces import NewMigration
from coordinator.ports.databases import Batch, LockId, Target

BELOW: Final = "/**"
"""What the folders below one are named by, at its end."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a version table says; `applied` is in the order in which the tool would undo it, last first."""

    exists: bool
    applied: tuple[MigrationId, ...] = ()
    dirty: MigrationId | None = None
    """The version at which golang-migrate stopped half-way, if it did."""
    is_truncated: bool = False
    """The role may not delete from the table, which its tool empties by TRUNCATE."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A folder of migrations as a tool reads it, ascending by version, with every problem found."""

    migrations: tuple[Migration, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """What the tool would apply next, in its order, and what stands in the way."""

    migrations: tuple[Migration, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file as a tool reads it; a side that the file does not speak of is None."""

    up: Script | None
    down: Script | None
    diagnostics: tuple[Diagnostic, ...]


class MigrationTool(Protocol):
    """A migration tool's conventions, without any I/O: it says what to send and what to record."""

    name: str
    engines: frozenset[Engine]
    may_be_code: bool
    """Some of its migrations may be code, which a `command` of the plan applies."""
    records_start: bool
    """It marks the version table before a file without a transaction runs: no mark, nothing ran."""
    keeps_history: bool
    """Its version table, or what its files say of each other, tells of each one whether it is applied."""
    reads_applied: bool
    """It reads the files of what is applied as well, so that a fault in one of them stops it."""

    def sources(
        self, read: Callable[[str], bytes | None], *, section: str | None = None
    ) -> tuple[str | Diagnostic, ...]:
        """Return the files and folders that it reads, as paths from the plan's `dir`, or what is wrong there.

        A folder that ends in `BELOW` stands for those below it as well. `read` returns a file's bytes by
        such a path, None where there is none. `section` is that of its configuration, None its default.
        """
        ...

    def is_migration(self, filename: str) -> bool:
        """Tell whether the tool would look at a file of this name in its folder."""
        ...

    def parse(self, file: SourceFile, engine: Engine = Engine.POSTGRESQL) -> Parsed:
        """Read one file, as `coordinator parse` shows it; `engine` is whose quotes and comments it has."""
        ...

    def read(self, files: Sequence[SourceFile], engine: Engine = Engine.POSTGRESQL) -> Reading:
        """Read a folder's files (those that `is_migration` accepts), in any order."""
        ...

    def ledger_query(self, target: Target) -> str:
        """Return the query whose rows `ledger_from` reads; it may fail only if the table is absent."""
        ...

    def ledger_exists_query(self, target: Target) -> str:
        """Return a query with one row of one truth value: is the version table there?"""
        ...

    def ledger_from(self, rows: Sequence[tuple[object, ...]]) -> Ledger:
        """Read the version table's rows."""
        ...

    def create_ledger(self, target: Target) -> Batch:
        """Return what the tool itself sends to make its version table."""
        ...

    def first_rows(self, target: Target) -> tuple[str, ...]:
        """Return what writes the rows that the version table has before anything is applied."""
        ...

    def pending(self, migrations: Sequence[Migration], ledger: Ledger) -> Pending:
        """Return what the tool would still apply, and why it may not: missing, out of order, dirty, newer."""
        ...

    def up(self, migration: Migration, *, target: Target, ledger: Ledger) -> tuple[Batch, ...]:
        """Return what applies and records `migration`, in the fewest transactions that its files allow."""
        ...

    def down(
        self, migration: Migration, *, migrations: Sequence[Migration], target: Target, ledger: Ledger
    ) -> tuple[Batch, ...]:
        """Return what undoes `migration`, the last of the ledger, and records that."""
        ...

    def after(self, ledger: Ledger, migration: Migration) -> Ledger | None:
        """Return the ledger once `up` has recorded a migration; None where only the table itself can tell."""
        ...

    def write(self, new: NewMigration) -> tuple[tuple[str, str], ...]:
        """Return the files of a migration as people write them: each one's name and text.

        Raises: Usage `split-not-possible` where the tool has no files of SQL.
        """
        ...

    def lock_ids(self, target: Target) -> tuple[LockId, ...]:
        """Return the advisory locks to hold, in this order; empty where the engine has none."""
        ...
