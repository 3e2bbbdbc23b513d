"""How far a pass over a table is, and about how long it still takes. Pure.

What is left is worked out anew each time, from what the engine believes of the table and from the speed so
far: an estimate, and never a promise.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Progress:
    """`passed` rows are done in this pass, by all commands; `per_second` is the speed of this one.

    `total` is about how many rows the table has; 0: the engine does not know.
    """

    passed: int
    total: int
    per_second: float

    @property
    def left(self) -> timedelta | None:
        """About how long it still takes; None where nobody can tell."""
        if self.per_second <= 0 or self.passed >= self.total:
            return None
        return timedelta(seconds=(self.total - self.passed) / self.per_second)

    @property
    def told(self) -> str:
        """The same for a person. It never says that all is done: the completeness query does."""
        told = f"{self.passed:,} rows"
        if self.total:
            told += f" of about {self.total:,} ({min(99, 100 * self.passed // self.total)} %)"
        if self.per_second > 0:
            told += f", {self.per_second:,.0f} rows/s"
        return told if self.left is None else f"{told}, about {_spoken(self.left.total_seconds())} left"


def _spoken(seconds: float) -> str:
    if seconds >= _HOUR:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _MINUTE:.0f} min" if seconds >= 2 * _MINUTE else f"{seconds:.0f} s"
