"""A column of another collation or character set: who compares by it is told, who only shows it is not."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]


def table(name: str, more: str = "") -> str:
    return f"CREATE TABLE t (id integer PRIMARY KEY, name {name}, n integer{more});\n"


def anew(name: str, more: str = "") -> str:
    """Return how SQLite gives a column another collation."""
    copies = "INSERT INTO t_new SELECT * FROM t; DROP TABLE t; ALTER TABLE t_new RENAME TO t;"
    return table(name, more).replace("TABLE t ", "TABLE t_new ") + copies


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT id FROM t WHERE name = ?", "pu"),
        ("SELECT id FROM t WHERE id = ? AND name IN (?, ?)", "pu"),
        ("SELECT count(DISTINCT name) FROM t", "pu"),
        ("SELECT name FROM t ORDER BY name", "pu"),
        ("SELECT name FROM t UNION SELECT 'a'", "pu"),
        ("UPDATE t SET n = ? WHERE name = ?", "pu"),
        ("UPDATE t SET n = (name = 'a')", "pu"),
        ("SELECT id, name FROM t WHERE id = ?", "pp"),
        ("SELECT * FROM t WHERE id = ?", "pp"),
        ("INSERT INTO t (id, name) VALUES (?, ?) RETURNING name", "pp"),
        ("UPDATE t SET name = ? WHERE id = ?", "pp"),
    ],
)
def test_a_collation_of_sqlite(servers: Servers, query: str, expected: str):
    assert verdict(servers, Engine.SQLITE, table("text"), anew("text COLLATE NOCASE"), query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("INSERT INTO t (id, name) VALUES (?, ?)", "pu"),
        ("INSERT INTO t VALUES (?, ?, ?)", "pu"),
        ("UPDATE t SET name = ? WHERE id = ?", "pu"),
        ("UPDATE t SET n = ? WHERE id = ?", "pp"),
        ("SELECT id, name FROM t WHERE id = ?", "pp"),
        ("DELETE FROM t WHERE id = ?", "pp"),
    ],
)
def test_a_unique_column_of_another_collation(servers: Servers, query: str, expected: str):
    base, pending = table("text", ", UNIQUE (name)"), anew("text COLLATE RTRIM", ", UNIQUE (name)")

    assert verdict(servers, Engine.SQLITE, base, pending, query) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [("text", "text COLLATE BINARY"), ("text COLLATE nocase", 'text NOT NULL COLLATE "NOCASE"')],
)
def test_the_same_collation_in_other_words(servers: Servers, before: str, after: str):
    query = "SELECT id FROM t WHERE name = ?"

    assert verdict(servers, Engine.SQLITE, table(before), anew(after.replace("NOT NULL ", "")), query) == "pp"


@pytest.mark.parametrize(
    ("collation", "query", "expected"),
    [
        ('"C"', "SELECT id FROM t ORDER BY name", "pu"),
        ('"C"', "SELECT id FROM t WHERE name > $1", "pu"),
        ('"C"', "SELECT id FROM t WHERE upper(name) = $1", "pu"),
        ('"C"', "SELECT id FROM t WHERE name = $1", "pp"),
        ('"C"', "INSERT INTO t (id, name) VALUES ($1, $2)", "pp"),
        ("own", "SELECT id FROM t WHERE name = $1", "pu"),
        ("own", "UPDATE t SET name = $1 WHERE id = $2", "pp"),
    ],
)
def test_a_collation_of_postgresql(servers: Servers, collation: str, query: str, expected: str):
    base = "CREATE COLLATION own (locale = 'C');\n" + table("text")
    pending = f"ALTER TABLE t ALTER name TYPE text COLLATE {collation};"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


GENERAL, UNICODE = (f"CHARACTER SET utf8mb4 COLLATE utf8mb4_{each}_ci" for each in ("general", "unicode"))
SOUGHT, SENT, SHOWN = (
    *("SELECT id FROM t WHERE name = ?", "INSERT INTO t (id, name) VALUES (?, ?)"),
    "SELECT id, name FROM t WHERE id = ?",
)


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("before", "after", "query", "expected"),
    [
        (GENERAL, UNICODE, SOUGHT, "pu"),
        (GENERAL, UNICODE, "SELECT id FROM t ORDER BY name", "pu"),
        (GENERAL, UNICODE, SENT, "pp"),
        (GENERAL, UNICODE, SHOWN, "pp"),
        (GENERAL, "CHARACTER SET latin1", SHOWN, "pu"),
        (GENERAL, "CHARACTER SET latin1", "SELECT n FROM t WHERE id = ?", "pp"),
        ("CHARACTER SET latin1", GENERAL, SENT, "pp"),
        ("CHARACTER SET latin1", GENERAL, SOUGHT, "pu"),
        ("CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci", GENERAL, SOUGHT, "pp"),
    ],
)
def test_a_collation_of_mariadb(servers: Servers, before: str, after: str, query: str, expected: str):
    pending = f"ALTER TABLE t MODIFY name varchar(40) {after};"

    assert verdict(servers, ENGINE, table(f"varchar(40) {before}"), pending, query) == expected


@pytest.mark.mariadb
def test_a_tables_collation_is_that_of_columns_to_come(servers: Servers):
    base, pending = table(f"varchar(40) {GENERAL}"), "ALTER TABLE t DEFAULT COLLATE utf8mb4_unicode_ci;"
    converts = "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;"

    assert verdict(servers, ENGINE, base, pending, SOUGHT) == "pp"
    assert verdict(servers, ENGINE, base, converts, SOUGHT) == "pu"
