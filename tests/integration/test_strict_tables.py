"""A table of SQLite that becomes STRICT refuses what its columns took before."""

from __future__ import annotations

import pytest
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
BASE = "CREATE TABLE t (id integer PRIMARY KEY, a integer, b text)"
BECOMES = """CREATE TABLE n (id integer PRIMARY KEY, a {}, b text, c text) STRICT;
INSERT INTO n (id, a, b) SELECT id, a, b FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;"""
WRITES = "INSERT INTO t (id, a) VALUES (?, ?)"


@pytest.mark.parametrize(
    ("base", "becomes", "query", "expected"),
    [
        (BASE, "integer", WRITES, "pu"),
        (BASE, "integer", "UPDATE t SET a = ? WHERE id = ?", "pu"),
        (BASE, "integer", "UPDATE t SET a = 5 WHERE id = ?", "pp"),
        (BASE, "integer", "INSERT INTO t (id) VALUES (?)", "pp"),
        (BASE, "integer", "DELETE FROM t WHERE a = ?", "pp"),
        (BASE, "any", WRITES, "pp"),
        (f"{BASE} STRICT", "integer", WRITES, "pp"),
        (f"{BASE} STRICT", "any", WRITES, "pp"),
    ],
)
def test_a_table_that_becomes_strict(servers: Servers, base: str, becomes: str, query: str, expected: str):
    found = verdict(servers, Engine.SQLITE, f"{base};", BECOMES.format(becomes), query)

    assert found == expected
