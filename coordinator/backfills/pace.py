"""How many rows the next batch has, and how long to rest before it. Pure: seconds come in, decisions go out.

A batch shall take about half a second, and much less where the plan asks for a share of the time only: what
it locks is then soon free again, and a replica gets its work in small pieces. Where rows are busy the batch
is halved, so that it holds less while it waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from coordinator.model import BackfillSpec, Engine

FIRST: Final = 1_000
_MOST: Final = 50_000
_SECONDS: Final = {
    Engine.POSTGRESQL: 0.5,
    Engine.MYSQL: 0.5,
    Engine.MARIADB: 0.5,
    Engine.SQLITE: 0.1,
}
"""How long a batch shall take at full speed. SQLite has one writer, and everybody else waits for it."""
_SECONDS_OF_PROGRAM: Final = 5.0
"""A program is started for each batch, which takes its time, and we hold no row meanwhile."""
_SLOWED: Final = {
    Engine.POSTGRESQL: (7, 0.003),
    Engine.MYSQL: (4, 0.05),
    Engine.MARIADB: (4, 0.05),
    Engine.SQLITE: (4, 0.05),
}
"""How steeply a batch of a slowed backfill gets smaller, as a power of its share of the time, and how many
seconds it takes at least. PostgreSQL's commits are not waited for, so small batches cost little there: what
each writes to the log is then soon on the disk, and no commit of the application flushes much of it."""
_COURTESY: Final = 0.1
"""What part of its work a sole writer rests after it: others ask again and again whether they may write."""
_GROWTH: Final = 4
_LONGEST_PAUSE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The size of the next batch; `busy` counts the batches in a row that could not have their rows."""

    spec: BackfillSpec
    seconds: float
    rows: int = FIRST
    busy: int = 0
    is_sole_writer: bool = False

    @classmethod
    def of(cls, spec: BackfillSpec, engine: Engine) -> Pace:
        """Return the pace of the first batch; one that is slowed down works in smaller pieces."""
        power, least = _SLOWED[engine]
        seconds = max(least, _SECONDS[engine] * (spec.percent / 100) ** power)
        pace = cls(spec, seconds if spec.command is None else _SECONDS_OF_PROGRAM)
        rows = min(FIRST, spec.rows_per_second or FIRST)
        return replace(pace, rows=rows, is_sole_writer=engine is Engine.SQLITE)

    def after(self, rows: int, seconds: float) -> Pace:
        """Return the pace after a batch that was done."""
        wanted = int(rows * self.seconds / max(seconds, 0.001))
        most = min(_MOST, self.rows * _GROWTH, self.spec.rows_per_second or _MOST)
        return replace(self, rows=max(1, min(most, max(wanted, self.rows // _GROWTH))), busy=0)

    def after_busy(self) -> Pace:
        """Return the pace after a batch whose rows somebody else held."""
        return replace(self, rows=max(1, self.rows // 2), busy=self.busy + 1)

    def after_timeout(self) -> Pace:
        """Return the pace after a batch that took longer than a statement may: they stay shorter."""
        return replace(self, rows=max(1, self.rows // 2), seconds=self.seconds / 2)

    def rest(self, rows: int, seconds: float) -> timedelta:
        """Return how long to rest after a batch, so that the plan's rate holds."""
        share = seconds * max(100 / self.spec.percent - 1, _COURTESY if self.is_sole_writer else 0.0)
        rate = rows / self.spec.rows_per_second - seconds if self.spec.rows_per_second else 0.0
        return timedelta(seconds=max(share, rate, 0.0))

    @property
    def pause(self) -> timedelta:
        """How long to let the others pass after busy batches."""
        return timedelta(seconds=min(_LONGEST_PAUSE, 0.05 * 2 ** min(self.busy, 10)))
