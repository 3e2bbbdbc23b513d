"""What is to be rehearsed on one database, and what the live one told. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from coordinator.model import DatabaseSpec, Layer, Migration
from coordinator.ports.migrations import MigrationTool
from coordinator.rehearse.backfilling import ProgramOnScratch
from coordinator.rehearse.subject import Subject
from coordinator.rehearse.walk import Apply


@dataclass(frozen=True, slots=True)
class Live:
    """What the live database told; all of it empty where nothing live was asked."""

    catalogue: Mapping[str, str] | None = None
    """Its schema, to compare with the files; None: not asked."""
    sizes: Mapping[str, int] | None = None
    dump: str | None = None
    changes_left: Mapping[str, int] = field(default_factory=dict)
    """See RehearsalEngine.live_changes_left."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be rehearsed on one database."""

    spec: DatabaseSpec
    tool: MigrationTool
    applied: tuple[Migration, ...]
    pending: tuple[Migration, ...]
    subjects: tuple[Subject, ...]
    layers: tuple[Layer, ...]
    live: Live = Live()
    rest: Migration | None = None
    """What is left of a pending migration that stopped half-way: a dump has what it did before."""
    run_code: Apply | None = None
    """What applies a migration that is code; None where its program may not be tried out."""
    run_range: ProgramOnScratch | None = None

    def going_on(self) -> Task:
        """Return the same with what is left in the place of the migration that stopped half-way."""
        rest = self.rest
        assert rest is not None, "nothing stopped half-way"
        return replace(self, pending=tuple(rest if each.name == rest.name else each for each in self.pending))
