"""`coordinator local up|status|down`: the services of a plan whose platform is this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from coordinator.cli import app
from coordinator.cli.edge import Output, exit_with, say, show, show_json
from coordinator.cli.options import DEFAULT_PLAN, OutputOption, PlanFile, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordinator.adapters.platforms._local.service import Local
    from coordinator.model import ServiceSpec

local = typer.Typer(help="Run a plan's services on this machine.", no_args_is_help=True)
app.add_typer(local, name="local")


@local.command()
def up(plan: PlanFile = DEFAULT_PLAN, settings: Settings = None) -> None:
    """Start router and service, and print where they answer.

    What is up already is left alone.
    """
    exit_with(lambda: _up(plan, settings or []))


@local.command()
def status(
    plan: PlanFile = DEFAULT_PLAN,
    settings: Settings = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show router, port and both sides of each service."""
    exit_with(lambda: _status(plan, settings or [], output), as_json=output is Output.JSON)


@local.command()
def down(plan: PlanFile = DEFAULT_PLAN, settings: Settings = None) -> None:
    """End the services' processes and forget their state."""
    exit_with(lambda: _down(plan, settings or []))


def _up(path: Path, arguments: list[str]) -> None:
    for service, platform in _services(path, arguments):
        for done in platform.bring_up(service.version, deadline=service.deploy_deadline):
            say(f"{service.name}: {done}")
        serving = platform.survey()
        assert serving.live is not None
        version = serving.sides[serving.live].version
        show(f"{service.name} {version} ({serving.live}): {platform.public_address()}")


def _status(path: Path, arguments: list[str], output: Output) -> None:
    found = {service.name: _status_of(platform) for service, platform in _services(path, arguments)}
    if output is Output.JSON:
        show_json("local-status", 1, {"services": found})
    else:
        for name, each in found.items():
            show("\n".join(_lines(name, each)))


def _down(path: Path, arguments: list[str]) -> None:
    for service, platform in _services(path, arguments):
        show(f"{service.name}: {'taken down' if platform.remove() else 'was not up'}")


def _services(path: Path, arguments: list[str]) -> Iterator[tuple[ServiceSpec, Local]]:
    import os

    from coordinator.adapters.platforms._local.service import Local
    from coordinator.adapters.platforms.local import PLATFORM
    from coordinator.adapters.secrets import resolve
    from coordinator.load import load_plan, settings_from

    plan = load_plan(path, settings=settings_from(arguments), environment=os.environ)
    for service in plan.services.values():
        if service.platform == "local":
            platform = PLATFORM.connect(
                service=service,
                release=plan.release,
                folder=plan.folder,
                resolve=lambda reference: resolve(reference, folder=plan.folder, environment=os.environ),
            )
            assert isinstance(platform, Local)
            yield service, platform


def _status_of(platform: Local) -> dict[str, Any]:
    from coordinator.adapters.platforms._local.addresses import url

    record, status, serving = platform.state.router(), platform.routing.status(), platform.survey()
    router = record and {
        "running": status is not None,
        "address": url(record.port),
        "pid": record.pid if status else None,
        "accepted": status.accepted if status else None,
        "failed": status.failed if status else None,
    }
    sides = {}
    for colour, side in serving.sides.items():
        deployed = platform.state.side(colour)
        sides[colour] = {
            "version": side.version,
            "running": side.running,
            "ready": side.ready,
            "detail": side.detail,
            "pid": deployed.pid if deployed and side.running else None,
            "address": url(deployed.port) if deployed and side.running else None,
            "open_connections": status.open[colour] if status else None,
        }
    return {"live": serving.live, "router": router, "sides": sides}


def _lines(name: str, found: dict[str, Any]) -> Iterator[str]:
    yield f"{name}: {_router_line(found['router'], found['live'])}"
    for colour, side in found["sides"].items():
        if side["version"] is not None:
            shown = (side["address"], side["open_connections"] and f"{side['open_connections']} open")
            yield "  ".join([f"  {colour:5}", side["version"], _state_of(side), *filter(None, shown)])


def _state_of(side: dict[str, Any]) -> str:
    if side["ready"]:
        return "ready"
    return f"{'not ready' if side['running'] else 'down'}: {side['detail']}"


def _router_line(router: dict[str, Any] | None, live: str | None) -> str:
    if router is None:
        return "not up; `coordinator local up` starts it"
    if not router["running"]:
        return f"the router of {router['address']} is down; `coordinator local up` starts it again"
    counted = f"{router['accepted']} connections accepted, {router['failed']} failed"
    return f"{router['address']} goes to {live or 'nobody yet'}; {counted}"
