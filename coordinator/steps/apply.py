"""Apply one migration file, as its tool would, and let the tool's own version table say whether it is done.

What is in doubt after a kill is settled under the tool's locks: an orphan of ours that still runs on the
server holds them. A file that ran in one transaction with its version row is then either there or not. One
that runs outside of a transaction may have stopped half-way, and only a person can tell, unless all that it
does may be done again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import takewhile
from typing import Final

from coordinator.applied import Book, Mark
from coordinator.apply import is_applied, read_ledger
from coordinator.errors import DatabaseError, InDoubt, StepFailed
from coordinator.graph import Step
from coordinator.halfway import may_remain, statements_of
from coordinator.marks import by_statement, line_behind, read_mark, start_of, told
from coordinator.model import DatabaseSpec, Engine, Migration
from coordinator.ports.databases import Session, Target
from coordinator.ports.migrations import MigrationTool
from coordinator.ports.programs import MigrationRunner
from coordinator.programs import Programs, VersionTable, is_whole_by_program
from coordinator.series import WORTH_IT, Series, is_whole, may_follow
from coordinator.sql import is_repeatable, split_statements
from coordinator.steps import Context, Observation, StepKind
from coordinator.world import Effect, SchemaMoves, Seen

_LOCKS: Final = timedelta(seconds=15)
"""How long another migration tool, or an orphan of ours, may hold the tool's locks: migrate's own default."""
_GONE: Final = timedelta(seconds=2)
"""How long a program whose coordinator died may take to be gone: it was killed at once."""
_WITHOUT: Final = {
    Engine.POSTGRESQL: "runs without a transaction",
    Engine.SQLITE: "runs without a transaction",
    Engine.MYSQL: "changes the schema, each statement for itself,",
    Engine.MARIADB: "changes the schema, each statement for itself,",
}
_FAILED_IN_PART: Final = (
    "It failed when it was tried last, and its file is the same. {} To run all of it once more would do again"
    " what is there. Complete it and record it, or take back what is there."
)
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts, where the engine's session is not patient itself."""


def _migration(step: Step, context: Context) -> Migration:
    assert step.migration is not None, step.id
    if found := context.ports.migration(step.its_database, step.migration):
        return found
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


@contextmanager
def _programs(step: Step, context: Context) -> Iterator[Programs]:
    """Yield what applies migrations that are code; it takes the tool's locks itself, so they are let go.

    Its program may wait for the next migration then.
    """
    spec, ports = context.ports.plan.databases[step.its_database], context.ports
    runner = ports.runner(spec.name)
    assert runner is not None, "code without a runner is an error of the plan"
    context.series.end(spec.name)
    try:
        yield Programs(
            lambda: ports.session(spec.name, label=step.id),
            _versions(context, spec),
            runner,
            ports.resolve(spec.url),
            _book(context),
        )
    finally:
        context.series.leave_program(spec.name, runner.let_go)


def _book(context: Context) -> Book:
    return Book(context.ports.plan.release, context.note)


def _may_have_begun(migration: Migration, tool: MigrationTool, engine: Engine) -> bool:
    """Tell whether a file may have run in part without a trace, and may not simply be sent again."""
    if tool.records_start or migration.up is None or not may_remain(migration.up, engine):
        return False
    statements = (each for text in migration.up.statements for each in split_statements(text.text, engine))
    return not all(map(is_repeatable, statements))


def _mark(
    session: Session, tool: MigrationTool, migration: Migration, target: Target
) -> tuple[Mark | None, bool]:
    """Return how far the file ran, if that is written down, and whether it would be."""
    if not may_remain(migration.up, target.engine):
        return None, False
    return read_mark(session, tool, migration, target=target)


def _start(mark: Mark | None, migration: Migration, engine: Engine, *, from_line: int | None) -> int | None:
    script = by_statement(migration, engine).up
    return None if script is None else start_of(mark, script, engine, from_line=from_line)


def _refuse_behind(migration: Migration, engine: Engine, line: int | None) -> None:
    """Refuse a line that a person mistyped: nothing would be sent, and the version be recorded."""
    script = by_statement(migration, engine).up
    if line is None or script is None or not script.statements or line <= line_behind(script):
        return
    raise InDoubt(
        "line-behind-file",
        f"{migration.files[0].path}:{line}: There is nothing to go on with: the last statement of the file"
        f" ends before line {line_behind(script)}.",
        why="Nothing was sent: the version would be recorded without what is missing of the file.",
        next_step="`coordinator run` says once more at which line the file goes on.",
    )


def _as_marked(mark: Mark, migration: Migration, engine: Engine, *, step: Step) -> Observation:
    if _start(mark, migration, engine, from_line=None) is not None:
        return Observation(
            Seen.NOT_DONE, f"{mark.at} of its statements are there, and certainly none behind them"
        )
    return Observation(Seen.UNKNOWN, told(mark, migration, engine, step=step.id))


def _as_unrecorded(
    migration: Migration, engine: Engine, *, lost: MigrationRunner | None, may_have_begun: bool
) -> Observation:
    if lost is not None and not lost.may_have_begun(migration):
        return Observation(Seen.NOT_DONE, "its program was asked for it, and had not begun")
    if lost is not None:
        how_far = lost.what_ran(migration) or "Nobody can tell how far it came."
        return Observation(
            Seen.UNKNOWN,
            f"{migration.name} is code, and the version table does not have it. {how_far} Look at what it was"
            " to change; complete it or take it back.",
        )
    if may_have_begun:
        assert migration.up is not None, "of nothing nothing remains"
        return Observation(
            Seen.UNKNOWN,
            f"{migration.name} {_WITHOUT[engine]} and may have stopped half-way. Look which of its statements"
            f" are there: {statements_of(migration.up, engine)}.",
        )
    return Observation(Seen.NOT_DONE, "the version table does not have it")


def _beyond(migration: Migration, session: Session, context: Context, spec: DatabaseSpec) -> tuple[str, ...]:
    """Return what a program in doubt may have applied beside the migrations that it was begun for."""
    if not migration.is_code or not context.in_doubt:
        return ()
    versions = _versions(context, spec)
    ledger = read_ledger(session, versions.tool, session.target(versions.table))
    return versions.beyond(migration, ledger, in_doubt=context.others_in_doubt)


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
        if not context.in_doubt and context.series.is_due(step.its_database, migration):
            return Observation(Seen.NOT_DONE, "the migration before it was applied a moment ago")
        found = self._look(migration, step, context)
        is_anew = found.seen is Seen.NOT_DONE and not context.in_doubt and context.from_line is None
        runner = context.ports.runner(step.its_database) if is_anew and migration.is_code else None
        if runner is not None and runner.has_left(migration):
            return Observation(Seen.UNKNOWN, _FAILED_IN_PART.format(runner.what_ran(migration)))
        return found

    def _look(self, migration: Migration, step: Step, context: Context) -> Observation:
        spec, tool = context.ports.plan.databases[step.its_database], context.ports.tool(step.its_database)
        runner = context.ports.runner(spec.name) if migration.is_code and context.in_doubt else None
        if runner is not None:
            runner.demand_gone(_GONE)
        with context.ports.session(spec.name, label=step.id) as session:
            target = session.target(spec.migrations.table)
            locks = tool.lock_ids(target) if context.in_doubt else ()
            with session.locked(locks, timeout=_LOCKS):
                if context.in_doubt:
                    session.make_durable()  # what is seen to be there now will be said to be done
                beyond = _beyond(migration, session, context, spec)
                is_done = is_applied(
                    session,
                    tool,
                    migration,
                    migrations=context.ports.migrations(spec.name),
                    table=spec.migrations.table,
                )
                mark, is_kept = None, False
                if is_done is None or (is_done is False and not tool.records_start):
                    mark, is_kept = _mark(session, tool, migration, target)
        if is_done and beyond:
            assert runner is not None, "who looks beyond a migration that is code has a runner"
            return Observation(
                Seen.UNKNOWN,
                f"{migration.name}: {runner.called} was to apply that alone, and the version table has more:"
                f" {', '.join(beyond)}. Look whether the live version still works.",
            )
        if is_done:
            return Observation(Seen.DONE, "the version table has it")
        if context.from_line is not None and not context.in_doubt:
            return Observation(Seen.NOT_DONE, "a person said where to go on")
        if mark is not None:
            return _as_marked(mark, migration, spec.engine, step=step)
        if is_done is None:
            return Observation(
                Seen.UNKNOWN, f"The version table says that {migration.name} stopped half-way."
            )
        is_known = runner and (runner.is_repeatable or is_whole_by_program(migration, runner))
        return _as_unrecorded(
            migration,
            spec.engine,
            lost=None if is_known else runner,
            may_have_begun=context.in_doubt and not is_kept and _may_have_begun(migration, tool, spec.engine),
        )

    def perform_all(self, steps: Sequence[Step], contexts: Sequence[Context]) -> tuple[str, ...]:
        """Apply the files that may go together behind the one before them, where the engine can."""
        context, name = contexts[0], steps[0].its_database
        if _migration(steps[0], context).is_code:
            return self._apply_together_by_program(steps, context)
        engine = context.ports.plan.databases[name].engine
        fit: list[Migration] = []
        for step, each in zip(steps, contexts, strict=True):
            migration = _migration(step, each)
            is_fit = is_whole(migration, engine) and may_follow(migration.up, engine)
            if each.from_line is not None or not is_fit:
                break
            fit.append(migration)
        series = context.series.take_due(name, fit[0]) if fit else None
        if series is None:
            return ()
        with ExitStack() as unless_kept:
            unless_kept.callback(series.close)
            count = series.apply_all(
                fit,
                patience=context.patience(name),
                book=_book(context),
                labels=[step.id for step in steps[: len(fit)]],
                is_halted=context.is_halted,
            )
            unless_kept.pop_all()
        context.series.leave(name, series)
        return tuple(f"state {step.state}" for step in steps[:count])

    def perform(self, step: Step, context: Context) -> str:
        """Apply the file, as patiently as the plan says where a table is busy."""
        apply = self._apply_by_program if _migration(step, context).is_code else self._apply
        for pause in _PAUSES:
            try:
                return apply(step, context)
            except DatabaseError as error:
                if not error.may_pass:
                    raise
                context.note(f"{error.what} Trying again in {pause:g} s.")
                context.wait(timedelta(seconds=pause))
        return apply(step, context)

    def _apply_by_program(self, step: Step, context: Context) -> str:
        with _programs(step, context) as programs:
            return f"state {step.state}: {programs.apply(_migration(step, context))}"

    def _apply_together_by_program(self, steps: Sequence[Step], context: Context) -> tuple[str, ...]:
        name = steps[0].its_database
        all_of_them = (_migration(step, context) for step in steps)
        fit = list(takewhile(lambda each: each.is_code and each.is_atomic, all_of_them))
        if len(fit) < WORTH_IT or context.series.has_stopped_at(name, fit[0]):
            return ()
        with _programs(steps[0], context) as programs:
            lines = programs.apply_together(fit)
        if 0 < len(lines) < len(fit):
            context.series.stop_at(name, fit[len(lines)])
        return tuple(f"state {step.state}: {line}" for step, line in zip(steps, lines, strict=False))

    def _apply(self, step: Step, context: Context) -> str:
        spec, ports = context.ports.plan.databases[step.its_database], context.ports
        migration, book = _migration(step, context), _book(context)
        _refuse_behind(migration, spec.engine, context.from_line)
        series = context.series.take_or(
            spec.name,
            lambda: Series.opened(
                ports.session(spec.name, label=step.id),
                ports.tool(spec.name),
                table=spec.migrations.table,
                lock_timeout=_LOCKS,
            ),
        )
        with ExitStack() as unless_kept:
            unless_kept.callback(series.close)
            mark = series.mark_of(migration)
            try:
                series.apply(
                    migration,
                    migrations=ports.migrations(spec.name),
                    patience=context.patience(spec.name),
                    book=book,
                    label=step.id,
                    start=_start(mark, migration, spec.engine, from_line=context.from_line),
                )
            except DatabaseError as error:
                if error.code == "half-applied" and error.ambiguous:
                    # What is known is in these words, and the version table has none of it.
                    raise InDoubt(error.code, error.what, why=error.why, next_step=error.next_step) from error
                raise
            if may_follow(migration.up, spec.engine):
                unless_kept.pop_all()
                context.series.leave(spec.name, series)
        return f"state {step.state}"


STEP: Final[StepKind] = Apply()
