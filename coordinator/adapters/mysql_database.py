"""A database on MySQL or MariaDB: one connection a step. Two keys of a plan, one implementation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial

from coordinator.adapters import mysql_url
from coordinator.adapters.mysql_session import MysqlSession
from coordinator.model import Engine
from coordinator.secret import Secret


class MysqlDatabase:
    """A database of the plan; see ports.Database."""

    def __init__(self, url: Secret, engine: Engine, *, lock_timeout: timedelta) -> None:
        self._url = url
        self._engine = engine
        self._lock_timeout = lock_timeout

    @contextmanager
    def session(self, *, label: str) -> Iterator[MysqlSession]:
        """Connect for one step; the server has `label` as the connection attribute program_name."""
        secrets = mysql_url.shown_by(self._url)
        connect = partial(mysql_url.connect, self._url, label=label)
        with closing(connect()) as connection:
            yield MysqlSession(
                connection,
                self._engine,
                connect_again=connect,
                secrets=secrets,
                lock_timeout=self._lock_timeout,
            )
