"""Change the rows of a table in batches, as far as there are any left.

Whether it is done is asked of the rows and not of the cursor alone: the live version may have written the old
form since. Interrupted or killed it goes on where the cursor stands; nothing is undone, as with migrations.
"""

from __future__ import annotations

from typing import Final

from coordinator.backfills.cursor import read_cursor
from coordinator.backfills.keys import number_from
from coordinator.graph import Step
from coordinator.steps import Context, Observation, StepKind, backfill_of, no_effects, work_on_backfill
from coordinator.wording import counted
from coordinator.world import Seen


class Backfill:
    """Rows and cursor commit together, so that performing it again does no row twice."""

    undo = None
    effects = staticmethod(no_effects)

    def observe(self, step: Step, context: Context) -> Observation:
        """Ask the cursor, and if it is at its end the completeness query."""
        spec = backfill_of(step, context)
        with context.ports.session(step.its_database, label=step.id) as session:
            cursor = read_cursor(session, spec)
            if cursor is None or not cursor.is_done:
                return Observation(Seen.NOT_DONE, f"{counted(cursor.passed if cursor else 0, 'row')} passed")
            left = number_from(session, spec.remaining, spec)
        return Observation(Seen.NOT_DONE if left else Seen.DONE, f"{counted(left, 'row')} left")

    def perform(self, step: Step, context: Context) -> str:
        """Work until no row is left. Raises: Waiting where rows are left or held; see Work.run."""
        return work_on_backfill(step, context)


STEP: Final[StepKind] = Backfill()
