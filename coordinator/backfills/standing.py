"""Which backfills of a plan have something left to do, as the database itself says; only reads."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.backfills.cursor import read_cursor
from coordinator.backfills.keys import key_of, number_from
from coordinator.backfills.order import named
from coordinator.diagnostics import Diagnostic
from coordinator.errors import DatabaseError, StepFailed
from coordinator.model import BackfillSpec, Migration
from coordinator.ports.databases import Session


def open_backfills(
    session: Session, backfills: Sequence[BackfillSpec], pending: Sequence[Migration]
) -> tuple[tuple[BackfillSpec, ...], tuple[Diagnostic, ...]]:
    """Return those that are not complete, and what keeps one from being worked on.

    One whose migration is pending is open: its rows are not there yet, and nothing can be asked about them.
    """
    left: list[BackfillSpec] = []
    problems: list[Diagnostic] = []
    for spec in backfills:
        if named(pending, spec.after) is not None:
            left.append(spec)
            continue
        try:
            if not _is_complete(session, spec):
                left.append(spec)
                key_of(session, spec)
        except StepFailed as error:
            problems.append(Diagnostic(error.code, spec.place, error.what, error.why, error.next_step))
        except DatabaseError as error:
            problems.append(_unanswered(spec, error))
    return tuple(left), tuple(problems)


def _is_complete(session: Session, spec: BackfillSpec) -> bool:
    """Tell whether it came to its end, and no row is left now."""
    cursor = read_cursor(session, spec)
    left = number_from(session, spec.remaining, spec)
    return cursor is not None and cursor.is_done and not left


def _unanswered(spec: BackfillSpec, error: DatabaseError) -> Diagnostic:
    return Diagnostic(
        "backfill-remaining",
        spec.place,
        f"`remaining` of backfill `{spec.name}` cannot be answered: {error.what}",
        "So nobody knows whether it is complete.",
        "Correct it. If a later migration took away what it asks about, its work is over: take the backfill"
        " out of the plan.",
    )
