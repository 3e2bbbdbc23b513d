"""The server that a rehearsal works on, whosever it is, and what is to be said about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from coordinator.adapters.rehearsals._postgresql.binaries import major_of, server_binaries
from coordinator.adapters.rehearsals._postgresql.live import version_of
from coordinator.adapters.rehearsals._postgresql.own_server import own_server
from coordinator.adapters.rehearsals._postgresql.scratch import ScratchDatabase, ScratchServer, connected
from coordinator.adapters.rehearsals._postgresql.team_server import drop_abandoned, refuse_unable
from coordinator.adapters.rehearsals._scratch.lost import server_lost
from coordinator.ports.databases import Session
from coordinator.rehearsal_ports import RehearsalServer
from coordinator.secret import Secret

_LOST: Final = ("08", "57P")
"""The classes of connections that are lost, and of a server that ends."""
_STARTED = "SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text"
"""To the microsecond, and anybody may ask; a server shares its system identifier with its copies."""


class PostgresqlServer:
    """A place for scratch databases; see rehearsal_ports.RehearsalServer."""

    def __init__(self, scratch: ScratchServer, *, version: str, doubt: str | None) -> None:
        self._scratch = scratch
        self.version = version
        self.notes: tuple[str, ...] = ()
        self.doubt = doubt

    @contextmanager
    def database(self, dump: str | None = None) -> Iterator[ScratchDatabase]:
        """Make a scratch database, empty or with the schema of a dump; it is removed at the end."""
        with self._scratch.database() as database:
            if dump is not None:
                left_out = database.restore(dump)
                self.notes += tuple(clause for clause in left_out if clause not in self.notes)
            yield database


def is_same_server(url: Secret, session: Session) -> bool:
    """Tell whether a URL and a session lead to one server, by whatever host, user or database.

    Raises: Usage `bad-database-url`, DatabaseError `database-unreachable`.
    """
    with connected(url) as connection:
        return connection.execute(_STARTED).fetchall() == session.query(_STARTED)


@contextmanager
def server(url: Secret | None, live_version: str | None) -> Iterator[RehearsalServer]:
    """Connect to the team's server at `url`, or start one of our own."""
    try:
        with _reached(url, live_version) as reached:
            yield reached
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if error.sqlstate is not None and not error.sqlstate.startswith(_LOST):
            raise
        raise server_lost(error) from error


@contextmanager
def _reached(url: Secret | None, live_version: str | None) -> Iterator[RehearsalServer]:
    if url is not None:
        with connected(url) as maintenance:
            refuse_unable(maintenance)
            drop_abandoned(maintenance)
            yield _server(ScratchServer(url, maintenance, is_ours=False), live_version)
        return
    with own_server(server_binaries(live_version)) as own, connected(Secret(own)) as maintenance:
        yield _server(ScratchServer(Secret(own), maintenance, is_ours=True), live_version)


def _server(scratch: ScratchServer, live_version: str | None) -> PostgresqlServer:
    """Return the server; its minor version may be another one, for SQL is the same in all of a major version
    (PostgreSQL's versioning policy: a minor release contains fixes alone).
    """
    version = version_of(scratch.server_version)
    differs = live_version is not None and major_of(live_version) != major_of(version)
    doubt = (
        f"{version} was asked, and the live server is {live_version}: what one major version accepts the"
        " other may refuse"
    )
    return PostgresqlServer(scratch, version=version, doubt=doubt if differs else None)
