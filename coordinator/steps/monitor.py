"""Watch the next version while it serves.

A watch that was cut off by a kill begins anew: nobody watched in between, and a window that passed
unwatched proves nothing.
"""

from __future__ import annotations

from typing import Final

from coordinator.errors import StepFailed
from coordinator.graph import Step
from coordinator.ports import Subject
from coordinator.steps import Context, StepKind, no_effects, observe_nothing


class Monitor:
    """At least one round of checks, also where the plan watches for no time."""

    undo = None
    effects = staticmethod(no_effects)
    observe = staticmethod(observe_nothing)

    def perform(self, step: Step, context: Context) -> str:
        """Ask the checks at the public address until time is over; bad answers in a row fail the release."""
        spec = context.ports.plan.services[step.its_service]
        monitor, clock = spec.monitor, context.ports.clock
        address = context.ports.platform(spec.name).public_address()
        subject = Subject(spec.name, spec.version, address, context.ports.plan.folder)
        end = clock.now() + monitor.duration
        bad, rounds = 0, 0
        while True:
            answers = [context.ports.ask(check, subject) for check in monitor.checks]
            wrong = next((answer for answer in answers if not answer.ok), None)
            bad, rounds = bad + 1 if wrong else 0, rounds + 1
            if wrong and bad >= monitor.failures:
                raise StepFailed(
                    "monitoring-failed",
                    f"`{spec.name}` {spec.version} answers badly, {bad} time(s) in a row: {wrong.detail}.",
                    next_step="Look at its log. The traffic goes back if the plan says so.",
                )
            if clock.now() >= end and not bad:
                return f"answered well, at the end of {rounds} round(s)"
            context.wait(min(monitor.every, max(end - clock.now(), monitor.every / 10)))


STEP: Final[StepKind] = Monitor()
