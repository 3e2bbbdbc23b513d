"""Which migrations are begun together: one flush makes all their intents durable, another what came of them.

A flush to the disk costs as much as a small migration does. Where a migration and its record are one
transaction, the database itself says after a kill which of a group ran, as exactly as it says it of one. So
the intents of those that follow each other are written ahead, and what is said of each stays true: from now
on it may have happened. A group is a chain that nothing else branches off from or waits in, and never a file
that may stop half-way.

It begins with one and doubles while groups are quick: whoever reads the journal while a long migration runs
finds the intent of that one alone. Rejected: groups by the size of the files, which says nothing about time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from coordinator.engine.decide import missing_approvals
from coordinator.graph import Step, StepId
from coordinator.journal.fold import RunState, Status
from coordinator.model import DatabaseName

NOT_BEGUN: Final = "it was not begun"
"""What is known of a step whose group ended before it: its intent is taken back."""
_MOST: Final = 256
"""Intents that are written at once, while nothing else is done; more would gain too little to be measured."""
_QUICK: Final = timedelta(seconds=2)
"""A group that took longer is followed by a smaller one. It may be a program, which has to start first."""


def chain(
    first: Step, state: RunState, *, is_whole: Callable[[Step], bool], tried: Collection[StepId], most: int
) -> tuple[Step, ...]:
    """Return the steps that may be begun with `first`, itself included, in their order.

    `is_whole` tells of a migration whether either all of it is there, recorded, or nothing.
    """
    found = [first]
    while len(found) < most and first.kind == "apply" and is_whole(found[-1]):
        behind = state.graph.successors(found[-1].id)
        if len(behind) != 1:
            break
        step = state.graph.step(behind[0])
        if not _may_follow(step, first, state) or step.id in tried or not is_whole(step):
            break
        found.append(step)
    return tuple(found)


def _may_follow(step: Step, first: Step, state: RunState) -> bool:
    return (
        step.kind == "apply"
        and step.database == first.database
        and len(step.after) == 1
        and state.status(step.id) is Status.PENDING
        and (first.no_return or not step.no_return)
        and not missing_approvals(step, state)
    )


@dataclass
class Paces:
    """How many migrations of a database are begun together, by how long the last ones took."""

    _sizes: dict[DatabaseName | None, int] = field(default_factory=dict)

    def size(self, database: DatabaseName | None) -> int:
        """Return how many may be begun now."""
        return self._sizes.get(database, 1)

    def learn(self, database: DatabaseName | None, count: int, took: timedelta) -> None:
        """Take in how long so many took."""
        if took <= _QUICK:
            self._sizes[database] = min(max(self.size(database), 2 * count), _MOST)
        else:
            self._sizes[database] = max(1, count // 2)
