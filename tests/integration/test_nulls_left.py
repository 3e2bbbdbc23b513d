"""What one version's write leaves NULL, where the other version's client was made for no NULL."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.evidence import Rehearsal
from coordinator.model import Engine

__all__ = ["servers"]
BASE = "CREATE TABLE t (id integer PRIMARY KEY, name varchar(20) NOT NULL);\nCREATE TABLE other (id integer);"
DROPS = {
    Engine.POSTGRESQL: "ALTER TABLE t ALTER name DROP NOT NULL{more};",
    MYSQL_ENGINE: "ALTER TABLE t MODIFY name varchar(20) NULL{more};",
}
DEFAULTS = {Engine.POSTGRESQL: ", ALTER name SET DEFAULT 'x'", MYSQL_ENGINE: " DEFAULT 'x'"}
ADDS = "ALTER TABLE t ADD COLUMN email varchar(20){more};"
KEEPS = {
    Engine.POSTGRESQL: "UPDATE t SET email = 'x' WHERE email IS NULL;\n"
    "ALTER TABLE t ALTER email SET NOT NULL;",
    MYSQL_ENGINE: "UPDATE t SET email = 'x' WHERE email IS NULL;\n"
    "ALTER TABLE t MODIFY email varchar(20) NOT NULL;",
}
FILLS = """-- +goose Up
ALTER TABLE t ADD COLUMN email varchar(20);
-- +goose StatementBegin
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.email := coalesce(NEW.email, NEW.name); RETURN NEW; END $$;
-- +goose StatementEnd
CREATE TRIGGER fill BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fill();
"""
LEFT = "may be NULL: the other version's `Ask` leaves it so"
ON_BOTH = pytest.mark.parametrize(
    "engine", [Engine.POSTGRESQL, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)]
)


def asks(text: str, engine: Engine) -> str:
    """Return a query with the parameters of an engine."""
    numbers = range(1, 4)
    for number in numbers if engine.speaks_mysql else ():
        text = text.replace(f"${number}", "?")
    return text


def told(rehearsal: Rehearsal) -> list[str]:
    """Return the columns that are said to be left NULL, each with the state."""
    return [
        f"{each.reason.split('`')[1]} at {each.state}" for each in rehearsal.unchecked if LEFT in each.reason
    ]


@ON_BOTH
@pytest.mark.parametrize(
    ("more", "writes", "expected"),
    [
        ("", "INSERT INTO t (id) VALUES ($1)", "pu"),
        ("default", "INSERT INTO t (id) VALUES ($1)", "pp"),
        ("", "INSERT INTO t (id, name) VALUES ($1, $2)", "pp"),
        ("", "UPDATE t SET name = NULL WHERE id = $1", "pu"),
        ("", "UPDATE t SET name = 'x' WHERE id = $1", "pp"),
    ],
)
def test_live_reads_a_column_that_next_leaves_null(
    servers: Servers, engine: Engine, more: str, writes: str, expected: str
):
    drops = DROPS[engine].format(more=DEFAULTS[engine] if more else "")

    rehearsal, [live, _] = rehearsed(
        servers[engine],
        engine,
        BASE,
        TOGETHER + drops,
        live="SELECT id, name FROM t",
        next_=asks(writes, engine),
    )

    assert (live, told(rehearsal)) == (expected, ["name at 1"] if "u" in expected else [])


@ON_BOTH
@pytest.mark.parametrize(
    ("more", "writes", "expected"),
    [
        ("", "INSERT INTO t (id, name) VALUES ($1, $2)", ["email at 1"]),
        (" DEFAULT 'x'", "INSERT INTO t (id, name) VALUES ($1, $2)", []),
        ("", "UPDATE t SET name = $1 WHERE id = $2", []),
        ("", "SELECT id FROM t", []),
    ],
)
def test_next_reads_a_column_that_live_leaves_null_until_contract(
    servers: Servers, engine: Engine, more: str, writes: str, expected: list[str]
):
    rehearsal, [_, next_] = rehearsed(
        servers[engine],
        engine,
        BASE,
        TOGETHER + ADDS.format(more=more),
        TOGETHER + KEEPS[engine],
        live=asks(writes, engine),
        next_="SELECT id, email FROM t",
    )

    assert told(rehearsal) == expected
    assert next_[0] + next_[-1] == "bp"


def test_what_a_trigger_fills_is_not_left(servers: Servers):
    rehearsal, _ = rehearsed(
        servers[Engine.POSTGRESQL],
        Engine.POSTGRESQL,
        BASE,
        FILLS,
        TOGETHER + KEEPS[Engine.POSTGRESQL],
        live="INSERT INTO t (id, name) VALUES ($1, $2)",
        next_="SELECT id, email FROM t",
    )

    assert told(rehearsal) == []


def test_who_cannot_run_there_leaves_nothing(servers: Servers):
    """The next version needs a later migration, which makes what it left NULL before whole."""
    rehearsal, [live, _] = rehearsed(
        servers[Engine.POSTGRESQL],
        Engine.POSTGRESQL,
        BASE,
        TOGETHER + DROPS[Engine.POSTGRESQL].format(more=""),
        TOGETHER + "ALTER TABLE t ALTER name SET DEFAULT 'x'; ALTER TABLE t ADD COLUMN email text;",
        live="SELECT id, name FROM t",
        next_="INSERT INTO t (id, email) VALUES ($1, $2)",
    )

    assert (live, told(rehearsal)) == ("ppp", [])


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ("SELECT lower(name) FROM t", "pu"),
        ("SELECT name FROM v", "pu"),
        ("SELECT coalesce(name, '') FROM t", "pp"),
        ("SELECT id FROM t WHERE name = 'x'", "pp"),
        ("SELECT count(name) FROM t", "pp"),
    ],
)
@ON_BOTH
def test_an_expression_or_a_view_shows_what_is_left_null(
    servers: Servers, engine: Engine, reads: str, expected: str
):
    base, drops = f"{BASE}\nCREATE VIEW v AS SELECT id, name FROM t;", DROPS[engine].format(more="")
    writes = asks("INSERT INTO t (id) VALUES ($1)", engine)

    _, [live, _] = rehearsed(servers[engine], engine, base, TOGETHER + drops, live=reads, next_=writes)

    assert live == expected


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ("SELECT * FROM t", "pu"),
        ("SELECT id, name FROM t WHERE id = ?", "pu"),
        ("UPDATE t SET name = 'y' WHERE id = ? RETURNING name", "pu"),
        ("SELECT id FROM t", "pp"),
    ],
)
def test_sqlite_does_not_tell_what_a_result_shows(servers: Servers, reads: str, expected: str):
    drops = """CREATE TABLE n (id integer PRIMARY KEY, name varchar(20)); INSERT INTO n SELECT * FROM t;
    DROP TABLE t; ALTER TABLE n RENAME TO t;"""
    writes, engine = "INSERT INTO t (id) VALUES (?)", Engine.SQLITE

    _, [live, _] = rehearsed(servers[engine], engine, BASE, TOGETHER + drops, live=reads, next_=writes)

    assert live == expected
