"""Let the next version serve a part of the traffic, and watch it, before it gets all.

The proof reasons about nothing here: next runs since it was deployed, and live goes on serving. A watch
that was cut off begins anew, as monitoring does.
"""

from __future__ import annotations

from typing import Final

from coordinator.graph import Step
from coordinator.ports.checks import Subject
from coordinator.steps import Context, StepKind, no_effects, observe_nothing, watch
from coordinator.wording import counted


class Canary:
    """One share; the next step, another share or the switch, takes over from it as it stands."""

    effects = staticmethod(no_effects)
    observe = staticmethod(observe_nothing)

    def perform(self, step: Step, context: Context) -> str:
        """Give next its share, and ask the checks of it alone and of the address that clients use."""
        spec = context.ports.plan.services[step.its_service]
        platform, percent = context.ports.platform(spec.name), step.its_percent
        assert spec.canary is not None
        share = platform.canary(step.its_colour, percent, deadline=spec.deploy_deadline)
        told = f"{share:.0f} % of the traffic" + (
            "" if round(share) == percent else f", asked for {percent} %"
        )
        context.note(f"{spec.version} has {told}")
        addresses = (platform.address(step.its_colour), platform.public_address())
        folder = context.ports.plan.folder
        subjects = tuple(Subject(spec.name, spec.version, address, folder) for address in addresses)
        rounds = watch(step, subjects, spec.canary.duration, context)
        if not spec.monitor.checks:
            return told
        return f"{told}; answered well in {counted(rounds, 'round')}"

    def undo(self, step: Step, context: Context) -> str:
        """Give all of the traffic back to live."""
        context.ports.platform(step.its_service).end_canary()
        return "the live version has all of the traffic"


STEP: Final[StepKind] = Canary()
