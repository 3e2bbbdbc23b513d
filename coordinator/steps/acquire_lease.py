"""Claim every database of the plan for this release, before anything changes."""

from __future__ import annotations

from typing import Final

from coordinator import leases
from coordinator.graph import Step
from coordinator.steps import Context, Observation, StepKind, no_effects
from coordinator.world import Seen


class AcquireLease:
    """Held from here to release-lease, or until the run is rolled back or aborted."""

    effects = staticmethod(no_effects)

    def observe(self, step: Step, context: Context) -> Observation:
        """Done if every database has the lease."""
        for name in context.ports.plan.databases:
            with context.ports.session(name, label=step.id) as session:
                if not leases.is_held(session, context.claim):
                    return Observation(Seen.NOT_DONE)
        return Observation(Seen.DONE, "already held")

    def perform(self, step: Step, context: Context) -> str:
        """Take the leases in the order of their names, so that two releases never wait for each other."""
        for name in sorted(context.ports.plan.databases):
            with context.ports.session(name, label=step.id) as session:
                is_mysql = session.target(None).engine.speaks_mysql  # its server waits for a row itself
                patience = None if is_mysql else context.patience(name)
                leases.acquire(session, context.claim, supersede=context.supersede, patience=patience)
        return ", ".join(sorted(context.ports.plan.databases)) or "no database"

    def undo(self, step: Step, context: Context) -> str:
        """Give the leases back."""
        leases.release_all(context.ports, context.claim, label=step.id)
        return "released"


STEP: Final[StepKind] = AcquireLease()
