"""Run each backfill on a copy of a scratch database at each state that it may meet: with our own loop, on the
sample rows. What the engine refuses there it refuses in a release. A program that fails there may do so for
the lack of something that has nothing to do with the schema, so that refuses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.backfills.keys import Key, key_of, number_from
from coordinator.backfills.order import SWITCH, named
from coordinator.backfills.ranges import do_by_program
from coordinator.errors import DatabaseError, StepFailed, Waiting
from coordinator.evidence import Basis, Finding, Objection, Verdict
from coordinator.model import BackfillSpec, DatabaseSpec, Migration, Role
from coordinator.ports.databases import Batch, Session
from coordinator.ports.programs import RangeProgram
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.batch_plans import BatchScan, batch_scans
from coordinator.rehearse.cuts import Cut, met_in_batches
from coordinator.rehearse.hurried import NeverEnds, do_rows
from coordinator.rehearse.independence import shared_by_batches
from coordinator.rehearse.twice import Content, content_of, done_twice
from coordinator.rehearse.walk import Visit, Working
from coordinator.sameness import difference

_AT_ONCE: Final = (
    "it works on the sample rows, and nobody knows whether a batch reads what another one writes while"
    " {} are under way at once: {}"
)
_NOT_ALLOWED: Final = (
    "a program does it, and nothing says that it may work on a scratch database (`rehearse: true`)"
)
_OF_PROGRAMS: Final = frozenset({"backfill-program-failed", "program-not-started"})
_TWICE: Final = "its program gets the rows a second time, as it may in a release"
_KEPT: Final = (
    "`{}` is kept by {}, which has no transactions: a kill or an error leaves a batch done in part, and its"
    " rows are done again"
)
_NONE_LEFT: Final = (
    "`remaining` counts none of the sample rows before they are done, so its zero says nothing of a release;"
    " of NULL it asks by IS NULL, as nothing equals it"
)
_AGAIN: Final = (
    "it comes again and again to rows that it has done, because rows of `{}` get a key behind its place. Go"
    " over the table by a key that the statement leaves alone, and that no row gets from it"
)
_RAN: Final = Finding(Verdict.PROVEN, Basis.REHEARSED, "it ran on the sample rows")


ProgramOnScratch = Callable[[RehearsalDatabase, BackfillSpec], RangeProgram | str]
"""Returns what runs a backfill's program on a scratch database; a text says why it may not be run there."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a backfill did at one state."""

    name: str
    state: int
    finding: Finding
    scans: tuple[BatchScan, ...] = ()
    """What every batch reads from end to end."""


def trying(
    database: DatabaseSpec,
    pending: Sequence[Migration],
    trials: list[Trial],
    program: ProgramOnScratch | None = None,
) -> Visit:
    """Return what tries the backfills at each state of a walk, and adds what they did to `trials`."""
    return lambda scratch, state, working: trials.extend(
        try_backfills(scratch, database, pending, state=state, working=working, program=program)
    )


def try_backfills(
    scratch: RehearsalDatabase,
    database: DatabaseSpec,
    pending: Sequence[Migration],
    *,
    state: int,
    working: Working,
    program: ProgramOnScratch | None = None,
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
    return tuple(
        _try(scratch, database, spec, state=state, working=working, program=program) for spec in ready
    )


def _try(
    scratch: RehearsalDatabase,
    database: DatabaseSpec,
    spec: BackfillSpec,
    *,
    state: int,
    working: Working,
    program: ProgramOnScratch | None,
) -> Trial:
    with scratch.clone() as copy:
        try:
            if spec.command is None:
                finding = _by_sql(scratch, copy, database, spec, working=working)
            elif program is None or not spec.command.rehearses:
                finding = _unproven(_NOT_ALLOWED)
            else:
                finding = _by_program(scratch, copy, database, spec, working=working, program=program)
        except (Waiting, StepFailed, DatabaseError) as error:
            finding = _refused(error)
        except NeverEnds:
            finding = _broken(_AGAIN.format(spec.table))
        if finding is _RAN and spec.sessions > 1:
            shared = shared_by_batches(copy, spec)
            finding = finding if shared is None else _unproven(_AT_ONCE.format(spec.sessions, shared))
        scans: tuple[BatchScan, ...] = ()
        if finding.verdict is not Verdict.BROKEN:
            try:
                scans = batch_scans(copy, spec)
            except StepFailed as error:  # of a program that is not run nobody has looked at the key before
                finding = _refused(error)
    return Trial(spec.name, state, finding, scans)


def _by_sql(
    scratch: RehearsalDatabase,
    copy: RehearsalDatabase,
    database: DatabaseSpec,
    spec: BackfillSpec,
    *,
    working: Working,
) -> Finding:
    with copy.session() as session:
        key = key_of(session, spec)
        last = key.last_after(None, session)
        is_done = number_from(session, spec.remaining, spec) == 0
    do_rows(copy, database, spec, there=0 if last is None else last[1])
    whole = content_of(copy, database.engine)
    if spec.repeatable:
        with copy.session() as session:
            if _changes_again(session, spec):
                return _broken("it is `repeatable`, and changes rows again that it has done")
    met = next(_differences(scratch, copy, spec, working), None)
    if met is not None and met.verdict is Verdict.BROKEN:
        return met
    if last is None:
        return met or _no_rows(spec)
    cut = met_in_batches(scratch, database, spec, whole=whole, rows=last[1])
    if cut is not None and cut.is_certain:
        return _broken(cut.reason)
    return met or _doubt(spec, key, cut, is_done=is_done) or _RAN


def _doubt(spec: BackfillSpec, key: Key, cut: Cut | None, *, is_done: bool) -> Finding | None:
    """Return why nobody knows what a release makes of it, though it ran; `is_done`: nothing was left."""
    if is_done:
        return _unproven(_NONE_LEFT)
    if cut is not None:
        return _unproven(cut.reason)
    return None if key.unsafe_engine is None else _unproven(_KEPT.format(spec.table, key.unsafe_engine))


def _by_program(
    scratch: RehearsalDatabase,
    copy: RehearsalDatabase,
    database: DatabaseSpec,
    spec: BackfillSpec,
    *,
    working: Working,
    program: ProgramOnScratch,
) -> Finding:
    """Return what a program did; one that has nothing to do there shows nothing, not even where it works."""
    runs = program(copy, spec)
    if isinstance(runs, str):
        return _unproven(f"its program is not rehearsed: {runs}")
    with copy.session() as session:
        key = key_of(session, spec)
        last = key.last_after(None, session)
        is_done = number_from(session, spec.remaining, spec) == 0
    if last is None:
        return _no_rows(spec)
    if is_done:
        return _unproven("none of the sample rows is left to be done, so its program showed nothing")
    do_rows(copy, database, spec, runs, there=last[1])
    met = next(_differences(scratch, copy, spec, working), None)
    if met is not None and met.verdict is Verdict.BROKEN:
        return met

    rows = key.between(None, last[0])
    again = _second_time(scratch, copy, database, spec, program=program, rows=rows)
    return again or met or _RAN


def _second_time(
    scratch: RehearsalDatabase,
    copy: RehearsalDatabase,
    database: DatabaseSpec,
    spec: BackfillSpec,
    *,
    program: ProgramOnScratch,
    rows: str,
) -> Finding | None:
    """Have a program do rows again that it has done; return what speaks against that, None if nothing."""

    def on(place: RehearsalDatabase) -> RangeProgram:
        found = program(place, spec)
        assert not isinstance(found, str), "it has run already"
        return found

    def anew() -> Content:
        with scratch.clone() as other:
            do_rows(other, database, spec, on(other))
            return content_of(other, database.engine)

    once = content_of(copy, database.engine)
    try:
        do_by_program(on(copy), spec, rows, note=lambda _: None)
    except StepFailed as error:
        return _unproven(f"{_TWICE}: {error.what.rstrip('.')}")
    other = done_twice(spec, once=once, twice=content_of(copy, database.engine), anew=anew)
    if other is None:
        return None
    said = f"{_TWICE}, and then {other.reason}"
    return _broken(said) if other.is_certain else _unproven(said)


def _refused(error: Waiting | StepFailed | DatabaseError) -> Finding:
    """Return what it means that a backfill did not come to its end."""
    what = error.what.rstrip(".")
    match error:
        case Waiting():
            return _unproven(f"on the sample rows it does not complete: {what}")
        case StepFailed():
            return _unproven(what) if error.code in _OF_PROGRAMS else _broken(what)
        case DatabaseError():
            said = " ".join(part for part in (error.what, error.why) if part).rstrip(".")
            is_of_rows = (error.sqlstate or "")[:2] in ("22", "23") or "constraint failed" in error.what
            return _unproven(f"a sample row stands in its way: {said}") if is_of_rows else _broken(said)


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


def _no_rows(spec: BackfillSpec) -> Finding:
    return _unproven(f"there was no sample row in `{spec.table}`")


def _broken(reason: str) -> Finding:
    return Finding(Verdict.BROKEN, Basis.REHEARSED, reason)


def _unproven(reason: str) -> Finding:
    return Finding(Verdict.UNPROVEN, Basis.REHEARSED, reason)
