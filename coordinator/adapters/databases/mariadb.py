"""MariaDB by PyMySQL: mysql_url.py reads the URL, mysql_session.py sends."""

from __future__ import annotations

from datetime import timedelta

from coordinator.adapters.mysql_database import MysqlDatabase
from coordinator.model import Engine
from coordinator.secret import Secret


def connect(url: Secret, *, lock_timeout: timedelta) -> MysqlDatabase:
    """Return the database at a URL; contacts nothing yet.

    `lock_timeout` is the server's, rounded up to whole seconds: how long a statement waits for a lock.
    """
    return MysqlDatabase(url, Engine.MARIADB, lock_timeout=lock_timeout)
