"""Which queries are never run on a scratch server, because a rollback does not take back what they do.

An allowlist of the first word and a list of functions. It is read from the words of the text: a function
of the schema that calls one of these is not seen, and is bounded by the time and the privileges of its run.
The refusals are answered like the engine's own, with codes of a class that PostgreSQL does not use:

    CO001   not a statement that is rehearsed: it controls transactions or sessions, or is for the server
    CO002   calls a function whose effect outlives a rollback, leaves the database, waits, or is of a session
    CO003   holds what cannot be sent: a NUL character, or half of a surrogate pair
"""

from __future__ import annotations

import re
from typing import Final

from coordinator.evidence import Objection
from coordinator.sql import split_statements

_RUN: Final = frozenset(
    (
        *("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE", "CALL"),
        *("ANALYZE", "LOCK", "TRUNCATE", "REFRESH", "SET", "SHOW", "NOTIFY", "LISTEN", "UNLISTEN"),
    )
)
_UNSENDABLE: Final = re.compile(r"[\0\ud800-\udfff]")
_NEVER: Final = re.compile(
    r"PG_SLEEP\w*|PG_(TRY_)?ADVISORY_(UN)?LOCK(_SHARED|_ALL)?|SETVAL|CURRVAL|LASTVAL"
    r"|PG_(TERMINATE|CANCEL)_BACKEND|PG_RELOAD_CONF|PG_ROTATE_LOGFILE\w*|PG_PROMOTE|PG_SWITCH_WAL"
    r"|PG_CREATE_RESTORE_POINT|PG_(START|STOP)_BACKUP|PG_BACKUP_(START|STOP)|PG_WAL_REPLAY_\w+"
    r"|PG_(CREATE|DROP|COPY)_\w*REPLICATION_SLOT|PG_(LOGICAL|REPLICATION)_\w+|PG_STAT_RESET\w*"
    r"|PG_(READ|WRITE|STAT)_(BINARY_)?FILE|PG_FILE_\w+|PG_LS_\w+|LO_(IMPORT|EXPORT)|DBLINK\w*"
    r"|HTTP_(GET|POST|PUT|PATCH|DELETE)|PG_LOG_BACKEND_MEMORY_CONTEXTS"
)


def refusal(text: str) -> Objection | None:
    """Return why a query is not run, or None."""
    if unsendable := _UNSENDABLE.search(text):
        return Objection("CO003", f"the text holds {unsendable[0]!a}, which PostgreSQL cannot take")
    statements = split_statements(text)
    if len(statements) > 1:
        return None  # the engine says it: it takes one statement at a time
    words = statements[0].words if statements else ()
    if not words or words[0] not in _RUN:
        named = words[0] if words else "a text without a statement"
        return Objection("CO001", f"{named} is not rehearsed: a rollback may not take back what it does")
    for word in words:
        if _NEVER.fullmatch(word):
            return Objection(
                "CO002", f"{word.lower()}() is not rehearsed: a rollback does not take back what it does"
            )
    return None
