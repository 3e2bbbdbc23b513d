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
RARE = "WHERE n > 900000000"
STAMP = "timestamp NOT NULL DEFAULT current_timestamp"


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
