"""A row that is replaced is deleted, and with it go the rows of a new table that refer to it."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
TABLE = "CREATE TABLE t (id integer PRIMARY KEY, a varchar(20));"
CHILD = """CREATE TABLE c (id integer PRIMARY KEY, t integer,
FOREIGN KEY (t) REFERENCES t (id) ON DELETE {});"""
REPLACES = "REPLACE INTO t (id, a) VALUES (?, ?)"
UPDATES = {
    Engine.SQLITE: "INSERT INTO t (id, a) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET a = excluded.a",
    ENGINE: "INSERT INTO t (id, a) VALUES (?, ?) ON DUPLICATE KEY UPDATE a = VALUES(a)",
}


@pytest.mark.parametrize("engine", [Engine.SQLITE, pytest.param(ENGINE, marks=pytest.mark.mariadb)])
@pytest.mark.parametrize("does", ["CASCADE", "SET NULL"])
def test_rows_of_a_new_table_go_with_a_row_that_is_replaced(servers: Servers, engine: Engine, does: str):
    child = CHILD.format(does)

    assert verdict(servers, engine, TABLE, child, REPLACES) == "pu"
    assert verdict(servers, engine, TABLE, child, UPDATES[engine]) == "pp"
    assert verdict(servers, engine, TABLE, child, "UPDATE t SET a = REPLACE(a, 'x', ?) WHERE id = ?") == "pp"
    assert verdict(servers, engine, TABLE + child, "ALTER TABLE t ADD b integer;", REPLACES) == "pp"


def test_insert_or_replace_replaces(servers: Servers):
    text = "INSERT OR REPLACE INTO t (id, a) VALUES (?, ?)"

    assert verdict(servers, Engine.SQLITE, TABLE, CHILD.format("CASCADE"), text) == "pu"
