"""Rehearse on PostgreSQL: a server of our own for one command, or scratch databases on the team's.

The server is as much like the live one as this machine allows; where the major version differs, every
verdict says so. What does the work is in _postgresql, and imported when a rehearsal begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Final

from coordinator.evidence import Change
from coordinator.model import Layer
from coordinator.ports.databases import Session
from coordinator.rehearsal_ports import RehearsalEngine, RehearsalServer, RowQuery
from coordinator.secret import Secret


class PostgresqlRehearsal:
    """The engine `postgresql`; see rehearsal_ports.RehearsalEngine."""

    layers = frozenset(Layer)

    def server(
        self, *, url: Secret | None, live_version: str | None
    ) -> AbstractContextManager[RehearsalServer]:
        """Find or start a server. Raises: Usage or DatabaseError where there is none to rehearse on."""
        from coordinator.adapters.rehearsals._postgresql.server import server  # noqa: PLC0415

        return server(url, live_version)

    def identity(self, *, live_version: str | None) -> str | None:
        """Return the programs, their extensions and what else reaches a server of our own."""
        from coordinator.adapters.rehearsals._postgresql.identity import identity  # noqa: PLC0415

        return identity(live_version)

    def is_live_server(self, url: Secret, session: Session) -> bool:
        """Compare when the two servers were started, which no two share."""
        from coordinator.adapters.rehearsals._postgresql.server import is_same_server  # noqa: PLC0415

        return is_same_server(url, session)

    def live_version(self, session: Session) -> str:
        """Return the version of the live server."""
        from coordinator.adapters.rehearsals._postgresql.live import live_version  # noqa: PLC0415

        return live_version(session)

    def has_sql_of(self, version: str, live_version: str) -> bool:
        """Compare the major versions."""
        from coordinator.adapters.rehearsals._postgresql.binaries import major_of  # noqa: PLC0415

        return major_of(version) == major_of(live_version)

    def live_catalogue(self, session: Session) -> Mapping[str, str]:
        """Return the live schema as the scratch database's `catalogue` writes it."""
        from coordinator.adapters.rehearsals._postgresql.catalogue import (  # noqa: PLC0415
            QUERY,
            catalogue_from,
        )

        return catalogue_from(session.query(QUERY))

    def live_sizes(self, session: Session) -> Mapping[str, int]:
        """Return the size of each live table."""
        from coordinator.adapters.rehearsals._postgresql.live import live_sizes  # noqa: PLC0415

        return live_sizes(session)

    def live_changes_left(self, session: Session) -> Mapping[str, int]:  # noqa: ARG002 - see the port
        """Return nothing: PostgreSQL counts no changes."""
        return {}

    def rows_against(self, change: Change) -> RowQuery | None:
        """Return what finds the rows that a change does not bear."""
        from coordinator.adapters.rehearsals._postgresql.row_queries import rows_against  # noqa: PLC0415

        return rows_against(change)

    def dump(self, url: Secret) -> str:
        """Return the live schema as SQL."""
        from coordinator.adapters.rehearsals._postgresql.live import dump  # noqa: PLC0415

        return dump(url)


REHEARSAL: Final[RehearsalEngine] = PostgresqlRehearsal()
