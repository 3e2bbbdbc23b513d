"""What the platforms say of a plan's services before anybody is contacted: settings that do not fit,
manifests.
"""

from __future__ import annotations

from coordinator import discovery
from coordinator.diagnostics import Diagnostic
from coordinator.model import Plan


def lint_services(plan: Plan) -> tuple[Diagnostic, ...]:
    """Return every problem that a platform finds in its services and in the files that they name."""
    return tuple(
        diagnostic
        for service in plan.services.values()
        for diagnostic in discovery.platform(service.platform).lint(service, folder=plan.folder)
    )
