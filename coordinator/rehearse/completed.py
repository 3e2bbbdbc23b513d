"""Backfills that are done on a scratch database before a migration, because it fails on rows that are not.

    expand (a column that may be NULL) ─ backfill ─ contract (SET NOT NULL)

A release applies such a migration when the backfill is complete, and so does the rehearsal. That it fails
before is an answer as well: a release in which it does not wait for the backfill is not proven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from coordinator.backfills.order import CONTRACT, SWITCH, named
from coordinator.errors import CoordinatorError, DatabaseError
from coordinator.model import BackfillSpec, DatabaseSpec, Migration
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.backfilling import ProgramOnScratch
from coordinator.rehearse.hurried import NeverEnds, do_rows
from coordinator.rehearse.walk import Apply

_MANY: Final = 1_000
"""More sample rows than there ever are in a table."""


@dataclass(frozen=True)
class Completed:
    """Which backfills are done before which of the pending migrations."""

    database: DatabaseSpec
    pending: Sequence[Migration]
    program: ProgramOnScratch | None = None
    before: Mapping[str, tuple[BackfillSpec, ...]] = field(default_factory=dict)
    """By the migration's name."""

    def also_before(self, migration: Migration) -> Completed | None:
        """Return the same with the backfills done that a migration may wait for; None if that is no more."""
        at = self.pending.index(migration)
        done = {spec.name for specs in self.before.values() for spec in specs}
        specs = tuple(
            spec
            for spec in self.database.backfills
            if spec.name not in done and self._begins_before(spec, at) and self._may_end_before(spec, at)
        )
        if not specs or migration.name in self.before:
            return None
        return Completed(self.database, self.pending, self.program, {**self.before, migration.name: specs})

    def _begins_before(self, spec: BackfillSpec, at: int) -> bool:
        after = named(self.pending, spec.after)
        return after is None or self.pending.index(after) < at

    def _may_end_before(self, spec: BackfillSpec, at: int) -> bool:
        """Tell whether a migration may be behind what waits for a backfill: the phases are not known yet."""
        if spec.command is not None and (self.program is None or not spec.command.rehearses):
            return False
        gate = named(self.pending, spec.before)
        return spec.before in (SWITCH, CONTRACT) or (gate is not None and self.pending.index(gate) <= at)

    def applied(self, apply: Apply) -> Apply:
        """Return what applies a migration when the backfills that it waits for are done."""

        def apply_when_done(database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
            for spec in self.before.get(migration.name, ()):
                if (error := self._do(database, spec)) is not None:
                    return error
            return apply(database, migration)

        return apply_when_done

    @contextmanager
    def met_by_next(self, scratch: RehearsalDatabase, state: int) -> Iterator[RehearsalDatabase]:
        """Yield the database as a next version meets it at a state: it starts when `before: switch` is done.

        A copy, for the backfills are tried at this state as well.
        """
        due = [
            spec
            for name, specs in self.before.items()
            for spec in specs
            if spec.before == SWITCH
            and self._begins_before(spec, state)
            and name not in {each.name for each in self.pending[:state]}
        ]
        if not due:
            yield scratch
            return
        with scratch.clone() as copy:
            for spec in due:
                self._do(copy, spec)  # where it fails, its own trial at this state says so
            yield copy

    def _do(self, database: RehearsalDatabase, spec: BackfillSpec) -> DatabaseError | None:
        program = None
        if spec.command is not None:
            assert self.program is not None, "who has no program is not asked"
            found = self.program(database, spec)
            if isinstance(found, str):
                return _incomplete(spec, f"is not rehearsed: {found}")
            program = found
        try:
            do_rows(database, self.database, spec, program, there=_MANY)
        except CoordinatorError as error:
            return _incomplete(spec, f"is not complete: {error.what}")
        except NeverEnds:
            return _incomplete(spec, "never ends")
        return None

    @property
    def writers(self) -> Mapping[str, str]:
        """Return what writes rows before a migration, by its name."""
        return {name: f"backfill {specs[0].name}" for name, specs in self.before.items()}

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return migrations, each with a backfill without which it fails."""
        return tuple((name, spec.name) for name, specs in self.before.items() for spec in specs)


def _incomplete(spec: BackfillSpec, why: str) -> DatabaseError:
    return DatabaseError("backfill-incomplete", f"backfill `{spec.name}`, which it needs, {why}")
