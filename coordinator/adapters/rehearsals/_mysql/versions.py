"""How often a table of MySQL can still get or lose a column in an instant.

Each time InnoDB keeps one more version of its rows, and begins again when they are all written anew. It has
room for 64 of them, from 9.1 on for 255 (MySQL 9.1 Reference Manual 17.12.1; measured on 9.7.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coordinator.adapters.rehearsals._mysql.settings import traits_of
from coordinator.errors import DatabaseError
from coordinator.ports.databases import Session

_MOST: Final = 255
_MOST_BEFORE: Final = 64
_SINCE: Final = (9, 1)
_READ: Final = """
SELECT SUBSTRING_INDEX(name, '/', -1), total_row_versions FROM information_schema.innodb_tables
WHERE SUBSTRING_INDEX(name, '/', 1) = DATABASE()
"""
"""Partitions, and names with odd characters, have names of their own here, and are not found."""


def changes_left(session: Session) -> Mapping[str, int]:
    """Return it by the names of tables; nothing where the server does not count, or does not tell us."""
    [[version]] = session.query("SELECT VERSION()")
    numbers = tuple(map(int, traits_of(str(version)).series))
    most = _MOST if numbers >= _SINCE else _MOST_BEFORE
    try:
        rows = session.query(_READ)
    except DatabaseError:  # before 8.0.29 nothing is counted, and to look one needs PROCESS
        return {}
    return {str(name): most - int(str(used)) for name, used in rows}
