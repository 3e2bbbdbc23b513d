"""Whose turn comes when services of one release must move one after the other. Pure.

Mostly they need not: every migration that a next version needs is borne by every live one, and all services
move side by side. But where the next version of one needs a migration that the live version of another does
not bear, the second has to move first, and its live version has to be gone:

    b's next needs m3, a's live bears m1 and m2     a moves ─ stop a ─ m3 ─ b moves

That is an order of their waiting for each other, so a circle in it, and a service that waits for itself, have
no order at all. What a service of a circle waits for is then left out here; the plain order is compiled, and
the proof refuses it. States that are unproven are not avoided by waiting: only a break makes a service wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from coordinator.evidence import Evidence
from coordinator.model import DatabaseName, Plan, Role, ServiceName
from coordinator.survey import Survey
from coordinator.windows import declared_until, works_from, works_until

Needs = Mapping[ServiceName, Mapping[DatabaseName, int]]
"""For a service the first state of each database at which its next version works."""


@dataclass(frozen=True, slots=True)
class Turns:
    """Who waits for what, of the services that this release moves."""

    late: Needs
    """The services whose next version needs what lies behind the cut of a database."""
    bears: Mapping[DatabaseName, Mapping[ServiceName, int]]
    """The last state that the live version of a service may meet."""

    @classmethod
    def of(cls, plan: Plan, survey: Survey, evidence: Evidence, *, cuts: Mapping[DatabaseName, int]) -> Turns:
        """Find out who is late; `cuts` has the state of each database at which services move otherwise."""
        bears: dict[DatabaseName, dict[ServiceName, int]] = {name: {} for name in plan.databases}
        declared = {name: declared_until(name, evidence) for name in plan.databases}
        needs: dict[ServiceName, dict[DatabaseName, int]] = {}
        for name, service in survey.services.items():
            if service.is_settled:
                continue
            for database in plan.services[name].uses:
                if service.live_colour is not None:
                    last = works_until((database, name, Role.LIVE), evidence)
                    bears[database][name] = min(last, declared[database])
                first = works_from((database, name, Role.NEXT), evidence)
                if cuts[database] < first <= len(evidence.phased[database]):
                    needs.setdefault(name, {})[database] = first
        circle = _in_circles(needs, bears)
        return cls({name: states for name, states in needs.items() if name not in circle}, bears)

    def last_awaited(self, database: DatabaseName, *, least: int) -> int:
        """Return the last state of a database that a late service waits for, and no less than `least`."""
        return max((states.get(database, least) for states in self.late.values()), default=least)

    def gone_before(self, database: DatabaseName, state: int) -> Iterator[ServiceName]:
        """Yield the services whose live version must be gone before `state`."""
        return (name for name, last in self.bears[database].items() if last < state)


def _in_circles(
    needs: Needs, bears: Mapping[DatabaseName, Mapping[ServiceName, int]]
) -> frozenset[ServiceName]:
    """Return the services that wait in a circle, and those between two circles."""
    waits = {
        name: {
            other
            for database, state in states.items()
            for other, last in bears[database].items()
            if last < state and other in needs
        }
        for name, states in needs.items()
    }
    while True:
        awaited = set[ServiceName]().union(*waits.values())
        free = {name for name, others in waits.items() if not others or name not in awaited}
        if not free:
            return frozenset(waits)
        waits = {name: others - free for name, others in waits.items() if name not in free}
