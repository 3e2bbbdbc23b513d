"""Tables of our own, which two coordinators may begin to make at the same moment.

PostgreSQL's CREATE TABLE IF NOT EXISTS looks for the name before it takes any lock: who comes second waits
for the first, and is refused then by the catalogue's own keys. MariaDB, MySQL and SQLite let the second one
wait and find the table.
"""

from __future__ import annotations

from typing import Final

from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.ports.databases import Batch, Session

_MADE_MEANWHILE: Final = ("23505", "42710", "42P07")
"""unique_violation in pg_class or pg_type, duplicate_object (the row's type), duplicate_table."""


def kept_whole(create: str, engine: Engine) -> str:
    """Return a CREATE TABLE whose rows come and go with their transaction, whatever a server's default is.

    `default_storage_engine` of MySQL and MariaDB may name one that has no transactions (MyISAM).
    """
    return f"{create} ENGINE = InnoDB" if engine.speaks_mysql else create


def execute_with_table(session: Session, batch: Batch) -> None:
    """Send a batch that makes one of our tables first; once more where somebody else made it meanwhile.

    Nothing else in it may meet a key that is there already.
    """
    try:
        session.execute(batch)
    except DatabaseError as error:
        if error.sqlstate not in _MADE_MEANWHILE:
            raise
        session.execute(batch)
