"""A table of SQLite says what is done where a row breaks a constraint; and its keys may be NULL."""

from __future__ import annotations

import pytest
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
BASE = "CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer NOT NULL, UNIQUE (a, b){});"
AGAIN = """CREATE TABLE n (id integer PRIMARY KEY, a integer, b integer NOT NULL{}, UNIQUE (a, b){});
INSERT INTO n SELECT * FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;"""
WRITES = "INSERT INTO t (a, b) VALUES (?, ?)"


@pytest.mark.parametrize(
    ("before", "column", "after", "query", "expected"),
    [
        ("", "", " ON CONFLICT REPLACE", WRITES, "pu"),
        ("", "", " ON CONFLICT IGNORE", "UPDATE t SET a = ? WHERE id = ?", "pu"),
        (" ON CONFLICT IGNORE", "", " ON CONFLICT REPLACE", WRITES, "pb"),
        ("", " ON CONFLICT IGNORE", "", WRITES, "pu"),
        ("", "", " ON CONFLICT ABORT", WRITES, "pp"),
        (" ON CONFLICT REPLACE", "", " ON CONFLICT REPLACE", WRITES, "pp"),
        ("", "", " ON CONFLICT REPLACE", WRITES.replace("INSERT", "INSERT OR ABORT"), "pp"),
        ("", "", " ON CONFLICT REPLACE", "DELETE FROM t WHERE a = ?", "pp"),
    ],
)
def test_what_is_done_with_a_row_that_breaks_a_constraint(
    servers: Servers, before: str, column: str, after: str, query: str, expected: str
):
    pending = AGAIN.format(column, after)

    assert verdict(servers, Engine.SQLITE, BASE.format(before), pending, query) == expected


@pytest.mark.parametrize("query", ["INSERT INTO t (k, a) VALUES (?, ?)", "UPDATE t SET k = ? WHERE a = ?"])
@pytest.mark.parametrize("key", ["k text PRIMARY KEY, a integer", "k integer, a integer, PRIMARY KEY (k, a)"])
def test_a_key_that_may_be_null_no_more(servers: Servers, key: str, query: str):
    pending = f"""CREATE TABLE n ({key}) WITHOUT ROWID; INSERT INTO n SELECT * FROM t WHERE k IS NOT NULL;
    DROP TABLE t; ALTER TABLE n RENAME TO t;"""

    assert verdict(servers, Engine.SQLITE, f"CREATE TABLE t ({key});", pending, query) == "pb"
