"""`coordinator doctor`: can this machine reach and do what the plan needs? It only looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import Output, exit_with, show, show_json
from coordinator.cli.options import DEFAULT_PLAN, OutputOption, PlanFile, Settings
from coordinator.errors import CoordinatorError, ExitCode, StepFailed

if TYPE_CHECKING:
    from coordinator.app.connected import ConnectedPorts
    from coordinator.model import DatabaseName, ServiceName
    from coordinator.ports.platforms import Side

_POOLED = "pooled-sessions"
"""A warning for whoever looks; `run` refuses it, which doctor says before."""

_OF_PLAN = frozenset({"catalogue-one-sided", "catalogue-shrunk"})
"""What a plan's sources say of each other, and no source that cannot be read; `plan` tells it."""

Finding = tuple[bool, str, str]
"""Is it well, what was looked at, what was found."""


@app.command()
def doctor(
    plan: PlanFile = DEFAULT_PLAN,
    settings: Settings = None,
    output: OutputOption = Output.TEXT,
    rbac: Annotated[
        bool, typer.Option("--rbac", help="Print the rights that the plan needs, for who grants them.")
    ] = False,
) -> None:
    """Check what the plan needs, and say what is wrong.

    It looks at the plan, its journal, its databases, what they are rehearsed on, and its services, and
    changes nothing. With --rbac it contacts nobody.
    """
    exit_with(
        lambda: _show_rights(plan, settings) if rbac else _doctor(plan, settings, output),
        as_json=output is Output.JSON,
    )


def _show_rights(path: Path, settings: list[str] | None) -> ExitCode:
    """Print the documents of each platform of the plan: what an administrator applies once."""
    import os

    from coordinator import discovery
    from coordinator.load import load_plan, settings_from

    plan = load_plan(path, settings=settings_from(settings or []), environment=os.environ)
    documents = [
        discovery.platform(kind).rights(
            [each for each in plan.services.values() if each.platform == kind], folder=plan.folder
        )
        for kind in sorted({service.platform for service in plan.services.values()})
    ]
    granted = [each for each in documents if each]
    show("---\n".join(granted).rstrip() if granted else "# Nobody has to grant anything for this plan.")
    return ExitCode.DONE


def _doctor(path: Path, settings: list[str] | None, output: Output) -> ExitCode:
    findings = list(_findings(path, settings))
    if output is Output.JSON:
        keys = ("ok", "subject", "found")
        show_json("doctor", 1, {"findings": [dict(zip(keys, each, strict=True)) for each in findings]})
    else:
        for is_well, subject, found in findings:
            show(f"{'✔' if is_well else '✘'} {subject}: {found}")
    return ExitCode.DONE if all(is_well for is_well, *_ in findings) else ExitCode.FAILED


def _findings(path: Path, settings: list[str] | None) -> Iterator[Finding]:
    from coordinator.cli.opening import open_ports

    ports = open_ports(path, settings)
    yield True, "plan", f"{path} is valid: release {ports.plan.release}"
    yield _look("journal", lambda: _journal(path))
    of_world = tuple(_of_world(ports))
    yield from of_world
    # whose queries are asked for is known where all the world can be seen
    if all(is_well for is_well, *_ in of_world) and any(
        each.queries for each in ports.plan.services.values()
    ):
        yield _look("queries", lambda: _queries(ports))


def _of_world(ports: ConnectedPorts) -> Iterator[Finding]:
    from coordinator.app.rehearsing import look_at_server

    for database in ports.plan.databases:
        yield _look(f"database {database}", lambda database=database: _database(ports, database))  # type: ignore[misc]
        if any(
            each.database == database for service in ports.plan.services.values() for each in service.queries
        ):
            yield _look(f"rehearsal {database}", lambda database=database: look_at_server(ports, database))  # type: ignore[misc]
    for service in ports.plan.services:
        yield _look(f"service {service}", lambda service=service: _service(ports, service))  # type: ignore[misc]


def _look(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return True, subject, look()
    except CoordinatorError as error:
        return False, subject, f"error[{error.code}]: {error}"


def _journal(path: Path) -> str:
    from coordinator.app.place import Place, open_run

    place = Place(path)
    state = open_run(place.journal)
    return (
        f"runs so far: {len(place.journal.runs())}; under way: {state.run if state else 'none'};"
        f" who works on it: {place.holder() or 'nobody'}"
    )


def _database(ports: ConnectedPorts, name: DatabaseName) -> str:
    from coordinator.diagnostics import errors_of
    from coordinator.rights import missing_rights, note_on_lock_holders
    from coordinator.survey import survey_database

    seen, diagnostics = survey_database(ports, name)
    if problems := (*errors_of(diagnostics), *(each for each in diagnostics if each.code == _POOLED)):
        first = problems[0]
        what = f"{first.place}: {first.what}"
        raise StepFailed(first.code, what, why=first.why, next_step=first.next_step)
    with ports.session(name, label="coordinator doctor") as session:
        missing, note = missing_rights(session, seen.pending), note_on_lock_holders(session)
    if missing:
        raise StepFailed(
            "database-rights-missing",
            " ".join(missing),
            why="A release begins with its lease, a row in a table of its own, and writes the version table.",
            next_step="Let the plan's URL name the user that migrates, or grant it what is missing.",
        )
    tool = ports.plan.databases[name].migrations.tool
    return (
        f"{seen.target.engine} `{seen.target.database}`, {tool}: {seen.applied} applied,"
        f" {len(seen.pending)} pending{f'; {note}' if note else ''}"
    )


def _queries(ports: ConnectedPorts) -> str:
    from coordinator.app.catalogues import read_catalogues
    from coordinator.survey import survey

    catalogues, problems = read_catalogues(ports, survey(ports))
    for first in problems:
        if first.code not in _OF_PLAN:
            raise StepFailed(first.code, first.what, why=first.why, next_step=first.next_step)
    told = (
        f"{name} ({role}): {len(found.queries)} of {found.source}"
        for (_, name, role), found in catalogues.items()
    )
    return "; ".join(told) or "no source speaks for a version that may run"


def _service(ports: ConnectedPorts, name: ServiceName) -> str:
    platform = ports.platform(name)
    if missing := platform.missing_rights():  # asked first: the survey needs some, and names only the first
        raise StepFailed(
            "rights-missing",
            f"We {'; '.join(missing)}.",
            next_step="`coordinator doctor --rbac` prints what an administrator grants.",
        )
    serving = platform.survey()
    sides = ", ".join(f"{colour}: {_shown(side)}" for colour, side in serving.sides.items())
    return f"{serving.live or 'nobody'} serves ({sides})"


def _shown(side: Side) -> str:
    if not side.running:
        return "not running"
    return f"{side.version} {'ready' if side.ready else 'running, not ready'}"
