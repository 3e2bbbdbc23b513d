"""When the watcher of a SQLite scratch file reads the whole catalogue, and that it misses no change of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from coordinator.adapters.rehearsals._sqlite.watching import Watcher
from coordinator.model import Statement

TABLE = "CREATE TABLE a (x int)"


class Scratch:
    """A database whose looks at its catalogue are counted."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.looks = 0
        self.connection = connection
        self.watcher = Watcher()
        connection.set_authorizer(self.watcher.allow)
        connection.set_trace_callback(self._count)

    def _count(self, text: str) -> None:
        self.looks += "FROM pragma_table_list" in text

    def watch(self, *texts: str) -> None:
        for text in texts:
            send = partial(self._send, text)
            self.watcher.watch(self.connection, Statement(text, 1), send)

    def _send(self, text: str) -> list[tuple[object, ...]]:
        return self.connection.execute(text).fetchall()

    def changes(self) -> list[tuple[str, str | None, str | None]]:
        seen = self.watcher.take()
        return [(change.name, change.before, change.after) for each in seen for change in each.changes]


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield Scratch(connection)


def test_looks_behind_a_change_of_the_schema_alone(scratch: Scratch):
    scratch.watch(TABLE, "INSERT INTO a VALUES (1)", "UPDATE a SET x = 2", "ALTER TABLE a ADD COLUMN y")

    assert scratch.looks == 3  # before the first, behind it and behind the last
    assert scratch.changes() == [
        ("main.a", None, "table"),
        ("x", None, "int"),
        ("y", None, "any"),
    ]


def test_sees_what_comes_behind_a_change_that_was_taken_back(scratch: Scratch):
    scratch.connection.execute("BEGIN")
    scratch.watch(TABLE)
    scratch.connection.execute("ROLLBACK")

    scratch.watch("CREATE TABLE b (y int)")

    assert scratch.changes()[2:] == [("main.b", None, "table"), ("y", None, "int")]


def test_knows_nothing_behind_a_statement_that_failed(scratch: Scratch):
    scratch.connection.execute("BEGIN")
    scratch.watch(TABLE)
    with pytest.raises(sqlite3.OperationalError):
        scratch.watch("INSERT INTO nowhere VALUES (1)")
    scratch.connection.execute("ROLLBACK")
    scratch.connection.execute("CREATE TABLE b (y int)")
    scratch.watcher.take()

    scratch.watch("DROP TABLE b")

    assert scratch.changes() == [("main.b", "table", None), ("y", "int", None)]


def test_sees_a_schema_that_is_written_by_hand(scratch: Scratch):
    scratch.watch(TABLE, "PRAGMA writable_schema = ON")
    scratch.watcher.take()

    scratch.watch("UPDATE sqlite_schema SET sql = 'CREATE TABLE a (x int CHECK (x > 0))'")

    assert scratch.changes() == [("check (x > 0)", None, "check (x > 0)")]


def test_sees_a_change_behind_a_number_that_was_set_back(scratch: Scratch):
    [number] = scratch.connection.execute("PRAGMA schema_version").fetchone()
    scratch.connection.execute("BEGIN")
    scratch.watch(TABLE, f"PRAGMA schema_version = {number}")
    scratch.connection.execute("ROLLBACK")

    scratch.watch("SELECT 1", "CREATE TABLE b (y int)")

    assert scratch.changes()[2:] == [("main.b", None, "table"), ("y", None, "int")]
