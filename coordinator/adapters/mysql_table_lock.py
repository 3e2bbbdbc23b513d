"""goose's lock in a table, held from outside: a row kept locked by a transaction of a connection of its own.

goose's library can lock by a row of `goose_lock` with a lease that its process renews (v3.29.0, lock/mysql.go
and lock/internal/store/mysql.go); its command line does not. Whoever asks for that lock writes the row first,
so a transaction that holds the row keeps them waiting, and ends with its process: there is no lease to renew
and none to expire under a migration that takes long. The connection is another one, because a change of the
schema would commit the transaction. The table is never made here: where it is not, nobody locks by it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pymysql
from pymysql.connections import Connection

from coordinator.errors import Waiting
from coordinator.ports.databases import TableLock

_POLL_SECONDS = 0.1
KEPT_SECONDS = 2147483
"""The longest `wait_timeout` of every platform: who holds a lock between two steps is not ended."""
_KEEP = (
    f"SET SESSION wait_timeout = {KEPT_SECONDS}"
    " /*M!100300 , idle_transaction_timeout = 0, idle_write_transaction_timeout = 0 */"
)
"""What stands in the comment is for MariaDB from 10.3 on: it ends who is idle in a transaction, as we are."""
_BUSY = frozenset({1205, 3572})
"""ER_LOCK_WAIT_TIMEOUT (MariaDB's answer to NOWAIT), ER_LOCK_NOWAIT."""


def is_there_query(lock: TableLock) -> str:
    """Return a query with a row if the lock's table exists; where it does not, there is nothing to hold."""
    return (
        "SELECT 1 FROM information_schema.tables"  # noqa: S608 - the name is a hook's
        f" WHERE table_schema = DATABASE() AND table_name = '{lock.table}'"
    )


@contextmanager
def held(connection: Connection, lock: TableLock, *, deadline: float) -> Iterator[None]:
    """Hold the lock until the block ends. Raises: Waiting `migration-lock-held`; pymysql.Error."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP)
    while (holder := _holder_or_take(connection, lock)) is not None:
        if time.monotonic() >= deadline:
            raise _lock_held(lock, holder)
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        with suppress(pymysql.Error):  # a lost connection has lost its transaction as well
            connection.rollback()


def _holder_or_take(connection: Connection, lock: TableLock) -> str | None:
    """Take the row and return None, or return who has it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION")
            cursor.execute(
                f"SELECT locked AND lease_expires_at > NOW(6), locked_by FROM {lock.table}"  # noqa: S608
                f" WHERE lock_id = {lock.lock_id} FOR UPDATE NOWAIT"
            )
            rows = cursor.fetchall()
            if not rows:
                cursor.execute(f"INSERT INTO {lock.table} (lock_id, locked) VALUES ({lock.lock_id}, true)")  # noqa: S608
            elif rows[0][0]:
                connection.rollback()
                return str(rows[0][1])
    except pymysql.Error as error:
        connection.rollback()
        if error.args[0] not in _BUSY:
            raise
        return "a session that has the row"
    return None


def _lock_held(lock: TableLock, holder: str) -> Waiting:
    return Waiting(
        "migration-lock-held",
        f"Another program holds goose's lock in the table `{lock.table}`: {holder}.",
        why="Two migrations of one database at a time would both apply the same version.",
        next_step="Wait until it is done, or its lease is over (30 seconds after it died), and run again.",
    )
