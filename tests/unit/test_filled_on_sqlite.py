"""How often the tables of a SQLite file are read to fill it with sample rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from coordinator.adapters.rehearsals._sqlite.sample import fill
from coordinator.rehearsal_ports import THREE_ROWS

CHILD = (
    "CREATE TABLE child_{0} (id integer PRIMARY KEY, a int REFERENCES PARENT (id), b int REFERENCES Parent)"
)


def test_reads_the_tables_once_for_all_foreign_keys():
    looks: list[str] = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE parent (id integer PRIMARY KEY, name text)")
        for number in range(5):
            connection.execute(CHILD.format(number))
        connection.set_trace_callback(
            lambda text: looks.append(text) if "pragma_table_list" in text else None
        )

        assert list(fill(connection, THREE_ROWS, filled=set())) == []

        rows = connection.execute("SELECT count(*), count(a), count(b) FROM child_4").fetchall()
        parents = connection.execute("SELECT a FROM child_4 JOIN parent p ON p.id = a").fetchall()
    assert rows == [(3, 2, 2)]
    assert len(parents) == 2
    assert len(looks) == 1


@pytest.mark.parametrize(
    "reads",
    [
        "CREATE INDEX i ON log (json_extract(body, '$.client')) WHERE at > 0",
        "CREATE INDEX i ON log (\"Body\" ->> '$.client')",
        "ALTER TABLE log ADD COLUMN client text AS (json_extract(body, '$.client'))",
    ],
)
@pytest.mark.parametrize("declared", ["text", "blob", ""])
def test_a_text_that_the_schema_reads_as_json_is_a_document(reads: str, declared: str):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"CREATE TABLE log (id integer PRIMARY KEY, body {declared} NOT NULL, at integer)")
        connection.execute(reads)

        assert list(fill(connection, THREE_ROWS, filled=set())) == []

        rows = connection.execute("SELECT json_extract(body, '$.sample') FROM log ORDER BY id").fetchall()
    assert rows == [(1,), (2,), (3,)]
