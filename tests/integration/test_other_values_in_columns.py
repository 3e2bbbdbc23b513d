"""A column that is there before and after a migration, and does not hold what it held."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, rehearsed, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
ON_MYSQL = pytest.mark.mariadb
BASE = "CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer);"
FINDS = "SELECT id FROM t WHERE a = abs(7777)"
TAKEN_OVER = "ALTER TABLE t RENAME COLUMN a TO old_a; ALTER TABLE t ADD a integer;"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (TAKEN_OVER, FINDS, "pu"),
        (TAKEN_OVER, "SELECT b FROM t", "pp"),
        (f"{TAKEN_OVER} UPDATE t SET a = old_a;", FINDS, "pp"),
        (f"{TAKEN_OVER} UPDATE t SET a = old_a * 100;", FINDS, "pu"),
        (f"{TAKEN_OVER} UPDATE t SET a = old_a WHERE id > 1;", FINDS, "pu"),
        (f"{TAKEN_OVER} UPDATE t SET a = b;", FINDS, "pu"),
        (f"{TAKEN_OVER} UPDATE t SET b = 0 WHERE b IS NULL;", FINDS, "pu"),
        (f"{TAKEN_OVER} DELETE FROM t WHERE b IS NULL;", FINDS, "pu"),
        (f"{TAKEN_OVER} ALTER TABLE t DROP COLUMN b;", FINDS, "pu"),
        ("ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME COLUMN b TO a;", FINDS, "pu"),
        (
            """ALTER TABLE t ADD n bigint; UPDATE t SET n = a; ALTER TABLE t DROP COLUMN a;
            ALTER TABLE t RENAME COLUMN n TO a;""",
            FINDS,
            "pp",
        ),
        (f"DROP TABLE t; {BASE}", FINDS, "pu"),
        (
            """CREATE TABLE n (id integer PRIMARY KEY, a integer, b integer, c integer);
            INSERT INTO n (id, a, b) SELECT id, a, b FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;""",
            FINDS,
            "pp",
        ),
        (
            """CREATE TABLE n AS SELECT id, a, b, 1 AS c FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;""",
            FINDS,
            "pp",
        ),
        ("ALTER TABLE t RENAME TO n; CREATE VIEW t AS SELECT id, a, b FROM n;", FINDS, "pp"),
    ],
)
def test_a_name_that_another_column_has_now(
    servers: Servers, engine: Engine, pending: str, query: str, expected: str
):
    assert verdict(servers, engine, BASE, pending, query) == expected


def test_a_column_that_an_earlier_migration_of_the_release_made_takes_the_name(servers: Servers):
    made = "-- +goose Up\nALTER TABLE t ADD n varchar(20); UPDATE t SET n = a;"
    takes = "-- +goose Up\nALTER TABLE t DROP a; ALTER TABLE t RENAME n TO a;"
    base, engine = "CREATE TABLE t (id integer PRIMARY KEY, a text);", Engine.POSTGRESQL
    finds = "SELECT id FROM t WHERE a = 'none'"

    _, [found, _] = rehearsed(servers[engine], engine, base, made, takes, live=finds, next_="SELECT 1")

    assert found == "ppp"


def test_a_column_that_a_trigger_kept_alike_takes_the_name(servers: Servers):
    base = f"""{BASE} CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN NEW.b := NEW.a; RETURN NEW; END $$;
    CREATE TRIGGER k BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();"""
    pending = """DROP TRIGGER k ON t; DROP FUNCTION f(); ALTER TABLE t DROP a;
    ALTER TABLE t RENAME b TO a;"""

    assert verdict(servers, Engine.POSTGRESQL, base, pending, FINDS) == "pp"


@pytest.mark.mariadb
def test_a_column_of_mysql_that_takes_the_name_in_one_statement(servers: Servers):
    pending = "ALTER TABLE t DROP COLUMN a, CHANGE COLUMN b a integer;"

    assert verdict(servers, ENGINE, BASE, pending, FINDS) == "pu"


@pytest.mark.parametrize(
    "pending",
    [
        f"CREATE SCHEMA past; CREATE TABLE past.t (a integer); {TAKEN_OVER}",
        f"{TAKEN_OVER} DROP TABLE other.t;",
    ],
)
def test_a_table_of_that_name_in_another_schema_says_nothing_of_it(servers: Servers, pending: str):
    base = f"{BASE} CREATE SCHEMA other; CREATE TABLE other.t (a integer);"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, FINDS) == "pu"


@pytest.mark.parametrize(
    "pending",
    [
        """ALTER TABLE t RENAME TO n;
        CREATE TABLE t (id integer NOT NULL, a integer, b integer) PARTITION BY RANGE (id);
        ALTER TABLE t ATTACH PARTITION n DEFAULT;""",
        "ALTER TABLE t DROP b, ADD CONSTRAINT a CHECK (id > -1000) NOT VALID;",
    ],
)
def test_rows_that_stay_on_postgresql(servers: Servers, pending: str):
    assert verdict(servers, Engine.POSTGRESQL, BASE, pending, FINDS) == "pp"


@pytest.mark.parametrize(
    ("engine", "clauses", "expected"),
    [
        (Engine.POSTGRESQL, "DROP a, ADD a integer", "pu"),
        pytest.param(ENGINE, "DROP COLUMN a, ADD COLUMN a integer", "pu", marks=ON_MYSQL),
        pytest.param(ENGINE, "CHANGE a b integer, CHANGE b a integer", "pu", marks=ON_MYSQL),
        pytest.param(ENGINE, "CHANGE a a integer COMMENT 'x', DROP COLUMN b", "pp", marks=ON_MYSQL),
        pytest.param(ENGINE, "DROP COLUMN b, ADD COLUMN c integer, ADD INDEX k (a)", "pp", marks=ON_MYSQL),
    ],
)
def test_one_statement_that_leaves_the_schema_as_it_was(
    servers: Servers, engine: Engine, clauses: str, expected: str
):
    assert verdict(servers, engine, BASE, f"ALTER TABLE t {clauses};", FINDS) == expected


LARGE = "CASE WHEN a > {} THEN 1 ELSE 0 END"
COMPUTED = f"""CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer,
g integer GENERATED ALWAYS AS ({LARGE.format(7777)}) STORED);"""
FINDS_LARGE = "SELECT id FROM t WHERE g = 1"
REBUILT = """CREATE TABLE n (id integer PRIMARY KEY, a integer, b integer, c integer,
g integer GENERATED ALWAYS AS ({}) STORED);
INSERT INTO n (id, a, b) SELECT id, a, b FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;"""


@pytest.mark.parametrize(
    ("engine", "pending", "query", "expected"),
    [
        (Engine.SQLITE, REBUILT.format(LARGE.format(8888)), FINDS_LARGE, "pu"),
        (Engine.SQLITE, REBUILT.format(LARGE.format(7777)), FINDS_LARGE, "pp"),
        (Engine.SQLITE, REBUILT.format(LARGE.format(8888)), "UPDATE t SET b = ?", "pp"),
        (Engine.POSTGRESQL, REBUILT.format(LARGE.format(8888)), FINDS_LARGE, "pu"),
        (Engine.POSTGRESQL, "ALTER TABLE t RENAME a TO c;", FINDS_LARGE, "pp"),
        pytest.param(
            ENGINE,
            f"ALTER TABLE t MODIFY g integer GENERATED ALWAYS AS ({LARGE.format(8888)}) STORED;",
            FINDS_LARGE,
            "pu",
            marks=ON_MYSQL,
        ),
        pytest.param(ENGINE, "ALTER TABLE t ADD c integer;", FINDS_LARGE, "pp", marks=ON_MYSQL),
    ],
)
def test_a_generated_column_of_another_expression(
    servers: Servers, engine: Engine, pending: str, query: str, expected: str
):
    assert verdict(servers, engine, COMPUTED, pending, query) == expected


@pytest.mark.parametrize(
    ("engine", "bound", "expected"),
    [
        (Engine.POSTGRESQL, 8888, "pu"),
        (Engine.POSTGRESQL, 7777, "pp"),
        (Engine.SQLITE, 8888, "pu"),
        (Engine.SQLITE, 7777, "pp"),
    ],
)
def test_a_unique_of_a_generated_column_of_another_expression(
    servers: Servers, engine: Engine, bound: int, expected: str
):
    once = "STORED UNIQUE"
    some = "CASE WHEN a > {} THEN b END"
    base, pending = (each.replace("STORED", once) for each in (COMPUTED, REBUILT))
    base, pending = base.replace(LARGE.format(7777), some.format(7777)), pending.format(some.format(bound))

    found = verdict(servers, engine, base, pending, "UPDATE t SET a = b WHERE id = 1")

    assert found == expected


@pytest.mark.mariadb
@pytest.mark.parametrize(("query", "expected"), [("a = ?", "pu"), ("b = ?", "pp")])
def test_a_unique_of_a_generated_column_on_mysql(servers: Servers, query: str, expected: str):
    base = COMPUTED.replace("ELSE 0 ", "")

    found = verdict(
        servers, ENGINE, base, "ALTER TABLE t ADD UNIQUE (g);", f"UPDATE t SET {query} WHERE id = 1"
    )

    assert found == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [(" a*2 ", "pp"), ('"a" * 2', "pp"), ("ABS(a) * 2", "pu"), ("a * 20", "pu")],
)
def test_a_generated_column_of_the_same_expression_in_other_words(
    servers: Servers, expression: str, expected: str
):
    base = "CREATE TABLE t (id integer PRIMARY KEY, a integer, g integer AS (a * 2) STORED);"
    pending = f"""CREATE TABLE n (id integer PRIMARY KEY, A integer, g integer AS ({expression}) STORED);
    INSERT INTO n (id, a) SELECT id, a FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;"""

    assert verdict(servers, Engine.SQLITE, base, pending, "SELECT id FROM t WHERE g = 7777") == expected


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        ("ALTER TYPE l RENAME TO m;", "pp"),
        ("CREATE SCHEMA o; ALTER TYPE l SET SCHEMA o;", "pp"),
        ("ALTER FUNCTION f RENAME TO h;", "pp"),
        ("ALTER TABLE t DROP g, ADD g boolean GENERATED ALWAYS AS (f(b) AND a = 'y'::l) STORED;", "pu"),
    ],
)
def test_a_generated_column_whose_type_or_function_has_another_name(
    servers: Servers, pending: str, expected: str
):
    base = """CREATE TYPE l AS ENUM ('x', 'y');
    CREATE FUNCTION f(n integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT n > 9';
    CREATE TABLE t (id integer PRIMARY KEY, a l, b integer,
    g boolean GENERATED ALWAYS AS (f(b) AND a = 'x'::l) STORED);"""

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT id FROM t WHERE g") == expected
