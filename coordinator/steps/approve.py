"""Wait for every service, and for people: decide.py holds the step back until all have approved.

Performing it is a formality. Without approvers it is the gate at which services wait for each other.
"""

from __future__ import annotations

from typing import Final

from coordinator.graph import Step
from coordinator.steps import Context, StepKind, no_effects, observe_nothing


class Approve:
    """The approvals are events of the run's journal, bound to its inputs."""

    undo = None
    effects = staticmethod(no_effects)
    observe = staticmethod(observe_nothing)

    def perform(self, step: Step, context: Context) -> str:  # noqa: ARG002 - the protocol's
        """Say who approved."""
        return f"approved by {', '.join(step.approvers)}" if step.approvers else "nobody has to approve"


STEP: Final[StepKind] = Approve()
