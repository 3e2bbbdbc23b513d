"""What a text leaves of the session that it is sent over, and whether it is kept."""

from __future__ import annotations

import re
from typing import Any

_CALM = re.compile(
    r"\s*(?:CREATE|ALTER|DROP|INSERT|UPDATE|DELETE|COMMENT|TRUNCATE|GRANT|REVOKE)\b", re.IGNORECASE
)
"""What begins a statement after which a session is as it was."""
_LEAVES_SOMETHING = re.compile(
    r";\s*\S|\bTEMP(?:ORARY)?\b|^\s*ALTER\s+(?:SYSTEM|ROLE|USER|DATABASE)\b", re.IGNORECASE
)
"""What is several statements, makes what goes with the session, or changes what a new one begins with."""
_ASKED = r"(?:table_x?info|table_list|index_x?info|index_list|foreign_key_list|database_list)\b"
_READS = {
    "sqlite": re.compile(rf"\s*(?:SELECT|PRAGMA\s+(?:\w+\.|\"\w+\"\.)?{_ASKED})[^;]*", re.IGNORECASE),
    "mysql": re.compile(r"\s*(?:SHOW|DESCRIBE)\b[^;]*", re.IGNORECASE),
    "mariadb": re.compile(r"\s*(?:SHOW|DESCRIBE)\b[^;]*", re.IGNORECASE),
}
"""What else does, by dialect: what SQLAlchemy's inspector and a step of data ask there."""
_COMMITS = re.compile(r"\s*(?:COMMIT|END)\b", re.IGNORECASE)
_TAKES_BACK = re.compile(r"\s*(?:ROLLBACK|ABORT)\b(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b)", re.IGNORECASE)
"""A text that ends the transaction around it, as a revision sends it."""


def leaves_alone(text: str, dialect: str) -> bool:
    """Tell whether a session is certainly as it was after a text."""
    is_calm = _CALM.match(text) is not None and _LEAVES_SOMETHING.search(text) is None
    return is_calm or only_reads(text, dialect)


def only_reads(text: str, dialect: str) -> bool:
    """Tell whether a text certainly does nothing; of PostgreSQL none is known: each may call a function."""
    return dialect in _READS and _READS[dialect].fullmatch(text) is not None


def takes_back(text: str) -> bool:
    """Tell whether a text takes back the transaction around it."""
    return _TAKES_BACK.match(text) is not None


def is_for_good(text: str, connection: Any) -> bool:
    """Tell whether a text that came back, and what went before it, is committed: by its own `COMMIT`, or for
    want of a transaction.
    """
    known = getattr(getattr(connection, "info", None), "transaction_status", None)  # PostgreSQL's
    if known is not None:
        return bool(known == 0)
    return _COMMITS.match(text) is not None or commits_itself(connection)


def commits_itself(connection: Any) -> bool:
    """Tell whether a connection keeps each statement for good, as its driver says it: PEP 249 does not."""
    if hasattr(connection, "get_autocommit"):  # of MySQL, where `autocommit` is what sets it
        return bool(connection.get_autocommit())
    if hasattr(connection, "in_transaction"):  # SQLite's
        return connection.isolation_level is None and not connection.in_transaction
    return getattr(connection, "autocommit", False) is True


def driver_connection(connection: Any) -> Any:
    """Return the driver's own connection below one of SQLAlchemy, whose name for it is new in 1.4.24."""
    lent = connection.connection
    return getattr(lent, "dbapi_connection", None) or lent.connection
