"""Look at the world before anything is planned: what is applied, what is pending, who serves.

Nothing here is declared by the plan, because a declaration can be wrong and the world cannot. The survey
only reads. Which colour is next follows from who serves, so a release that another run left half-way (or
whose journal was lost) is recognised and goes on from where the world is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from coordinator.applied import Mark, Records, edited, passed_over, read_records
from coordinator.apply import ledger_before, read_ledger
from coordinator.backfills.order import order_problems
from coordinator.backfills.standing import open_backfills
from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.errors import Usage, Waiting
from coordinator.evidence import Use
from coordinator.halfway import may_remain
from coordinator.leases import is_taken
from coordinator.marks import left_of
from coordinator.model import (
    BackfillSpec,
    Base,
    Colour,
    DatabaseName,
    DatabaseSpec,
    Migration,
    Plan,
    Role,
    ServiceName,
    ServiceSpec,
    Version,
    Worker,
)
from coordinator.own_tables import has_others
from coordinator.ports import Ports
from coordinator.ports.databases import LockId, Session, Target
from coordinator.ports.migrations import Ledger, MigrationTool
from coordinator.ports.platforms import Serving


@dataclass(frozen=True, slots=True)
class DatabaseSurvey:
    """A database as it stands; `pending` is in the tool's order."""

    target: Target
    applied: int
    """How many of the folder's migrations the database has."""
    pending: tuple[Migration, ...]
    edited: tuple[str, ...] = ()
    """The names of those that were applied here with other statements than their files have now."""
    passed_over: tuple[str, ...] = ()
    """The names of those that the tool takes for applied, and that may never have run here."""
    backfills: tuple[BackfillSpec, ...] = ()
    """Those of the plan that have rows left, or whose rows are not there yet."""
    replayed: tuple[Migration, ...] | None = None
    """The applied ones as a rehearsal sends them; None: as they were read."""
    is_empty: bool = False
    """Nothing is in it that anybody could use; False also where it was not asked."""
    rest: Migration | None = None
    """What is left of a pending migration that stopped inside its file, where that is known."""


@dataclass(frozen=True, slots=True)
class ServiceSurvey:
    """A service as it stands, with the colours of this release's two versions."""

    serving: Serving
    next_colour: Colour
    live_colour: Colour | None
    """The old version's colour; None where nothing is to be replaced."""
    is_verified: bool = True
    """Nobody can doubt that what is there was verified; a handover leaves nothing else that tells."""

    @property
    def live_version(self) -> Version | None:
        """Return the old version, if there is one."""
        return None if self.live_colour is None else self.serving.sides[self.live_colour].version

    @property
    def is_switched(self) -> bool:
        """The wanted version serves."""
        return self.serving.live is self.next_colour

    @property
    def is_settled(self) -> bool:
        """The wanted version serves and nothing else runs."""
        return self.is_switched and self.live_colour is None


@dataclass(frozen=True, slots=True)
class Survey:
    """The world before the release, and every problem that was seen in it."""

    databases: Mapping[DatabaseName, DatabaseSurvey]
    services: Mapping[ServiceName, ServiceSurvey]
    diagnostics: tuple[Diagnostic, ...]


def alive_at_start(survey: Survey) -> frozenset[tuple[ServiceName, Role]]:
    """Return the versions that run before the release begins; a settled service's one counts as live."""
    alive: set[tuple[ServiceName, Role]] = set()
    for name, service in survey.services.items():
        if service.is_settled or service.live_colour is not None:
            alive.add((name, Role.LIVE))
        if service.is_switched and not service.is_settled:
            alive.add((name, Role.NEXT))  # another run has switched already; what it replaces still runs
    return frozenset(alive)


def uses_of(plan: Plan, seen: Survey) -> tuple[Use, ...]:
    """Return each version that may use a database while the release is made."""
    alive = alive_at_start(seen)
    return tuple(
        (database, name, role)
        for name, service in seen.services.items()
        for role in Role
        if (name, role) in alive or (role is Role.NEXT and not service.is_settled)
        for database in plan.services[name].uses
    )


def survey(ports: Ports) -> Survey:
    """Observe every database and service of the plan.

    Raises: DatabaseError or StepFailed where one of them cannot be asked.
    """
    databases: dict[DatabaseName, DatabaseSurvey] = {}
    diagnostics: list[Diagnostic] = []
    for name in ports.plan.databases:
        databases[name], found = survey_database(ports, name)
        diagnostics.extend(found)
    services = {
        name: _doubted(ports, spec, service_survey(spec, ports.platform(name).survey()))
        for name, spec in ports.plan.services.items()
    }
    diagnostics.extend(each for service in services.values() for each in service.serving.diagnostics)
    diagnostics.extend(
        problem
        for name, each in services.items()
        if (problem := stray_version(ports.plan.services[name], each))
    )
    diagnostics.extend(
        nobody_serves(ports.plan.services[name])
        for name, each in services.items()
        if each.serving.live is None
        and any(databases[used].applied for used in ports.plan.services[name].uses)
    )
    return Survey(databases, services, tuple(diagnostics))


def _doubted(ports: Ports, spec: ServiceSpec, service: ServiceSurvey) -> ServiceSurvey:
    """Return the survey of a service, which may not be verified where a release that handed it over has not
    ended: what it replaced is gone before it starts, so that it looks the same then and ever after.
    """
    if spec.worker is not Worker.HANDOVER or not service.is_settled:
        return service
    for database in spec.uses:
        with ports.session(database, label="coordinator survey") as session:
            if is_taken(session):
                return replace(service, is_verified=False)
    return service


def nobody_serves(spec: ServiceSpec) -> Diagnostic:
    """Return a warning about a service that serves nowhere here, though its database was migrated."""
    return Diagnostic(
        "nobody-serves",
        spec.place,
        f"`{spec.name}` serves nobody here, and its database has migrations applied.",
        "If a version of it runs somewhere else, this release knows nothing of it.",
        "Release it from where it runs, or make sure that none does.",
        severity=Severity.WARNING,
    )


def stray_version(spec: ServiceSpec, service: ServiceSurvey) -> Diagnostic | None:
    """Return a warning about a version that runs beside the live one and is not the wanted one."""
    side = service.serving.sides[service.next_colour]
    if service.is_switched or not side.running or side.version == spec.version:
        return None
    return Diagnostic(
        "stray-version",
        spec.place,
        f"`{spec.name}` {side.version or 'of old'} runs on {service.next_colour} and serves nobody.",
        "Another release was given up there. Nothing is said here about whether it works on the schema, and"
        " deploy replaces it.",
        "If it does work of its own, a timer or a queue, stop it first.",
        severity=Severity.WARNING,
    )


def survey_database(ports: Ports, name: DatabaseName) -> tuple[DatabaseSurvey, tuple[Diagnostic, ...]]:
    """Observe one database, and say what stands in the way of its pending migrations."""
    tool, migrations = ports.tool(name), ports.migrations(name)
    with ports.session(name, label="coordinator survey") as session:
        target = session.target(ports.plan.databases[name].migrations.table)
        ledger = read_ledger(session, tool, target)
        pending = tool.pending(migrations, ledger)
        records = read_records(session, tool, target) or Records()
        begun = _begun(records, tool, migrations, target=target, ledger=ledger)
        if begun is not None and ledger.dirty is not None:
            pending = tool.pending(migrations, ledger_before(begun[0], migrations))
        specs = ports.plan.databases[name].backfills
        misnamed = tuple(order_problems(specs, migrations))
        left, unfit = ((), ()) if misnamed else open_backfills(session, specs, pending.migrations)
        pooled = _pooled(session, ports.plan.databases[name])
        problems = pending.diagnostics
        if ledger.dirty is not None and problems:
            problems = _with_holder(problems, session, tool.lock_ids(target))
        at_work = None if begun is None else _holder_of(session, tool.lock_ids(target))
        is_empty = not ledger.applied and not has_others(session, target.engine, has_ledger=ledger.exists)
    waiting = {each.version for each in pending.migrations}
    applied = tuple(each for each in migrations if each.version not in waiting)
    changed = tuple(edited(applied, records.entries, engine=target.engine))
    known = records.entries.keys() | records.marks.keys()
    left_out = tuple(passed_over(applied, known, tool=tool, target=target))
    warnings = [warning for _, warning in (*changed, *left_out)]
    if begun is not None:
        base = ports.plan.databases[name].rehearsal.base
        warnings.append(_half_applied(begun[0], base, at_work=at_work))
    found = DatabaseSurvey(
        target,
        len(applied),
        pending.migrations,
        edited=_names(changed),
        passed_over=_names(left_out),
        backfills=left,
        is_empty=is_empty,
        rest=None if begun is None else left_of(*begun, target.engine),
    )
    return found, (*faults_of(pending.migrations), *problems, *pooled, *warnings, *misnamed, *unfit)


def faults_of(pending: Iterable[Migration]) -> tuple[Diagnostic, ...]:
    """Return what is wrong with files that are still to be applied; what is applied is read by nobody."""
    return tuple(fault for each in pending for fault in each.faults)


def _names(told: Iterable[tuple[Migration, Diagnostic]]) -> tuple[str, ...]:
    return tuple(migration.name for migration, _ in told)


def _pooled(session: Session, spec: DatabaseSpec) -> tuple[Diagnostic, ...]:
    """Return a warning where a session's locks would not be its own: one may look there, and not run."""
    try:
        with session.locked((), timeout=timedelta(0)):
            return ()
    except Usage as error:
        nothing_else = error.why or "", error.next_step or ""
        return (Diagnostic(error.code, spec.place, error.what, *nothing_else, severity=Severity.WARNING),)


def _with_holder(
    problems: tuple[Diagnostic, ...], session: Session, locks: tuple[LockId, ...]
) -> tuple[Diagnostic, ...]:
    """Say of a dirty version who still holds the tool's lock: a tool that was killed leaves its statement."""
    held = _holder_of(session, locks)
    if held is None:
        return problems
    return tuple(
        replace(each, why=f"It may still be at work: {held.what}", next_step=f"{held.next_step}")
        if each.code == "database-dirty"
        else each
        for each in problems
    )


def _holder_of(session: Session, locks: tuple[LockId, ...]) -> Waiting | None:
    """Return who holds the tool's lock, if anybody does; behind a pooler nobody can tell."""
    try:
        with session.locked(locks, timeout=timedelta(0)):
            return None
    except Usage:
        return None
    except Waiting as held:
        return held


def _begun(
    records: Records,
    tool: MigrationTool,
    migrations: tuple[Migration, ...],
    *,
    target: Target,
    ledger: Ledger,
) -> tuple[Migration, Mark] | None:
    """Return the migration of which a run of ours wrote down that it stopped inside its file, and where."""
    if ledger.dirty is not None:
        candidates = tuple(each for each in migrations if each.version == ledger.dirty)
    elif tool.records_start:
        return None  # without the tool's own mark nothing of it ran, or a person took it back
    else:
        candidates = tool.pending(migrations, ledger).migrations[:1]
    for each in candidates:
        mark = records.marks.get(str(each.version))
        if mark is not None and may_remain(each.up, target.engine):
            return each, mark
    return None


def _half_applied(migration: Migration, base: Base, *, at_work: Waiting | None) -> Diagnostic:
    place, rehearsed = Place(migration.files[0].path), "What is rehearsed begins without that part."
    if base is Base.DUMP:
        rehearsed = "The dump that is rehearsed on has that part."
    if at_work is not None:
        return Diagnostic(
            "half-applied",
            place,
            f"`{migration.name}` has begun, and a part of it is in this database.",
            f"It is still at work: {at_work.what} {rehearsed}",
            at_work.next_step,
            severity=Severity.WARNING,
        )
    return Diagnostic(
        "half-applied",
        place,
        f"`{migration.name}` stopped half-way, and a part of it is in this database.",
        rehearsed,
        "`coordinator run` says which part, and with which command it goes on.",
        severity=Severity.WARNING,
    )


def service_survey(spec: ServiceSpec, serving: Serving) -> ServiceSurvey:
    """Tell which colour is live and which is next, from who serves and what each side runs."""
    if serving.live is None:
        return ServiceSurvey(serving, Colour.BLUE, None)
    if serving.sides[serving.live].version != spec.version:
        return ServiceSurvey(serving, serving.live.other, serving.live)
    is_left_over = serving.sides[serving.live.other].running
    return ServiceSurvey(serving, serving.live, serving.live.other if is_left_over else None)
