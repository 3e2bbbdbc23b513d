"""A type that keeps less of each value than the one before: what compares with a column may find others."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
FINDS = "SELECT id FROM t WHERE a > 1"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("numeric(10,2)", "numeric(10,1)", "pu"),
        ("numeric", "numeric(10,2)", "pu"),
        ("numeric(10,2)", "integer", "pu"),
        ("numeric(10,2)", "numeric(12,4)", "pp"),
        ("numeric(10,2)", "numeric(8,2)", "pp"),
        ("numeric(10,2)", "double precision", "pp"),
        ("numeric(20,2)", "double precision", "pu"),
        ("integer", "numeric(12,2)", "pp"),
        ("integer", "bigint", "pp"),
        ("integer", "double precision", "pp"),
        ("bigint", "double precision", "pu"),
        ("double precision", "real", "pu"),
        ("double precision", "bigint", "pu"),
        ("real", "double precision", "pp"),
    ],
)
def test_a_number_that_loses_digits_on_postgresql(servers: Servers, before: str, after: str, expected: str):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, a {before}, b integer);"
    pending = f"ALTER TABLE t ALTER a TYPE {after};"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, FINDS) == expected
    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT b FROM t WHERE id = $1") == "pp"


@pytest.mark.parametrize(
    ("before", "becomes", "query", "expected"),
    [
        ("timestamp", "date", "SELECT id FROM t WHERE a < now()", "pu"),
        ("timestamptz", "timestamptz(0)", "SELECT id FROM t WHERE a = $1", "pu"),
        ("timestamp(3)", "timestamp", "SELECT id FROM t WHERE a = $1", "pp"),
        ("text", "varchar(3) USING a::varchar(3)", "SELECT id FROM t WHERE a LIKE 'x%'", "pu"),
        ("varchar(9)", "varchar(20) USING a::varchar(20)", "SELECT id FROM t WHERE a LIKE 'x%'", "pp"),
        ("text", "varchar(300)", "SELECT id FROM t WHERE a LIKE 'x%'", "pp"),
    ],
)
def test_a_time_or_a_text_that_is_cut_off_on_postgresql(
    servers: Servers, before: str, becomes: str, query: str, expected: str
):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, a {before});"

    assert (
        verdict(servers, Engine.POSTGRESQL, base, f"ALTER TABLE t ALTER a TYPE {becomes};", query) == expected
    )


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("double", "float", "pu"),
        ("float", "double", "pp"),
        ("decimal(10,2)", "decimal(10,1)", "pu"),
        ("decimal(10,2)", "decimal(12,2)", "pp"),
        ("int", "bigint", "pp"),
        ("bigint", "double", "pu"),
        ("datetime(6)", "datetime", "pu"),
        ("datetime", "datetime(6)", "pp"),
        ("datetime", "date", "pu"),
        ("date", "datetime", "pp"),
        ("varchar(20)", "varchar(40)", "pp"),
    ],
)
def test_a_value_that_is_rounded_on_mysql(servers: Servers, before: str, after: str, expected: str):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, a {before});"
    pending = f"ALTER TABLE t MODIFY a {after};"

    assert verdict(servers, ENGINE, base, pending, FINDS) == expected


@pytest.mark.parametrize(
    ("before", "after", "query", "expected"),
    [
        ("integer", "text", "SELECT id FROM t WHERE a > '9'", "pu"),
        ("varchar(9)", "char(9)", "SELECT id FROM t WHERE a LIKE '%x'", "pb"),
        ("varchar(9)", "char(9)", "SELECT id FROM t WHERE a LIKE concat('%', 'x')", "pu"),
        ("varchar(9)", "text", "SELECT id FROM t WHERE a LIKE '%x'", "pp"),
        ("json", "jsonb", "SELECT id FROM t WHERE a->>'k' = 'x'", "pp"),
    ],
)
def test_a_type_that_compares_otherwise_on_postgresql(
    servers: Servers, before: str, after: str, query: str, expected: str
):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, a {before});"

    assert (
        verdict(servers, Engine.POSTGRESQL, base, f"ALTER TABLE t ALTER a TYPE {after};", query) == expected
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("text", "integer", "pu"),
        ("varchar(9)", "text", "pp"),
        ("integer", "bigint", "pp"),
        ("datetime", "text", "pp"),
        ("numeric(10,2)", "numeric(10,1)", "pp"),
    ],
)
def test_a_type_that_compares_otherwise_on_sqlite(servers: Servers, before: str, after: str, expected: str):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, a {before});"
    pending = f"""CREATE TABLE n (id integer PRIMARY KEY, a {after}); INSERT INTO n SELECT * FROM t;
    DROP TABLE t; ALTER TABLE n RENAME TO t;"""

    assert verdict(servers, Engine.SQLITE, base, pending, "SELECT id FROM t WHERE a > '007'") == expected


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("int", "varchar(20)", "pu"), ("enum('b', 'a')", "varchar(9)", "pp"), ("varchar(9)", "longtext", "pp")],
)
def test_a_type_that_compares_otherwise_on_mysql(servers: Servers, before: str, after: str, expected: str):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, a {before});"
    pending = f"ALTER TABLE t MODIFY a {after};"

    assert verdict(servers, ENGINE, base, pending, "SELECT id FROM t WHERE a = 'x'") == expected
