"""Tables of our own, and whether a database has others.

Two coordinators may begin to make one of ours at the same moment. PostgreSQL's CREATE TABLE IF NOT EXISTS
looks for the name before it takes any lock: who comes second waits for the first, and is refused then by the
catalogue's own keys. MariaDB, MySQL and SQLite let the second one wait and find the table.
"""

from __future__ import annotations

from typing import Final

from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.ports.databases import Batch, Session

_MADE_MEANWHILE: Final = ("23505", "42710", "42P07")
"""unique_violation in pg_class or pg_type, duplicate_object (the row's type), duplicate_table."""
_THEIRS: Final = r"""n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"""
"""What an extension has made (pg_depend, `e`) is nobody's who could miss something."""
_OF_POSTGRESQL: Final = rf"""
SELECT (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname NOT LIKE 'coordinator\_%' AND {_THEIRS})
+ (SELECT count(*) FROM pg_catalog.pg_proc c JOIN pg_catalog.pg_namespace n ON n.oid = c.pronamespace
WHERE {_THEIRS})
"""  # noqa: S608 - of constants
_OF_MYSQL: Final = r"""
SELECT (SELECT count(*) FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name NOT LIKE 'coordinator\_%')
+ (SELECT count(*) FROM information_schema.routines WHERE routine_schema = DATABASE())
"""
_OF_SQLITE: Final = r"""
SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view')
AND name NOT LIKE 'coordinator\_%' ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
"""


def has_others(session: Session, engine: Engine, *, has_ledger: bool) -> bool:
    """Tell whether a database has a table, a view or a routine that is neither ours nor the version table."""
    others = {Engine.POSTGRESQL: _OF_POSTGRESQL, Engine.SQLITE: _OF_SQLITE}.get(engine, _OF_MYSQL)
    [[count]] = session.query(others)
    return int(str(count)) > has_ledger


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
