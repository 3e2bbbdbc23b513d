"""Scratch databases on a server of the team: whose they are, and which of them nobody wants any more.

A database's owner holds an advisory lock under its name, on the connection that made it, for as long as it
wants it; the server lets go of the lock when that connection ends, however it ends. The lock is taken before
the database is made, and a name is never used twice, so a database without the lock is nobody's. Advisory
locks belong to the database that their holder is connected to, so they are looked up in pg_locks, which
shows those of all databases, and not tried.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import psycopg
from psycopg import sql

from coordinator.errors import Usage

PREFIX: Final = "coordinator_rehearsal_"
_OLDEST = 130000
"""DROP DATABASE … WITH (FORCE) came with 13."""
_OURS = """
SELECT datname FROM pg_catalog.pg_database
WHERE starts_with(datname, %s) AND pg_catalog.pg_has_role(datdba, 'MEMBER')
"""
_LOCKS = """
SELECT (classid::int8 << 32) | objid::int8 FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND objsubid = 1 AND granted
"""


def lock_of(database: str) -> int:
    """Return the advisory lock that stands for a database's name, as bigint."""
    return int.from_bytes(sha256(database.encode()).digest()[:8], "big", signed=True)


def drop_abandoned(maintenance: psycopg.Connection[tuple[object, ...]]) -> None:
    """Drop each scratch database of ours whose owner is gone."""
    # The locks last: a database that is made in between is not in the list yet.
    databases = [str(name) for [name] in maintenance.execute(_OURS, [PREFIX])]
    held = {int(str(lock)) for [lock] in maintenance.execute(_LOCKS)} if databases else set()
    for name in databases:
        if lock_of(name) not in held:
            drop(maintenance, name)


def drop(maintenance: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    """Drop a database, whoever is connected to it; harmless when it is gone."""
    maintenance.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def refuse_unable(maintenance: psycopg.Connection[tuple[object, ...]]) -> None:
    """Check that scratch databases can be made here. Raises: Usage `rehearsal-server-unfit`."""
    if maintenance.info.server_version < _OLDEST:
        raise _unfit("it is older than PostgreSQL 13")
    [[in_recovery, may_create]] = maintenance.execute(
        "SELECT pg_catalog.pg_is_in_recovery(), rolcreatedb OR rolsuper FROM pg_catalog.pg_roles"
        " WHERE rolname = current_user"
    ).fetchall()
    if in_recovery:
        raise _unfit("it is a standby, where nothing can be made")
    if not may_create:
        raise _unfit(f"its role `{maintenance.info.user}` may not make databases")


def _unfit(why: str) -> Usage:
    return Usage(
        "rehearsal-server-unfit",
        f"The server of the plan's `rehearsal: {{url: …}}` cannot be used: {why}.",
        next_step="Give the role CREATEDB (`ALTER ROLE … CREATEDB`), name another server, or leave the url"
        " out: a server of this machine is used then.",
    )
