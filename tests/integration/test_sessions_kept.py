"""A session that holds locks is not ended because it is idle for a while, whatever the server's limit is."""

from __future__ import annotations

import time
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest
from fixtures.mariadb import ADAPTER, ENGINE, root_connection

from coordinator.adapters.databases import postgresql
from coordinator.model import Engine
from coordinator.ports.databases import Batch, TableLock
from coordinator.secret import Secret

SOON = timedelta(seconds=1)
OURS = "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
CHANGE = Batch(("CREATE TABLE a (x int)",), transaction=True)
_COLUMNS = "lock_id bigint PRIMARY KEY, locked boolean, lease_expires_at datetime(6), locked_by varchar(9)"
LOCK_TABLE = Batch((f"CREATE TABLE goose_lock ({_COLUMNS})",), transaction=True)


@pytest.fixture
def impatient(database_url: str) -> str:
    """Return the URL of a database whose sessions may be idle for a busy moment, and no longer."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = urlsplit(database_url).path[1:]
        connection.execute(f'ALTER DATABASE "{name}" SET idle_session_timeout = 1000')
    return database_url


@pytest.mark.parametrize("is_used", [False, True])
def test_a_lock_on_postgresql_outlives_the_idle_time_of_its_session(impatient: str, *, is_used: bool) -> None:
    database = postgresql.connect(Secret(impatient), lock_timeout=SOON)
    with database.session(label="test") as session, session.locked((7,), timeout=SOON):
        if is_used:
            session.execute(CHANGE)  # which sets the session back
        session.query("SELECT 1")
        time.sleep(1.5)

        assert session.query(OURS) == [(7,)]


@pytest.mark.mariadb
def test_a_lock_on_mariadb_outlives_the_idle_time_of_its_session(mariadb_url: str) -> None:
    database = ADAPTER.connect(Secret(mariadb_url), lock_timeout=SOON)
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL wait_timeout = 1")
        try:
            with database.session(label="test") as session, session.locked(("shop",), timeout=SOON):
                session.query("SELECT 1")
                time.sleep(2.5)

                assert session.query("SELECT IS_USED_LOCK('shop') = CONNECTION_ID()") == [(1,)]
        finally:
            cursor.execute("SET GLOBAL wait_timeout = DEFAULT")


@pytest.mark.mariadb
def test_a_lock_in_a_table_outlives_the_idle_time_of_its_transaction(mariadb_url: str) -> None:
    database = ADAPTER.connect(Secret(mariadb_url), lock_timeout=SOON)
    limits = ["wait_timeout"] + ["idle_transaction_timeout"] * (ENGINE is Engine.MARIADB)
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        with database.session(label="test") as session:
            session.execute(LOCK_TABLE)
        for limit in limits:
            cursor.execute(f"SET GLOBAL {limit} = 1")
        try:
            lock = TableLock("goose_lock", 7)
            with database.session(label="test") as session, session.locked((lock,), timeout=SOON):
                time.sleep(2.5)
                cursor.execute(f"USE {urlsplit(mariadb_url).path[1:]}")
                cursor.execute("SET innodb_lock_wait_timeout = 1")
                with pytest.raises(pymysql.OperationalError, match="Lock wait timeout"):
                    cursor.execute("INSERT INTO goose_lock (lock_id) VALUES (7)")
        finally:
            for limit in limits:
                cursor.execute(f"SET GLOBAL {limit} = DEFAULT")
