"""What may refuse a write that no sample value meets, and stands elsewhere than at the table of the text."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.model import Engine

__all__ = ["servers"]
RANKED = """CREATE DOMAIN rank AS integer;
CREATE DOMAIN high AS rank;
CREATE TABLE t (id integer PRIMARY KEY, r {}, b text);
"""
PARTED = """CREATE TABLE t (id integer, d integer NOT NULL, b text) PARTITION BY RANGE (d);
CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (1000);
CREATE TABLE other PARTITION OF t FOR VALUES FROM (1000) TO (2000);
"""
INTO_PARTED = "INSERT INTO t (id, d, b) VALUES ($1, $2, $3)"
TWO = """CREATE TABLE t (id integer PRIMARY KEY, a integer);
CREATE TABLE s (id integer PRIMARY KEY, a integer, c integer);
"""
CHECK = "ALTER TABLE s ADD CHECK (a <> 77);"
MYSQL = [pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)]


def verdict(servers: Servers, engine: Engine, base: str, pending: str, live: str) -> str:
    _, [found, _] = rehearsed(servers[engine], engine, base, TOGETHER + pending, live=live, next_="SELECT 1")
    return found


@pytest.mark.parametrize(
    ("of", "query", "expected"),
    [
        ("rank", "INSERT INTO t (id, r) VALUES ($1, $2)", "pu"),
        ("rank[]", "UPDATE t SET r = $1 WHERE id = $2", "pu"),
        ("high", "UPDATE t SET r = $1 WHERE id = $2", "pu"),
        ("rank", "UPDATE t SET b = $1 WHERE id = $2", "pp"),
        ("integer", "UPDATE t SET r = $1 WHERE id = $2", "pp"),
    ],
)
def test_a_check_of_a_column_s_domain(servers: Servers, of: str, query: str, expected: str):
    pending = "ALTER DOMAIN rank ADD CHECK (VALUE <> 77);"

    assert verdict(servers, Engine.POSTGRESQL, RANKED.format(of), pending, query) == expected


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        ("ALTER TABLE low ADD CHECK (b <> 'no');", "pu"),
        ("ALTER TABLE t DETACH PARTITION other;", "pu"),
        ("ALTER TABLE t DETACH PARTITION other;\nCREATE TABLE more PARTITION OF t DEFAULT;", "pp"),
        ("CREATE TABLE more PARTITION OF t DEFAULT;", "pp"),
        ("ALTER TABLE other RENAME TO another;", "pp"),
    ],
)
def test_a_partition_that_refuses_or_goes(servers: Servers, pending: str, expected: str):
    assert verdict(servers, Engine.POSTGRESQL, PARTED, pending, INTO_PARTED) == expected


@pytest.mark.parametrize(
    "query",
    [
        "WITH n AS (INSERT INTO t (id, a) VALUES ($1, $2) RETURNING *) INSERT INTO s (id, a) SELECT * FROM n",
        "WITH n AS (UPDATE s SET a = $1 RETURNING id) UPDATE t SET a = 1 FROM n WHERE n.id = t.id",
    ],
)
def test_a_text_that_writes_two_tables(servers: Servers, query: str):
    assert verdict(servers, Engine.POSTGRESQL, TWO, CHECK, query) == "pu"


@pytest.mark.parametrize("engine", MYSQL)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("UPDATE t JOIN s ON s.id = t.id SET s.a = ? WHERE t.id = ?", "pu"),
        ("INSERT INTO s (id, c) VALUES (?, ?) ON DUPLICATE KEY UPDATE a = a + 1", "pu"),
        ("INSERT INTO s (id, c) VALUES (?, ?) ON DUPLICATE KEY UPDATE c = c + 1", "pp"),
    ],
)
def test_the_second_half_of_a_text_of_mysql(servers: Servers, engine: Engine, query: str, expected: str):
    assert verdict(servers, engine, TWO, CHECK, query) == expected


@pytest.mark.parametrize("engine", MYSQL)
def test_a_member_that_a_set_has_no_more(servers: Servers, engine: Engine):
    base = "CREATE TABLE t (id integer PRIMARY KEY, e set('a', 'b', 'c', 'd', 'e') NOT NULL);\n"
    pending = "ALTER TABLE t MODIFY e set('a', 'b', 'c', 'd') NOT NULL;"

    assert verdict(servers, engine, base, pending, "UPDATE t SET e = ? WHERE id = ?") == "pb"


def test_a_view_that_minds_its_condition(servers: Servers):
    base = f"{TWO}CREATE VIEW v AS SELECT id, a FROM t WHERE a <> 77;\n"
    pending = "CREATE OR REPLACE VIEW v AS SELECT id, a FROM t WHERE a <> 77 WITH CHECK OPTION;"

    found = verdict(servers, Engine.POSTGRESQL, base, pending, "UPDATE v SET a = $1 WHERE id = $2")

    assert found == "pu"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, *MYSQL])
@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        ("ALTER TABLE r DROP CONSTRAINT follows;", "DELETE FROM t WHERE id = {}", "pu"),
        ("ALTER TABLE r DROP CONSTRAINT follows;", "UPDATE t SET a = {}", "pp"),
        ("DROP TABLE r;", "DELETE FROM t WHERE id = {}", "pp"),
    ],
)
def test_rows_that_went_with_their_parent_where_another_child_refuses_what_a_sample_would_meet(
    servers: Servers, engine: Engine, pending: str, query: str, expected: str
):
    base = f"""{TWO}CREATE TABLE holds (id integer PRIMARY KEY, t integer NOT NULL,
CONSTRAINT kept FOREIGN KEY (t) REFERENCES t (id));
CREATE TABLE r (id integer PRIMARY KEY, t integer, CONSTRAINT follows FOREIGN KEY (t) REFERENCES t (id)
ON DELETE SET NULL);
"""
    query = query.format("$1" if engine is Engine.POSTGRESQL else "?")
    if engine is not Engine.POSTGRESQL:
        pending = pending.replace("CONSTRAINT", "FOREIGN KEY")

    assert verdict(servers, engine, base, pending, query) == expected
