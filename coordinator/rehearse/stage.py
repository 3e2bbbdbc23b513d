"""Rehearse one database of a release on scratch databases: base, states, questions, hazards, drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from coordinator.apply import apply_on_scratch
from coordinator.errors import CoordinatorError, DatabaseError, StepFailed
from coordinator.evidence import Basis, Finding, Hazard, Rehearsal, Span, StatementEvidence, Use, Verdict
from coordinator.model import DatabaseSpec, Layer, Migration
from coordinator.ports import MigrationTool
from coordinator.rehearsal_ports import RehearsalDatabase, RehearsalServer
from coordinator.rehearse.findings import (
    already_failing_of,
    breaks_of,
    counts_of,
    spans_from,
    spans_of,
    unchecked_of,
)
from coordinator.rehearse.subject import Subject
from coordinator.rehearse.walk import Apply, Failure, Pair, Walked, walk_states

_DRIFT_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Live:
    """What the live database told; all of it empty where nothing live was asked."""

    catalogue: Mapping[str, str] | None = None
    """Its schema, to compare with the files; None: not asked."""
    sizes: Mapping[str, int] | None = None
    dump: str | None = None


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


FindHazards = Callable[[Sequence[StatementEvidence], Task, str], tuple[Hazard, ...]]
"""The rules, given to the stage: it knows none of them."""


def rehearse_database(
    server: RehearsalServer, task: Task, *, find_hazards: FindHazards
) -> tuple[Rehearsal, dict[Use, tuple[Span, ...]]]:
    """Return what the engine answered, and what it makes of each version's cells.

    Raises: DatabaseError or Usage where the scratch server fails. A migration that fails is no error here:
    what is behind it is unproven, and the note says why.
    """
    with ExitStack() as scratch:
        walk = scratch.enter_context(server.database(task.live.dump))
        base_failure = None if task.live.dump is not None else _replay(walk, task)
        if base_failure is not None:
            return _without_base(server, task, base_failure)
        drift = tuple(_drift_of(walk, server, task))
        unfilled = walk.fill() if _needs_rows(task.layers) else ()
        ahead = scratch.enter_context(walk.clone()) if task.pending else walk
        walked = walk_states(
            Pair(walk, ahead), task.pending, task.subjects, layers=task.layers, apply=_apply_for(task)
        )
    failure = walked.failures[0] if walked.failures else None
    rehearsal = Rehearsal(
        engine=server.version,
        base=_told_base(task),
        layers=task.layers,
        catalogues=counts_of(walked),
        breaks=tuple(breaks_of(walked, task.pending)),
        already_failing=tuple(already_failing_of(walked)),
        unchecked=tuple(unchecked_of(walked)),
        statements=walked.statements,
        hazards=find_hazards(walked.statements, task, server.version),
        drift=drift,
        notes=(*server.notes, *_notes(failure, unfilled)),
    )
    return rehearsal, _spans(walked, task, failure)


def _apply_for(task: Task) -> Apply:
    def apply(database: RehearsalDatabase, migration: Migration) -> DatabaseError | None:
        try:
            with database.session() as session:
                apply_on_scratch(session, task.tool, migration, table=task.spec.migrations.table)
        except DatabaseError as error:
            return error
        except StepFailed as error:
            return DatabaseError(error.code, error.what, why=error.why)
        return None

    return apply


def _replay(scratch: RehearsalDatabase, task: Task) -> Failure | None:
    """Apply the migrations that the live database has; return the first that an empty database refuses."""
    apply = _apply_for(task)
    for migration in task.applied:
        error = apply(scratch, migration)
        if error is not None:
            return Failure(migration, error)
    return None


def _needs_rows(layers: Sequence[Layer]) -> bool:
    return Layer.EXECUTE in layers or Layer.RESULT in layers


def _without_base(
    server: RehearsalServer, task: Task, failure: Failure
) -> tuple[Rehearsal, dict[Use, tuple[Span, ...]]]:
    reason = (
        f"the files do not make the schema that the live database has: `{failure.migration.name}` fails on an"
        f" empty one: {failure.error.what}"
    )
    rehearsal = Rehearsal(
        engine=server.version, base=_told_base(task), layers=(), catalogues={}, notes=(*server.notes, reason)
    )
    unproven = Finding(Verdict.UNPROVEN, Basis.REHEARSED, reason)
    cells = spans_from([unproven] * (len(task.pending) + 1))
    return rehearsal, {subject.use: cells for subject in task.subjects}


def _spans(walked: Walked, task: Task, failure: Failure | None) -> dict[Use, tuple[Span, ...]]:
    last = len(task.pending)
    return {
        subject.use: spans_of(walked, subject.use, last=last, layers=task.layers, failure=failure)
        for subject in task.subjects
    }


def _told_base(task: Task) -> str:
    if task.live.dump is not None:
        return "from the schema of the live database"
    number = len(task.applied)
    files = "1 migration file" if number == 1 else f"{number} migration files"
    return f"from {files}, replayed" if number else "from an empty database"


def _notes(failure: Failure | None, unfilled: Sequence[str]) -> Iterator[str]:
    if failure is not None:
        yield f"`{failure.migration.name}` does not apply to the scratch database: {failure.error}"
    if unfilled:
        yield f"no sample rows in: {'; '.join(unfilled)}"


def _drift_of(walk: RehearsalDatabase, server: RehearsalServer, task: Task) -> Iterator[str]:
    """Yield how the live schema and the one that the files make differ; nothing if only one is at hand."""
    if task.live.dump is not None:
        with server.database() as replayed:
            failure = _replay(replayed, task)
            if failure is not None:
                yield f"the files do not make the live schema: {failure.error.what}"
            else:
                yield from _differences(replayed.catalogue(), walk.catalogue())
    elif task.live.catalogue is not None:
        yield from _differences(walk.catalogue(), task.live.catalogue)


def _differences(here: Mapping[str, str], live: Mapping[str, str]) -> Iterator[str]:
    """Yield what the live schema has otherwise than the files make it, a line each."""
    names = sorted(name for name in {*here, *live} if here.get(name) != live.get(name))
    for name in names[:_DRIFT_SHOWN]:
        if name not in here:
            yield f"{name} is in the live database and in no file: {live[name]}"
        elif name not in live:
            yield f"{name} is made by the files and missing in the live database"
        else:
            yield f"{name} is `{live[name]}` in the live database, and the files make it `{here[name]}`"
    if len(names) > _DRIFT_SHOWN:
        yield f"and {len(names) - _DRIFT_SHOWN} more differences"


def unreachable(task: Task, error: CoordinatorError) -> dict[Use, tuple[Span, ...]]:
    """Return cells that say why nothing could be asked."""
    reason = f"there was no rehearsal: {error.what}"
    cells = spans_from([Finding(Verdict.UNPROVEN, Basis.REHEARSED, reason)] * (len(task.pending) + 1))
    return {subject.use: cells for subject in task.subjects}
