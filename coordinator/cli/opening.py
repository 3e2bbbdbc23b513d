"""From what stands on the command line to the world that a plan names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.place import Place
from coordinator.app.running import Runner
from coordinator.cli.edge import say
from coordinator.engine.run import Audience
from coordinator.journal.fold import RunState
from coordinator.load import load_plan, settings_from
from coordinator.rehearsal_ports import EvidenceCache


def open_ports(plan: Path, arguments: list[str] | None) -> ConnectedPorts:
    """Load the plan and read its migrations. Raises: PlanInvalid with every problem found."""
    return _ports(plan, settings_from(arguments or []))


def _ports(plan: Path, settings: Mapping[str, str]) -> ConnectedPorts:
    loaded = load_plan(plan, settings=settings, environment=os.environ)
    return ConnectedPorts(loaded, environment=os.environ)


def open_cache(*, is_wanted: bool = True) -> EvidenceCache | None:
    """Return the evidence of the user's earlier commands; None where it is not wanted."""
    from coordinator.adapters.evidence_cache import EvidenceFile, evidence_file

    return EvidenceFile(evidence_file(), tell=say) if is_wanted else None


def open_runner(
    plan: Path,
    arguments: list[str] | None,
    *,
    audience: Audience,
    is_stopping: Callable[[], bool],
    state: RunState | None,
) -> Runner:
    """Return what acts on the plan's runs. What `--set` said when the run `state` began holds on."""
    settings = {**(state.started.settings if state else {}), **settings_from(arguments or [])}
    return Runner(Place(plan), _ports(plan, settings), settings, step_kinds(), audience, is_stopping)
