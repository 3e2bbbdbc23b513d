"""A table of SQLite that is built anew: what is lost with the old one is told, and what is kept is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.sqlite_rehearsal import ORDERS, apply, found_by, rebuilt

from coordinator.adapters.databases.sqlite import connect
from coordinator.adapters.rehearsals.sqlite import REHEARSAL
from coordinator.errors import DatabaseError
from coordinator.evidence import Hazard
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import RehearsalDatabase, RehearsalServer
from coordinator.rules import find_hazards
from coordinator.secret import Secret

UNIQUE = "CREATE UNIQUE INDEX orders_note ON orders (note);"
TRIGGER = "CREATE TRIGGER kept AFTER INSERT ON orders BEGIN UPDATE items SET n = n + 1; END;"
SCHEMA = (
    f"CREATE TABLE orders ({ORDERS});",
    "CREATE TABLE items (id INTEGER PRIMARY KEY, n INTEGER, order_id INTEGER REFERENCES orders (id));",
    UNIQUE,
    TRIGGER,
)
REBUILT = rebuilt("orders", ORDERS, "*")
RENAMED_FIRST = (
    "ALTER TABLE orders RENAME TO orders_old;"
    f"CREATE TABLE orders ({ORDERS}); INSERT INTO orders SELECT * FROM orders_old; DROP TABLE orders_old;"
)


@pytest.fixture(scope="module")
def server() -> Iterator[RehearsalServer]:
    with REHEARSAL.server(url=None, live_version=None) as server:
        yield server


@pytest.fixture
def database(server: RehearsalServer) -> Iterator[RehearsalDatabase]:
    with server.database() as database:
        apply(database, *SCHEMA)
        database.take_statements()
        yield database


def hazards(server: RehearsalServer, database: RehearsalDatabase, *files: str) -> tuple[Hazard, ...]:
    """Apply each file as a migration and return what is said of the release."""
    seen = []
    for number, text in enumerate(files):
        apply(database, text)
        seen += [replace(each, migration=str(number)) for each in database.take_statements()]
    return find_hazards(seen, engine=server.version, sizes=None, lock_timeout=None)


def test_an_index_and_a_trigger_that_are_not_made_again_are_told_with_their_statements(server, database):
    [found] = hazards(server, database, REBUILT)

    assert (found.code, found.migration) == ("rebuild-loses-parts", "0")
    assert found.what == "orders is built anew without its index orders_note, its trigger kept."
    assert [line.replace(" ", "") for line in found.rewrite.splitlines()[1:]] == [
        each.replace(" ", "") for each in (UNIQUE, TRIGGER)
    ]


@pytest.mark.parametrize(
    "text",
    [
        REBUILT + UNIQUE + TRIGGER,
        REBUILT + UNIQUE.replace("orders_note", "another_name") + TRIGGER,
        REBUILT.replace("DROP TABLE", "CREATE UNIQUE INDEX n ON rebuilt (note); DROP TABLE") + TRIGGER,
        "DROP INDEX orders_note; DROP TRIGGER kept;" + REBUILT,
        "DROP TABLE orders;",
        "ALTER TABLE orders RENAME TO purchases;",
        "CREATE TABLE new (a); CREATE INDEX i ON new (a); DROP TABLE new;",
    ],
    ids=[
        "made again",
        "under another name",
        "made on the new table before",
        "dropped by name",
        "the table is gone for good",
        "only renamed",
        "made and dropped",
    ],
)
def test_what_is_kept_or_dropped_on_purpose_is_not_told(server, database, text):
    assert hazards(server, database, text) == ()


def test_a_part_that_the_next_migration_makes_is_missing_in_between(server, database):
    [found] = hazards(server, database, REBUILT + TRIGGER, UNIQUE)

    assert (found.migration, "orders_note" in found.what) == ("0", True)


def test_a_foreign_key_that_followed_the_old_table_is_told(server, database):
    found = hazards(server, database, RENAMED_FIRST + UNIQUE + TRIGGER)

    assert [each.what for each in found] == [
        "foreign key (order_id) of items still points at orders_old, which is dropped."
    ]
    assert "RENAME TO orders;" in found[0].rewrite


def test_parts_that_a_table_renamed_first_takes_along_are_told_too(server, database):
    found = hazards(server, database, RENAMED_FIRST)

    assert found[0].what == "orders is built anew without its index orders_note, its trigger kept."


def test_the_engine_says_that_writes_fail_where_the_foreign_key_leads_nowhere(database):
    apply(database, "DROP TRIGGER kept")
    layer, said = found_by(database, RENAMED_FIRST, "INSERT INTO items (order_id) VALUES (?)")

    assert (layer, "no such table: main.orders_old" in said) == ("prepare", True)


def test_a_rebuild_in_the_manuals_order_keeps_the_writes_to_its_children(database):
    apply(database, "DROP TRIGGER kept")

    assert found_by(database, REBUILT, "INSERT INTO items (order_id) VALUES (?)") == ("", "")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("".join(SCHEMA))
        connection.executescript(
            "INSERT INTO orders (id) VALUES (7); INSERT INTO items (id, order_id) VALUES (3, 7)"
        )
    return path


def migrate(path: Path, *texts: str, transaction: bool = True) -> None:
    with connect(Secret(str(path)), lock_timeout=timedelta(seconds=1)).session(label="x") as session:
        session.execute(Batch(texts, transaction=transaction))


@pytest.mark.parametrize("check", ["PRAGMA foreign_key_check;", "pragma main.foreign_key_check(items);"])
def test_a_file_that_asks_for_rows_without_a_parent_fails_where_there_are_some(file: Path, check: str):
    with pytest.raises(DatabaseError) as caught:
        migrate(file, "DELETE FROM orders;", check)

    assert (caught.value.code, caught.value.statement) == ("foreign-keys-broken", 1)
    assert "items, row 3: no such row in orders" in str(caught.value)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT id FROM orders").fetchall() == [(7,)]


def test_a_file_that_asks_and_is_answered_with_nothing_goes_on(file: Path):
    migrate(file, "PRAGMA foreign_key_check;", REBUILT, "PRAGMA foreign_key_check;")


def test_foreign_keys_that_a_file_turns_on_for_itself_are_kept_while_it_runs(file: Path):
    with pytest.raises(DatabaseError, match="FOREIGN KEY constraint failed"):
        migrate(file, "PRAGMA foreign_keys = ON;", "DELETE FROM orders;", transaction=False)

    migrate(file, "DELETE FROM orders;")


def test_a_view_that_a_rebuild_leaves_broken_is_found_by_its_readers(database):
    apply(database, "CREATE VIEW noted AS SELECT note FROM orders", "DROP TRIGGER kept")
    fewer = "id INTEGER PRIMARY KEY, customer_id INTEGER, total NUMERIC"
    shorter = f"DROP VIEW noted; {rebuilt('orders', fewer, 'id, customer_id, total')}"

    layer, _ = found_by(database, shorter, "SELECT note FROM noted")

    assert layer == "prepare"
