"""What an ALTER TABLE asks of partitions, and whether the server's answer about its lock holds.

MySQL takes ALGORITHM and LOCK in front of such a clause, never behind it. With some clauses a server takes
any word and does what it always does: MySQL `ALGORITHM=INSTANT` with TRUNCATE PARTITION, MariaDB the same
word with PARTITION BY, though it copies the table. With the others MariaDB takes no words at all. What
holds there was measured (MariaDB 10.11, with rows written and read meanwhile), since nobody can be asked.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from coordinator.adapters.rehearsals._mysql.tokens import name_in, tokens_of
from coordinator.model import Engine

WHOLE: Final = "PARTITION BY"
REMOVED: Final = "REMOVE PARTITIONING"
_MOVES_ROWS: Final = frozenset({WHOLE, REMOVED, "COALESCE", "REBUILD", "REORGANIZE"})
_MEASURED: Final = frozenset({"ADD", "COALESCE", "REBUILD", "REORGANIZE"})
_TABLE_BECOMES_ONE: Final = "TO"
"""Stands before PARTITION in CONVERT TABLE … TO PARTITION."""
_BRIEF: Final = frozenset({"CONVERT", "DROP", "EXCHANGE", "TRUNCATE", _TABLE_BECOMES_ONE})
_CHECKS: Final = {"WITH": "SHARED", "CONVERT": "EXCLUSIVE"}
"""What stands before TABLE where its rows are read, and what its users wait for meanwhile (measured)."""
_ANSWERED: Final = _MOVES_ROWS | {"ADD", "DROP"}
_WITHOUT_ROWS: Final = frozenset({"VALUES", "HISTORY"})
"""A partition that is added with its own bounds is empty; one of HASH or KEY takes rows of the others."""


def clause_of(text: str) -> str | None:
    """Return what an ALTER TABLE does to partitions: `DROP`, `PARTITION BY`; None if nothing."""
    tokens = [token for token in tokens_of(text) if token.depth == 0]
    for before, token, after in zip(tokens[:-1], tokens[1:], [*tokens[2:], None], strict=True):
        if token.keyword == "PARTITIONING" and before.keyword == "REMOVE":
            return REMOVED
        if token.keyword == "PARTITION":
            return WHOLE if after is not None and after.keyword == "BY" else before.keyword
    return None


def is_answered(clause: str, engine: Engine) -> bool:
    """Tell whether the server, asked for an ALGORITHM and a LOCK, says what it will do."""
    return clause in ((WHOLE, REMOVED) if engine is Engine.MARIADB else _ANSWERED)


def copies_only(clause: str, engine: Engine) -> bool:
    """Tell whether only the answer for ALGORITHM=COPY holds: MariaDB takes INSTANT, and copies."""
    return engine is Engine.MARIADB and clause in (WHOLE, REMOVED)


def stops_writers(clause: str, text: str, engine: Engine) -> bool:
    """Tell whether a clause that the server is not asked about lets writers wait until rows have moved."""
    if engine is not Engine.MARIADB or clause not in _MEASURED:
        return False
    return clause != "ADD" or _WITHOUT_ROWS.isdisjoint(token.keyword for token in tokens_of(text))


def checked_table(text: str) -> tuple[str, str] | None:
    """Return the table of which each row is looked at, whether it belongs into the partition, and the LOCK
    that both tables have meanwhile.
    """
    tokens = [token for token in tokens_of(text) if token.depth == 0]
    words = [token.keyword for token in tokens]
    if "PARTITION" not in words or ("WITHOUT", "VALIDATION") in pairwise(words):
        return None
    for at, (before, word) in enumerate(pairwise(words)):
        if word == "TABLE" and before in _CHECKS and (name := name_in(tokens[at + 2 :])) is not None:
            return name.text.strip("`"), _CHECKS[before]
    return None


def is_brief(clause: str) -> bool:
    """Tell whether it needs the table for a moment, against everybody; of `checked_table` also longer."""
    return clause in _BRIEF
