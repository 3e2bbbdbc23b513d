"""What the session of every engine says when it cannot do what it was asked, in one set of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coordinator.errors import DatabaseError, Waiting

DISK_FULL: Final = "53100"
"""disk_full (PostgreSQL, Appendix A), which the other engines' sessions say too where they mean that."""
NO_RIGHT: Final = "42501"
"""insufficient_privilege (the same), likewise."""
NEEDS_A_RIGHT: Final = (
    "The user of the database's URL lacks that right: grant it, or let the URL name the user who owns the"
    " schema. What coordinator itself keeps there is in tables that begin with `coordinator_`."
)
NO_CONNECTION_LEFT: Final = (
    "No connection is left: let others end theirs, or allow more (a limit of the server, of the user or of a"
    " pooler). coordinator needs three for a database, and for a backfill as many more as its `sessions`."
)


def connection_lost(
    message: str,
    *,
    commits: bool,
    statement: int | None,
    sqlstate: str | None,
    position: int | None = None,
    committed: int = 0,
) -> DatabaseError:
    """Return that the connection is gone; with `commits` it is in doubt what was committed."""
    return DatabaseError(
        "connection-lost",
        f"The connection to the database was lost: {message}.",
        why="It may have been lost after the commit." if commits else "Nothing of it was committed.",
        next_step="Run the command again: it looks before it acts.",
        sqlstate=sqlstate,
        ambiguous=commits,
        statement=statement,
        position=position,
        committed=committed,
    )


def as_read_only(
    refusal: DatabaseError,
    *,
    why: str = "It is a standby, as after a failover, or its role or the server is set to take no writes.",
    next_step: str = "Let the URL lead to the server that takes writes, or end that setting, and run the"
    " command again.",
) -> DatabaseError:
    """Return a refusal as one that has nothing to do with the statement: nothing is written here at all."""
    return DatabaseError(
        "database-read-only",
        refusal.what,
        why=f"{refusal.why} {why}".strip(),
        next_step=next_step,
        sqlstate=refusal.sqlstate,
        ambiguous=refusal.ambiguous,
        statement=refusal.statement,
        position=refusal.position,
        committed=refusal.committed,
    )


def lock_held(lock: object, holders: Sequence[str], *, unseen: str) -> Waiting:
    """Return that somebody else migrates; `unseen` says what it means where no holder is seen."""
    return Waiting(
        "migration-lock-held",
        f"Another session holds the migration lock {lock}: {'; '.join(holders) or unseen}.",
        why="Two migrations of one database at a time would both apply the same version.",
        next_step="Wait until it is done and run the command again.",
    )


def ledger_changed() -> DatabaseError:
    """Return the refusal of a batch whose guard found a row."""
    return DatabaseError(
        "ledger-changed",
        "The version table changed between the look at it and the migration; nothing was done.",
        next_step="Run the command again: it looks before it acts.",
    )


def cursor_moved() -> DatabaseError:
    """Return the refusal of a batch whose fence did not change exactly one row."""
    return DatabaseError(
        "cursor-moved",
        "Somebody else moved the cursor of this backfill; nothing of the batch was done.",
        next_step="Look for another coordinator on this database, and run the command again.",
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
