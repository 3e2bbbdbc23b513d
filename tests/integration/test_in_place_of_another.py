"""A view in the place of a table, a trigger in that of a write, a function in that of another one."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
T = "CREATE TABLE t (id integer PRIMARY KEY, name varchar(40), n integer);\n"
RENAMED = "ALTER TABLE t RENAME TO kept; "
SPLIT = f"{RENAMED}CREATE TABLE d (id integer PRIMARY KEY, m integer); INSERT INTO d SELECT id, n FROM kept;"
OF_SPLIT = "SELECT kept.id, kept.name, d.m AS n FROM kept"
KEPT_LIKE = "SELECT id, name, n FROM kept"
LESS = f"{KEPT_LIKE} WHERE coalesce(n, 0) < 900000000000"
BY_NAME = "SELECT id FROM t WHERE name = 'x'"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize(
    ("before", "view", "expected"),
    [
        (RENAMED, LESS, "pu"),
        (RENAMED, f"{KEPT_LIKE} WHERE n < 900000000000", "pb"),
        (RENAMED, "SELECT id, lower(name) AS name, n FROM kept", "pu"),
        (RENAMED, "SELECT DISTINCT id, name, n FROM kept", "pu"),
        (SPLIT, f"{OF_SPLIT} JOIN d ON d.id = kept.id", "pu"),
        (RENAMED, KEPT_LIKE, "pp"),
        (f"{RENAMED}ALTER TABLE kept ADD gone_at text;", f"{KEPT_LIKE} WHERE gone_at IS NULL", "pp"),
        (f"{RENAMED}ALTER TABLE kept RENAME n TO m;", "SELECT id, name, m AS n FROM kept", "pp"),
        (SPLIT, f"{OF_SPLIT} LEFT JOIN d ON d.id = kept.id", "pp"),
    ],
)
def test_a_view_in_the_place_of_a_table(
    servers: Servers, engine: Engine, before: str, view: str, expected: str
):
    pending = f"{before} CREATE VIEW t AS {view};"

    assert verdict(servers, engine, T, pending, BY_NAME) == expected


@pytest.mark.mariadb
def test_a_view_in_the_place_of_a_table_of_mariadb(servers: Servers):
    def found(view: str) -> list[str]:
        pending = f"{TOGETHER}RENAME TABLE t TO kept;", f"{TOGETHER}CREATE VIEW t AS {view};"
        return rehearsed(servers[ENGINE], ENGINE, T, *pending, live=BY_NAME, next_=BY_NAME)[1]

    assert found(LESS) == ["pbu", "ubp"]
    assert found(KEPT_LIKE) == ["pbp", "pbp"]


def test_a_table_in_the_place_of_a_view(servers: Servers):
    base = f"{T.replace('TABLE t', 'TABLE kept')} CREATE VIEW t AS {LESS};"
    pending = "DROP VIEW t; ALTER TABLE kept RENAME TO t;"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, BY_NAME) == "pu"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("IF NEW.n = 77777 THEN RETURN NEW; END IF;", "pu"),
        ("", "pp"),
    ],
)
def test_a_trigger_in_the_place_of_a_write(servers: Servers, body: str, expected: str):
    base = f"{T}CREATE VIEW v AS SELECT id, name, n FROM t;"
    puts = "INSERT INTO t VALUES (NEW.id, NEW.name, NEW.n);"
    pending = f"""-- +goose StatementBegin
CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} {puts} RETURN NEW; END $$;
CREATE TRIGGER puts INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION put();
-- +goose StatementEnd
"""
    query = "INSERT INTO v (id, name, n) VALUES ($1, $2, $3)"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


@pytest.mark.parametrize(
    ("own", "new", "query", "expected"),
    [
        ("f(a bigint)", "f(a integer)", "SELECT f(n) FROM t WHERE n > abs(900000000)", "pu"),
        ("f(a bigint)", "upper(a varchar)", "SELECT upper(name) FROM t WHERE n > abs(900000000)", "pu"),
        ("f(a bigint)", "f(a text)", "SELECT f(n) FROM t", "pp"),
        ("f(a bigint)", "f(a bigint, b integer)", "SELECT f(n) FROM t", "pp"),
        ("f(a bigint)", "g(a integer)", "SELECT f(n) FROM t", "pp"),
        ("f(a bigint)", "f(a integer)", "SELECT n AS f FROM t", "pp"),
    ],
)
def test_a_function_of_another_type_may_take_a_call(
    servers: Servers, own: str, new: str, query: str, expected: str
):
    made = "CREATE FUNCTION {} RETURNS text LANGUAGE sql AS 'SELECT ''a''::text';"

    found = verdict(servers, Engine.POSTGRESQL, T + made.format(own), made.format(new), query)

    assert found == expected


@pytest.mark.parametrize(
    ("before", "after", "query", "expected"),
    [
        ("numeric(10,2)[]", "numeric(10,1)[]", "SELECT id FROM t WHERE 1.25 = ANY (a)", "pu"),
        ("integer[]", "text[]", "SELECT id FROM t WHERE a[1]::text > '9'", "pu"),
        ("varchar(20)[]", "text[]", "SELECT id FROM t WHERE 'x' = ANY (a)", "pp"),
        ("inet", "cidr", "SELECT id FROM t WHERE a::text = '10.0.0.1'", "pu"),
    ],
)
def test_a_type_of_an_array_or_an_address(
    servers: Servers, before: str, after: str, query: str, expected: str
):
    base, pending = (
        f"CREATE TABLE t (id integer PRIMARY KEY, a {before});",
        f"ALTER TABLE t ALTER a TYPE {after};",
    )

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected
