"""What it means for a backfill that the engine refused what it sent: try again, or say what to do. Pure."""

from __future__ import annotations

from typing import Final

from coordinator.backfills.cursor import Cursor
from coordinator.backfills.keys import Place
from coordinator.errors import DatabaseError
from coordinator.model import BackfillSpec

_BUSY: Final = frozenset({"40001", "40P01", "55P03"})
"""serialization_failure, deadlock_detected, lock_not_available (PostgreSQL, Appendix A)."""
_CANCELLED: Final = frozenset({"57014", "70100"})
"""query_canceled of PostgreSQL, and what MySQL and MariaDB have for ER_QUERY_INTERRUPTED."""
_NO_ROOM: Final = "53"
"""Insufficient resources (the same): of the disk, of memory, of a limit that is set."""


def is_busy(error: DatabaseError) -> bool:
    """Tell whether somebody else was in the way: nothing happened, and in a moment it may work."""
    return error.is_busy or error.code == "lock-timeout" or error.sqlstate in _BUSY


def may_pass(error: DatabaseError) -> bool:
    """Tell whether a new connection may help: this one is gone, or leads to a standby during a failover."""
    return error.is_out_of_reach or error.code == "database-read-only"


def batch_refused(error: DatabaseError, spec: BackfillSpec, cursor: Cursor, last: Place) -> DatabaseError:
    """Return the engine's refusal of a batch with what it was about; what is no refusal stays what it is."""
    if error.code != "statement-failed":
        return error
    return DatabaseError(
        "backfill-refused",
        f"Backfill `{spec.name}` failed between {_behind(cursor)} and {', '.join(last)}. {error.what}",
        why=_joined(error.why, "Nothing of this batch was done; those before it are."),
        next_step=_next_step(error, otherwise="Mend the rows, or the statement, and run again")
        + ": it goes on at this batch.",
        sqlstate=error.sqlstate,
    )


def choice_refused(error: DatabaseError, spec: BackfillSpec, cursor: Cursor) -> DatabaseError:
    """Return the engine's refusal to say which rows are next."""
    if error.code != "statement-failed" or is_busy(error):
        return error
    return DatabaseError(
        "backfill-refused",
        f"Backfill `{spec.name}` cannot look for {_behind(cursor)} of `{spec.table}`. {error.what}",
        why=_joined(error.why, "What was done before stays done."),
        next_step=_next_step(
            error, otherwise=f"Look whether `{spec.table}` and its key are as they were, and run again"
        )
        + ".",
        sqlstate=error.sqlstate,
    )


def question_refused(error: DatabaseError, spec: BackfillSpec) -> DatabaseError:
    """Return the engine's refusal to say how many rows are left."""
    if error.code != "statement-failed" or is_busy(error):
        return error
    return DatabaseError(
        "backfill-remaining",
        f"`remaining` of backfill `{spec.name}` cannot be answered. {error.what}",
        why=_joined(error.why, "What was done stays done, and nobody knows whether rows are left."),
        next_step=_next_step(error, otherwise="Mend the query, or what it asks about, and run again") + ".",
        sqlstate=error.sqlstate,
    )


def _next_step(error: DatabaseError, *, otherwise: str) -> str:
    if (error.sqlstate or "").startswith(_NO_ROOM):
        return "Give the database's server the room that it says it misses, and run again"
    if error.took_too_long:
        return "Let the role take longer for a statement, or the query need less, and run again"
    if error.sqlstate in _CANCELLED:
        return "Somebody ended the statement: find out why, and run again"
    return otherwise


def _behind(cursor: Cursor) -> str:
    return "the first row" if cursor.place is None else f"the row after {', '.join(cursor.place)}"


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
