"""Question the next version while nobody depends on it yet."""

from __future__ import annotations

from typing import Final

from coordinator.errors import StepFailed
from coordinator.graph import Step
from coordinator.ports.checks import Subject
from coordinator.steps import Context, StepKind, no_effects, observe_nothing


class Verify:
    """All checks must pass; asking again is harmless, so nothing is observed."""

    undo = None
    effects = staticmethod(no_effects)
    observe = staticmethod(observe_nothing)

    def perform(self, step: Step, context: Context) -> str:
        """Ask every check once, in the plan's order; the first bad answer fails the release."""
        spec = context.ports.plan.services[step.its_service]
        platform = context.ports.platform(spec.name)
        subject = Subject(
            spec.name, spec.version, platform.address(step.its_colour), context.ports.plan.folder
        )
        for check in spec.verify:
            answer = context.ports.ask(check, subject)
            if not answer.ok:
                raise StepFailed(
                    "verification-failed",
                    f"`{spec.name}` {spec.version} does not pass {check.kind}: {answer.detail}.",
                    why=f"The check stands at {check.place}.",
                    next_step=f"Nobody depended on it. Look at its log: {platform.log_of(step.its_colour)}."
                    " Mend the version and release it again.",
                )
            context.note(answer.detail)
        return f"all checks passed ({len(spec.verify)})" if spec.verify else "ready; the plan names no checks"


STEP: Final[StepKind] = Verify()
