"""A database on MySQL or MariaDB: one connection a step. Two keys of a plan, one implementation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from typing import Final

from coordinator.adapters import mysql_url
from coordinator.adapters.mysql_session import MysqlSession
from coordinator.errors import Usage
from coordinator.model import Engine
from coordinator.secret import Secret

_NAMES: Final = {Engine.MARIADB: "MariaDB", Engine.MYSQL: "MySQL"}


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
            session = MysqlSession(
                connection,
                self._engine,
                connect_again=connect,
                secrets=secrets,
                lock_timeout=self._lock_timeout,
            )
            self._refuse_the_other(session)
            yield session

    def _refuse_the_other(self, session: MysqlSession) -> None:
        """Believe the server and not the plan. Raises: Usage `other-engine`.

        The greeting may come from a proxy that claims a version of its own, so the server is asked, in the
        breath in which the session learns its database.
        """
        said = session.server()
        found = Engine.MARIADB if "mariadb" in said.lower() else Engine.MYSQL
        if found is not self._engine:
            raise Usage(
                "other-engine",
                f"The plan calls this database {_NAMES[self._engine]}, and the server is {_NAMES[found]}.",
                why=f"It says of itself: {said}.",
                next_step=f"Write `engine: {found}` in the plan.",
            )
