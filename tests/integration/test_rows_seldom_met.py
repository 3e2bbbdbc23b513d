"""Rows and values that a query meets less often than others, and that a migration treats in another way."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
READS = "SELECT id FROM t"
T = "CREATE TABLE t (id integer PRIMARY KEY, a integer NOT NULL, b integer NOT NULL, c text);\n"
REFUSES_NULL = {
    Engine.POSTGRESQL: """-- +goose StatementBegin
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.c IS NULL THEN RAISE 'no'; END IF; RETURN NEW; END $$;
-- +goose StatementEnd
CREATE TRIGGER refuse BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse();
""",
    Engine.SQLITE: """-- +goose StatementBegin
CREATE TRIGGER refuse BEFORE UPDATE ON t BEGIN SELECT raise(ABORT, 'no') WHERE NEW.c IS NULL; END;
-- +goose StatementEnd
""",
}


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_a_conflict_is_met_with_the_row_that_has_null(servers: Servers, engine: Engine):
    upserts = "INSERT INTO t (id, a, b, c) VALUES ({}) ON CONFLICT (id) DO UPDATE SET a = excluded.a"
    marks = "$1, $2, $3, 'c'" if engine is Engine.POSTGRESQL else "?, ?, ?, 'c'"

    rehearsal, [live, _] = rehearsed(
        servers[engine],
        engine,
        T,
        TOGETHER + REFUSES_NULL[engine],
        live=upserts.format(marks),
        next_=READS,
    )

    assert (live, [each.layer.value for each in rehearsal.breaks]) == ("pb", ["execute"])


def test_zero_is_written(servers: Servers):
    rehearsal, [live, _] = rehearsed(
        servers[Engine.POSTGRESQL],
        Engine.POSTGRESQL,
        T,
        TOGETHER + "ALTER TABLE t ADD CHECK (a <> 0);",
        live="UPDATE t SET a = $1 WHERE id = $2",
        next_=READS,
    )

    assert (live, [each.objection.code for each in rehearsal.breaks]) == ("pb", ["23514"])


def test_a_view_of_sqlite_is_asked_for_rows_that_it_has(servers: Servers):
    view = "CREATE VIEW v AS SELECT id, c FROM t"

    rehearsal, [live, _] = rehearsed(
        servers[Engine.SQLITE],
        Engine.SQLITE,
        f"{T}{view};\n",
        f"{TOGETHER}DROP VIEW v;\n{view} WHERE c IS NULL;\n",
        live="SELECT id FROM v WHERE c = ?",
        next_=READS,
    )

    assert (live, [each.layer.value for each in rehearsal.breaks]) == ("pb", ["result"])


def test_numbers_of_sqlite_that_are_exchanged_are_seen(servers: Servers):
    _, [live, _] = rehearsed(
        servers[Engine.SQLITE],
        Engine.SQLITE,
        T,
        f"{TOGETHER}UPDATE t SET a = b, b = a;\n",
        live="SELECT id, a FROM t",
        next_=READS,
    )

    assert live == "pu"


@pytest.mark.parametrize(
    "engine", [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)]
)
def test_null_is_met_where_a_column_has_a_default(servers: Servers, engine: Engine):
    base = "CREATE TABLE t (id integer PRIMARY KEY, a integer DEFAULT 5);\n"
    view = "CREATE VIEW v AS SELECT id FROM t"

    _, [live, _] = rehearsed(
        servers[engine],
        engine,
        f"{base}{view};\n",
        f"{TOGETHER}DROP VIEW v;\n{view} WHERE a IS NOT NULL;\n",
        live="SELECT id FROM v",
        next_=READS,
    )

    assert live == "pb"


FLAGS = {
    "the other value where NULL may be, too": ("x boolean", "UPDATE t SET x = true WHERE NOT x;"),
    "another value than the default": ("x boolean DEFAULT false", "UPDATE t SET x = false WHERE x;"),
    "two flags that are not alike": (
        "x boolean NOT NULL, y boolean NOT NULL",
        "UPDATE t SET x = y;",
    ),
}


@pytest.mark.parametrize(("columns", "pending"), FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize(
    "engine", [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)]
)
def test_both_values_of_a_flag_are_met(servers: Servers, engine: Engine, columns: str, pending: str):
    base = f"CREATE TABLE t (id integer PRIMARY KEY, {columns});\n"

    assert verdict(servers, engine, base, pending, "SELECT id, x FROM t ORDER BY id") == "pu"


def test_both_references_to_one_table_are_met(servers: Servers):
    keys = "a integer NOT NULL REFERENCES p, b integer NOT NULL REFERENCES p"

    base = f"CREATE TABLE p (id integer PRIMARY KEY);\nCREATE TABLE t (id integer PRIMARY KEY, {keys});\n"

    assert verdict(servers, Engine.POSTGRESQL, base, "UPDATE t SET a = b;", "SELECT id, a FROM t") == "pu"


@pytest.mark.parametrize(
    ("before", "after", "shows", "expected"),
    [
        ("varchar(40)", "text", "c = 'x'", "pp"),
        ("varchar(40)", "text", "lower(c) = 'x'", "pp"),
        ("varchar(40)", "text", "c >= 'x'", "pu"),
        ("integer", "text", "c = 'x'", "pu"),
        ('varchar(40) COLLATE "C"', "text", "c = 'x'", "pu"),
        ("varchar(40)", "text", "of_a_kind(c) = 'x'", "pu"),
        ("varchar(40)", "text", "c = (SELECT max(c) FROM t)", "pu"),
    ],
    ids=[
        "alike",
        "in a function",
        "another view",
        "another type",
        "a collation",
        "our function",
        "a subquery",
    ],
)
def test_a_view_of_a_varchar_that_becomes_a_text_is_made_anew(
    servers: Servers, before: str, after: str, shows: str, expected: str
):
    """PostgreSQL's own text of it has a cast less."""
    function = "CREATE FUNCTION of_a_kind(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT $1$$;\n"
    first = shows.replace(">=", "=").replace("c ", "c::text " if before == "integer" else "c ")
    view = "CREATE VIEW v AS SELECT id FROM t WHERE "

    found = verdict(
        servers,
        Engine.POSTGRESQL,
        f"{function}CREATE TABLE t (id integer PRIMARY KEY, c {before});\n{view}{first};\n",
        f"DROP VIEW v;\nALTER TABLE t ALTER COLUMN c TYPE {after};\n{view}{shows};\n",
        "SELECT id FROM v",
    )

    assert found == expected
