"""What gives a column its values, or a row its number, is another one at a state, and no sample row tells."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(ENGINE, marks=pytest.mark.mariadb)]
T = "CREATE TABLE t (id integer PRIMARY KEY, a integer, b text);"
WRITES = "UPDATE t SET a = $1 WHERE id = $2"
MOVED = "ALTER TABLE t ADD c integer; UPDATE t SET c = a; ALTER TABLE t DROP a; ALTER TABLE t RENAME c TO a;"


def rebuilt(columns: str, chosen: str = "*") -> str:
    """Return how a table of SQLite is made anew."""
    filled = f"INSERT INTO n SELECT {chosen} FROM t;" if chosen == "*" else f"INSERT INTO n {chosen} FROM t;"
    return f"CREATE TABLE n ({columns}); {filled} DROP TABLE t; ALTER TABLE n RENAME TO t;"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("INSERT INTO t SELECT * FROM s WHERE id > abs(7000003)", "pu"),
        ("INSERT INTO t (id, a, d) SELECT id, a, d FROM s WHERE id > abs(7000003)", "pp"),
        ("DELETE FROM t WHERE id = $1", "pp"),
    ],
)
def test_columns_in_another_order_on_postgresql(servers: Servers, query: str, expected: str):
    columns = "(id integer, a integer, d integer)"
    base = f"CREATE TABLE t {columns}; CREATE TABLE s {columns};"

    assert verdict(servers, Engine.POSTGRESQL, base, MOVED, query) == expected


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        ("ALTER TABLE t ADD g integer GENERATED ALWAYS AS (100 / (a - 12345)) STORED;", WRITES, "pu"),
        ("ALTER TABLE t ADD g integer GENERATED ALWAYS AS (100 / nullif(a, 0)) STORED;", WRITES, "pp"),
        ("ALTER TABLE t ADD g integer GENERATED ALWAYS AS (a / 100) STORED;", WRITES, "pp"),
        ("CREATE INDEX i ON t ((100 / (a - 12345)));", WRITES, "pu"),
        ("CREATE INDEX i ON t ((100 / (a - 12345)));", "UPDATE t SET b = $1 WHERE id = $2", "pp"),
        ("CREATE INDEX i ON t (sqrt(a + 7000000000));", WRITES, "pu"),
    ],
)
def test_what_cannot_be_computed_of_each_number(servers: Servers, pending: str, query: str, expected: str):
    assert verdict(servers, Engine.POSTGRESQL, T, pending, query) == expected


@pytest.mark.mariadb
@pytest.mark.parametrize(("expression", "expected"), [("100 DIV (a - 12345)", "pu"), ("a & 12345", "pp")])
def test_what_cannot_be_computed_of_each_number_on_mysql(servers: Servers, expression: str, expected: str):
    pending = f"ALTER TABLE t ADD g integer AS ({expression}) STORED;"

    assert verdict(servers, ENGINE, T, pending, "UPDATE t SET a = ? WHERE id = ?") == expected


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, pytest.param(ENGINE, marks=pytest.mark.mariadb)])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT id FROM t WHERE g > 7000003", "pu"),
        ("UPDATE t SET a = 7 WHERE a = abs(7000003)", "pu"),
        ("SELECT a FROM t WHERE a > 7000003", "pp"),
    ],
)
def test_a_column_that_is_computed_no_more(servers: Servers, engine: Engine, query: str, expected: str):
    base = "CREATE TABLE t (id integer PRIMARY KEY, a integer, g integer GENERATED ALWAYS AS (a * 2) STORED);"
    drop = "ALTER g DROP EXPRESSION" if engine is Engine.POSTGRESQL else "MODIFY g integer"

    assert verdict(servers, engine, base, f"ALTER TABLE t {drop};", query) == expected


@pytest.mark.parametrize(("own", "expected"), [("", "pu"), (" DEFAULT 'z'", "pp")])
def test_a_domain_of_another_default(servers: Servers, own: str, expected: str):
    base = f"""CREATE DOMAIN d AS text DEFAULT 'x'; CREATE TABLE t (id integer PRIMARY KEY, b d{own});
CREATE TABLE s (id integer PRIMARY KEY);"""
    query = "INSERT INTO t (id) SELECT id FROM s WHERE id > abs(7000003)"

    assert verdict(servers, Engine.POSTGRESQL, base, "ALTER DOMAIN d SET DEFAULT 'y';", query) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("VIEW", "MATERIALIZED VIEW", "pu"), ("MATERIALIZED VIEW", "VIEW", "pp")],
)
def test_a_view_that_holds_rows_newly(servers: Servers, before: str, after: str, expected: str):
    pending = f"DROP {before} v; CREATE {after} v AS SELECT id, a FROM t;"
    base = f"{T} CREATE {before} v AS SELECT id, a FROM t;"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT id FROM v WHERE a > 7") == expected


@pytest.mark.parametrize(
    ("columns", "chosen", "query", "expected"),
    [
        ("a integer, b text", "*", "SELECT a FROM t WHERE rowid = ?", "pu"),
        ("a integer, b text", "*", "SELECT a FROM t WHERE a = ?", "pp"),
        ("a integer, b text", "(rowid, a, b) SELECT rowid, a, b", "SELECT a FROM t WHERE rowid = ?", "pp"),
    ],
)
def test_a_row_of_sqlite_that_gets_another_number(
    servers: Servers, columns: str, chosen: str, query: str, expected: str
):
    base = f"CREATE TABLE t ({columns});"

    assert verdict(servers, Engine.SQLITE, base, rebuilt(columns, chosen), query) == expected


def test_a_row_of_sqlite_whose_key_is_its_number(servers: Servers):
    columns = "id integer NOT NULL PRIMARY KEY, a integer"

    query = "SELECT a FROM t WHERE rowid = ?"

    assert verdict(servers, Engine.SQLITE, f"CREATE TABLE t ({columns});", rebuilt(columns), query) == "pp"


def test_a_column_of_sqlite_that_had_no_type(servers: Servers):
    base, pending = (
        "CREATE TABLE t (id integer PRIMARY KEY, a);",
        rebuilt("id integer PRIMARY KEY, a integer"),
    )

    assert verdict(servers, Engine.SQLITE, base, pending, "SELECT id FROM t WHERE a = '7000003'") == "pu"


@pytest.mark.parametrize(
    ("pending", "expected"), [("DROP RULE r ON t;", "pu"), ("ALTER RULE r ON t RENAME TO s;", "pp")]
)
def test_a_rule_that_is_gone_behind_a_function(servers: Servers, pending: str, expected: str):
    base = f"""{T} CREATE FUNCTION w(x integer, y integer) RETURNS void LANGUAGE sql
AS 'INSERT INTO t (id, a) VALUES (x, y)';
CREATE RULE r AS ON INSERT TO t WHERE NEW.a > 70000003 DO INSTEAD NOTHING;"""

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT w($1, $2)") == expected


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("columns", "expected"), [("id", "pu"), ("id, at", "pp")], ids=["by default", "as it is sent"]
)
def test_a_default_that_is_the_time_of_another_zone(
    servers: Servers, engine: Engine, columns: str, expected: str
):
    one, type_, other = {
        Engine.POSTGRESQL: ("now()", "timestamp", "(now() AT TIME ZONE 'utc')"),
        Engine.SQLITE: ("(datetime('now'))", "text", "(datetime('now', 'localtime'))"),
    }.get(engine, ("current_timestamp", "datetime", "(utc_timestamp())"))
    table = "CREATE TABLE t (id integer PRIMARY KEY, at {} DEFAULT {});"
    pending = {
        Engine.POSTGRESQL: f"ALTER TABLE t ALTER at SET DEFAULT {other};",
        Engine.SQLITE: rebuilt(f"id integer PRIMARY KEY, at text DEFAULT {other}"),
    }.get(engine, f"ALTER TABLE t MODIFY at datetime DEFAULT {other};")
    sent = "$1, $2" if engine is Engine.POSTGRESQL else "?, ?"
    query = f"INSERT INTO t ({columns}) VALUES ({sent[: len(sent) if ',' in columns else 2].strip(',')})"

    assert verdict(servers, engine, table.format(type_, one), pending, query) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("now() + interval '1 day'", "pu"), ("now(); NEW.b := 7", "pp")]
)
def test_a_trigger_that_gives_another_time(servers: Servers, value: str, expected: str):
    function = """CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN NEW.at := {}; RETURN NEW; END';"""
    base = f"""CREATE TABLE t (id integer PRIMARY KEY, at timestamptz, b integer DEFAULT 7);
{function.format("now()")} CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"""
    pending = function.format(value.replace("'", "''"))

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "INSERT INTO t (id) VALUES ($1)") == expected
