"""Sample rows are such as queries look for, so that the engine answers where nothing was met before."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
ON_MYSQL = pytest.param(ENGINE, marks=pytest.mark.mariadb)
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, ON_MYSQL]
SHOP = """CREATE TABLE users (id integer PRIMARY KEY, org integer, gone_at timestamp NULL);
CREATE TABLE orders (id integer PRIMARY KEY, user_id integer NOT NULL, state varchar(20) NOT NULL,
  note varchar(20), gone_at timestamp NULL, flag boolean NOT NULL,
  FOREIGN KEY (user_id) REFERENCES users (id));
"""
NOTES = "UPDATE orders SET note = 'z';"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("migration", "query", "expected"),
    [
        ("UPDATE orders SET note = 'z' WHERE state = 'paid';", "state = 'paid' AND gone_at IS NULL", "pu"),
        (NOTES, "state IN ('new', 'paid') AND flag AND gone_at IS NULL", "pu"),
        (NOTES, "NOT flag AND state = 'paid'", "pu"),
        (NOTES, "state LIKE 'in_%' AND gone_at IS NULL", "pu"),
        ("ALTER TABLE orders ADD COLUMN x integer;", "state = 'paid' AND gone_at IS NULL", "pp"),
    ],
)
def test_a_row_that_the_conditions_want(
    servers: Servers, engine: Engine, migration: str, query: str, expected: str
):
    text = f"SELECT note FROM orders WHERE {query}"

    assert verdict(servers, engine, SHOP, migration, text) == expected


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("migration", "expected"),
    [
        ("UPDATE orders SET note = 'z' WHERE state = 'paid';", "pu"),
        ("UPDATE users SET org = 1;", "pu"),  # also of those who are in none of the query's
        ("ALTER TABLE users ADD COLUMN x integer;", "pp"),
    ],
)
def test_a_row_that_refers_to_the_row_that_is_wanted(
    servers: Servers, engine: Engine, migration: str, expected: str
):
    mark = "$1" if engine is Engine.POSTGRESQL else "?"
    text = (
        "SELECT o.note FROM orders o JOIN users u ON u.id = o.user_id WHERE o.state = 'paid'"
        f" AND o.gone_at IS NULL AND u.gone_at IS NULL AND u.org > 0 AND u.org < 1000 AND o.user_id = {mark}"
    )

    assert verdict(servers, engine, SHOP, migration, text) == expected


@pytest.mark.parametrize("engine", EVERY)
def test_each_wanted_row_comes_with_null_too(servers: Servers, engine: Engine):
    query = "INSERT INTO users (id, org) SELECT id + 50, org FROM users WHERE gone_at = '2005-05-05 05:05:05'"
    requires = {
        Engine.POSTGRESQL: "ALTER TABLE users ADD CONSTRAINT c CHECK (org IS NOT NULL OR id < 50);",
        Engine.SQLITE: "CREATE TRIGGER c BEFORE INSERT ON users WHEN NEW.org IS NULL AND NEW.id > 49"
        " BEGIN SELECT RAISE(ABORT, 'no org'); END;",
        ENGINE: "ALTER TABLE users ADD CONSTRAINT c CHECK (org IS NOT NULL OR id < 50);",
    }[engine]
    if engine is Engine.SQLITE:
        requires = f"-- +goose StatementBegin\n{requires}\n-- +goose StatementEnd\n"

    assert verdict(servers, engine, SHOP, requires, query) == "pb"


@pytest.mark.parametrize("engine", EVERY)
def test_a_text_that_is_made_of_small_letters_is_seen(servers: Servers, engine: Engine):
    lowered = "UPDATE orders SET note = lower(note);"

    assert verdict(servers, engine, SHOP, lowered, "SELECT note FROM orders") == "pu"


@pytest.mark.parametrize("engine", EVERY)
def test_rows_that_a_migration_cannot_bear_are_left_out(servers: Servers, engine: Engine):
    """Two rows that queries want have one flag; the release is rehearsed with the others all the same."""
    query = "SELECT id FROM users WHERE org = 7 AND gone_at IS NULL OR org = 7 AND id > 30"

    assert verdict(servers, engine, SHOP, "CREATE UNIQUE INDEX one ON users (org);", query) == "pp"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize("where", ["name = 'paid'", "id > 0"])
def test_null_that_a_query_makes_of_what_is_there(servers: Servers, engine: Engine, where: str):
    base = "CREATE TABLE t (id integer PRIMARY KEY, name varchar(9), n integer);"
    requires = {
        Engine.POSTGRESQL: "UPDATE t SET n = 0 WHERE n IS NULL; ALTER TABLE t ALTER n SET NOT NULL;",
        Engine.SQLITE: "CREATE TABLE n (id integer PRIMARY KEY, name varchar(9), n integer NOT NULL);"
        " INSERT INTO n SELECT id, name, coalesce(n, 0) FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;",
        ENGINE: "UPDATE t SET n = 0 WHERE n IS NULL; ALTER TABLE t MODIFY n integer NOT NULL;",
    }[engine]

    assert verdict(servers, engine, base, requires, f"UPDATE t SET n = nullif(n, 7777) WHERE {where}") == "pu"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("also", "where"),
    [
        ("SELECT id FROM orders WHERE state IN ('new', 'paid', 'sent')", "id = {}"),
        ("SELECT 1", "id = {} AND state IN ('new', 'paid', 'sent', 'gone')"),
    ],
)
def test_the_row_with_null_is_looked_up_beside_those_that_are_wanted(
    servers: Servers, engine: Engine, also: str, where: str
):
    """Three rows of a table are looked up by their keys, of more than ten."""
    mark = "$1" if engine is Engine.POSTGRESQL else "?"
    filled = f"{TOGETHER}UPDATE orders SET note = 'none' WHERE note IS NULL;"

    _, [found, _] = rehearsed(
        servers[engine],
        engine,
        SHOP,
        filled,
        live=f"SELECT note FROM orders WHERE {where.format(mark)}",
        next_=also,
    )

    assert found == "pu"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("c", "pu"),
        ("id + 1", "pp"),
        ("7", "pp"),
        ("length(state)", "pp"),
        ("coalesce(c, 7)", "pp"),
        ("coalesce(b, c)", "pu"),
        ("coalesce(c, NULL)", "pu"),
        ("coalesce(c, 7) + coalesce(c, c + c)", "pu"),
        ("coalesce(c, 7) + (c + 1)", "pu"),
    ],
)
def test_a_wanted_row_says_nothing_of_a_column_that_has_no_null_there(
    servers: Servers, engine: Engine, value: str, expected: str
):
    """A check refuses the row that is NULL in `c` and `d`; one of a client is so in `c` alone."""
    columns = "(id integer PRIMARY KEY, b integer{}, c integer, d integer, state varchar(9) NOT NULL,"
    columns += " CHECK (c IS NOT NULL OR d IS NOT NULL));"
    requires = {
        Engine.POSTGRESQL: "UPDATE t SET b = 0 WHERE b IS NULL; ALTER TABLE t ALTER b SET NOT NULL;",
        Engine.SQLITE: f"CREATE TABLE n {columns.format(' NOT NULL')}"
        " INSERT INTO n SELECT id, coalesce(b, 0), c, d, state FROM t; DROP TABLE t;"
        " ALTER TABLE n RENAME TO t;",
        ENGINE: "UPDATE t SET b = 0 WHERE b IS NULL; ALTER TABLE t MODIFY b integer NOT NULL;",
    }[engine]
    query = f"UPDATE t SET b = {value} WHERE state = 'paid'"

    assert verdict(servers, engine, f"CREATE TABLE t {columns.format('')}", requires, query) == expected


@pytest.mark.parametrize("engine", EVERY)
def test_no_row_is_wanted_with_which_another_query_divides_by_zero(servers: Servers, engine: Engine):
    base = "CREATE TABLE account (id integer PRIMARY KEY, balance integer NOT NULL);"
    pending = f"{TOGETHER}ALTER TABLE account ADD COLUMN note varchar(9);"
    texts = {
        "live": "SELECT id, 100 / balance FROM account",
        "next_": "SELECT id FROM account WHERE balance = 0",
    }

    assert rehearsed(servers[engine], engine, base, pending, **texts)[1] == ["pp", "pp"]


def test_a_foreign_key_of_columns_with_capitals(servers: Servers):
    base = """CREATE TABLE users (id integer PRIMARY KEY, kind text);
CREATE TABLE orders (id integer PRIMARY KEY, "userId" integer REFERENCES users (id), note text, gone date);
"""
    join = 'orders o JOIN users u ON u.id = o."userId"'
    query = f"SELECT o.note FROM {join} WHERE u.kind = 'b' AND o.gone IS NULL"

    assert verdict(servers, Engine.POSTGRESQL, base, NOTES, query) == "pu"
    assert verdict(servers, Engine.POSTGRESQL, base, "ALTER TABLE orders ADD x integer;", query) == "pp"
