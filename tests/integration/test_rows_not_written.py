"""A write that finds no sample row shows no default, no ON UPDATE and no trigger that is another one."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
ON_MYSQL = pytest.param(ENGINE, marks=pytest.mark.mariadb)
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, ON_MYSQL]
T = """CREATE TABLE t (id integer PRIMARY KEY, n integer, k integer DEFAULT 1);
CREATE TABLE s (id integer PRIMARY KEY, n integer);
CREATE TABLE log (n integer);
"""
RARE = "WHERE n > abs(900000000)"
STAMP = "timestamp NOT NULL DEFAULT current_timestamp"


DROPS = "DROP TRIGGER notes ON t;"


def in_one(text: str) -> str:
    return f"-- +goose StatementBegin\n{text}\n-- +goose StatementEnd\n"


def noted(engine: Engine, value: str = "NEW.n") -> str:
    """Return a trigger that writes down what an UPDATE does."""
    does = f"INSERT INTO log (n) VALUES ({value});"
    if engine is Engine.POSTGRESQL:
        body = f"$$ BEGIN {does} RETURN NULL; END $$"
        function = f"CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS {body};"
        then = "FOR EACH ROW EXECUTE FUNCTION note();"
        return in_one(f"{function}\nCREATE TRIGGER notes AFTER UPDATE ON t {then}")
    each_row = "FOR EACH ROW " if engine is ENGINE else ""
    return in_one(f"CREATE TRIGGER notes AFTER UPDATE ON t {each_row}BEGIN {does} END;")


def dropped(engine: Engine) -> str:
    return "DROP TRIGGER notes ON t;\n" if engine is Engine.POSTGRESQL else "DROP TRIGGER notes;\n"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"UPDATE t SET n = 1 {RARE}", "pu"),
        (f"DELETE FROM t {RARE}", "pp"),
        (f"SELECT id FROM t {RARE}", "pp"),
        (f"UPDATE s SET n = 1 {RARE}", "pp"),
    ],
)
def test_a_trigger_that_is_gone(servers: Servers, engine: Engine, query: str, expected: str):
    assert verdict(servers, engine, T + noted(engine), dropped(engine), query) == expected


@pytest.mark.parametrize("engine", EVERY)
def test_a_trigger_that_is_another_one_or_comes(servers: Servers, engine: Engine):
    query = f"UPDATE t SET n = 1 {RARE}"
    other, same = (dropped(engine) + noted(engine, value) for value in ("NEW.n + 1", "NEW.n"))

    assert verdict(servers, engine, T + noted(engine), other, query) == "pu"
    gone_between = engine is ENGINE  # where each statement commits
    assert verdict(servers, engine, T + noted(engine), same, query) == ("pu" if gone_between else "pp")
    assert verdict(servers, engine, T, noted(engine), query) == "pp"


def test_a_rule_that_is_gone(servers: Servers):
    base = T + "CREATE RULE notes AS ON UPDATE TO t DO ALSO INSERT INTO log (n) VALUES (NEW.n);"
    pending = "DROP RULE notes ON t;"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, f"UPDATE t SET n = 1 {RARE}") == "pu"


def test_a_rule_that_leaves_rows_out_and_is_gone(servers: Servers):
    rule = "CREATE RULE r AS ON INSERT TO t WHERE NEW.id = 77 DO INSTEAD NOTHING;"
    insert, update = "INSERT INTO t (id, n) VALUES ($1, $2)", "UPDATE t SET n = $1 WHERE id = $2"

    assert verdict(servers, Engine.POSTGRESQL, T + rule, "DROP RULE r ON t;", insert) == "pu"
    assert verdict(servers, Engine.POSTGRESQL, T + rule, "DROP RULE r ON t;", update) == "pp"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, ON_MYSQL])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"INSERT INTO t (id, n) SELECT id, n FROM s {RARE}", "pu"),
        (f"INSERT INTO t (id, n, k) SELECT id, n, 1 FROM s {RARE}", "pp"),
        (f"UPDATE t SET n = 1 {RARE}", "pp"),
    ],
)
def test_a_default_that_is_another_one(servers: Servers, engine: Engine, query: str, expected: str):
    assert verdict(servers, engine, T, "ALTER TABLE t ALTER k SET DEFAULT 2;", query) == expected


@pytest.mark.parametrize("engine", EVERY)
def test_a_default_of_a_new_column(servers: Servers, engine: Engine):
    query = f"INSERT INTO t (id, n) SELECT id, n FROM s {RARE}"

    assert verdict(servers, engine, T, "ALTER TABLE t ADD z integer DEFAULT 2;", query) == "pp"


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"UPDATE t SET n = 1 {RARE}", "pu"),
        (f"UPDATE t SET n = 1, at = now() {RARE}", "pp"),
        (f"DELETE FROM t {RARE}", "pp"),
    ],
)
def test_a_time_that_is_put_no_more(servers: Servers, query: str, expected: str):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, n integer, at {STAMP} ON UPDATE current_timestamp);"

    assert verdict(servers, ENGINE, base, f"ALTER TABLE t MODIFY at {STAMP};", query) == expected


FILLED = "UPDATE t SET n = 0 WHERE n IS NULL;\n"
SAMPLE = """CREATE TABLE t (id integer PRIMARY KEY, name varchar(9), n integer);
CREATE TABLE s (id integer PRIMARY KEY, name varchar(9), n integer);
"""
SETS_NOT_NULL = {
    Engine.POSTGRESQL: f"{FILLED}ALTER TABLE t ALTER n SET NOT NULL;",
    Engine.SQLITE: """CREATE TABLE t_new (id integer PRIMARY KEY, name varchar(9), n integer NOT NULL);
INSERT INTO t_new SELECT id, name, coalesce(n, 0) FROM t; DROP TABLE t; ALTER TABLE t_new RENAME TO t;""",
    ENGINE: f"{FILLED}ALTER TABLE t MODIFY n integer NOT NULL;",
}


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("UPDATE t SET n = NULL WHERE name = lower('PAID')", "pu"),
        ("UPDATE t SET n = nullif(n, 5) WHERE name = lower('PAID')", "pu"),
        ("INSERT INTO t (id, n) SELECT id + 50, n FROM s WHERE name = lower('PAID')", "pu"),
        ("INSERT INTO t (id) SELECT id + 50 FROM s WHERE name = lower('PAID')", "pu"),
        ("UPDATE t SET n = 4 WHERE name = lower('PAID')", "pp"),
        ("UPDATE t SET name = 'open' WHERE name = lower('PAID')", "pp"),
        ("DELETE FROM t WHERE name = lower('PAID')", "pp"),
        ("INSERT INTO s (id) SELECT id + 50 FROM t WHERE name = lower('PAID')", "pp"),
    ],
)
def test_a_not_null_that_no_row_meets(servers: Servers, engine: Engine, query: str, expected: str):
    if engine is Engine.MARIADB and query.startswith("INSERT INTO t (id) "):
        expected = "pb"  # which is refused before a row is read
    assert verdict(servers, engine, SAMPLE, SETS_NOT_NULL[engine], query) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("integer NOT NULL DEFAULT 0; ALTER TABLE t ALTER z DROP DEFAULT", "pu"),
        ("integer NOT NULL DEFAULT 0", "pp"),
        ("integer NOT NULL GENERATED BY DEFAULT AS IDENTITY", "pp"),
    ],
)
def test_a_new_column_that_is_not_null(servers: Servers, column: str, expected: str):
    query = "INSERT INTO t (id) SELECT id + 50 FROM s WHERE name = lower('PAID')"

    assert verdict(servers, Engine.POSTGRESQL, SAMPLE, f"ALTER TABLE t ADD z {column};", query) == expected


@pytest.mark.parametrize(
    ("does", "pending", "expected"),
    [
        ("PERFORM pg_notify('changed', 'x');", DROPS, "pu"),
        ("IF NEW.k = 77777 THEN INSERT INTO log (n) VALUES (1); END IF;", DROPS, "pu"),
        (
            "IF NEW.k = 77777 THEN INSERT INTO log (n) VALUES (1); END IF;",
            "ALTER TABLE t ADD z integer;",
            "pp",
        ),
        ("RAISE NOTICE 'changed';", DROPS, "pp"),
    ],
)
def test_a_trigger_that_was_not_seen_to_do_anything(servers: Servers, does: str, pending: str, expected: str):
    base = T + noted(Engine.POSTGRESQL).replace("INSERT INTO log (n) VALUES (NEW.n);", does)

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "UPDATE t SET k = $1 WHERE id = $2") == expected


@pytest.mark.parametrize(
    ("when", "body", "expected"),
    [
        ("UPDATE", "IF NEW.n = 77777 THEN RETURN OLD; END IF; RETURN NEW;", "pu"),
        ("UPDATE OR DELETE", "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW;", "pp"),
    ],
)
def test_a_trigger_that_may_leave_a_row_as_it_was(servers: Servers, when: str, body: str, expected: str):
    pending = in_one(
        f"CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;\n"
        f"CREATE TRIGGER keeps BEFORE {when} ON t FOR EACH ROW EXECUTE FUNCTION keep();"
    )

    assert verdict(servers, Engine.POSTGRESQL, T, pending, "UPDATE t SET n = $1 WHERE id = $2") == expected


CHECKS_NULL = {
    Engine.POSTGRESQL: "ALTER TABLE t ADD CONSTRAINT has_n CHECK (n IS NOT NULL) NOT VALID;",
    Engine.SQLITE: SETS_NOT_NULL[Engine.SQLITE].replace(
        "n integer NOT NULL", "n integer CHECK (n IS NOT NULL)"
    ),
    ENGINE: f"{FILLED}ALTER TABLE t ADD CONSTRAINT has_n CHECK (n IS NOT NULL);",
}


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("UPDATE t SET n = nullif(n, 5) WHERE name = lower('PAID')", "pu"),
        ("INSERT INTO t (id, n) SELECT id + 50, n FROM s WHERE name = lower('PAID')", "pu"),
        ("UPDATE t SET n = 4 WHERE name = lower('PAID')", "pp"),
        ("UPDATE t SET name = 'open' WHERE name = lower('PAID')", "pp"),
        ("DELETE FROM t WHERE name = lower('PAID')", "pp"),
    ],
)
def test_a_check_for_null_that_no_row_meets(servers: Servers, engine: Engine, query: str, expected: str):
    assert verdict(servers, engine, SAMPLE, CHECKS_NULL[engine], query) == expected


@pytest.mark.parametrize("engine", EVERY)
def test_a_null_is_tried_where_a_set_of_values_meets_rows(servers: Servers, engine: Engine):
    base = """CREATE TABLE p (id integer PRIMARY KEY);
CREATE TABLE c (id integer PRIMARY KEY, n integer, p integer NOT NULL, FOREIGN KEY (p) REFERENCES p (id));
"""
    fills = {
        Engine.POSTGRESQL: "UPDATE c SET n = 0 WHERE n IS NULL;\nALTER TABLE c ALTER n SET NOT NULL;",
        ENGINE: "UPDATE c SET n = 0 WHERE n IS NULL;\nALTER TABLE c MODIFY n integer NOT NULL;",
        Engine.SQLITE: """CREATE TABLE c2
    (id integer PRIMARY KEY, n integer NOT NULL, p integer NOT NULL REFERENCES p (id));
INSERT INTO c2 SELECT id, coalesce(n, 0), p FROM c;
DROP TABLE c;
ALTER TABLE c2 RENAME TO c;""",
    }
    first, second = ("$1", "$2") if engine is Engine.POSTGRESQL else ("?", "?")

    for compares in ("=", "<", ">"):
        query = f"UPDATE c SET n = {first} WHERE p {compares} {second}"
        assert verdict(servers, engine, base, fills[engine], query) == "pb"
