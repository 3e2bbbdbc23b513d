"""A trigger that gives a column a value where a row has NULL, which no sample row that was met has."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
ON_MYSQL = pytest.param(ENGINE, marks=pytest.mark.mariadb)
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, ON_MYSQL]
T = "CREATE TABLE t (id integer PRIMARY KEY, c integer, b integer, k integer NOT NULL DEFAULT 1);\n"
FOUND_BY_B = "UPDATE t SET c = c + 1 WHERE b = $1"
COPIES = "INSERT INTO t (id, c) SELECT id + 100, c FROM t WHERE b = $1"
SENDS = "INSERT INTO t VALUES ($1, $2, $3, $4)"
KEEPS_TWO = (
    "IF NEW.n IS NULL THEN NEW.n := NEW.c; ELSIF NEW.c IS NULL THEN NEW.c := NEW.n; END IF;",
    "ALTER TABLE t ADD n integer;\n",
)


def in_one(text: str) -> str:
    return f"-- +goose StatementBegin\n{text}\n-- +goose StatementEnd\n"


def of_postgresql(body: str, when: str) -> str:
    return in_one(
        f"CREATE FUNCTION give() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;\n"
        f"CREATE TRIGGER gives BEFORE {when} ON t FOR EACH ROW EXECUTE FUNCTION give();"
    )


def fills(engine: Engine, column: str, when: str = "UPDATE") -> str:
    """Return a trigger that fills a column where it is NULL."""
    if engine is Engine.POSTGRESQL:
        return of_postgresql(f"NEW.{column} := coalesce(NEW.{column}, 3);", when)
    if engine is Engine.SQLITE:
        then = f"BEGIN UPDATE t SET {column} = 3 WHERE id = NEW.id AND {column} IS NULL; END;"
        return in_one(f"CREATE TRIGGER gives AFTER {when} ON t {then}")
    then = f"BEGIN IF NEW.{column} IS NULL THEN SET NEW.{column} = 3; END IF; END;"
    return in_one(f"CREATE TRIGGER gives BEFORE {when} ON t FOR EACH ROW {then}")


def asked(engine: Engine, query: str) -> str:
    return query if engine is Engine.POSTGRESQL else query.replace("$1", "?").replace("$2", "?")


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("column", "query", "expected"),
    [
        ("c", FOUND_BY_B, "pu"),
        ("c", "UPDATE t SET b = b + 1 WHERE b = $1", "pu"),
        ("c", "UPDATE t SET b = $1 WHERE id = $2", "pb"),
        ("c", "UPDATE t SET c = $1 WHERE b = $2", "pb"),
        ("c", "UPDATE t SET c = 4 WHERE b = $1", "pp"),
        ("c", "INSERT INTO t (id, b) VALUES ($1, $2)", "pp"),
        ("k", FOUND_BY_B, "pp"),
    ],
)
def test_a_row_that_an_update_finds_may_have_null_where_a_trigger_gives_a_value(
    servers: Servers, engine: Engine, column: str, query: str, expected: str
):
    found = verdict(servers, engine, T, fills(engine, column), asked(engine, query))

    assert found == expected


@pytest.mark.parametrize("engine", EVERY)
def test_a_trigger_that_fills_no_more(servers: Servers, engine: Engine):
    drops = "DROP TRIGGER gives" + (" ON t;" if engine is Engine.POSTGRESQL else ";")
    base = T + fills(engine, "c")

    assert verdict(servers, engine, base, drops, asked(engine, FOUND_BY_B)) == "pu"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_a_trigger_that_waits_for_a_column_runs_for_who_sets_it(servers: Servers, engine: Engine):
    pending = fills(engine, "c", "UPDATE OF c")

    assert verdict(servers, engine, T, pending, asked(engine, FOUND_BY_B)) == "pu"
    assert verdict(servers, engine, T, pending, "UPDATE t SET b = b + 1 WHERE b = 1") == "pp"


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        ("NEW.c := coalesce(NEW.c, 3);", COPIES, "pu"),
        ("IF NEW.k = 5000 THEN NEW.c := coalesce(NEW.c, 3); END IF;", SENDS, "pu"),
        ("IF TG_OP = 'INSERT' AND NEW.c IS NULL THEN NEW.c := NEW.k; END IF;", COPIES, "pu"),
        ("NEW.c := coalesce(NEW.c, 3);", "DELETE FROM t WHERE b = $1", "pp"),
        ("IF NEW.c IS NULL THEN NEW.c := 3; ELSE NEW.c := round(NEW.c); END IF;", FOUND_BY_B, "pu"),
    ],
)
def test_what_a_trigger_asks_besides_may_hide_that_it_gives_a_value(
    servers: Servers, body: str, query: str, expected: str
):
    pending = of_postgresql(body, "INSERT OR UPDATE")

    assert verdict(servers, Engine.POSTGRESQL, T, pending, query) == expected


@pytest.mark.parametrize(
    "query",
    ["INSERT INTO t (id, c) VALUES ($1, $2)", "UPDATE t SET c = $1 WHERE id = $2", FOUND_BY_B],
)
def test_a_column_that_is_kept_like_a_new_one_has_what_was_sent(servers: Servers, query: str):
    body, adds = KEEPS_TWO
    pending = adds + of_postgresql(body, "INSERT OR UPDATE")
    new_alone = adds + of_postgresql("NEW.n := coalesce(NEW.n, NEW.c);", "INSERT OR UPDATE")

    assert verdict(servers, Engine.POSTGRESQL, T, new_alone, query) == "pp"
    assert verdict(servers, Engine.POSTGRESQL, T, pending, query) == "pp"


@pytest.mark.parametrize(
    ("trigger", "query", "expected"),
    [
        ("ON t BEGIN UPDATE t SET c = min(c, 99999999999) WHERE id = NEW.id; END;", "c = c + 1", "pu"),
        ("ON t WHEN NEW.c > 900000000000 BEGIN UPDATE t SET c = 3 WHERE id = NEW.id; END;", "c = ?", "pu"),
        ("ON t WHEN NEW.c > 900000000000 BEGIN UPDATE t SET c = 3 WHERE id = NEW.id; END;", "b = ?", "pu"),
        ("ON t BEGIN UPDATE t SET c = b WHERE id = NEW.id; END;", "b = ?", "pb"),
        ("ON t BEGIN UPDATE s SET c = NEW.c WHERE id = NEW.id; END;", "c = ?", "pp"),
    ],
)
def test_a_trigger_of_sqlite_that_changes_the_row_afterwards(
    servers: Servers, trigger: str, query: str, expected: str
):
    base = T + "CREATE TABLE s (id integer PRIMARY KEY, c integer);"
    pending = in_one(f"CREATE TRIGGER gives AFTER UPDATE {trigger}")

    assert verdict(servers, Engine.SQLITE, base, pending, f"UPDATE t SET {query} WHERE id = ?") == expected


def test_a_column_that_is_made_of_one_that_the_version_does_not_know(servers: Servers):
    asks = "NEW.{0} IS DISTINCT FROM OLD.{0}"
    body = (
        f"IF TG_OP = 'UPDATE' AND {asks.format('c')} THEN NEW.n := NEW.c;"
        f" ELSIF TG_OP = 'UPDATE' AND {asks.format('n')} THEN NEW.c := NEW.n;"
        " ELSE NEW.n := coalesce(NEW.n, NEW.c); NEW.c := coalesce(NEW.c, NEW.n); END IF;"
    )
    pending = "ALTER TABLE t ADD n integer;\n" + of_postgresql(body, "INSERT OR UPDATE")
    rounds = "ALTER TABLE t ADD n integer;\n" + of_postgresql("NEW.c := abs(NEW.c);", "INSERT OR UPDATE")

    for query in ("UPDATE t SET c = $1 WHERE id = $2", "INSERT INTO t (id, c) VALUES ($1, $2)", FOUND_BY_B):
        assert verdict(servers, Engine.POSTGRESQL, T, pending, query) == "pp"
    assert verdict(servers, Engine.POSTGRESQL, T, rounds, FOUND_BY_B) == "pu"
    seldom = "ALTER TABLE t ADD n integer;\n" + of_postgresql(
        "IF NEW.n = 77 THEN NEW.c := NEW.n; END IF;", "INSERT OR UPDATE"
    )
    assert verdict(servers, Engine.POSTGRESQL, T, seldom, FOUND_BY_B) == "pu"
