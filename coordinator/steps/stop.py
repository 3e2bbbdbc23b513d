"""Scale the live version down. It is gone then, and only then contract may begin.

Nothing is observed: a version that merely died may be started again by whoever finds it dead, on a schema
that it does not know any more. One that was told to stop stays down, and telling it twice is harmless.
"""

from __future__ import annotations

from typing import Final

from coordinator.graph import Step
from coordinator.model import Role
from coordinator.steps import Context, StepKind, observe_nothing
from coordinator.world import Effect, Stops


class Stop:
    """The platform refuses to stop what serves."""

    observe = staticmethod(observe_nothing)

    def effects(self, step: Step) -> tuple[Effect, ...]:
        """Live uses no database any more."""
        return (Stops(step.its_service, Role.LIVE),)

    def perform(self, step: Step, context: Context) -> str:
        """Stop it."""
        spec = context.ports.plan.services[step.its_service]
        context.ports.platform(spec.name).stop(step.its_colour, grace=spec.drain_deadline)
        return f"{step.version} scaled down"

    def undo(self, step: Step, context: Context) -> str:
        """Start it again as it was, ready to take the traffic back."""
        spec = context.ports.plan.services[step.its_service]
        context.ports.platform(spec.name).restore(step.its_colour, deadline=spec.deploy_deadline)
        return f"{step.version} runs again on {step.colour}"


STEP: Final[StepKind] = Stop()
