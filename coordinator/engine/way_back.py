"""Whether the way back that the journal promises is still there.

A journal can be older than the world: a pipeline's cache or a backup brings back one from before contract.
A lost journal is found out about, because the next run asks the world; an old one looks like the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from coordinator.errors import CoordinatorError, Interrupted, StepFailed
from coordinator.graph import Step
from coordinator.steps import Context, StepKind
from coordinator.world import Seen


def demand_way_back(ahead: Sequence[Step], kinds: Mapping[str, StepKind], context: Context) -> None:
    """Ask the world whether steps of no return, which have not begun as the journal says, have happened.

    A database that does not answer is no obstacle: going back needs the old version and nothing else.

    Raises: StepFailed `journal-behind`.
    """
    for step in ahead:
        try:
            observation = kinds[step.kind].observe(step, replace(context, in_doubt=False))
        except Interrupted:
            raise
        except CoordinatorError as error:
            context.note(f"Nobody could say whether {step.id} has happened: {error}")
            continue
        if observation.seen is not Seen.NOT_DONE:
            raise StepFailed(
                "journal-behind",
                f"No way back: {step.id} has not begun as the journal says, but {observation.detail}.",
                why="The journal is older than the world: a cache or a backup brought an old one back. The"
                " old version is not promised to work after that step.",
                next_step="Bring the newest `.coordinator` back and look at `coordinator status`; or give"
                " this run up with `coordinator abort`: the next `coordinator run` goes on from the world.",
            )
