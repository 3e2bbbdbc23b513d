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
        ("interval", "interval day to minute", "SELECT id FROM t WHERE a = $1", "pu"),
        ("interval", "interval(0)", "SELECT id FROM t WHERE a = $1", "pu"),
        ("interval(0)", "interval", "SELECT id FROM t WHERE a = $1", "pp"),
        ("bit varying(3)", "bit(3) USING a::bit(3)", "SELECT id FROM t WHERE a = B'100'", "pu"),
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
        ("date", "datetime", "pu"),
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
        ("text", "datetime", "pu"),
        ("integer", "datetime", "pp"),
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


@pytest.mark.parametrize(
    ("before", "after", "query", "expected"),
    [
        ("integer", "numeric(12,2)", "SELECT id FROM t WHERE a / 2 = 7000003", "pu"),
        (
            "integer",
            "numeric(12,2)",
            "SELECT id FROM t /* b / 2 */ WHERE a = 7000003 AND b::text <> '1/2'",
            "pp",
        ),
        ("integer", "numeric(12,2)", "SELECT id FROM t WHERE a::text = concat('70000', '03')", "pu"),
        ("integer", "numeric(12,2)", "SELECT id FROM t WHERE 'x' || a = 'x7000003'", "pu"),
        ("integer", "numeric(12,2)", "SELECT id FROM t WHERE a > 7000003 AND lower(b) LIKE 'x%'", "pp"),
        ("integer", "numeric(12,2)", "SELECT id FROM t WHERE a > 7000003 AND length(b) > 70", "pp"),
        ("integer", "numeric(12,2)", "SELECT id FROM t WHERE a::text LIKE '7000003%0'", "pu"),
        ("integer", "numeric(12,2)", "SELECT id FROM t WHERE concat('x', a) = 'x7000003'", "pu"),
        ("integer", "bigint", "SELECT id FROM t WHERE a / 2 = 7000003 OR a::text = '7000003'", "pp"),
        ("numeric(10,2)", "numeric(12,4)", "SELECT id FROM t WHERE CAST(a AS text) LIKE '7000003%0'", "pu"),
        ("numeric(10,2)", "numeric(12,4)", "SELECT id FROM t WHERE a / 2 = 7000003", "pp"),
        ("real", "double precision", "SELECT id FROM t WHERE a::text = '7000003.1'", "pu"),
        ("date", "timestamp", "SELECT id FROM t WHERE a <= current_date - 7000", "pu"),
        ("date", "timestamp", "INSERT INTO t (id, a) VALUES ($1, '1990-01-01')", "pp"),
        ("json", "jsonb", "SELECT id FROM t WHERE a::text = '{}'", "pu"),
        ("json", "jsonb", "SELECT id FROM t WHERE a->>'x' = '7000003'", "pp"),
    ],
)
def test_a_type_that_keeps_each_value_and_makes_something_else_of_it_on_postgresql(
    servers: Servers, before: str, after: str, query: str, expected: str
):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, a {before}, b varchar(9));"
    pending = f"ALTER TABLE t ALTER a TYPE {after};"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


def test_a_view_that_makes_a_text_of_another_column(servers: Servers):
    base = """CREATE TABLE t (id integer PRIMARY KEY, a integer, b varchar(9));
CREATE VIEW v AS SELECT id, a FROM t WHERE b <> 'x';
CREATE VIEW w AS SELECT id FROM t WHERE a::text <> '7000003';"""
    views = "CREATE VIEW v AS SELECT id, a FROM t WHERE b <> 'x';"
    views += " CREATE VIEW w AS SELECT id FROM t WHERE a::text <> '7000003';"
    pending = f"DROP VIEW v, w; ALTER TABLE t ALTER a TYPE numeric(12,2); {views}"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT id FROM v WHERE a > 7000003") == "pp"
    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT id FROM w") == "pu"


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("before", "after", "query", "expected"),
    [
        ("integer", "decimal(12,2)", "SELECT id FROM t WHERE CONCAT('x', a) = 'x7000003'", "pu"),
        ("integer", "decimal(12,2)", "SELECT id FROM t WHERE a LIKE '7000003%0'", "pu"),
        ("integer", "decimal(12,2)", "SELECT id FROM t WHERE a = 7000003", "pp"),
        ("integer", "double", "SELECT id FROM t WHERE a / 3 = 7000003.3333", "pu"),
        ("integer", "integer(9) zerofill", "SELECT id FROM t WHERE CONCAT('x', a) = 'x7000003'", "pu"),
        ("tinyint(1)", "bit(1)", "SELECT id FROM t WHERE a = '1'", "pu"),
        ("varchar(9)", "char(9)", "SELECT id FROM t WHERE CONCAT(a, 'x') = 'b x'", "pu"),
        ("varchar(9)", "char(9)", "SELECT id FROM t WHERE a = 'b'", "pp"),
        ("date", "datetime", "SELECT id FROM t WHERE a <= '1990-01-01'", "pu"),
    ],
)
def test_a_type_that_keeps_each_value_and_makes_something_else_of_it_on_mysql(
    servers: Servers, before: str, after: str, query: str, expected: str
):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, a {before});"

    assert verdict(servers, ENGINE, base, f"ALTER TABLE t MODIFY a {after};", query) == expected


@pytest.mark.parametrize(
    ("after", "query", "expected"),
    [
        ("real", "SELECT id FROM t WHERE a / 2 = 7000003", "pu"),
        ("real", "SELECT id FROM t WHERE 'x' || a = 'x7000003'", "pu"),
        ("real", "SELECT id FROM t WHERE a > 7000003", "pp"),
        ("numeric", "SELECT id FROM t WHERE a / 2 = 7000003", "pp"),
        ("bigint", "SELECT id FROM t WHERE a / 2 = 7000003", "pp"),
    ],
)
def test_a_number_that_gets_digits_behind_its_point_on_sqlite(
    servers: Servers, after: str, query: str, expected: str
):
    base = "CREATE TABLE t (id integer PRIMARY KEY, a integer);"
    pending = f"""CREATE TABLE n (id integer PRIMARY KEY, a {after}); INSERT INTO n SELECT * FROM t;
DROP TABLE t; ALTER TABLE n RENAME TO t;"""

    assert verdict(servers, Engine.SQLITE, base, pending, query) == expected
