"""Start the next version beside the live one, without traffic.

Nothing is observed: that a version is ready says nothing of what else deploying it leaves behind. A worker
that gets ready while nobody watches would do the work without the mark that says so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from coordinator.graph import Step
from coordinator.model import Role
from coordinator.steps import Context, StepKind, observe_nothing
from coordinator.world import Effect, Starts

_POLL: Final = timedelta(milliseconds=200)


class Deploy:
    """Deploying what runs already is harmless (ports.Platform.deploy), and only that knows the settings."""

    observe = staticmethod(observe_nothing)

    def effects(self, step: Step) -> tuple[Effect, ...]:
        """Next runs, and may use its databases from its first instant on."""
        return (Starts(step.its_service, Role.NEXT),)

    def perform(self, step: Step, context: Context) -> str:
        """Deploy and wait until it is ready; a canary that a run before left out must not reach it."""
        spec = context.ports.plan.services[step.its_service]
        platform = context.ports.platform(spec.name)
        if spec.worker is None:
            platform.end_canary()
        platform.deploy(step.its_colour, spec.version, deadline=spec.deploy_deadline)
        return f"{spec.version} is ready on {step.colour}"

    def undo(self, step: Step, context: Context) -> str:
        """Let the connections end that it still has, then scale it down, unless a first release serves."""
        spec = context.ports.plan.services[step.its_service]
        platform = context.ports.platform(spec.name)
        serving = platform.survey()
        could = spec.worker is not None and serving.sides[step.its_colour.other].version is not None
        if serving.live is step.colour and not could:
            return f"{step.version} serves, and nothing else could: it is left running"
        end = context.ports.clock.now() + spec.drain_deadline
        runs = serving.sides[step.its_colour].running
        # where nobody can count them (None), the platform's own grace is what they get
        while runs and platform.open_connections(step.its_colour) and context.ports.clock.now() < end:
            context.ports.clock.sleep(_POLL)
        if spec.worker is None:
            platform.end_canary()  # of a run before, where ours was killed before it could
        platform.stop(step.its_colour, grace=spec.drain_deadline)
        return f"{step.version} scaled down"


STEP: Final[StepKind] = Deploy()
