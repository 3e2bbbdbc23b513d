"""What a query names means something else at a state, and no sample row tells the two meanings apart."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
ON_MYSQL = pytest.param(ENGINE, marks=pytest.mark.mariadb)
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, ON_MYSQL]
T = "CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer);"
VIEW = "VIEW v AS SELECT id, a FROM t WHERE a > 7000000"
DENIES = "SELECT id FROM s WHERE x NOT IN (SELECT a FROM t)"


def replacing(engine: Engine, what: str) -> str:
    return f"DROP VIEW v; CREATE {what};" if engine is Engine.SQLITE else f"CREATE OR REPLACE {what};"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("view", "query", "expected"),
    [
        ("VIEW v AS SELECT id, a FROM t WHERE a > 8000000", "SELECT id FROM v", "pu"),
        ("VIEW v AS SELECT id, a FROM t WHERE a > 8000000", "SELECT id FROM t", "pp"),
        ("VIEW v AS SELECT id, a + 0 AS a FROM t WHERE a > 7000000", "SELECT id FROM v", "pu"),
        ("VIEW v AS SELECT id, a, b FROM t WHERE a > 7000000", "SELECT id FROM v", "pp"),
        ("VIEW v AS SELECT id, a, coalesce(b, 9) AS b FROM t WHERE a > 7000000", "SELECT id FROM v", "pp"),
    ],
)
def test_a_view_that_is_made_of_something_else(
    servers: Servers, engine: Engine, view: str, query: str, expected: str
):
    base = f"{T} CREATE {VIEW};"

    assert verdict(servers, engine, base, replacing(engine, view), query) == expected


@pytest.mark.parametrize(
    "pending",
    ["ALTER TABLE t RENAME TO n;", "ALTER TABLE t RENAME COLUMN a TO c; ALTER TABLE t ADD x integer;"],
)
def test_a_view_of_what_has_another_name_is_the_same(servers: Servers, pending: str):
    base = f"{T} CREATE {VIEW};"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT id, a FROM v") == "pp"


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        (
            "CREATE OR REPLACE FUNCTION f(a integer) RETURNS boolean LANGUAGE sql AS 'SELECT a > 8000000';",
            "pu",
        ),
        (
            """CREATE OR REPLACE FUNCTION f(a integer) RETURNS boolean LANGUAGE sql IMMUTABLE
            AS 'SELECT a  >  7000000 -- as ever';""",
            "pp",
        ),
        ("CREATE FUNCTION f(a text) RETURNS boolean LANGUAGE sql AS 'SELECT true';", "pp"),
    ],
)
def test_a_function_of_another_body(servers: Servers, pending: str, expected: str):
    base = f"{T} CREATE FUNCTION f(a integer) RETURNS boolean LANGUAGE sql AS 'SELECT a > 7000000';"

    found = verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT id FROM t WHERE f(a)")

    assert found == expected


@pytest.mark.mariadb
def test_a_function_of_another_body_on_mariadb(servers: Servers):
    base = f"{T} CREATE FUNCTION f(a integer) RETURNS integer DETERMINISTIC RETURN a > 7000000;"
    pending = "CREATE OR REPLACE FUNCTION f(a integer) RETURNS integer DETERMINISTIC RETURN a > 8000000;"

    assert verdict(servers, Engine.MARIADB, base, pending, "SELECT id FROM t WHERE f(a)") == "pu"


def test_a_default_that_calls_a_function_of_another_body(servers: Servers):
    function = "FUNCTION f(a integer) RETURNS integer LANGUAGE sql AS"
    base = f"""CREATE {function} 'SELECT CASE WHEN a > 7000000 THEN 1 ELSE 2 END';
    CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer DEFAULT f(9));"""
    pending = f"CREATE OR REPLACE {function} 'SELECT CASE WHEN a > 8000000 THEN 1 ELSE 2 END';"

    def found(query: str) -> str:
        return verdict(servers, Engine.POSTGRESQL, base, pending, query)

    assert found("INSERT INTO t (id) VALUES ($1)") == "pu"
    assert found("UPDATE t SET a = $1") == "pp"


def test_a_materialized_view_of_another_text(servers: Servers):
    view = "CREATE MATERIALIZED VIEW m AS SELECT id, a FROM t WHERE a >"
    pending = f"DROP MATERIALIZED VIEW m; {view} 8000000;"

    found = verdict(servers, Engine.POSTGRESQL, f"{T} {view} 7000000;", pending, "SELECT id FROM m")

    assert found == "pu"


def test_an_option_of_a_view_is_none_of_its_text(servers: Servers):
    base, query = f"{T} CREATE {VIEW};", "SELECT id FROM v"
    pending = "ALTER VIEW v SET (security_invoker = true);"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == "pp"


def test_an_aggregate_of_another_function(servers: Servers):
    base = f"""{T}
    CREATE FUNCTION f(a integer, b integer) RETURNS integer LANGUAGE sql AS 'SELECT coalesce(a, 0) + b';
    CREATE FUNCTION g(a integer, b integer) RETURNS integer LANGUAGE sql
    AS 'SELECT coalesce(a, 0) + CASE WHEN b > 7000000 THEN 0 ELSE b END';
    CREATE AGGREGATE total(integer) (SFUNC = f, STYPE = integer);"""
    pending = "CREATE OR REPLACE AGGREGATE total(integer) (SFUNC = g, STYPE = integer);"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT total(a) FROM t") == "pu"


@pytest.mark.parametrize(
    ("column", "pending", "query", "expected"),
    [
        ("serial", "ALTER SEQUENCE t_id_seq MAXVALUE 1000;", "INSERT INTO t (a) VALUES ($1)", "pu"),
        ("serial", "ALTER SEQUENCE t_id_seq CYCLE;", "INSERT INTO t (a) VALUES ($1)", "pu"),
        ("serial", "ALTER SEQUENCE t_id_seq AS smallint;", "SELECT nextval('t_id_seq')", "pu"),
        ("serial", "ALTER SEQUENCE t_id_seq MAXVALUE 1000;", "UPDATE t SET a = $1", "pp"),
        ("serial", "ALTER SEQUENCE t_id_seq AS bigint;", "INSERT INTO t (a) VALUES ($1)", "pp"),
        ("bigserial", "ALTER TABLE t ALTER id TYPE integer;", "INSERT INTO t (a) VALUES ($1)", "pu"),
        ("serial", "ALTER TABLE t ALTER id TYPE bigint;", "INSERT INTO t (a) VALUES ($1)", "pp"),
        (
            "bigint GENERATED BY DEFAULT AS IDENTITY",
            "ALTER TABLE t ALTER id SET MAXVALUE 1000;",
            "INSERT INTO t (a) VALUES ($1)",
            "pu",
        ),
    ],
)
def test_a_sequence_that_gives_fewer_numbers(
    servers: Servers, column: str, pending: str, query: str, expected: str
):
    base = f"CREATE TABLE t (id {column} PRIMARY KEY, a integer);"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


def test_a_sequence_of_smaller_steps(servers: Servers):
    base, query = "CREATE SEQUENCE s INCREMENT 50;", "SELECT nextval('s')"

    assert verdict(servers, Engine.POSTGRESQL, base, "ALTER SEQUENCE s INCREMENT 1;", query) == "pu"


@pytest.mark.mariadb
@pytest.mark.parametrize(("after", "expected"), [("smallint", "pu"), ("bigint unsigned", "pp")])
def test_a_column_of_mysql_that_counts_less_far(servers: Servers, after: str, expected: str):
    base = "CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY, a integer);"
    pending = f"ALTER TABLE t MODIFY id {after} AUTO_INCREMENT;"

    assert verdict(servers, ENGINE, base, pending, "INSERT INTO t (a) VALUES (?)") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT id FROM t ORDER BY a", "pu"),
        ("SELECT id FROM t WHERE a > 'e'", "pu"),
        ("SELECT id FROM t WHERE a = (SELECT max(a) FROM t)", "pu"),
        ("SELECT id FROM t WHERE a <> 'e'", "pp"),
        ("SELECT id FROM t ORDER BY id", "pp"),
    ],
)
@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, ON_MYSQL])
def test_labels_of_an_enum_in_another_order(servers: Servers, engine: Engine, query: str, expected: str):
    labels, others = "'b', 'a', 'd', 'c', 'f', 'e'", "'b', 'a', 'd', 'c', 'e', 'f'"
    if engine is Engine.POSTGRESQL:
        base = f"CREATE TYPE l AS ENUM ({labels}); CREATE TABLE t (id integer PRIMARY KEY, a l);"
        pending = f"""ALTER TYPE l RENAME TO m; CREATE TYPE l AS ENUM ({others});
        ALTER TABLE t ALTER a TYPE l USING a::text::l;"""
    else:
        base = f"CREATE TABLE t (id integer PRIMARY KEY, a enum({labels}));"
        pending = f"ALTER TABLE t MODIFY a enum({others});"

    assert verdict(servers, engine, base, pending, query) == expected


@pytest.mark.mariadb
def test_a_label_of_mysql_is_a_number_as_well(servers: Servers):
    base = "CREATE TABLE t (id integer PRIMARY KEY, a enum('b', 'a', 'd', 'c', 'e'));"
    pending = "ALTER TABLE t MODIFY a enum('b', 'a', 'd', 'e', 'c');"

    assert verdict(servers, ENGINE, base, pending, "SELECT id FROM t WHERE a = 4") == "pb"


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        ("ALTER TYPE l ADD VALUE 'c' BEFORE 'a';", "pp"),
        ("ALTER TYPE l RENAME TO m;", "pp"),
        ("ALTER TABLE t ALTER a TYPE text;", "pu"),
    ],
)
def test_labels_of_an_enum_that_stay_in_order(servers: Servers, pending: str, expected: str):
    base = "CREATE TYPE l AS ENUM ('b', 'a', 'd'); CREATE TABLE t (id integer PRIMARY KEY, a l);"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT id FROM t ORDER BY a") == expected


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(("column", "expected"), [("n", "pu"), ("m", "pp")])
def test_a_join_that_names_no_columns(servers: Servers, engine: Engine, column: str, expected: str):
    base = "CREATE TABLE s (id integer PRIMARY KEY, x integer);" + T
    pending = f"""ALTER TABLE s ADD n integer NOT NULL DEFAULT 0;
    ALTER TABLE t ADD {column} integer NOT NULL DEFAULT 0;"""

    assert verdict(servers, engine, base, pending, "SELECT x, a FROM s NATURAL JOIN t") == expected


@pytest.mark.parametrize(
    ("engine", "pending"),
    [
        (Engine.POSTGRESQL, "ALTER TABLE t ALTER a DROP NOT NULL;"),
        (
            Engine.SQLITE,
            """CREATE TABLE n (id integer PRIMARY KEY, a integer);
            INSERT INTO n SELECT id, a FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;""",
        ),
        pytest.param(ENGINE, "ALTER TABLE t MODIFY a integer NULL;", marks=pytest.mark.mariadb),
    ],
)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (DENIES, "pu"),
        (DENIES.replace("a FROM t", "a FROM t WHERE a IS NOT NULL"), "pp"),
        (DENIES.replace("NOT IN", "IN"), "pp"),
        (DENIES.replace("SELECT a", "SELECT id"), "pp"),
    ],
)
def test_not_in_a_column_that_may_be_null_newly(
    servers: Servers, engine: Engine, pending: str, query: str, expected: str
):
    base = """CREATE TABLE s (id integer PRIMARY KEY, x integer);
    CREATE TABLE t (id integer PRIMARY KEY, a integer NOT NULL);"""

    assert verdict(servers, engine, base, pending, query) == expected


@pytest.mark.parametrize(
    ("engine", "pending"),
    [
        (
            Engine.POSTGRESQL,
            """ALTER TABLE c DROP CONSTRAINT k;
            ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES t (id) ON DELETE {};""",
        ),
        pytest.param(
            ENGINE,
            """ALTER TABLE c DROP FOREIGN KEY k,
            ADD CONSTRAINT l FOREIGN KEY (a) REFERENCES t (id) ON DELETE {};""",
            marks=pytest.mark.mariadb,
        ),
    ],
)
@pytest.mark.parametrize(("does", "expected"), [("CASCADE", "pu"), ("SET NULL", "pu"), ("NO ACTION", "pp")])
def test_rows_that_refused_and_now_go_along(
    servers: Servers, engine: Engine, pending: str, does: str, expected: str
):
    base = f"""{T} CREATE TABLE c (id integer PRIMARY KEY, a integer,
    CONSTRAINT k FOREIGN KEY (a) REFERENCES t (id));"""
    query = "DELETE FROM t WHERE a = " + ("$1" if engine is Engine.POSTGRESQL else "?")

    assert verdict(servers, engine, base, pending.format(does), query) == expected


@pytest.mark.parametrize(
    ("foreign_key", "query", "expected"),
    [
        ("a integer REFERENCES b ON DELETE CASCADE", "DELETE FROM t WHERE a = $1", "pu"),
        ("a integer REFERENCES t ON UPDATE CASCADE", "UPDATE t SET id = id + 1000 WHERE a = $1", "pu"),
        ("a integer REFERENCES t ON UPDATE CASCADE", "UPDATE t SET a = a + 1 WHERE a = $1", "pp"),
        ("a integer REFERENCES t ON UPDATE CASCADE", "DELETE FROM t WHERE a = $1", "pp"),
    ],
)
def test_rows_that_go_along_behind_others_or_with_a_key(
    servers: Servers, foreign_key: str, query: str, expected: str
):
    base = f"""{T} CREATE TABLE b (id integer PRIMARY KEY, t integer REFERENCES t ON DELETE CASCADE);
    CREATE TABLE c (id integer PRIMARY KEY, {foreign_key.partition(" ON")[0]});"""
    pending = f"""ALTER TABLE c DROP CONSTRAINT c_a_fkey; ALTER TABLE c ADD CONSTRAINT k
    FOREIGN KEY (a) {foreign_key.partition("integer ")[2]};"""

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


def test_a_generated_column_that_calls_a_function_of_another_body(servers: Servers):
    function = "FUNCTION f(a integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS"
    base = f"""CREATE {function} 'SELECT a > 7000000';
    CREATE TABLE t (id integer PRIMARY KEY, a integer, g boolean GENERATED ALWAYS AS (f(a)) STORED);"""
    pending = f"CREATE OR REPLACE {function} 'SELECT a > 8000000';"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "UPDATE t SET a = $1 WHERE id = $2") == "pu"
