"""Which statements make the live service wait, and for what. Pure.

The names of the locks and what conflicts with them are PostgreSQL's (its manual, "Explicit Locking"), and
what MySQL and MariaDB call LOCK. What is weaker stops neither readers nor writers, and is left to the JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from coordinator.evidence import LOCK_TABLES, StatementEvidence

_WAIT: Final[Mapping[str, str]] = {
    "AccessExclusiveLock": "reads and writes",
    "ExclusiveLock": "writes",
    "ShareRowExclusiveLock": "writes",
    "ShareLock": "writes",
    "LOCK=EXCLUSIVE": "reads and writes",
    "LOCK=SHARED": "writes",
    LOCK_TABLES: "writes",  # and behind WRITE reads, which the server does not tell
}


def who_waits(mode: str) -> str:
    """Return what a lock keeps waiting: `reads and writes`, `writes`, or nothing."""
    return _WAIT.get(mode) or _WAIT.get(mode.rpartition(" ")[2], "")


def waiting(statements: Iterable[StatementEvidence]) -> Mapping[tuple[str, str], list[StatementEvidence]]:
    """Return, by what waits and on which relation, the statements that keep it waiting."""
    found: dict[tuple[str, str], list[StatementEvidence]] = {}
    for statement in statements:
        # Of several locks on one relation, the one that more have to wait for is the longer text.
        strongest: dict[str, str] = {}
        for lock in statement.locks:
            kept = who_waits(lock.mode)
            if kept and not lock.is_new:
                strongest[lock.relation] = max(strongest.get(lock.relation, ""), kept, key=len)
        for relation, kept in strongest.items():
            found.setdefault((kept, relation), []).append(statement)
    return found
