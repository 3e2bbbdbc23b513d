"""The lock that goose's library keeps in a table on MySQL: the hook and such a program exclude each other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pymysql
import pytest
from fixtures.applying import apply_migration
from fixtures.mariadb import ADAPTER, ENGINE, root_connection

from coordinator import discovery
from coordinator.errors import DatabaseError, Waiting
from coordinator.model import SourceFile
from coordinator.ports.databases import Session, TableLock
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
NOW = timedelta(0)
LOCK = 4097083626
GOOSE = discovery.migration_tool("goose")
TABLE = """
CREATE TABLE goose_lock (
  lock_id BIGINT NOT NULL PRIMARY KEY, locked BOOLEAN NOT NULL DEFAULT 0, locked_at DATETIME(6) NULL,
  locked_by TEXT NULL, lease_expires_at DATETIME(6) NULL, updated_at DATETIME(6) NULL
)
"""
"""As goose v3.29.0 makes it."""
FILE = b"-- +goose Up\nCREATE TABLE a (x int);\n"


class Library:
    """A program that uses goose's library: its statements for the lock, in its order."""

    def __init__(self, url: str) -> None:
        self._connection = root_connection(url)
        self._cursor = self._connection.cursor()
        self._cursor.execute(f"USE {url.rpartition('/')[2]}")
        self._cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")

    def make_table(self) -> None:
        self._cursor.execute(TABLE)

    def asks(self) -> bool:
        """Tell whether the lock was taken; a row that somebody else has locked is waited for."""
        lease = "NOW(6) + INTERVAL 30 SECOND"
        values = f"({LOCK}, true, NOW(6), 'pod-7', {lease})"
        columns = "(lock_id, locked, locked_at, locked_by, lease_expires_at)"
        try:
            if self._cursor.execute(f"INSERT IGNORE INTO goose_lock {columns} VALUES {values}"):
                return True
            return bool(
                self._cursor.execute(
                    f"UPDATE goose_lock SET locked = true, locked_by = 'pod-7', lease_expires_at = {lease}"
                    f" WHERE lock_id = {LOCK} AND (locked = false OR lease_expires_at < NOW(6))"
                )
            )
        except pymysql.OperationalError as error:
            if error.args[0] != 1205:
                raise
            return False

    def lets_go(self) -> None:
        self._cursor.execute("UPDATE goose_lock SET locked = false, lease_expires_at = NULL")

    def dies_and_its_lease_ends(self) -> None:
        self._cursor.execute("UPDATE goose_lock SET lease_expires_at = NOW(6) - INTERVAL 1 SECOND")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def library(mariadb_url: str) -> Iterator[Library]:
    library = Library(mariadb_url)
    library.make_table()
    yield library
    library.close()


@pytest.fixture
def session(mariadb_url: str) -> Iterator[Session]:
    with ADAPTER.connect(Secret(mariadb_url), lock_timeout=NOW).session(label="test") as session:
        yield session


@contextmanager
def locked(session: Session) -> Iterator[None]:
    with session.locked(GOOSE.lock_ids(session.target(None)), timeout=NOW):
        yield


def test_the_library_waits_while_the_hook_migrates(library: Library, session: Session):
    with locked(session):
        assert not library.asks()

    assert library.asks()


def test_the_library_waits_too_where_its_row_is_there(library: Library, session: Session):
    assert library.asks()
    library.lets_go()

    with locked(session):
        assert not library.asks()

    assert library.asks()


def test_the_hook_waits_while_the_library_migrates_and_names_it(library: Library, session: Session):
    assert library.asks()
    file = SourceFile("migrations/1_a.sql", FILE, hashlib.sha256(FILE).hexdigest())
    migrations = GOOSE.read([file], ENGINE).migrations

    with pytest.raises(Waiting, match=r"`goose_lock`: pod-7\.") as held:
        apply_migration(session, GOOSE, migrations[0], migrations=migrations, table=None, lock_timeout=NOW)

    assert held.value.code == "migration-lock-held"
    library.lets_go()
    apply_migration(session, GOOSE, migrations[0], migrations=migrations, table=None, lock_timeout=NOW)
    assert session.query("SELECT count(*) FROM a") == [(0,)]
    assert library.asks()  # what was held is free again, though the schema was changed meanwhile


def test_a_lease_that_is_over_holds_nobody_up(library: Library, session: Session):
    assert library.asks()
    library.dies_and_its_lease_ends()

    with locked(session):
        assert not library.asks()


def test_two_of_us_exclude_each_other_by_the_row_as_well(
    library: Library, session: Session, mariadb_url: str
):
    row = TableLock("goose_lock", LOCK)
    with ADAPTER.connect(Secret(mariadb_url), lock_timeout=NOW).session(label="other") as other:
        with session.locked([row], timeout=NOW), pytest.raises(Waiting), other.locked([row], timeout=NOW):
            pass

        with other.locked([row], timeout=NOW):
            pass


def test_a_table_of_that_name_that_is_another_one_is_an_error(session: Session, mariadb_url: str):
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {mariadb_url.rpartition('/')[2]}.goose_lock (x int)")

    with pytest.raises(DatabaseError, match=r"lock_id|locked"), locked(session):
        pass
