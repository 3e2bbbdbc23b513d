"""Watch the next version while it serves.

A watch that was cut off by a kill begins anew: nobody watched in between, and a window that passed
unwatched proves nothing.
"""

from __future__ import annotations

from typing import Final

from coordinator.graph import Step
from coordinator.ports.checks import Subject
from coordinator.steps import Context, StepKind, no_effects, observe_nothing, watch
from coordinator.wording import counted


class Monitor:
    """At least one round of checks, also where the plan watches for no time."""

    undo = None
    effects = staticmethod(no_effects)
    observe = staticmethod(observe_nothing)

    def perform(self, step: Step, context: Context) -> str:
        """Ask the checks at the public address until time is over; bad answers in a row fail the release."""
        spec = context.ports.plan.services[step.its_service]
        address = context.ports.platform(spec.name).public_address()
        subject = Subject(spec.name, spec.version, address, context.ports.plan.folder)
        rounds = watch(step, (subject,), spec.monitor.duration, context)
        return (
            f"answered well in {counted(rounds, 'round')}"
            if spec.monitor.checks
            else "the plan names no checks"
        )


STEP: Final[StepKind] = Monitor()
