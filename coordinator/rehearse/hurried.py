"""A backfill on a copy of a scratch database, with the loop of a release, as fast as it goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from coordinator.backfills.work import Work
from coordinator.model import BackfillSpec, DatabaseSpec
from coordinator.ports.programs import RangeProgram
from coordinator.rehearsal_ports import RehearsalDatabase

_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing is measured here, and nobody rests."""
_OFTEN: Final = 5
"""How many times the rows that were there one may pass: it may add rows and pass them too, and go over all of
them again if it is `repeatable`."""
_MORE: Final = 10


class NeverEnds(Exception):
    """It passed more rows than there can be."""


def do_rows(
    copy: RehearsalDatabase,
    database: DatabaseSpec,
    spec: BackfillSpec,
    program: RangeProgram | None = None,
    *,
    there: int | None = None,
    in_batches_of: int | None = None,
) -> None:
    """Do all rows of a copy in one session; so many are `there` before it begins (None: it is known to end).

    Raises: NeverEnds, and what a release would meet.
    """
    work = Work(
        database,
        replace(spec, percent=100, rows_per_second=in_batches_of, replication_lag=None, sessions=1),
        connect=copy.session,
        now=lambda: _ANY_TIME,
        wait=lambda _: _demand_end(work, there=there),
        note=_unheard,
        program=program,
    )
    work.run()


def _demand_end(work: Work, *, there: int | None) -> None:
    if there is not None and work.done > _OFTEN * there + _MORE:
        raise NeverEnds


def _unheard(_line: str) -> None:
    """A rehearsal shows no progress; the last lines of a program that fails are in the finding."""
