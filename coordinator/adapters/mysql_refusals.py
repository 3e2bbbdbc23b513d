"""What MySQL and MariaDB mean by the number of an error. Pure."""

from __future__ import annotations

from typing import Final

from coordinator.adapters.batches import DISK_FULL, NEEDS_A_RIGHT, NO_RIGHT, as_read_only
from coordinator.adapters.mysql_lock_waits import CUT_SHORT
from coordinator.errors import DatabaseError

_BUSY: Final = frozenset({1020, 1205, 1213, 3572})
"""ER_CHECKREAD (a row changed since: MariaDB with innodb_snapshot_isolation), ER_LOCK_WAIT_TIMEOUT,
ER_LOCK_DEADLOCK, ER_LOCK_NOWAIT: the statement did nothing, later it may work."""
_READ_ONLY: Final = frozenset({1792, 1836})
"""ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, MySQL's ER_READ_ONLY_MODE."""
_PREVENTED: Final = 1290
_BY_OPTION: Final = "-read-only"
"""ER_OPTION_PREVENTS_STATEMENT, and what each language has of `--read-only` and `--super-read-only`."""
_TOO_LONG: Final = frozenset({1969, 3024})
"""MariaDB's ER_STATEMENT_TIMEOUT, MySQL's ER_QUERY_TIMEOUT, which limits queries alone."""
_DENIED: Final = (1044, 1142, 1143, 1227, 1370)
"""ER_…ACCESS_DENIED_ERROR of a database, a table, a column, a right of its own, a routine."""
_STATES: Final = {
    **dict.fromkeys(_DENIED, NO_RIGHT),
    1021: DISK_FULL,  # ER_DISK_FULL
    1048: "23000",  # ER_BAD_NULL_ERROR
    1062: "23000",  # ER_DUP_ENTRY
    1114: DISK_FULL,  # ER_RECORD_FILE_FULL
    1138: "22004",  # ER_INVALID_USE_OF_NULL
    1216: "23000",  # ER_NO_REFERENCED_ROW, of an account that may not see the other table
    1217: "23000",  # ER_ROW_IS_REFERENCED, the same
    1264: "22003",  # ER_WARN_DATA_OUT_OF_RANGE
    1265: "22000",  # ER_WARN_DATA_TRUNCATED
    1292: "22007",  # ER_TRUNCATED_WRONG_VALUE
    1317: CUT_SHORT,  # ER_QUERY_INTERRUPTED
    1365: "22012",  # ER_DIVISION_BY_ZERO
    1366: "22000",  # ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
    1406: "22001",  # ER_DATA_TOO_LONG
    1411: "22000",  # ER_WRONG_VALUE_FOR_TYPE
    1416: "22003",  # ER_CANT_CREATE_GEOMETRY_OBJECT
    1441: "22008",  # ER_DATETIME_FUNCTION_OVERFLOW
    1451: "23000",  # ER_ROW_IS_REFERENCED_2
    1452: "23000",  # ER_NO_REFERENCED_ROW_2
    1526: "22000",  # ER_NO_PARTITION_FOR_GIVEN_VALUE
    1690: "22003",  # ER_DATA_OUT_OF_RANGE
    3037: "22023",  # MySQL's ER_GIS_INVALID_DATA
    3140: "22032",  # MySQL's ER_INVALID_JSON_TEXT
    3141: "22032",  # MySQL's ER_INVALID_JSON_TEXT_IN_PARAM
    3156: "22018",  # MySQL's ER_INVALID_JSON_VALUE_FOR_CAST
    3819: "23000",  # MySQL's ER_CHECK_CONSTRAINT_VIOLATED
    3903: "22018",  # MySQL's ER_INVALID_JSON_VALUE_FOR_FUNC_INDEX
    4025: "23000",  # MariaDB's ER_CONSTRAINT_FAILED
    4038: "22032",  # MariaDB's ER_JSON_SYNTAX
}
"""SQLSTATE of the errors that somebody tells apart: the driver drops what the server sent, and that is HY000
for some by which rows refuse a statement, and not what the standard has. Classes 22 and 23 are errors of
rows: with others than a rehearsal's sample the statement may work."""
KILLED: Final = 1927
"""MariaDB's ER_CONNECTION_KILLED."""
LOST: Final = frozenset({1053, KILLED, 2006, 2013, 2055})
"""ER_SERVER_SHUTDOWN, what an administrator ends, and the client's words for one that is gone."""


def refusal_from(
    number: int, message: str, *, statement: int | None, position: int | None, committed: int, is_first: bool
) -> DatabaseError:
    """Return an error of the server by its number; `is_first`: nothing of its text was answered before it."""
    is_busy = number in _BUSY
    lacks = NEEDS_A_RIGHT if number in _DENIED else ""
    refusal = DatabaseError(
        "lock-timeout" if is_busy else "statement-failed",
        f"The database refused a statement: {message}.",
        why=f"Error {number}." if number else "",
        next_step="Run the command again when the table is less busy." if is_busy else lacks,
        statement=statement,
        position=position,
        committed=committed,
        is_busy=is_busy and committed == 0 and is_first,
        sqlstate=_STATES.get(number),
        took_too_long=number in _TOO_LONG,
    )
    is_read_only = number in _READ_ONLY or (number == _PREVENTED and _BY_OPTION in message)
    return as_read_only(refusal) if is_read_only else refusal
