"""What the core asks of the outside, as Protocols; adapters and migration hooks fulfil them.

Nothing here does anything. A port is as narrow as its users allow, takes the time and every deadline as
arguments, and says for each method what a repetition does: a step may be performed again after a kill.
Everything is synchronous: steps that do not depend on each other run in threads of one process.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from coordinator.model import (
    BackfillSpec,
    CheckSpec,
    DatabaseName,
    Migration,
    MigrationId,
    Plan,
    SecretRef,
    ServiceName,
)
from coordinator.ports.checks import Answer, Subject
from coordinator.ports.databases import LiveSession
from coordinator.ports.machine import Clock
from coordinator.ports.migrations import MigrationTool
from coordinator.ports.platforms import Platform
from coordinator.ports.programs import MigrationRunner, RangeProgram
from coordinator.secret import Secret


class Ports(Protocol):
    """Everything that one plan names, connected on first use; safe to share between threads."""

    plan: Plan
    clock: Clock

    def resolve(self, reference: SecretRef) -> Secret:
        """Read a secret of the plan, just before use."""
        ...

    def tool(self, database: DatabaseName) -> MigrationTool:
        """Return the migration tool of a database."""
        ...

    def runner(self, database: DatabaseName) -> MigrationRunner | None:
        """Return what applies a database's migrations that are code; None where nobody said how."""
        ...

    def range_program(self, database: DatabaseName, backfill: BackfillSpec) -> RangeProgram | None:
        """Return what does a backfill's rows; None where it is SQL."""
        ...

    def migrations(self, database: DatabaseName) -> tuple[Migration, ...]:
        """Return the database's migrations as they were read, once, when the command began."""
        ...

    def migration(self, database: DatabaseName, version: MigrationId) -> Migration | None:
        """Return that one of a database's migrations; None where there is none."""
        ...

    def session(self, database: DatabaseName, *, label: str) -> AbstractContextManager[LiveSession]:
        """Connect to a database; see `Database.session`."""
        ...

    def platform(self, service: ServiceName) -> Platform:
        """Return a service on its platform."""
        ...

    def ask(self, check: CheckSpec, subject: Subject) -> Answer:
        """Ask a check once."""
        ...
