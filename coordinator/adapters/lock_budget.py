"""How long a migration may still make others wait: an account of its tries, in seconds of any steady clock.

It knows no engine and asks nobody for the time, so that every sequence of tries is a row in a test. What a
try has cost is said by whoever watched it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from coordinator.model import LocksSpec

_BRIEF: Final = timedelta(milliseconds=10)
"""The first tries have a fifth of the plan's, and at least this: they are there to learn what is wanted."""
_BLIND_TRIES: Final = 3
"""So many tries are brief while nobody has seen what is wanted."""
_LEAST: Final = timedelta(milliseconds=5)
"""A shorter wait is none, unless the plan wants it so short: what is left of the budget is then spent."""
_FIRST_PAUSE: Final = timedelta(milliseconds=250)
_LONGEST_PAUSE: Final = timedelta(seconds=5)


@dataclass
class LockBudget:
    """What the plan allows for what is tried, and what its tries have cost so far."""

    spec: LocksSpec
    spent: timedelta = timedelta()
    tries: int = 0
    since: float | None = None
    """When the first try has failed."""

    def allowed(self, *, is_known: bool = False, once: bool = False) -> timedelta:
        """Return how long the next try may keep others waiting, nothing when the budget is spent.

        `is_known` says that somebody has seen which table is wanted; a try that is the only one (`once`) gets
        all that is left.
        """
        left = self.spec.budget - self.spent
        attempt = self.spec.attempt
        if not is_known and self.tries < _BLIND_TRIES:
            attempt = min(attempt, max(attempt / 5, _BRIEF))
        allowed = left if once else min(attempt, left)
        is_enough = allowed >= min(_LEAST, self.spec.attempt, self.spec.budget)
        return allowed if is_enough else timedelta()

    def left(self, now: float) -> timedelta:
        """Return the time until the deadline; nothing is left when it is over."""
        waited = 0.0 if self.since is None else now - self.since
        return max(self.spec.deadline - timedelta(seconds=waited), timedelta())

    def is_over(self, now: float) -> bool:
        """Tell whether there is no further try where it is known what is wanted."""
        return not self.allowed(is_known=True) or not self.left(now)

    def charge(self, seconds: float, now: float) -> None:
        """Count what a try that failed has cost."""
        self.tries += 1
        self.since = now if self.since is None else self.since
        self.spent += timedelta(seconds=seconds)

    def pause(self, now: float) -> timedelta:
        """Return how long everybody else has the table before the next try."""
        growing = _FIRST_PAUSE * (1 << min(self.tries - 1, 8))
        return min(growing, _LONGEST_PAUSE, self.left(now))
