"""Rehearse one database of a release on scratch databases: base, states, questions, hazards, drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Final

from coordinator.apply import apply_on_scratch
from coordinator.errors import DatabaseError
from coordinator.evidence import Basis, Finding, Hazard, Rehearsal, Span, Use, Verdict
from coordinator.model import Layer, Migration, Script
from coordinator.ports.databases import Batch
from coordinator.programs import NOT_REHEARSED, not_readable, not_rehearsed
from coordinator.rehearsal_ports import RehearsalDatabase, RehearsalServer, Tell
from coordinator.rehearse.backfilling import Trial, trying
from coordinator.rehearse.batch_plans import hazards_of_batches
from coordinator.rehearse.completed import Completed
from coordinator.rehearse.drift import differences, matters
from coordinator.rehearse.emptied import NOTHING_EMPTIED, emptied_by
from coordinator.rehearse.findings import (
    FailingLive,
    already_failing_of,
    breaks_of,
    counts_of,
    doubted,
    failing_live_of,
    lost_indexes_of,
    notes_on_mended,
    spans_from,
    spans_of,
    unchecked_of,
)
from coordinator.rehearse.left_behind import hazards_of_left_behind
from coordinator.rehearse.live_nulls import hazards_of_live_nulls
from coordinator.rehearse.lost_indexes import hazards_of_lost_indexes
from coordinator.rehearse.otherwise import done_otherwise
from coordinator.rehearse.refused_rows import is_of_rows
from coordinator.rehearse.sample_rows import FIRST_TRIED, SampleRows, wishes_of
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.task import Task
from coordinator.rehearse.walk import Apply, Failure, Pair, Walked, walk_states
from coordinator.rules import find_hazards
from coordinator.wording import counted


def rehearse_database(
    server: RehearsalServer, task: Task, *, tell: Tell = lambda _: None
) -> tuple[Rehearsal, dict[Use, tuple[Span, ...]]]:
    """Return what the engine answered, and what it makes of each version's cells; `tell` how far it is.

    Raises: DatabaseError or Usage where the scratch server fails. A migration that fails is no error here:
    what is behind it is unproven, and the note says why.
    """
    needs_rows = Layer.EXECUTE in task.layers or Layer.RESULT in task.layers
    refused: str | None = None
    rows = FIRST_TRIED if needs_rows else None
    while True:
        tried = _try_completing(server, task, rows, tell)
        if isinstance(tried, Failure):
            return _without_base(server, task, tried)
        failure = tried.walked.failures[0] if tried.walked.failures else None
        if failure is None or rows is None or not _is_tried_otherwise(failure, rows):
            if failure is not None and refused == _refused(failure):
                refused = None  # without rows it fails as well, and is told as what it is
            notes = [] if refused is None else [f"{refused}; make sure that no live row stands in its way"]
            found = _rehearsal(server, task, tried, failure=failure, notes=notes)
            found = replace(found, hazards=hazards_of(found, task))
            lacks = None if refused is None or rows is not None else f"{refused}, so it had none"
            lacks = tried.otherwise or (_OTHER_SCHEMA if tried.drift.matters else lacks)
            return found, _spans(tried, task, failure, lacks=lacks, doubt=server.doubt)
        refused = _refused(failure)
        rows = rows.less(
            failure,
            partial(
                emptied_by,
                failure,
                pending=task.pending,
                backfills=task.spec.backfills,
                schemas=list(map(Schema.of, tried.catalogues)),
                engine=task.spec.engine,
            ),
        )


def _refused(failure: Failure) -> str:
    return f"`{failure.migration.name}` fails on sample rows: {failure.error.what.rstrip('.')}"


@dataclass(frozen=True, slots=True)
class _Tried:
    """One walk through the states."""

    walked: Walked
    drift: _Drift
    unfilled: tuple[str, ...]
    trials: tuple[Trial, ...]
    completed: Completed
    otherwise: str | None
    """What the migrations' programs did that they had not said: then the states are not the true ones."""
    not_compared: tuple[str, ...]
    catalogues: tuple[Mapping[str, str], ...]
    """Where rows made a migration fail: of the first state, and of what the others led to."""


def _try_completing(
    server: RehearsalServer, task: Task, rows: SampleRows | None, tell: Tell
) -> _Tried | Failure:
    """Walk through the states; again with backfills done before a migration that fails on undone rows."""
    completed = Completed(task.spec, task.pending, task.run_range)
    while True:
        tried = _try(server, task, rows, tell=tell, completed=completed)
        if isinstance(tried, Failure) or not tried.walked.failures:
            return tried
        failure = tried.walked.failures[0]
        more = completed.also_before(failure.migration) if _is_tried_otherwise(failure, rows) else None
        if more is None:
            return tried
        completed = more


def _try(
    server: RehearsalServer, task: Task, rows: SampleRows | None, *, tell: Tell, completed: Completed
) -> _Tried | Failure:
    """Walk through the states on new scratch databases; a failure is one of the base."""
    wishes = wishes_of(task.subjects, task.pending, task.spec.engine)
    with ExitStack() as scratch:
        walk = scratch.enter_context(server.database(task.live.dump))
        base_failure = None if task.live.dump is not None else _replay(walk, task, tell)
        if base_failure is not None:
            return base_failure
        if task.live.dump is not None and any(each.is_code or each.by_program for each in task.pending):
            _record_applied(walk, task)
        drift = _drift_of(walk, server, task, tell)
        unfilled = rows.fill(walk, wishes) if rows is not None else ()
        ahead = scratch.enter_context(walk.clone()) if task.pending and _asks(task) else walk
        beside = scratch.enter_context(walk.clone()) if _has_programs(task) else None
        applied = completed.applied(_apply_for(task))
        filling = applied if rows is None else rows.after(applied, task.spec.engine, wishes)
        apply = _telling(filling, task, tell)
        trials: list[Trial] = []
        walked = walk_states(
            Pair(walk, ahead),
            task.pending,
            task.subjects,
            layers=task.layers,
            apply=apply,
            engine=task.spec.engine,
            visit=trying(task.spec, task.pending, trials, task.run_range) if task.spec.backfills else None,
            met_by_next=completed.met_by_next,
            written_before=completed.writers,
            is_in_vain=lambda failure: _is_tried_otherwise(failure, rows),
            lacks_rows=(NOTHING_EMPTIED if rows is None else rows.emptied).doubt,
        )
        otherwise, not_compared = _otherwise(beside if not walked.failures else None, task, completed)
        is_failed = bool(walked.failures) and _is_tried_otherwise(walked.failures[0], rows)
        catalogues = (walk.catalogue(), ahead.catalogue()) if is_failed else ()
    return _Tried(walked, drift, unfilled, tuple(trials), completed, otherwise, not_compared, catalogues)


def _otherwise(
    beside: RehearsalDatabase | None, task: Task, completed: Completed
) -> tuple[str | None, tuple[str, ...]]:
    if beside is None or task.run_code is None:
        return None, ()
    return done_otherwise(
        beside,
        task.pending,
        engine=task.spec.engine,
        by_file=completed.applied(_apply_for(task)),
        by_program=completed.applied(task.run_code),
    )


def _asks(task: Task) -> bool:
    """Tell whether any state has a question to answer: of a version's query, or of a backfill."""
    return bool(task.spec.backfills) or any(each.catalogue.queries for each in task.subjects)


def _has_programs(task: Task) -> bool:
    """Tell whether a program can be let do what it said."""
    return task.run_code is not None and any(each.by_program for each in task.pending)


def _is_tried_otherwise(failure: Failure, rows: SampleRows | None) -> bool:
    """Tell whether a walk that fails begins anew, with other rows or a backfill: nobody wants its answers."""
    return is_of_rows(failure.error) and rows is not None


def _rehearsal(
    server: RehearsalServer, task: Task, tried: _Tried, *, failure: Failure | None, notes: Sequence[str]
) -> Rehearsal:
    walked = tried.walked
    scans = tuple(dict.fromkeys(scan for trial in tried.trials for scan in trial.scans))
    return Rehearsal(
        engine=server.version,
        base=_told_base(task),
        layers=task.layers,
        catalogues=counts_of(walked),
        breaks=() if server.doubt else tuple(breaks_of(walked, task.pending)),
        already_failing=tuple(already_failing_of(walked)),
        unchecked=tuple(unchecked_of(walked)),
        statements=walked.statements,
        drift=tried.drift.lines,
        notes=(
            *_doubts(server),
            *server.notes,
            *_of_drift(tried, task),
            *notes,
            *_notes(failure, tried.unfilled),
            *_unseen(task),
            *notes_on_mended(walked),
            *([tried.otherwise] if tried.otherwise else []),
            *tried.not_compared,
        ),
        backfills=tuple(
            (each.name, each.state, _of_live(each.finding, tried, doubt=server.doubt))
            for each in tried.trials
        ),
        needs=tried.completed.pairs,
        batch_scans=scans,
        lost_indexes=tuple(lost_indexes_of(walked, task.pending)),
        is_whole=failure is None,
        failed=failure.migration.name if failure else None,
        doubt=server.doubt,
    )


def _of_live(finding: Finding, tried: _Tried, *, doubt: str | None) -> Finding:
    """Return what a backfill's trial says of the live database, whose schema and SQL may be others."""
    if doubt is not None:
        return doubted(finding, doubt)
    lacks = tried.otherwise or (_OTHER_SCHEMA if tried.drift.matters else None)
    if lacks and finding.verdict is Verdict.PROVEN:
        return Finding(Verdict.UNPROVEN, Basis.REHEARSED, lacks)
    return finding


def hazards_of(rehearsal: Rehearsal, task: Task) -> tuple[Hazard, ...]:
    """Return what statements and backfills would do to the live service, if its tables are as large as the
    task says, and what it would do without an index, or has done when a column is to be NOT NULL.
    """
    sizes = task.live.sizes
    texts = {(each.use, query.name): query.text for each in task.subjects for query in each.catalogue.queries}
    return (
        *find_hazards(
            rehearsal.statements,
            engine=rehearsal.engine,
            sizes=sizes,
            lock_timeout=task.spec.locks.budget,
            changes_left=task.live.changes_left,
        ),
        *hazards_of_batches(rehearsal.batch_scans, task.spec.backfills, sizes),
        *hazards_of_lost_indexes(rehearsal, task.pending, sizes),
        *hazards_of_live_nulls(rehearsal, task.spec.backfills, task.pending, texts),
        *hazards_of_left_behind(rehearsal, task.spec.backfills, task.pending, texts),
    )


def _telling(apply: Apply, task: Task, tell: Tell) -> Apply:
    """Tell which migration is tried: to see what it does, and once more between two states that are asked."""
    tries, most = count(), len(task.pending) * (2 if _asks(task) else 1)

    def tell_and_apply(database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
        tell(f"Rehearsing {task.spec.name}, {100 * next(tries) // most} %: {migration.name}")
        return apply(database, migration)

    return tell_and_apply


def _record_applied(base: RehearsalDatabase, task: Task) -> None:
    """Write into a dump's version table what the live one has, for programs read it; a dump has no rows.

    Raises: DatabaseError.
    """
    with base.session() as session:
        target = session.target(task.spec.migrations.table)
        [[is_there]] = session.query(task.tool.ledger_exists_query(target))
        if is_there and (rows := task.tool.first_rows(target)):
            session.execute(Batch(rows, transaction=True))
    for migration in task.applied:
        record = replace(migration, up=Script((), transaction=True), is_code=False, by_program=False)
        with base.session() as session:
            error = apply_on_scratch(session, task.tool, record, table=task.spec.migrations.table)
        if error is not None:
            raise error


def _apply_for(task: Task) -> Apply:
    """Return what applies a migration of the task."""

    def apply(database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
        if migration.is_code:
            return task.run_code(database, migration) if task.run_code else not_rehearsed(_no_program(task))
        if migration.up is None and migration.faults:
            return not_readable(migration.faults[0])
        with database.session() as session:
            return apply_on_scratch(session, task.tool, migration, table=task.spec.migrations.table)

    return apply


def _no_program(task: Task) -> str:
    return _NO_PROGRAM if task.spec.migrations.command is None else _PROGRAM_MAY_NOT


def _replay(scratch: RehearsalDatabase, task: Task, tell: Tell) -> Failure | None:
    """Apply the migrations that the live database has; return the first that an empty database refuses."""
    apply = _apply_for(task)
    for migration in task.applied:
        tell(f"Rehearsing {task.spec.name}, making its schema as it is now: {migration.name}")
        error = apply(scratch, migration)
        if error is not None:
            return Failure(migration, error)
    return None


def _without_base(
    server: RehearsalServer, task: Task, failure: Failure
) -> tuple[Rehearsal, dict[Use, tuple[Span, ...]]]:
    reason = (
        f"the files do not make the schema that the live database has: `{failure.migration.name}` fails on an"
        f" empty one: {failure.error.what}"
    )
    if failure.error.code == NOT_REHEARSED:
        reason = (
            f"the schema of the live database cannot be made from its files: {failure.told()};"
            " `rehearsal: {base: dump}` takes it from the live database"
        )
    rehearsal = Rehearsal(
        engine=server.version,
        base=_told_base(task),
        layers=(),
        catalogues={},
        notes=(*_doubts(server), *server.notes, reason),
        is_whole=False,
        doubt=server.doubt,
    )
    unproven = Finding(Verdict.UNPROVEN, Basis.REHEARSED, reason)
    cells = spans_from([unproven] * (len(task.pending) + 1))
    return rehearsal, {subject.use: cells for subject in task.subjects}


def _spans(
    tried: _Tried, task: Task, failure: Failure | None, *, lacks: str | None, doubt: str | None
) -> dict[Use, tuple[Span, ...]]:
    """Return the cells; `lacks` says what was missing for all questions: then nothing is proven.

    `doubt` is RehearsalServer.doubt: then nothing is broken either.
    """
    knows_live = task.live.dump is not None or (task.live.catalogue is not None and not tried.drift.lines)
    failing = failing_live_of(tried.walked) if knows_live else FailingLive()
    return {
        subject.use: spans_of(
            tried.walked,
            subject.use,
            last=len(task.pending),
            layers=task.layers,
            failure=failure,
            failing_live=failing.known,
            mended=failing.mended,
            lacks=lacks,
            doubt=doubt,
        )
        for subject in task.subjects
    }


def _told_base(task: Task) -> str:
    if task.live.dump is not None:
        return "from the schema of the live database"
    if not task.applied:
        return "from an empty database"
    return f"from {counted(len(task.applied), 'migration file')}, replayed"


_NO_PROGRAM: Final = "no `command` of the plan applies it"
_PROGRAM_MAY_NOT: Final = "nothing says that its program may work on a scratch database (`rehearse: true`)"
MEND_DOUBT: Final = "Install a server like the live one here, or name one: `rehearsal: {url: env:…}`."
_OTHER_SCHEMA: Final = (
    "the answers are those of the schema that the files make, and the live one differs (drift);"
    " `rehearsal: {base: dump}` asks about the live one"
)


def _doubts(server: RehearsalServer) -> Iterator[str]:
    if server.doubt is not None:
        yield f"nothing is decided by it: {server.doubt}. {MEND_DOUBT}"


def _of_drift(tried: _Tried, task: Task) -> Iterator[str]:
    if tried.drift.lines and task.live.dump is None:
        yield _OTHER_SCHEMA


def _unseen(task: Task) -> Iterator[str]:
    for each in task.pending:
        if each.is_code:
            yield f"`{each.name}` is code: what it locks, rewrites and writes was not seen"


def _notes(failure: Failure | None, unfilled: Sequence[str]) -> Iterator[str]:
    if failure is not None:
        yield failure.told()
    if unfilled:
        yield f"no sample rows in: {'; '.join(unfilled)}"


@dataclass(frozen=True, slots=True)
class _Drift:
    """How the live schema and the one that the files make differ."""

    lines: tuple[str, ...] = ()
    matters: bool = False
    """What was asked about is not the live schema, in something that a query may notice."""


def _drift_of(walk: RehearsalDatabase, server: RehearsalServer, task: Task, tell: Tell) -> _Drift:
    """Compare the two; there is no drift to be seen where only one of them is at hand."""
    if task.live.dump is not None:
        with server.database() as replayed:
            failure = _replay(replayed, task, tell)
            if failure is not None:
                return _Drift((f"the files do not make the live schema: {failure.told()}",))
            return _Drift(tuple(differences(replayed.catalogue(), walk.catalogue())))
    if task.live.catalogue is None:
        return _Drift()
    files, live = walk.catalogue(), task.live.catalogue
    asks_privileges = any(subject.database_role is not None for subject in task.subjects)
    return _Drift(tuple(differences(files, live)), matters(files, live, asks_privileges=asks_privileges))
