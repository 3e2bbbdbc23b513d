"""Apply one migration file, as its tool would, and let the tool's own version table say whether it is done.

What is in doubt after a kill is settled under the tool's locks: an orphan of ours that still runs on the
server holds them. A file that ran in one transaction with its version row is then either there or not. One
that runs outside of a transaction may have stopped half-way, and only a person can tell, unless all that it
does may be done again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from coordinator.applied import Book
from coordinator.apply import apply_migration, is_applied, read_ledger
from coordinator.errors import DatabaseError, InDoubt, StepFailed
from coordinator.graph import Step
from coordinator.halfway import may_remain, statements_of
from coordinator.model import DatabaseSpec, Engine, Migration
from coordinator.ports import MigrationTool, Patience, Session
from coordinator.programs import VersionTable, apply_by_program
from coordinator.sql import is_repeatable, split_statements
from coordinator.steps import Context, Observation, StepKind
from coordinator.world import Effect, SchemaMoves, Seen

_LOCKS: Final = timedelta(seconds=15)
"""How long another migration tool, or an orphan of ours, may hold the tool's locks: migrate's own default."""
_WITHOUT: Final = {
    Engine.POSTGRESQL: "runs without a transaction",
    Engine.SQLITE: "runs without a transaction",
    Engine.MYSQL: "changes the schema, each statement for itself,",
    Engine.MARIADB: "changes the schema, each statement for itself,",
}
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts, where the engine's session is not patient itself."""


def _migration(step: Step, context: Context) -> Migration:
    for each in context.ports.migrations(step.its_database):
        if each.version == step.migration:
            return each
    raise StepFailed(
        "migration-file-missing",
        f"There is no file of migration {step.migration} any more, which {step.id} is about.",
        why="The checkout is not the one that the run began with.",
        next_step="Check out the release that is under way, then run the command again.",
    )


def _versions(context: Context, spec: DatabaseSpec) -> VersionTable:
    """Return the version table of a database beside its files."""
    tool, migrations = context.ports.tool(spec.name), context.ports.migrations(spec.name)
    return VersionTable(tool, migrations, spec.migrations.table, _LOCKS)


def _book(context: Context) -> Book:
    return Book(context.ports.plan.release, context.note)


def _may_have_begun(migration: Migration, tool: MigrationTool, engine: Engine) -> bool:
    """Tell whether a file may have run in part without a trace, and may not simply be sent again."""
    if tool.records_start or migration.up is None or not may_remain(migration.up, engine):
        return False
    statements = (each for text in migration.up.statements for each in split_statements(text.text, engine))
    return not all(map(is_repeatable, statements))


def _beyond(migration: Migration, session: Session, context: Context, spec: DatabaseSpec) -> tuple[str, ...]:
    """Return what a program in doubt may have applied beside its own migration."""
    if not migration.is_code or not context.in_doubt:
        return ()
    versions = _versions(context, spec)
    return versions.beyond(migration, read_ledger(session, versions.tool, session.target(versions.table)))


class Apply:
    """Expand, migrate and contract migrations alike: the phase is a matter of when."""

    undo = None

    def effects(self, step: Step) -> tuple[Effect, ...]:
        """Move the schema on by one state."""
        assert step.state is not None
        return (SchemaMoves(step.its_database, step.state),)

    def observe(self, step: Step, context: Context) -> Observation:
        """Ask the version table; in doubt, under the tool's locks."""
        migration = _migration(step, context)
        spec, tool = context.ports.plan.databases[step.its_database], context.ports.tool(step.its_database)
        runner = context.ports.runner(spec.name) if migration.is_code and context.in_doubt else None
        if runner is not None:
            runner.demand_gone(_LOCKS)
        with context.ports.session(spec.name, label=step.id) as session:
            locks = tool.lock_ids(session.target(spec.migrations.table)) if context.in_doubt else ()
            with session.locked(locks, timeout=_LOCKS):
                beyond = _beyond(migration, session, context, spec)
                is_done = is_applied(
                    session,
                    tool,
                    migration,
                    migrations=context.ports.migrations(spec.name),
                    table=spec.migrations.table,
                )
        if is_done is None:
            return Observation(
                Seen.UNKNOWN, f"The version table says that {migration.name} stopped half-way."
            )
        if is_done and beyond:
            return Observation(
                Seen.UNKNOWN,
                f"The program for {migration.name} was to apply that alone, and the version table has more:"
                f" {', '.join(beyond)}. Look whether the live version still works.",
            )
        if is_done:
            return Observation(Seen.DONE, "the version table has it")
        if runner is not None and not (runner.is_repeatable or migration.is_atomic):
            return Observation(
                Seen.UNKNOWN,
                f"{migration.name} is code, the version table does not have it, and nobody can tell how far"
                " it came. Look at what it was to change; complete it or take it back.",
            )
        if context.in_doubt and _may_have_begun(migration, tool, spec.engine):
            assert migration.up is not None, "of nothing nothing remains"
            return Observation(
                Seen.UNKNOWN,
                f"{migration.name} {_WITHOUT[spec.engine]} and may have stopped half-way. Look which of its"
                f" statements are there: {statements_of(migration.up, spec.engine)}.",
            )
        return Observation(Seen.NOT_DONE, "the version table does not have it")

    def perform(self, step: Step, context: Context) -> str:
        """Apply the file, as patiently as the plan says where a table is busy."""
        if _migration(step, context).is_code:
            return self._apply_by_program(step, context)
        for pause in _PAUSES:
            try:
                return self._apply(step, context)
            except DatabaseError as error:
                if not error.is_busy:
                    raise
                context.note(f"{error.what} Trying again in {pause:g} s.")
                context.wait(timedelta(seconds=pause))
        return self._apply(step, context)

    def _apply_by_program(self, step: Step, context: Context) -> str:
        spec, migration = context.ports.plan.databases[step.its_database], _migration(step, context)
        runner = context.ports.runner(spec.name)
        assert runner is not None, "code without a runner is an error of the plan"
        line = apply_by_program(
            lambda: context.ports.session(spec.name, label=step.id),
            _versions(context, spec),
            migration,
            runner=runner,
            url=context.ports.resolve(spec.url),
            book=_book(context),
        )
        return f"state {step.state}: {line}"

    def _apply(self, step: Step, context: Context) -> str:
        spec = context.ports.plan.databases[step.its_database]
        with context.ports.session(spec.name, label=step.id) as session:
            try:
                apply_migration(
                    session,
                    context.ports.tool(spec.name),
                    _migration(step, context),
                    migrations=context.ports.migrations(spec.name),
                    table=spec.migrations.table,
                    lock_timeout=_LOCKS,
                    patience=Patience(spec.locks, context.wait, context.ports.clock.sleep, context.note),
                    book=_book(context),
                )
            except DatabaseError as error:
                if error.code == "half-applied" and error.ambiguous:
                    # What is known is in these words, and the version table has none of it.
                    raise InDoubt(error.code, error.what, why=error.why, next_step=error.next_step) from error
                raise
        return f"state {step.state}"


STEP: Final[StepKind] = Apply()
