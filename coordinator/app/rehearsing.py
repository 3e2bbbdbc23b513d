"""Rehearse a database of a release on a server of its engine; rehearsed.py says which ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from coordinator import discovery
from coordinator.app.live_rows import with_live_rows
from coordinator.app.recalling import Recall
from coordinator.app.scripts import spoken_at
from coordinator.diagnostics import Diagnostic, Severity
from coordinator.errors import Usage
from coordinator.evidence import Use
from coordinator.model import BackfillSpec, Base, DatabaseName, DatabaseSpec, Layer
from coordinator.ports import Ports
from coordinator.ports.programs import RangeProgram
from coordinator.programs import apply_on_scratch_by_program
from coordinator.queries import Catalogue
from coordinator.rehearsal_ports import EvidenceCache, RehearsalDatabase, Tell
from coordinator.rehearse import MEND_DOUBT, Apply, Found, Live, Subject, Task, rehearse_database
from coordinator.secret import Secret
from coordinator.survey import Survey


def rehearse_one(
    ports: Ports,
    name: DatabaseName,
    catalogues: Mapping[Use, Catalogue],
    *,
    seen: Survey,
    reads_live: bool,
    cache: EvidenceCache | None,
    tell: Tell,
    warn: Callable[[Diagnostic], None],
) -> Found:
    """Ask the engine about every version that has a catalogue; as rehearsed.rehearse_release.

    Raises: Usage or DatabaseError where no scratch server can be had.
    """
    found, spans = _rehearse(
        ports,
        name,
        seen=seen,
        subjects=tuple(_subjects(ports, name, catalogues)),
        reads_live=reads_live,
        cache=cache,
        tell=tell,
        warn=warn,
    )
    if reads_live:
        found = with_live_rows(ports, name, found, pending=seen.databases[name].pending)
    return found, spans


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
