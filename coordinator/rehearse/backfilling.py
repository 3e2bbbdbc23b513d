"""Run each backfill on a copy of a scratch database at each state that it may meet: with our own loop, on the
sample rows. What the engine refuses there it refuses in a release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from coordinator.backfills.keys import key_of
from coordinator.backfills.order import SWITCH, named
from coordinator.backfills.work import Work
from coordinator.errors import DatabaseError, StepFailed, Waiting
from coordinator.evidence import Basis, Finding, Objection, Verdict
from coordinator.model import BackfillSpec, DatabaseSpec, Migration, Role
from coordinator.ports.databases import Batch, Session
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.batch_plans import BatchScan, batch_scans
from coordinator.rehearse.independence import shared_by_batches
from coordinator.rehearse.walk import Visit, Working
from coordinator.sameness import difference

_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing is measured here, and nobody rests."""
_AT_ONCE: Final = (
    "it works on the sample rows, and nobody knows whether a batch reads what another one writes while"
    " {} are under way at once: {}"
)
_RAN: Final = Finding(Verdict.PROVEN, Basis.REHEARSED, "it ran on the sample rows")


@dataclass(frozen=True, slots=True)
class Trial:
    """What a backfill did at one state."""

    name: str
    state: int
    finding: Finding
    scans: tuple[BatchScan, ...] = ()
    """What every batch reads from end to end."""


def trying(database: DatabaseSpec, pending: Sequence[Migration], trials: list[Trial]) -> Visit:
    """Return what tries the backfills at each state of a walk, and adds what they did to `trials`."""
    return lambda scratch, state, working: trials.extend(
        try_backfills(scratch, database, pending, state=state, working=working)
    )


def try_backfills(
    scratch: RehearsalDatabase,
    database: DatabaseSpec,
    pending: Sequence[Migration],
    *,
    state: int,
    working: Working,
) -> tuple[Trial, ...]:
    """Return what the backfills do at a state; those whose migration comes later are left out.

    `working` are the queries that work there, and are asked once more when the rows are done.
    """
    reached = pending[:state]
    ready = [
        spec
        for spec in database.backfills
        if named(pending, spec.after) is None or named(reached, spec.after) is not None
    ]
    return tuple(_try(scratch, database, spec, state=state, working=working) for spec in ready)


def _try(
    scratch: RehearsalDatabase, database: DatabaseSpec, spec: BackfillSpec, *, state: int, working: Working
) -> Trial:
    if spec.command is not None:
        return Trial(spec.name, state, _unproven("a program does it, and no rehearsal runs that"))
    with scratch.clone() as copy:
        finding = _run(scratch, copy, database, spec, working=working)
        if finding is _RAN and spec.sessions > 1:
            shared = shared_by_batches(copy, spec)
            finding = finding if shared is None else _unproven(_AT_ONCE.format(spec.sessions, shared))
        scans = () if finding.verdict is Verdict.BROKEN else batch_scans(copy, spec)
    return Trial(spec.name, state, finding, scans)


def _run(
    scratch: RehearsalDatabase,
    copy: RehearsalDatabase,
    database: DatabaseSpec,
    spec: BackfillSpec,
    *,
    working: Working,
) -> Finding:
    hurried = replace(spec, percent=100, rows_per_second=None, replication_lag=None, sessions=1)
    try:
        with copy.session() as session:
            has_rows = key_of(session, spec).last_after(None, session) is not None
        Work(
            database,
            hurried,
            connect=copy.session,
            now=lambda: _ANY_TIME,
            wait=lambda _: None,
            note=lambda _: None,
        ).run()
        with copy.session() as session:
            if spec.repeatable and _changes_again(session, spec):
                return _broken("it is `repeatable`, and changes rows again that it has done")
        if met := next(_differences(scratch, copy, spec, working), None):
            return met
    except Waiting as error:
        return _unproven(f"on the sample rows it does not complete: {error.what.rstrip('.')}")
    except StepFailed as error:
        return _broken(f"{error.what.rstrip('.')}")
    except DatabaseError as error:
        said = " ".join(part for part in (error.what, error.why) if part).rstrip(".")
        is_of_rows = (error.sqlstate or "")[:2] in ("22", "23") or "constraint failed" in error.what
        return _unproven(f"a sample row stands in its way: {said}") if is_of_rows else _broken(said)
    return _RAN if has_rows else _unproven(f"there was no sample row in `{spec.table}`")


def _differences(
    scratch: RehearsalDatabase, copy: RehearsalDatabase, spec: BackfillSpec, working: Working
) -> Iterator[Finding]:
    """Yield what a version meets on the copy, whose rows are done, that it did not before.

    Live may see other rows: that is what a backfill is for. Next was written for rows that are done; where it
    runs before they are, it must not see the difference, or nobody knows if it minds.
    """
    for subject, queries in working:
        asks = [(each.text, each.values or ()) for each in queries]
        undone = scratch.execute(asks, role=subject.database_role)
        done = copy.execute(asks, role=subject.database_role)
        for query, before, after in zip(queries, undone, done, strict=True):
            whose = f"query {query.query.name} of `{subject.use[1]}` ({subject.role})"
            if isinstance(before, Objection):
                continue
            if isinstance(after, Objection):
                yield _broken(f"{whose} fails when the rows are done: {after.message} ({after.code})")
            elif subject.role is Role.NEXT and spec.before != SWITCH and (found := difference(after, before)):
                yield _unproven(
                    f"{whose} {found} until it is complete, and nobody knows if it minds;"
                    " with `before: switch` it does not run then"
                )


def _changes_again(session: Session, spec: BackfillSpec) -> bool:
    """Tell whether another pass changes what the first one left."""
    key = key_of(session, spec)
    last = key.last_after(None, session)
    if last is None:
        return False
    before = _rows(session, key.table)
    session.execute(Batch((spec.statement(key.between(None, last[0])),), transaction=True))
    return _rows(session, key.table) != before


def _rows(session: Session, table: str) -> list[str]:
    return sorted(map(repr, session.query(_ALL.format(table=table))))


_ALL: Final = "SELECT * FROM {table}"


def _broken(reason: str) -> Finding:
    return Finding(Verdict.BROKEN, Basis.REHEARSED, reason)


def _unproven(reason: str) -> Finding:
    return Finding(Verdict.UNPROVEN, Basis.REHEARSED, reason)
