"""Roles on a server of our own: made when a schema names one, and not twice when two databases make it.

Roles belong to the whole server. One that a schema names and nobody makes exists on the live server, so it is
made when the engine misses it: nobody guesses from the text who is named. One that a migration makes is there
already when the same migration is applied to a second scratch database, where its CREATE ROLE is left out.
On a server of the team nothing of this is done: what is made there would stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import psycopg
from psycopg import sql

from coordinator.errors import DatabaseError
from coordinator.evidence import StatementEvidence
from coordinator.ports.databases import Batch, LockId, Session, Target
from coordinator.sql import SqlStatement, split_statements

_UNDEFINED: Final = ("42704", "22023")
"""SQLSTATE of a role that is not there; the second is what SET ROLE says."""
_DUPLICATE: Final = "42710"
_NO_ROLE = re.compile(r'role "(.+?)" does not exist')
_ROLE_EXISTS = re.compile(r'role "(.+?)" already exists')
_MAKES_ROLE = re.compile(r"\bCREATE\s+(?:ROLE|USER|GROUP)\b", re.IGNORECASE)


def missing_role(sqlstate: str | None, message: str) -> str | None:
    """Return the role that the engine says it does not have, None if it says something else."""
    found = _NO_ROLE.search(message) if sqlstate in _UNDEFINED else None
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of a server of our own, as one of its databases sees them."""

    maintenance: psycopg.Connection[tuple[object, ...]]
    invented: set[str] = field(default_factory=set)
    """Those that were missing; the same for all databases."""
    made: set[str] = field(default_factory=set)
    """Those that migrations of this database made."""

    def copy(self) -> Roles:
        """Return the roles as a clone of the database sees them."""
        return replace(self, made=set(self.made))

    def invent(self, role: str) -> None:
        """Make a role that may not log in; one that was made meanwhile is as good."""
        self.invented.add(role)
        try:
            self.maintenance.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        except psycopg.errors.DuplicateObject:
            return

    def all(self) -> set[str]:
        """Return the names of all roles of the server."""
        return {str(name) for [name] in self.maintenance.execute("SELECT rolname FROM pg_catalog.pg_roles")}


class RoleMaking:
    """A session that mends what a batch says of roles, and sends it again; see ports.Session."""

    def __init__(self, session: Session, roles: Roles, seen: list[StatementEvidence]) -> None:
        self._session = session
        self._roles = roles
        self._seen = seen

    def target(self, table: str | None) -> Target:
        """Return what this connection is connected to."""
        return self._session.target(table)

    def relabel(self, label: str) -> None:
        """Name another step to the server."""
        self._session.relabel(label)

    def query(self, sql: str, *, within: timedelta | None = None) -> list[tuple[object, ...]]:
        """Run one query without parameters and return its rows."""
        return self._session.query(sql, within=within)

    def execute(self, batch: Batch) -> None:
        """Send a batch; what it had done when it failed for a role is not done twice."""
        makes_roles = any(_MAKES_ROLE.search(text) for text in batch.statements)
        before = self._roles.all() if makes_roles else set()
        self._execute(batch)
        if makes_roles:
            self._roles.made.update(self._roles.all() - before)

    def locked(self, lock_ids: Sequence[LockId], *, timeout: timedelta) -> AbstractContextManager[None]:
        """Hold advisory locks."""
        return self._session.locked(lock_ids, timeout=timeout)

    def _execute(self, batch: Batch) -> None:
        seen_before = len(self._seen)
        mended: set[str] = set()
        while True:
            try:
                return self._session.execute(batch)
            except DatabaseError as error:
                if error.statement is None:
                    raise
                texts = self._mended(batch.statements, error.statement, error, mended)
                if texts is None:
                    raise
                done = 0 if batch.transaction else error.statement
            if batch.transaction:
                del self._seen[seen_before:]  # it was rolled back whole
            batch = replace(batch, statements=texts[done:])

    def _mended(
        self, texts: tuple[str, ...], index: int, error: DatabaseError, mended: set[str]
    ) -> tuple[str, ...] | None:
        """Return what to send instead, None if the failure is a real one; no role is mended twice."""
        missing = missing_role(error.sqlstate, error.what)
        if missing is not None and missing not in mended:
            mended.add(missing)
            self._roles.invent(missing)
            return texts
        exists = _ROLE_EXISTS.search(error.what) if error.sqlstate == _DUPLICATE else None
        if exists is None or exists[1] in self._roles.made | self._roles.invented:
            return None
        statements = split_statements(texts[index])
        others = [each.text for each in statements if not _makes(each, exists[1])]
        if len(others) == len(statements):
            return None
        self._roles.made.add(exists[1])
        return (*texts[:index], "\n".join(others), *texts[index + 1 :])


def _makes(statement: SqlStatement, role: str) -> bool:
    if _MAKES_ROLE.match(" ".join(statement.words)) is None:
        return False
    return role.upper() in statement.words or f'"{role}"' in statement.text
