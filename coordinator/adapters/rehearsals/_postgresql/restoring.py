r"""Fill a scratch database with the schema of a dump, without psql and whoever its owners are.

A dump of pg_dump's plain format is SQL but for psql's own lines (`\restrict` since the releases of August
2025), which are left out. Roles are no part of it: a server of our own gets those that it names; on a server
of the team, statements about roles that it does not have are left out, and said.
"""

from __future__ import annotations

import re

import psycopg

from coordinator.adapters.postgresql_session import message_of
from coordinator.adapters.rehearsals._postgresql.roles import Roles, missing_role
from coordinator.errors import DatabaseError
from coordinator.sql import split_statements

_PSQL = re.compile(r"^\\(?:un)?restrict\b.*$", re.MULTILINE)


def restore(
    connection: psycopg.Connection[tuple[object, ...]], dump: str, roles: Roles | None
) -> tuple[str, ...]:
    """Run a dump; return a clause for each role whose statements were left out, if roles may not be made.

    Raises: DatabaseError `dump-not-restored`.
    """
    missing: dict[str, None] = {}
    for statement in split_statements(_PSQL.sub("", dump)):
        role = _run(connection, statement.text, roles)
        if role is not None:
            missing[role] = None
    connection.execute("RESET ALL")  # a dump empties search_path for its own session
    return tuple(
        f"the server has no role `{role}`, so what the dump grants it was left out" for role in missing
    )


def _run(connection: psycopg.Connection[tuple[object, ...]], text: str, roles: Roles | None) -> str | None:
    made: set[str] = set()
    while True:
        try:
            connection.execute(text)
        except psycopg.Error as error:
            role = missing_role(error.sqlstate, str(error))
            if role is None or role in made:
                raise _not_restored(error, text) from error
            if roles is None:
                return role
            made.add(role)
            roles.invent(role)
        else:
            return None


def _not_restored(error: psycopg.Error, text: str) -> DatabaseError:
    beginning = " ".join(text.split())[:80]
    return DatabaseError(
        "dump-not-restored",
        f"The rehearsal's server refused a statement of the live schema's dump: {message_of(error)}.",
        why=f"The statement begins `{beginning}`.",
        next_step="Install what the live server has (an extension, a collation), or rehearse on the files:"
        " `base: replay`.",
        sqlstate=error.sqlstate,
    )
