"""Ask a live database about the rows that pending migrations do not bear; it only reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from coordinator import discovery
from coordinator.adapters.batches import NO_RIGHT
from coordinator.errors import DatabaseError
from coordinator.evidence import Rehearsal
from coordinator.model import DatabaseName, Migration
from coordinator.ports import Ports
from coordinator.ports.databases import Session
from coordinator.rehearsal_ports import RowQuery
from coordinator.rehearse import MOST_ROWS, asked_of_live, hazards_of_live_rows, notes_on_live_rows

_WITHIN: Final = timedelta(seconds=2)
_IN_ALL: Final = timedelta(seconds=10)
"""What one question, and all of them, may take of the live server's time."""
_COUNT: Final = "SELECT count(*) FROM (SELECT 1 {} LIMIT {}) AS found_rows"


def with_live_rows(
    ports: Ports, name: DatabaseName, rehearsal: Rehearsal, *, pending: Sequence[Migration]
) -> Rehearsal:
    """Return a rehearsal with a hazard for each constraint that live rows refuse, and a note of what nobody
    found out.
    """
    spec = ports.plan.databases[name]
    engine = discovery.rehearsal(spec.engine)
    asked = tuple(asked_of_live(rehearsal, engine, pending=pending, backfills=spec.backfills))
    if not asked:
        return rehearsal
    queries = [each.query for each in asked]
    denied: dict[RowQuery, str] = {}
    try:
        with ports.session(name, label="coordinator rehearsal") as session:
            counts = count_rows(session, queries, denied=denied.__setitem__)
    except DatabaseError as error:
        notes = [f"live's rows were not asked: {error.what.rstrip('.')}"]
        return replace(rehearsal, notes=(*rehearsal.notes, *notes))
    notes = [
        f"whether live has {each.query.rows}, on which `{each.migration}` fails, was not found out:"
        f" {denied[each.query]}"
        for each in asked
        if each.query in denied
    ]
    return replace(
        rehearsal,
        hazards=(*hazards_of_live_rows(asked, counts), *rehearsal.hazards),
        notes=(*rehearsal.notes, *notes_on_live_rows(asked, counts), *notes),
    )


def count_rows(
    session: Session,
    queries: Iterable[RowQuery],
    *,
    denied: Callable[[RowQuery, str], None] = lambda *_: None,
) -> Mapping[RowQuery, int | None]:
    """Return how many rows each query finds, `MOST_ROWS` at most; None where the time was over before.

    What needs something that an earlier migration brings is left out, and so is what the user may not ask,
    which `denied` is told with the server's words. Raises: DatabaseError where the
    connection is lost.
    """
    counts: dict[RowQuery, int | None] = {}
    end = time.monotonic() + _IN_ALL.total_seconds()
    for each in queries:
        began = time.monotonic()
        if began > end:
            counts[each] = None
            continue
        try:
            [[count]] = session.query(_COUNT.format(each.source, MOST_ROWS), within=_WITHIN)
            counts[each] = int(str(count))
        except DatabaseError as error:
            if error.is_out_of_reach:
                raise
            if error.sqlstate == NO_RIGHT:
                denied(each, error.what.rstrip("."))
            elif time.monotonic() - began >= _WITHIN.total_seconds():
                counts[each] = None
    return counts
