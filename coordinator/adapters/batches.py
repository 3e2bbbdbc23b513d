"""What every engine says when a batch does not keep its promise, in one set of words."""

from __future__ import annotations

from coordinator.errors import DatabaseError


def ledger_changed() -> DatabaseError:
    """Return the refusal of a batch whose guard found a row."""
    return DatabaseError(
        "ledger-changed",
        "The version table changed between the look at it and the migration; nothing was done.",
        next_step="Run the command again: it looks before it acts.",
    )


def transaction_ended(index: int) -> DatabaseError:
    """Return what is left to say when the statement at `index` ended the batch's own transaction."""
    return DatabaseError(
        "transaction-ended",
        "A statement of the migration ended the transaction that was to hold all of it.",
        why="What stood before it is committed, and the version is not recorded.",
        next_step="Look at the schema, and take COMMIT, ROLLBACK and END out of the migration.",
        statement=index,
    )


def transaction_left_open() -> DatabaseError:
    """Return the failure of a batch without transaction that began one and did not end it."""
    return DatabaseError(
        "transaction-left-open",
        "The migration began a transaction and did not commit it, so it was rolled back.",
        next_step="Write the missing COMMIT.",
    )
