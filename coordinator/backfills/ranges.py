"""Have the user's program do the rows of a range, before the cursor passes them.

The program commits where we cannot see it, so rows and cursor are two commits: a range is done at least once,
and a second time when a kill or a lost connection falls between the two. Only what succeeds moves the cursor.
"""

from __future__ import annotations

from collections.abc import Callable

from coordinator.errors import StepFailed
from coordinator.model import BackfillSpec
from coordinator.ports.programs import RangeProgram


def do_by_program(
    program: RangeProgram, spec: BackfillSpec, condition: str, *, note: Callable[[str], None]
) -> None:
    """Return when the program has done the rows. Raises: StepFailed `backfill-program-failed`."""
    ended = program.run(condition, note=note)
    if ended.exit_code == 0 and not ended.is_late:
        return
    raise StepFailed(
        "backfill-program-failed",
        f"The program of backfill `{spec.name}` failed on the rows {condition}: {ended.told}.",
        why="What it did of these rows stays; those of the ranges before are done.",
        next_step="Correct what it says, and run again: it gets a range that begins at the same row.",
    )
