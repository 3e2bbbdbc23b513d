"""Let the connections end that the live version still has, up to the plan's deadline.

After the deadline the rest is cut when the version is stopped: how many is written down, not hidden.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from coordinator.graph import Step
from coordinator.steps import Context, Observation, StepKind, no_effects
from coordinator.world import Seen

_POLL: Final = timedelta(milliseconds=200)


class Drain:
    """Traffic has moved already, so the number only falls."""

    undo = None
    effects = staticmethod(no_effects)

    def observe(self, step: Step, context: Context) -> Observation:
        """Done if no connection is open."""
        still_open = context.ports.platform(step.its_service).open_connections(step.its_colour)
        if still_open is None:
            return Observation(Seen.NOT_DONE, "nobody can count the open connections")
        return Observation(
            Seen.NOT_DONE if still_open else Seen.DONE,
            f"{still_open} connections open" if still_open else "no connection open",
        )

    def perform(self, step: Step, context: Context) -> str:
        """Wait for the last connection."""
        platform, clock = context.ports.platform(step.its_service), context.ports.clock
        end = context.since + context.ports.plan.services[step.its_service].drain_deadline
        while (still_open := platform.open_connections(step.its_colour)) != 0:
            if clock.now() >= end:
                if still_open is None:
                    return "waited for the whole deadline: nobody can count the open connections"
                return f"{still_open} connections still open at the deadline: they are cut when it stops"
            context.wait(_POLL)
        return "no connection left"


STEP: Final[StepKind] = Drain()
