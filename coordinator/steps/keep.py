"""The rollback window: the live version stays at full size, so that the way back is one switch.

The window counts from the step's first start, whoever watches: a coordinator that was away did not close it,
nor did a clock that was set forward meanwhile, where a database's server tells (app/clocks.py).
"""

from __future__ import annotations

from typing import Final

from coordinator.graph import Step
from coordinator.steps import Context, StepKind, no_effects, observe_nothing


class Keep:
    """Wait, and nothing else."""

    undo = None
    effects = staticmethod(no_effects)
    observe = staticmethod(observe_nothing)

    def perform(self, step: Step, context: Context) -> str:
        """Wait until the window is over."""
        window = context.ports.plan.services[step.its_service].keep_blue
        context.wait(context.since + window - context.ports.clock.now())
        return f"{step.version} was kept for {window}"


STEP: Final[StepKind] = Keep()
