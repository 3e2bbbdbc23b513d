"""A migration whose role works at REPEATABLE READ or above: what the application changed meanwhile is a
reason to try the file again, as a deadlock is.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from fixtures.local import until

from coordinator.adapters.databases.postgresql import connect
from coordinator.errors import DatabaseError
from coordinator.model import LocksSpec
from coordinator.ports.databases import Batch, Patience
from coordinator.secret import Secret

COUNT_UP = "UPDATE orders SET n = n + 1"
LOCKS = LocksSpec(timedelta(milliseconds=30), timedelta(seconds=10), timedelta(seconds=60))
BRIEF = LocksSpec(LOCKS.attempt, LOCKS.budget, timedelta(milliseconds=300))
WAITS = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND application_name = 'migration'"
)


@pytest.fixture
def url(database_url: str) -> str:
    """Return a database with one order, whose sessions work at REPEATABLE READ."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL)")
        connection.execute("INSERT INTO orders VALUES (1, 0)")
        name = urlsplit(database_url).path[1:]
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_isolation = "repeatable read"')
    return database_url


def migrate(url: str, *, locks: LocksSpec) -> list[str]:
    """Send the change patiently, without a pause, and return what was noted."""
    notes: list[str] = []
    patience = Patience(locks, lambda _: None, lambda _: None, notes.append)
    with connect(Secret(url), lock_timeout=timedelta(seconds=20)).session(label="migration") as session:
        session.execute(Batch((COUNT_UP,), transaction=True, patience=patience))
    return notes


def test_a_row_that_the_application_changed_meanwhile_is_counted_on(url: str) -> None:
    with psycopg.connect(url) as application, psycopg.connect(url, autocommit=True) as watch:
        application.execute("UPDATE orders SET n = 10")

        def commit_when_it_waits() -> None:
            until(lambda: bool(watch.execute(WAITS).fetchall()))
            application.commit()

        thread = threading.Thread(target=commit_when_it_waits)
        thread.start()
        migrate(url, locks=LOCKS)
        thread.join()

        assert watch.execute("SELECT n FROM orders").fetchall() == [(11,)]


def test_one_that_never_comes_through_is_given_up_with_what_the_server_says(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RAISE ''could not serialize'' USING ERRCODE = ''serialization_failure''; END'"
        )
        connection.execute("CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION never()")

    with pytest.raises(DatabaseError) as caught:
        migrate(url, locks=BRIEF)

    assert caught.value.code == "lock-blocked"
    assert "could not serialize" in caught.value.what
    assert caught.value.next_step
