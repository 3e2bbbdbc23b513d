"""What the live version was seen to ask, from PostgreSQL's own statistics, by the role that asked.

The extension keeps a few thousand statements and forgets the rarest, so this is what was asked lately and
never all that can be asked. It speaks for the live version alone. Without a role it says nothing: other
services' statements would be taken for this one's, and those of migrations, which fail after the next one.

Source: the PostgreSQL manual, F.30 pg_stat_statements: `toplevel` since 14; constants are `$n` there already;
`pg_stat_statements.track_utility` adds what is no query.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from coordinator.adapters.queries._reading.observed import queries_among
from coordinator.diagnostics import Place
from coordinator.errors import Usage
from coordinator.fields import QuerySettings
from coordinator.model import Engine, Role
from coordinator.ports.databases import Session
from coordinator.queries import Catalogue
from coordinator.query_ports import QuerySource, Wanted
from coordinator.sql import literal

_READ = """
SELECT s.query FROM {view} s
WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND s.userid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {role}) AND s.calls >= {calls}
ORDER BY s.queryid, s.query
"""
_VIEW = """
SELECT quote_ident(n.nspname) || '.pg_stat_statements' FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'
"""
_HIDDEN = "<insufficient privilege>"
"""What PostgreSQL shows of another role's statement to who may not read it."""


class StatisticsSettings(QuerySettings):
    """What to take from the statistics."""

    role: str | None = Field(
        default=None,
        description="The database role whose statements these are. Without it: the service's "
        "`database_role`.",
    )
    min_calls: int = Field(
        default=1, ge=1, description="Leave out what was asked less often, such as what people typed."
    )


class Statistics:
    """The source `pg-stat-statements`."""

    spec: type = StatisticsSettings
    roles: frozenset[Role] = frozenset({Role.LIVE})

    def is_versioned(self, spec: object) -> bool:  # noqa: ARG002
        """Tell that the statistics have no version in their settings."""
        return False

    def read(self, spec: object, wanted: Wanted) -> Catalogue:
        """Return the queries that the live database was asked.

        Raises: Usage or DatabaseError where it cannot be asked or does not keep statistics.
        """
        assert isinstance(spec, StatisticsSettings)
        if wanted.engine is not Engine.POSTGRESQL:
            raise _no_statistics("Only PostgreSQL keeps them.", next_step=_ANOTHER_SOURCE)
        if wanted.session is None:
            raise _no_statistics("A review asks nothing that is live.", next_step=_ANOTHER_SOURCE)
        role = spec.role or wanted.database_role
        if role is None:
            raise _no_statistics("Nothing says which database role is the service's.")
        with wanted.session() as session:
            texts = [str(row[0]) for row in session.query(_query(session, spec, role))]
        if _HIDDEN in texts:
            raise _no_statistics("The user of the plan's URL may not read other roles' statements.")
        seen = ((text, Place("pg_stat_statements")) for text in texts)
        queries = queries_among(seen, wanted.engine, cut_off="the server kept only its beginning")
        return Catalogue(f"pg_stat_statements of {role}", tuple(queries))


def _query(session: Session, spec: StatisticsSettings, role: str) -> str:
    found = session.query(_VIEW)
    if not found:
        raise _no_statistics("The extension pg_stat_statements is not in this database.")
    return _READ.format(view=found[0][0], calls=spec.min_calls, role=literal(role))


_TO_READ_THEM = (
    "Set `database_role:`, run CREATE EXTENSION pg_stat_statements, or grant pg_read_all_stats to the user of"
    " the plan's URL."
)
_ANOTHER_SOURCE = "Give the queries by another source, for example `{sql: queries}`."


def _no_statistics(what: str, *, next_step: str = _TO_READ_THEM) -> Usage:
    return Usage(
        "no-statistics",
        f"There are no statistics of statements: {what}",
        why="They would say what the live version asks.",
        next_step=next_step,
    )


QUERIES: Final[QuerySource] = Statistics()
