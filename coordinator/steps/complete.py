"""Ask once more whether a backfill is complete, right before what waits for it; do the rows that came since.

Between the end of a backfill and the contract that needs it lie the switch, the watch and people's approval.
A version that still wrote the old form in that time left rows, and contract would take their data with it.
"""

from __future__ import annotations

from typing import Final

from coordinator.graph import Step
from coordinator.steps import Context, StepKind, no_effects, observe_nothing, work_on_backfill


class Complete:
    """Nothing is observed: that no row was left a while ago says nothing of now."""

    undo = None
    effects = staticmethod(no_effects)
    observe = staticmethod(observe_nothing)

    def perform(self, step: Step, context: Context) -> str:
        """Go over the rows behind the cursor, and ask. Raises: Waiting `backfill-incomplete`."""
        return work_on_backfill(step, context)


STEP: Final[StepKind] = Complete()
