"""Give the databases free for the next release: the last step."""

from __future__ import annotations

from typing import Final

from coordinator import leases
from coordinator.graph import Step
from coordinator.steps import Context, StepKind, no_effects, observe_nothing


class ReleaseLease:
    """Releasing what is released already is harmless, so nothing is observed."""

    undo = None
    effects = staticmethod(no_effects)
    observe = staticmethod(observe_nothing)

    def perform(self, step: Step, context: Context) -> str:
        """Delete our rows."""
        for name in context.ports.plan.databases:
            with context.ports.session(name, label=step.id) as session:
                leases.release(session, context.claim)
        return "released"


STEP: Final[StepKind] = ReleaseLease()
