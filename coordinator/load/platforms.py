"""What the platforms say of a plan's services before anybody is contacted: settings that do not fit,
manifests.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator import discovery
from coordinator.diagnostics import Diagnostic
from coordinator.model import Plan, ServiceSpec


def lint_services(plan: Plan) -> tuple[Diagnostic, ...]:
    """Return every problem that a platform finds in its services and in the files that they name."""
    found = (
        diagnostic
        for service in plan.services.values()
        for diagnostic in discovery.platform(service.platform).lint(service, folder=plan.folder)
    )
    return (*found, *_in_one_place(plan))


def _in_one_place(plan: Plan) -> Iterator[Diagnostic]:
    first: dict[str, ServiceSpec] = {}
    for service in plan.services.values():
        place = discovery.platform(service.platform).place_of(service)
        if place is None or (other := first.setdefault(place, service)) is service:
            continue
        yield Diagnostic(
            "place-taken-twice",
            service.place,
            f"`{service.name}` has {place}, and `{other.name}` has it too.",
            "One of them could not start, or would take the other's traffic.",
            "Give one of them another.",
        )
