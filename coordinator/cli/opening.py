"""From what stands on the command line to the world that a plan names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.place import Place
from coordinator.app.running import Runner
from coordinator.engine.run import Audience
from coordinator.load import load_plan, settings_from


def open_ports(plan: Path, settings: list[str] | None) -> ConnectedPorts:
    """Load the plan and read its migrations. Raises: PlanInvalid with every problem found."""
    loaded = load_plan(plan, settings=settings_from(settings or []), environment=os.environ)
    return ConnectedPorts(loaded, environment=os.environ)


def open_runner(
    plan: Path, settings: list[str] | None, *, audience: Audience, is_stopping: Callable[[], bool]
) -> Runner:
    """Return what acts on the plan's runs."""
    ports = open_ports(plan, settings)
    return Runner(Place(plan), ports, step_kinds(), audience, is_stopping)
