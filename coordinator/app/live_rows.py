"""Ask a live database about the rows that pending migrations do not bear; it only reads."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from coordinator import discovery
from coordinator.errors import DatabaseError
from coordinator.evidence import Rehearsal
from coordinator.model import DatabaseName, Migration
from coordinator.ports import Ports
from coordinator.ports.databases import Session
from coordinator.rehearsal_ports import RowQuery
from coordinator.rehearse import MOST_ROWS, asked_of_live, hazards_of_live_rows

_WITHIN: Final = timedelta(seconds=2)
_IN_ALL: Final = timedelta(seconds=10)
"""What one question, and all of them, may take of the live server's time."""
_COUNT: Final = "SELECT count(*) FROM (SELECT 1 {} LIMIT {}) AS found_rows"


def with_live_rows(
    ports: Ports, name: DatabaseName, rehearsal: Rehearsal, *, pending: Sequence[Migration]
) -> Rehearsal:
    """Return a rehearsal with a hazard for each constraint that live rows refuse.

    Raises: DatabaseError or Usage where the database cannot be reached.
    """
    spec = ports.plan.databases[name]
    engine = discovery.rehearsal(spec.engine)
    asked = tuple(asked_of_live(rehearsal, engine, pending=pending, backfills=spec.backfills))
    if not asked:
        return rehearsal
    with ports.session(name, label="coordinator rehearsal") as session:
        counts = count_rows(session, [each.query for each in asked])
    return replace(rehearsal, hazards=(*hazards_of_live_rows(asked, counts), *rehearsal.hazards))


def count_rows(session: Session, queries: Iterable[RowQuery]) -> Mapping[RowQuery, int]:
    """Return how many rows each query finds, `MOST_ROWS` at most.

    What takes long, or needs what an earlier migration brings, is left out.
    """
    counts: dict[RowQuery, int] = {}
    began = time.monotonic()
    for each in queries:
        if time.monotonic() - began > _IN_ALL.total_seconds():
            break
        with suppress(DatabaseError):
            [[count]] = session.query(_COUNT.format(each.source, MOST_ROWS), within=_WITHIN)
            counts[each] = int(str(count))
    return counts
