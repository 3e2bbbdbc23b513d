"""Rehearse every database of a release that has something to ask about, each on a server of its engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from coordinator import discovery
from coordinator.app.live_rows import with_live_rows
from coordinator.app.recalling import Recall
from coordinator.app.scripts import spoken_at
from coordinator.diagnostics import Diagnostic, Severity
from coordinator.errors import DatabaseError, Usage
from coordinator.evidence import Rehearsal, Span, Use
from coordinator.model import BackfillSpec, Base, DatabaseName, DatabaseSpec, Layer, Plan, Role
from coordinator.ports import Ports
from coordinator.ports.programs import RangeProgram
from coordinator.programs import apply_on_scratch_by_program
from coordinator.queries import Catalogue
from coordinator.rehearsal_ports import EvidenceCache, RehearsalDatabase, Tell
from coordinator.rehearse import MEND_DOUBT, Apply, Found, Live, Subject, Task, rehearse_database
from coordinator.secret import Secret
from coordinator.survey import DatabaseSurvey, Survey, alive_at_start


@dataclass(slots=True)
class Rehearsed:
    """What all rehearsals of a release found."""

    spans: dict[Use, tuple[Span, ...]] = field(default_factory=dict)
    rehearsals: dict[DatabaseName, Rehearsal] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


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


def rehearse_release(
    ports: Ports,
    seen: Survey,
    catalogues: Mapping[Use, Catalogue],
    *,
    reads_live: bool,
    watches_statements: bool,
    cache: EvidenceCache | None,
    tell: Tell = lambda _: None,
) -> Rehearsed:
    """Ask the engines about every version that has a catalogue.

    `reads_live` allows to look at the live databases: their versions, schemas, table sizes and rows.
    `cache` has the evidence of earlier commands; without it everything is asked anew, and nothing kept.
    `watches_statements` has pending migrations rehearsed also where no catalogue is, for what their
    statements lock. `tell` is told how far it is. Where no scratch server can be had nothing is proven, and
    a warning says why.
    """
    rehearsed = Rehearsed()
    for name in ports.plan.databases:
        subjects = tuple(_subjects(ports, name, catalogues))
        has_backfills = bool(seen.databases[name].backfills)
        if not subjects and not has_backfills and not (watches_statements and seen.databases[name].pending):
            continue
        try:
            rehearsal, spans = _rehearse(
                ports,
                name,
                seen=seen,
                subjects=subjects,
                reads_live=reads_live,
                cache=cache,
                tell=tell,
                warn=rehearsed.diagnostics.append,
            )
            if reads_live:
                rehearsal = with_live_rows(ports, name, rehearsal, pending=seen.databases[name].pending)
        except (Usage, DatabaseError) as error:
            rehearsed.diagnostics.append(_not_rehearsed(ports, name, error))
            continue
        rehearsed.rehearsals[name] = _with_edits(rehearsal, seen.databases[name], ports.plan.databases[name])
        rehearsed.spans.update(spans)
    return rehearsed


def _with_edits(rehearsal: Rehearsal, seen: DatabaseSurvey, spec: DatabaseSpec) -> Rehearsal:
    """Say of a replay which of its files are not what ran on the live database."""
    if spec.rehearsal.base is not Base.REPLAY:
        return rehearsal
    told = {
        "replayed from files that were edited after they had been applied": seen.edited,
        "replayed from files that may never have run on the live database": seen.passed_over,
    }
    notes = [f"{what}: {', '.join(f'`{each}`' for each in names)}" for what, names in told.items() if names]
    return replace(rehearsal, notes=(*rehearsal.notes, *notes))


def _subjects(ports: Ports, database: DatabaseName, catalogues: Mapping[Use, Catalogue]) -> Iterator[Subject]:
    for use, catalogue in catalogues.items():
        if use[0] == database:
            yield Subject(use, catalogue, ports.plan.services[use[1]].database_role)


def _rehearse(
    ports: Ports,
    name: DatabaseName,
    *,
    seen: Survey,
    subjects: tuple[Subject, ...],
    reads_live: bool,
    cache: EvidenceCache | None,
    tell: Tell,
    warn: Callable[[Diagnostic], None],
) -> Found:
    spec, database = ports.plan.databases[name], seen.databases[name]
    engine = discovery.rehearsal(spec.engine)
    url = scratch_url(ports, name)
    live, version = _live(ports, name, scratch=url) if reads_live else (Live(), said_version(spec))
    if version is not None and (wrong := _wrong_version(spec, version)) is not None:
        warn(wrong)
    pending = {each.version for each in database.pending}
    task = Task(
        spec,
        ports.tool(name),
        applied=tuple(each for each in ports.migrations(name) if each.version not in pending)
        if database.replayed is None
        else database.replayed,
        pending=database.pending,
        subjects=subjects,
        layers=tuple(layer for layer in Layer if layer in spec.rehearsal.layers and layer in engine.layers),
        live=live,
        rest=database.rest if spec.rehearsal.base is Base.DUMP else None,
        run_code=_code_on_scratch(ports, name),
        run_range=partial(_range_program_on_scratch, ports, name),
    )

    def rehearse() -> Found:
        with engine.server(url=url, live_version=version) as server:
            found = rehearse_database(server, task, tell=tell)
            # A person may have taken back what the dump would have of it: the whole file comes first.
            if task.rest is not None and found[0].failed == task.rest.name:
                found = rehearse_database(server, task.going_on(), tell=tell)
            return found

    if cache is None or url is not None or _runs_code(task):
        return rehearse()
    return Recall(cache, ports.clock).or_rehearse(task, engine, live_version=version, rehearse=rehearse)


def said_version(spec: DatabaseSpec) -> str | None:
    """Return the live server's version by the plan's word, as RehearsalServer.version writes it."""
    return None if spec.server_version is None else f"{spec.engine.value} {spec.server_version}"


def _wrong_version(spec: DatabaseSpec, live_version: str) -> Diagnostic | None:
    """Return that the plan says another version than the live server, which is the one that counts."""
    said = said_version(spec)
    if said is None or discovery.rehearsal(spec.engine).has_sql_of(said, live_version):
        return None
    version, _, _ = live_version.partition(" {")
    return Diagnostic(
        "server-version-differs",
        spec.server_version_at or spec.place,
        f"The plan says that the live server of `{spec.name}` is {said}, and it is {version}.",
        "This release is judged by the server. What asks nothing live (`plan --against`) goes by the plan, so"
        " it asks about SQL that may not be the server's.",
        f'Write `server_version: "{version.partition(" ")[2]}"`.',
        severity=Severity.WARNING,
    )


def _runs_code(task: Task) -> bool:
    """Tell whether a program of the user is asked, whose answer depends on more than we can see."""
    if any(each.command is not None and each.command.rehearses for each in task.spec.backfills):
        return True
    migrations = (*task.applied, *task.pending)
    return task.run_code is not None and any(each.is_code or each.by_program for each in migrations)


def _code_on_scratch(ports: Ports, name: DatabaseName) -> Apply | None:
    runner, spec = ports.runner(name), ports.plan.databases[name]
    if runner is None or not runner.rehearses:
        return None
    is_of_tool = spec.migrations.tool in discovery.names(discovery.RUNNERS)
    return partial(
        apply_on_scratch_by_program,
        tool=ports.tool(name),
        runner=runner,
        live=spoken_at(ports, name) if is_of_tool else _live_address(ports, spec),
        table=spec.migrations.table,
    )


def _range_program_on_scratch(
    ports: Ports, name: DatabaseName, database: RehearsalDatabase, backfill: BackfillSpec
) -> RangeProgram | str:
    program = ports.range_program(name, backfill)
    assert program is not None, "who has no program is not asked"
    live = _live_address(ports, ports.plan.databases[name])
    return program.on_scratch(database.address(live), live=live)


def _live_address(ports: Ports, spec: DatabaseSpec) -> Secret:
    """Return the live address, which a program must not reach and whose form it reads; empty: not known."""
    try:
        return ports.resolve(spec.url)
    except Usage:
        return Secret("")


def scratch_url(ports: Ports, name: DatabaseName) -> Secret | None:
    """Return the URL of the team's scratch server. Raises: Usage where it is the live one's."""
    spec = ports.plan.databases[name]
    if spec.rehearsal.url is None:
        return None
    if spec.rehearsal.url == spec.url:
        raise _url_is_live(name)
    return ports.resolve(spec.rehearsal.url)


def _url_is_live(name: DatabaseName) -> Usage:
    return Usage(
        "rehearsal-url-is-live",
        f"The scratch server of `{name}` is the live one.",
        why="A rehearsal makes and drops databases, may change roles, and takes time that the live server's"
        " users need. So nothing of this release is proven on it.",
        next_step="Name another server, or leave `url` out: then one is started on this machine.",
    )


def look_at_server(ports: Ports, name: DatabaseName) -> str:
    """Return what a database would be rehearsed on; with `base: dump`, after the dump was tried there.

    Raises: Usage or DatabaseError where it cannot be rehearsed, or not on what decides anything.
    """
    engine = discovery.rehearsal(ports.plan.databases[name].engine)
    url = scratch_url(ports, name)
    live, version = _live(ports, name, scratch=url)
    if (wrong := _wrong_version(ports.plan.databases[name], version)) is not None:
        raise Usage(wrong.code, f"{wrong.place}: {wrong.what}", why=wrong.why, next_step=wrong.next_step)
    with engine.server(url=url, live_version=version) as server, server.database(live.dump):
        where = "on the scratch server of the plan" if url else "on this machine"
        if server.doubt is not None:
            raise Usage(
                "rehearsal-limited",
                f"{server.version} {where} would decide nothing: {server.doubt}.",
                next_step=MEND_DOUBT,
            )
        return "; ".join((f"{server.version} {where}", *server.notes))


def _live(ports: Ports, name: DatabaseName, *, scratch: Secret | None) -> tuple[Live, str]:
    """Look at the live database. Raises: Usage where the team's scratch server is the live one."""
    spec = ports.plan.databases[name]
    engine = discovery.rehearsal(spec.engine)
    with ports.session(name, label="coordinator rehearsal") as session:
        if scratch is not None and engine.is_live_server(scratch, session):
            raise _url_is_live(name)
        version, sizes = engine.live_version(session), engine.live_sizes(session)
        catalogue, changes_left = engine.live_catalogue(session), engine.live_changes_left(session)
    dump = engine.dump(ports.resolve(spec.url)) if spec.rehearsal.base is Base.DUMP else None
    return Live(catalogue, sizes, dump, changes_left), version


def _not_rehearsed(ports: Ports, name: DatabaseName, error: Usage | DatabaseError) -> Diagnostic:
    return Diagnostic(
        "not-rehearsed",
        ports.plan.databases[name].place,
        f"The migrations of `{name}` were not rehearsed: {error.what}",
        error.why or "So nothing of this release is proven on it.",
        error.next_step or "Run `coordinator doctor`, or name a scratch server: `rehearsal: {url: env:…}`.",
        severity=Severity.WARNING,
    )
