"""Whether it is sample rows that made a migration fail, and of them their values. Pure."""

from __future__ import annotations

import re
from typing import Final

from coordinator.errors import DatabaseError

_NULL_NOT_ALLOWED: Final = "22004"
_OF_ROWS: Final = (
    "constraint failed",
    "cannot store",
    "malformed JSON",
    "Cannot add a NOT NULL column with default value NULL",
    "Cannot add a column with non-constant default",
)
"""What SQLite, which has no classes, says of rows; the last two of any, and neither of an empty table."""
_OF_VALUES: Final = ("cannot store TEXT value", "malformed JSON")
_CHECKED: Final = "23514"
_OF_CHECKS: Final = re.compile(
    r"CHECK constraint failed|Check constraint .* is violated|CONSTRAINT .* failed for"
)
"""What SQLite, MySQL and MariaDB say, which have no class of their own for it."""


def is_of_rows(error: DatabaseError) -> bool:
    """Tell whether rows made a migration fail: a value (class 22) or a rule (class 23) that refuses them.

    Of a program nobody knows why it failed.
    """
    of_rows = (error.sqlstate or "")[:2] in ("22", "23") or any(each in error.what for each in _OF_ROWS)
    return of_rows or error.code == "program-failed"


def is_of_values(error: DatabaseError) -> bool:
    """Tell whether a value cannot be read as what it should be."""
    by_class = (error.sqlstate or "").startswith("22") and error.sqlstate != _NULL_NOT_ALLOWED
    return by_class or any(each in error.what for each in _OF_VALUES)


def is_of_checks(error: DatabaseError) -> bool:
    """Tell whether a row does not meet a CHECK: another row may."""
    return error.sqlstate == _CHECKED or _OF_CHECKS.search(error.what) is not None
