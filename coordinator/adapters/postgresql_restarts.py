"""Whether a session was ended with its server, which is stopped and started, or by a person who meant it.

PostgreSQL says the same of both (57P01, admin_shutdown). A server that stops lets nobody in any more, and one
that was started says when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import psycopg

from coordinator.adapters.postgresql_blockers import Connection
from coordinator.errors import DatabaseError

STARTED: Final = "pg_catalog.pg_postmaster_start_time()"
_LOOKS: Final = 2
"""The first may go over a connection that was ended as well."""


def has_restarted(beside: Callable[[], Connection], *, since: object) -> bool:
    """Tell whether the server lets nobody in, or another one answers than that which was started `since`."""
    for _ in range(_LOOKS):
        try:
            row = beside().execute(f"SELECT {STARTED}").fetchone()
        except psycopg.Error:
            continue
        except DatabaseError:
            return True
        return since is not None and row != (since,)
    return True
