"""A migration fails on every sample row of a table: the others keep theirs."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
ON_MYSQL = pytest.param(ENGINE, marks=pytest.mark.mariadb)
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, ON_MYSQL]
SHOP = """CREATE TABLE users (id integer PRIMARY KEY, name varchar(40));
CREATE TABLE orders (id integer PRIMARY KEY, user_id integer NOT NULL, state varchar(40), n integer NOT NULL,
  FOREIGN KEY (user_id) REFERENCES users (id));
CREATE TABLE line (id integer PRIMARY KEY, order_id integer NOT NULL, n integer NOT NULL,
  FOREIGN KEY (order_id) REFERENCES orders (id));
CREATE TABLE apart (id integer PRIMARY KEY, n integer NOT NULL, state varchar(40));
"""
NO_ROW_FITS = {
    Engine.POSTGRESQL: "ALTER TABLE orders ADD COLUMN total integer NOT NULL;",
    Engine.SQLITE: "ALTER TABLE orders ADD COLUMN total integer NOT NULL;",
    ENGINE: "ALTER TABLE orders ADD CONSTRAINT none CHECK (n < -5 AND n > 5 OR id = 424242);",
}


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT n FROM apart", "pp"),
        ("UPDATE apart SET n = n + 1", "pp"),
        ("SELECT name FROM users", "pp"),
        ("UPDATE users SET name = 'x'", "pp"),
        ("SELECT n FROM orders", "uu"),
        ("SELECT n FROM line", "uu"),  # which has no rows where its parent has none
        ("DELETE FROM users WHERE id = 7", "uu"),
        ("INSERT INTO users (id, name) VALUES (77, 'x')", "pp"),
        ("INSERT INTO line (id, order_id, n) SELECT 77, id, n FROM apart", "uu"),
    ],
)
def test_what_comes_to_the_table_is_unproven(servers: Servers, engine: Engine, query: str, expected: str):
    assert verdict(servers, engine, SHOP, NO_ROW_FITS[engine], query) == expected


@pytest.mark.parametrize("engine", EVERY)
def test_what_is_broken_is_broken_all_the_same(servers: Servers, engine: Engine):
    pending = NO_ROW_FITS[engine] + " ALTER TABLE orders RENAME COLUMN state TO status;"

    assert verdict(servers, engine, SHOP, pending, "SELECT state FROM orders") == "ub"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ("INSERT INTO apart SELECT id + 100, n, state FROM orders;", "uu"),
        ("UPDATE apart SET n = (SELECT count(*) FROM line);", "uu"),
        ("INSERT INTO users SELECT id + 100, 'x' FROM line;", "pp"),
    ],
)
def test_what_is_made_of_its_rows_is_unproven(servers: Servers, engine: Engine, moves: str, expected: str):
    pending = NO_ROW_FITS[engine] + moves

    assert verdict(servers, engine, SHOP, pending, "SELECT n FROM apart") == expected


@pytest.mark.parametrize(
    ("beside", "query"),
    [
        ("CREATE VIEW seen AS SELECT state FROM orders;", "SELECT state FROM seen"),
        (
            "CREATE TRIGGER counts AFTER UPDATE ON apart BEGIN UPDATE orders SET n = n + 1; END;",
            "UPDATE apart SET n = 3",
        ),
    ],
)
def test_what_comes_to_it_by_another_is_unproven(servers: Servers, beside: str, query: str):
    base = f"{SHOP}-- +goose StatementBegin\n{beside}\n-- +goose StatementEnd\n"

    assert verdict(servers, Engine.SQLITE, base, NO_ROW_FITS[Engine.SQLITE], query) == "uu"


@pytest.mark.parametrize("name", ["seen", "all-seen", "2024seen"])
@pytest.mark.parametrize("engine", EVERY)
def test_a_view_is_known_whatever_its_name(servers: Servers, engine: Engine, name: str):
    quote = "`" if engine.speaks_mysql else '"'
    base = f"{SHOP}CREATE VIEW {quote}{name}{quote} AS SELECT state FROM orders;"

    assert (
        verdict(servers, engine, base, NO_ROW_FITS[engine], f"SELECT state FROM {quote}{name}{quote}") == "uu"
    )


@pytest.mark.parametrize(
    ("engine", "beside"),
    [
        (
            Engine.POSTGRESQL,
            "CREATE RULE instead AS ON INSERT TO seen DO INSTEAD UPDATE orders SET n = NEW.n;",
        ),
        (
            Engine.POSTGRESQL,
            """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN UPDATE orders SET n = NEW.n; RETURN NEW; END $$;
            CREATE TRIGGER instead INSTEAD OF INSERT ON seen FOR EACH ROW EXECUTE FUNCTION f();""",
        ),
        (
            Engine.SQLITE,
            "CREATE TRIGGER instead INSTEAD OF INSERT ON seen BEGIN UPDATE orders SET n = NEW.n; END;",
        ),
    ],
)
def test_what_a_view_writes_instead_is_unproven(servers: Servers, engine: Engine, beside: str):
    view = "CREATE VIEW seen AS SELECT n FROM apart;"
    base = f"{SHOP}{view}\n-- +goose StatementBegin\n{beside}\n-- +goose StatementEnd\n"

    assert verdict(servers, engine, base, NO_ROW_FITS[engine], "INSERT INTO seen (n) VALUES (3)") == "uu"
    assert verdict(servers, engine, base, NO_ROW_FITS[engine], "SELECT n FROM seen") == "pp"


_PARTITIONED = """(id integer, k integer NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (2);
CREATE TABLE rest PARTITION OF whole DEFAULT;"""
_INHERITED = "(k integer); CREATE TABLE part (m integer) INHERITS (whole);"


@pytest.mark.parametrize(
    ("tables", "pending", "query"),
    [
        (_PARTITIONED, "ALTER TABLE whole ADD total integer NOT NULL;", "SELECT k FROM rest"),
        (_INHERITED, "ALTER TABLE part ADD total integer NOT NULL;", "SELECT k FROM whole"),
    ],
)
def test_partitions_and_their_table_have_the_same_rows(
    servers: Servers, tables: str, pending: str, query: str
):
    base = f"{SHOP}CREATE TABLE whole {tables}"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == "uu"
    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT n FROM apart") == "pp"


def test_what_cannot_have_rows_without_the_table_is_unproven(servers: Servers):
    base = f"""{SHOP}-- +goose StatementBegin
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NOT EXISTS (SELECT FROM orders) THEN RAISE 'no order'; END IF; RETURN NEW; END $$;
-- +goose StatementEnd
CREATE TRIGGER asks BEFORE INSERT ON apart FOR EACH ROW EXECUTE FUNCTION f();"""

    assert (
        verdict(servers, Engine.POSTGRESQL, base, NO_ROW_FITS[Engine.POSTGRESQL], "SELECT n FROM apart")
        == "uu"
    )


@pytest.mark.parametrize("engine", EVERY)
def test_a_key_that_is_generated_changes_with_its_source(servers: Servers, engine: Engine):
    base = """CREATE TABLE p (id integer PRIMARY KEY, b integer,
      g integer GENERATED ALWAYS AS (b * 2) STORED UNIQUE);
    CREATE TABLE orders (id integer PRIMARY KEY, n integer, g integer NOT NULL,
      FOREIGN KEY (g) REFERENCES p (g));"""

    assert verdict(servers, engine, base, NO_ROW_FITS[engine], "UPDATE p SET b = 7 WHERE id = 1") == "uu"
    assert verdict(servers, engine, base, NO_ROW_FITS[engine], "UPDATE p SET id = 7 WHERE id = 1") == "pp"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("SELECT count(*) FROM orders", "uu"),
        ("SELECT count(*) FROM apart", "pp"),
    ],
)
def test_what_comes_to_it_by_a_function_is_unproven(servers: Servers, body: str, expected: str):
    base = SHOP + f"CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS '{body}';"

    assert verdict(servers, Engine.POSTGRESQL, base, NO_ROW_FITS[Engine.POSTGRESQL], "SELECT f()") == expected


def test_who_puts_sql_together_may_come_to_any_table(servers: Servers):
    base = f"""{SHOP}-- +goose StatementBegin
CREATE FUNCTION f(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || name INTO found; RETURN found; END $$;
-- +goose StatementEnd
"""
    query = "SELECT f('or' || 'ders')"

    assert verdict(servers, Engine.POSTGRESQL, base, NO_ROW_FITS[Engine.POSTGRESQL], query) == "uu"


def test_the_rehearsal_says_which_tables_have_no_rows(servers: Servers):
    pending = TOGETHER + NO_ROW_FITS[Engine.SQLITE]

    rehearsal, _ = rehearsed(
        servers[Engine.SQLITE], Engine.SQLITE, SHOP, pending, live="SELECT n FROM apart", next_="SELECT 1"
    )

    assert rehearsal.is_whole
    assert any("`00002_m` fails on sample rows" in each for each in rehearsal.notes)
    assert any("`orders`: `00002_m` fails on them" in each for each in rehearsal.notes)


@pytest.mark.parametrize(
    ("engine", "pending"),
    [
        (Engine.POSTGRESQL, "ALTER TABLE apart ALTER COLUMN state TYPE bigint USING state::bigint;"),
        (Engine.POSTGRESQL, "UPDATE apart SET n = length(decode(state, 'hex'));"),
        pytest.param(ENGINE, "ALTER TABLE apart MODIFY state bigint;", marks=pytest.mark.mariadb),
    ],
)
def test_texts_spell_numbers_where_a_migration_reads_them_so(servers: Servers, engine: Engine, pending: str):
    """It met rows: what it does to them is seen."""
    assert verdict(servers, engine, SHOP, pending, "SELECT n FROM orders") == "pp"
    assert verdict(servers, engine, SHOP, pending, "SELECT state, n FROM apart") in ("pb", "pu")
    assert verdict(servers, engine, SHOP, pending, "SELECT id FROM apart WHERE n > 0 AND n < 9") != "uu"


_LOWERED_BY_FUNCTION = """CREATE FUNCTION f() RETURNS void LANGUAGE sql AS
'UPDATE apart SET state = lower(state)'; SELECT f()"""


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (_LOWERED_BY_FUNCTION, "uu"),
        ("DO $$ BEGIN UPDATE apart SET state = lower(state); END $$", "pu"),
        ("UPDATE apart SET state = lower(state)", "pu"),
        ("DO $$ BEGIN UPDATE apart SET n = state::integer; END $$", "pp"),
    ],
)
def test_numbers_hide_not_what_happens_to_other_texts(servers: Servers, what: str, expected: str):
    pending = f"""
-- +goose StatementBegin
{what};
-- +goose StatementEnd
CREATE TABLE counted AS SELECT state::integer AS n FROM apart WHERE state IS NOT NULL;"""

    assert verdict(servers, Engine.POSTGRESQL, SHOP, pending, "SELECT state FROM apart") == expected


def test_json_is_an_array_where_a_migration_takes_its_elements(servers: Servers):
    base = SHOP + "CREATE TABLE kept (id integer PRIMARY KEY, tags jsonb NOT NULL);"
    pending = "INSERT INTO apart SELECT 100 + id, jsonb_array_length(tags), 'x' FROM kept;"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT tags FROM kept") == "pp"


def test_the_others_keep_their_nulls(servers: Servers):
    """What a `DO` does is seen as far as sample rows show it."""
    pending = f"""{NO_ROW_FITS[Engine.POSTGRESQL]}
-- +goose StatementBegin
DO $$ BEGIN UPDATE apart SET state = 'x' WHERE state IS NULL; END $$;
-- +goose StatementEnd
"""

    assert verdict(servers, Engine.POSTGRESQL, SHOP, pending, "SELECT state FROM apart") == "pu"


_MOVED = "INSERT INTO apart SELECT id + 100, n, state FROM"
_COUNTED = "INSERT INTO b SELECT id, n + (SELECT count(*) FROM orders), state FROM apart"
_PUT_TOGETHER = f"""
-- +goose StatementBegin
DO $$ BEGIN EXECUTE format('{_MOVED} %s', 'or' || 'ders'); END $$;
-- +goose StatementEnd
"""
_RUN_BY_FUNCTION = f"""CREATE FUNCTION f() RETURNS void LANGUAGE sql AS '{_MOVED} orders';
SELECT f(); DROP FUNCTION f;"""
_BY_VARIABLE = """SET @most = (SELECT max(n) FROM orders);
INSERT INTO apart SELECT 100, @most, 'x' FROM users WHERE @most IS NOT NULL;"""
_MADE_ANEW = f"""CREATE TABLE b (id integer PRIMARY KEY, n integer NOT NULL, state varchar(40)); {_COUNTED};
DROP TABLE apart; ALTER TABLE b RENAME TO apart;"""


@pytest.mark.parametrize(
    ("engine", "moves"),
    [
        (Engine.POSTGRESQL, f"CREATE TEMP TABLE kept AS TABLE orders; {_MOVED} kept; DROP TABLE kept;"),
        (Engine.SQLITE, f"CREATE TEMP TABLE kept AS SELECT * FROM orders; {_MOVED} kept; DROP TABLE kept;"),
        (Engine.POSTGRESQL, _RUN_BY_FUNCTION),
        (Engine.POSTGRESQL, _PUT_TOGETHER),
        (Engine.POSTGRESQL, _MADE_ANEW),
        (Engine.SQLITE, _MADE_ANEW),
    ],
)
def test_rows_that_come_by_what_is_gone_again_count(servers: Servers, engine: Engine, moves: str):
    pending = NO_ROW_FITS[engine] + moves

    assert verdict(servers, engine, SHOP, pending, "SELECT n FROM apart") == "uu"


@pytest.mark.mariadb
@pytest.mark.parametrize(
    "moves",
    [
        f"CREATE TEMPORARY TABLE kept AS SELECT * FROM orders; {_MOVED} kept; DROP TABLE kept;",
        f"CREATE PROCEDURE p() {_MOVED} orders; CALL p(); DROP PROCEDURE p;",
        _BY_VARIABLE,
        f"CREATE TABLE b LIKE apart; {_COUNTED}; RENAME TABLE apart TO a, b TO apart;",
    ],
)
def test_rows_that_come_so_on_mysql_count(servers: Servers, moves: str):
    assert verdict(servers, ENGINE, SHOP, NO_ROW_FITS[ENGINE] + moves, "SELECT n FROM apart") == "uu"


@pytest.mark.parametrize("engine", EVERY)
def test_a_table_whose_name_has_a_blank_gets_rows_of_others(servers: Servers, engine: Engine):
    name = "`kept rows`" if engine.speaks_mysql else '"kept rows"'
    base = f"{SHOP}CREATE TABLE {name} (id integer PRIMARY KEY, n integer);"
    pending = f"{NO_ROW_FITS[engine]} INSERT INTO {name} SELECT id + 100, n FROM orders;"

    assert verdict(servers, engine, base, pending, f"SELECT n FROM {name}") == "uu"
    assert verdict(servers, engine, base, pending, "SELECT n FROM apart") == "pp"
