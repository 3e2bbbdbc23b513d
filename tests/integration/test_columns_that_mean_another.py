"""A column that counts, tells a time, is a SET or stands in another order, and no sample row tells it."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
ON_MYSQL = pytest.param(ENGINE, marks=pytest.mark.mariadb)
NEVER_AGAIN, AGAIN = (f"id integer PRIMARY KEY{each}, name text" for each in (" AUTOINCREMENT", ""))
AT = "CREATE TABLE t (id integer PRIMARY KEY, at {});"
TWO = """CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer);
CREATE TABLE s (id integer PRIMARY KEY, a integer, b integer);
"""
RARE = "FROM s WHERE a > abs(900000000)"


def anew(columns: str, *, shown: str = "*") -> str:
    """Return how SQLite changes a table's columns."""
    copies = f"INSERT INTO t_new SELECT {shown} FROM t; DROP TABLE t; ALTER TABLE t_new RENAME TO t;"
    return f"CREATE TABLE t_new ({columns}); {copies}"


@pytest.mark.parametrize(
    ("before", "after", "query", "expected"),
    [
        (NEVER_AGAIN, AGAIN, "INSERT INTO t (name) VALUES (?)", "pu"),
        (NEVER_AGAIN, AGAIN, "INSERT INTO t VALUES (NULL, ?)", "pu"),
        (NEVER_AGAIN, AGAIN, "INSERT INTO t (id, name) VALUES (?, ?)", "pp"),
        (NEVER_AGAIN, AGAIN, "UPDATE t SET name = ? WHERE id = ?", "pp"),
        (NEVER_AGAIN, AGAIN, "SELECT max(id) FROM t", "pp"),
        (NEVER_AGAIN, NEVER_AGAIN + " NOT NULL DEFAULT 'x'", "INSERT INTO t (name) VALUES ('a')", "pp"),
        (AGAIN, NEVER_AGAIN, "INSERT INTO t (name) VALUES (?)", "pp"),
    ],
)
def test_a_number_of_a_row_that_is_gone(servers: Servers, before: str, after: str, query: str, expected: str):
    base, pending = f"CREATE TABLE t ({before});", anew(after, shown="id, coalesce(name, 'x')")

    assert verdict(servers, Engine.SQLITE, base, pending, query) == expected


@pytest.mark.parametrize(
    ("before", "after", "query", "expected"),
    [
        ("timestamp", "timestamptz", "SELECT id FROM t WHERE at > now() - interval '1 day'", "pu"),
        ("timestamptz", "timestamp", "SELECT id FROM t WHERE at < now()", "pu"),
        ("timestamptz", "timestamp", "SELECT id FROM t", "pp"),
        ("timestamptz(0)", "timestamptz", "SELECT id FROM t WHERE at < now()", "pp"),
        ("timestamp(0)", "timestamp", "SELECT id FROM t WHERE at < now()", "pp"),
    ],
)
def test_a_time_that_gets_or_loses_its_zone(
    servers: Servers, before: str, after: str, query: str, expected: str
):
    pending = f"ALTER TABLE t ALTER at TYPE {after};"

    assert verdict(servers, Engine.POSTGRESQL, AT.format(before), pending, query) == expected


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("before", "after", "query", "expected"),
    [
        ("timestamp NULL", "datetime NULL", "SELECT id FROM t WHERE at < now()", "pu"),
        ("timestamp NULL", "datetime NULL", "INSERT INTO t (id, at) VALUES (?, ?)", "pu"),
        ("timestamp NULL", "timestamp(6) NULL", "SELECT id FROM t WHERE at < now()", "pp"),
        ("datetime NULL", "datetime(6) NULL", "SELECT id FROM t WHERE at < now()", "pp"),
        ("set('a','b','c')", "set('b','a','c')", "SELECT id FROM t WHERE at + 0 = 4", "pu"),
        ("set('a','b','c')", "set('a','b','c','d')", "SELECT id FROM t WHERE at + 0 = 4", "pp"),
        ("set('a','b','c')", "set('b','a','c')", "SELECT id FROM t WHERE find_in_set('c', at)", "pp"),
    ],
)
def test_a_time_or_a_set_of_mariadb(servers: Servers, before: str, after: str, query: str, expected: str):
    pending = f"ALTER TABLE t MODIFY at {after};"

    assert verdict(servers, ENGINE, AT.format(before), pending, query) == expected


@pytest.mark.parametrize("engine", [Engine.SQLITE, ON_MYSQL])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"INSERT INTO t SELECT * {RARE}", "pu"),
        (f"INSERT INTO t SELECT id, a, b {RARE}", "pu"),
        (f"INSERT INTO t (id, a, b) SELECT * {RARE}", "pp"),
        (f"INSERT INTO s (id, a, b) SELECT * {RARE.replace('s WHERE', 't WHERE')}", "pu"),
        (f"SELECT count(*) FROM (SELECT * {RARE} UNION SELECT * FROM t WHERE a > abs(900000000)) AS u", "pu"),
        ("UPDATE t SET a = ? WHERE b IN (SELECT b FROM s)", "pp"),
    ],
)
def test_columns_in_another_order(servers: Servers, engine: Engine, query: str, expected: str):
    pending = "ALTER TABLE t MODIFY b integer AFTER id;"
    if engine is Engine.SQLITE:
        pending = anew("id integer PRIMARY KEY, b integer, a integer", shown="id, b, a")

    assert verdict(servers, engine, TWO, pending, query) == expected


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE, ON_MYSQL])
def test_a_column_behind_the_others_leaves_their_order(servers: Servers, engine: Engine):
    query = f"INSERT INTO t (id, a, b) SELECT id, a, b {RARE} UNION SELECT 1, 2, 3 {RARE}"

    assert verdict(servers, engine, TWO, "ALTER TABLE t ADD c integer;", query) == "pp"
