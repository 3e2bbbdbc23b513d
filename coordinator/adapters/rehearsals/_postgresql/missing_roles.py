"""Roles that a schema names and a server of our own does not have: made when the engine misses one.

Nobody guesses from the text who is named: the statement is sent, and the engine says which role it wants.
On a server of the team nothing is made, because roles belong to the whole server and would stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta

import psycopg
from psycopg import sql

from coordinator.errors import DatabaseError
from coordinator.evidence import StatementEvidence
from coordinator.ports import Batch, Session, Target

_UNDEFINED_OBJECT = "42704"
_INVALID_PARAMETER_VALUE = "22023"
"""What SET ROLE says."""
_NO_ROLE = re.compile(r'role "(.+?)" does not exist')


def missing_role(sqlstate: str | None, message: str) -> str | None:
    """Return the role that the engine says it does not have, None if it says something else."""
    if sqlstate not in (_UNDEFINED_OBJECT, _INVALID_PARAMETER_VALUE):
        return None
    found = _NO_ROLE.search(message)
    return found[1] if found else None


def make_role(maintenance: psycopg.Connection[tuple[object, ...]], role: str) -> None:
    """Make a role that may not log in; one that another session has just made is as good."""
    try:
        maintenance.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    except psycopg.errors.DuplicateObject:
        return


class RoleMaking:
    """A session that makes the role that a batch misses and sends the batch again; see ports.Session."""

    def __init__(self, session: Session, make: Callable[[str], None], seen: list[StatementEvidence]) -> None:
        self._session = session
        self._make = make
        self._seen = seen

    def target(self, table: str | None) -> Target:
        """Return what this connection is connected to."""
        return self._session.target(table)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Run one query without parameters and return its rows."""
        return self._session.query(sql)

    def execute(self, batch: Batch) -> None:
        """Send a batch; what it had done when a role was missing is not done twice."""
        made: set[str] = set()
        seen_before = len(self._seen)
        while True:
            try:
                return self._session.execute(batch)
            except DatabaseError as error:
                role = missing_role(error.sqlstate, error.what)
                if role is None or role in made or error.statement is None:
                    raise
                made.add(role)
                self._make(role)
                if batch.transaction:
                    del self._seen[seen_before:]  # it was rolled back whole
                else:
                    batch = Batch(batch.statements[error.statement :], transaction=False)

    def locked(self, lock_ids: Sequence[int], *, timeout: timedelta) -> AbstractContextManager[None]:
        """Hold advisory locks."""
        return self._session.locked(lock_ids, timeout=timeout)
