r"""Fill a scratch database with the schema of a dump, without psql and whoever its owners are.

A dump of pg_dump's plain format is SQL but for psql's own lines (`\restrict` since the releases of August
2025), which are left out. Roles are no part of it: a server of our own gets those that it names; on a server
of the team, statements about roles that it does not have, or that we may not become, are left out, and said.
"""

from __future__ import annotations

import re

import psycopg

from coordinator.adapters.postgresql_refusals import message_of
from coordinator.adapters.rehearsals._postgresql.roles import Roles, missing_role
from coordinator.errors import DatabaseError
from coordinator.sql import split_statements

_COMMENTS = re.compile(r"\A(?:--.*\n|\s)+")
_OF_OWNER = re.compile(r"ALTER (?:[^;]* OWNER TO|DEFAULT PRIVILEGES FOR ROLE) (\"[^\"]+\"|\w+)")
"""How pg_dump makes a role an owner, or acts for one."""
_PSQL = re.compile(r"^\\(?:un)?restrict\b.*$", re.MULTILINE)


def restore(
    connection: psycopg.Connection[tuple[object, ...]], dump: str, roles: Roles | None
) -> tuple[str, ...]:
    """Run a dump; return a clause for each role whose statements were left out, if roles may not be made.

    Raises: DatabaseError `dump-not-restored`.
    """
    left_out: dict[str, None] = {}
    for statement in split_statements(_PSQL.sub("", dump)):
        clause = _run(connection, _COMMENTS.sub("", statement.text), roles)
        if clause is not None:
            left_out[clause] = None
    connection.execute("RESET ALL")  # a dump empties search_path for its own session
    return tuple(left_out)


def _run(connection: psycopg.Connection[tuple[object, ...]], text: str, roles: Roles | None) -> str | None:
    made: set[str] = set()
    while True:
        try:
            connection.execute(text)
        except psycopg.Error as error:
            role = missing_role(error.sqlstate, str(error))
            if roles is None and (clause := _left_out(role, error, text)):
                return clause
            if roles is None or role is None or role in made:
                raise _not_restored(error, text) from error
            made.add(role)
            roles.invent(role)
        else:
            return None


def _left_out(missing: str | None, error: psycopg.Error, text: str) -> str | None:
    """Return a clause where a server of the team lacks a role, or does not let us act for it; else None."""
    if missing is not None:
        return f"the server has no role `{missing}`, so what the dump grants it was left out"
    owner = _OF_OWNER.match(text) if isinstance(error, psycopg.errors.InsufficientPrivilege) else None
    if owner is None:
        return None
    return f"we may not act for the server's role `{owner[1]}`, so what the dump gives it was left out"


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
