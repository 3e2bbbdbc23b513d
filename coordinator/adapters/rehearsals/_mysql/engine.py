"""The engines `mysql` and `mariadb` of a plan; see rehearsal_ports.RehearsalEngine.

The layer `session` stays out: both prepare a statement anew by themselves when a table of it has changed
(measured on MariaDB 10.11, in tests/integration/test_rehearsal_mariadb.py), so an open session meets what a
new one meets.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from coordinator.evidence import Change
from coordinator.model import Engine, Layer
from coordinator.ports.databases import Session
from coordinator.rehearsal_ports import RehearsalServer, RowQuery
from coordinator.secret import Secret


class MysqlRehearsal:
    """One of the two, which is `engine`; the other may stand in for it, and then nothing is proven."""

    layers = frozenset({Layer.PREPARE, Layer.DESCRIBE, Layer.PLAN, Layer.EXECUTE, Layer.RESULT})

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def server(
        self, *, url: Secret | None, live_version: str | None
    ) -> AbstractContextManager[RehearsalServer]:
        """Find or start a server. Raises: Usage or DatabaseError where there is none to rehearse on."""
        from coordinator.adapters.rehearsals._mysql.server import server  # noqa: PLC0415

        return server(self._engine, url=url, live_version=live_version)

    def identity(self, *, live_version: str | None) -> str | None:
        """Return the program, whose settings are ours and the live server's (those are in its version)."""
        from coordinator.adapters.rehearsals._mysql.programs import server_program  # noqa: PLC0415

        return server_program(self._engine, live_version).identity

    def is_live_server(self, url: Secret, session: Session) -> bool:
        """Compare what two servers share only if they are one."""
        from coordinator.adapters.rehearsals._mysql.server import is_same_server  # noqa: PLC0415

        return is_same_server(url, session)

    def live_version(self, session: Session) -> str:
        """Return name and version of the live server, and its settings that answers depend on."""
        from coordinator.adapters.rehearsals._mysql.settings import live_version  # noqa: PLC0415

        return live_version(session)

    def has_sql_of(self, version: str, live_version: str) -> bool:
        """Compare the kind, the series, and in MySQL 8.0 the version."""
        from coordinator.adapters.rehearsals._mysql.settings import traits_from  # noqa: PLC0415

        said, live = traits_from(version), traits_from(live_version)
        return said is not None and live is not None and said.has_sql_of(live)

    def live_catalogue(self, session: Session) -> Mapping[str, str]:
        """Return the live schema as the scratch database's `catalogue` writes it."""
        from coordinator.adapters.rehearsals._mysql.catalogue import catalogue  # noqa: PLC0415
        from coordinator.adapters.rehearsals._mysql.schema import read_schema  # noqa: PLC0415

        return catalogue(read_schema(session.query))

    def live_sizes(self, session: Session) -> Mapping[str, int]:
        """Return the bytes of each live table with its indexes, as the server estimates them."""
        rows = session.query(
            "SELECT table_name, data_length + index_length FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND data_length IS NOT NULL"
        )
        return {str(name): int(str(size)) for name, size in rows}

    def live_changes_left(self, session: Session) -> Mapping[str, int]:
        """Return it on MySQL from 8.0.29 on, for a user who has PROCESS; nothing else is told."""
        from coordinator.adapters.rehearsals._mysql.versions import changes_left  # noqa: PLC0415

        return changes_left(session) if self._engine is Engine.MYSQL else {}

    def rows_against(self, change: Change) -> RowQuery | None:
        """Return what finds the rows that a change does not bear."""
        from coordinator.adapters.rehearsals._mysql.row_queries import rows_against  # noqa: PLC0415

        return rows_against(change)

    def dump(self, url: Secret) -> str:
        """Return the live schema as SQL, from what the server itself says of each thing (SHOW CREATE)."""
        from coordinator.adapters.mysql_database import MysqlDatabase  # noqa: PLC0415
        from coordinator.adapters.rehearsals._mysql.copying import DUMP_SECONDS, dump_of  # noqa: PLC0415

        database = MysqlDatabase(url, self._engine, lock_timeout=DUMP_SECONDS)
        with database.session(label="coordinator rehearsal") as session:
            return dump_of(session.query)
