"""What PostgreSQL says of an error, and what it means. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import psycopg

from coordinator.adapters.batches import NEEDS_A_RIGHT, NO_RIGHT, as_read_only
from coordinator.errors import DatabaseError
from coordinator.secret import PLACEHOLDER

_LOCK_NOT_AVAILABLE = "55P03"
"""lock_not_available (PostgreSQL, Appendix A): nothing happened, later it may work."""
_READ_ONLY = "25006"
"""read_only_sql_transaction (the same)."""
CANCELLED: Final = "57014"
"""query_canceled (the same): by a person or by a limit."""
TOO_SHORT: Final = (
    "Give the role that migrates a longer `statement_timeout` or `transaction_timeout` (its own, the"
    " database's, the server's or the URL's), then run the command again."
)
_NEXT: Final = {
    _LOCK_NOT_AVAILABLE: "Run the command again when the table is less busy.",
    NO_RIGHT: NEEDS_A_RIGHT,
    CANCELLED: f"Unless somebody cancelled it: {TOO_SHORT[0].lower()}{TOO_SHORT[1:]}",
}
"""By SQLSTATE."""


def refusal_from(error: psycopg.Error, message: str, *, statement: int | None) -> DatabaseError:
    """Return the server's refusal of a statement, told as `message`."""
    timed_out = error.sqlstate == _LOCK_NOT_AVAILABLE
    position = error.diag.statement_position
    refusal = DatabaseError(
        "lock-timeout" if timed_out else "statement-failed",
        f"The database refused a statement: {message}.",
        why=f"SQLSTATE {error.sqlstate}." if error.sqlstate else "",
        next_step=_NEXT.get(error.sqlstate or "", ""),
        sqlstate=error.sqlstate,
        statement=statement,
        position=int(position) if position else None,
    )
    return as_read_only(refusal) if error.sqlstate == _READ_ONLY else refusal


def scrub(message: str, secrets: Sequence[str]) -> str:
    """Return `message` with every secret replaced."""
    for secret in secrets:
        message = message.replace(secret, PLACEHOLDER)
    return message


_QUESTION = re.compile(r"\s+Is the server running [^?]*\?")
"""What libpq asks its user in the middle of a message."""


def message_of(error: psycopg.Error) -> str:
    """Return what the server, or libpq, says in one line."""
    text = _QUESTION.sub("", str(error))
    parts = (error.diag.message_primary or text, error.diag.message_detail, error.diag.message_hint)
    return " ".join(" ".join(part.split()).rstrip(".") + "." for part in parts if part).rstrip(".")
