"""A migration that changes rows which are there: no sample row has to show it to whoever reads them."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(ENGINE, marks=pytest.mark.mariadb)]
BASE = "CREATE TABLE t (id integer PRIMARY KEY, state varchar(20), n integer);"
TRIMMED = "UPDATE t SET state = trim(state) WHERE state <> trim(state);"
SET_TOGETHER = "UPDATE t SET (n, state) = (8, 'y') WHERE state <> trim(state);"
FILLED = "UPDATE t SET n = coalesce(n, 7) WHERE state <> trim(state);"
MOVED = "UPDATE t SET id = id + 1000 WHERE n + id = 5000;"
FREED = "DELETE FROM t WHERE n = 1 AND n + id = 5000;"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (TRIMMED, "SELECT id FROM t WHERE state = 'paid'", "pu"),
        (TRIMMED, "SELECT state FROM t", "pu"),
        (TRIMMED, "UPDATE t SET n = 1 WHERE state = 'paid'", "pu"),
        (TRIMMED, "SELECT n FROM t", "pp"),
        (TRIMMED, "UPDATE t SET state = 'paid' WHERE id = 1", "pp"),
        (TRIMMED, "INSERT INTO t (id, state) VALUES (7, 'paid')", "pp"),
        (FILLED, "SELECT id FROM t WHERE n > 3", "pu"),
        (FREED, "SELECT count(*) FROM t", "pu"),
        (FREED, "UPDATE t SET n = 1 WHERE id = 1", "pu"),
        (FREED, "INSERT INTO t (id, state) VALUES (7, 'paid')", "pp"),
        ("ALTER TABLE t ADD m integer; UPDATE t SET m = n;", "SELECT n FROM t", "pp"),
    ],
)
def test_who_reads_what_an_update_or_delete_changes_is_unproven(
    servers: Servers, engine: Engine, pending: str, query: str, expected: str
):
    assert verdict(servers, engine, BASE, pending, query) == expected


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize("column", ["n", "state"])
def test_each_column_of_a_row_that_is_set_is_changed(servers: Servers, engine: Engine, column: str):
    assert verdict(servers, engine, BASE, SET_TOGETHER, f"SELECT {column} FROM t") == "pu"


def test_a_table_of_sqlite_that_is_made_anew_keeps_its_columns(servers: Servers):
    anew = f"""{BASE.replace("TABLE t", "TABLE u")} INSERT INTO u SELECT * FROM t; DROP TABLE t;
    ALTER TABLE u RENAME TO t; {TRIMMED}"""

    assert verdict(servers, Engine.SQLITE, BASE, anew, "SELECT id FROM t WHERE state = 'paid'") == "pu"


@pytest.mark.parametrize("engine", EVERY)
def test_a_row_is_made_that_a_migration_looks_for(servers: Servers, engine: Engine):
    merged = f"{TOGETHER}UPDATE t SET n = 9 WHERE state = 'gone';"

    rehearsal, _ = rehearsed(
        servers[engine], engine, BASE, merged, live="SELECT n FROM t", next_="SELECT n FROM t"
    )

    reasons = [each.reason for each in rehearsal.unchecked]
    assert len(reasons) == 2
    assert all("the query returned `n`" in each for each in reasons)


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_an_upsert_whose_row_a_query_wants_does_not_hide_another_default(servers: Servers, engine: Engine):
    upsert = "INSERT INTO t (id) VALUES (100) ON CONFLICT (id) DO UPDATE SET id = excluded.id"
    base = "CREATE TABLE t (id integer PRIMARY KEY, n integer DEFAULT 1);"
    anew = """CREATE TABLE u (id integer PRIMARY KEY, n integer DEFAULT 2);
    INSERT INTO u SELECT id, n FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t;"""

    _, [_, found] = rehearsed(
        servers[engine],
        engine,
        base,
        f"{TOGETHER}{anew}",
        live="DELETE FROM t WHERE id = 100",
        next_=upsert,
    )

    assert found == "up"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("state = coalesce(state, 'none')", "pu"),
        ("n = (SELECT max(id) FROM s), state = trim(state)", "pu"),
        ("n = length('no where'), state = trim(state)", "pu"),
        ("n = (SELECT max(length('paid')) FROM s)", "pp"),
    ],
)
def test_each_column_counts_that_an_update_sets(servers: Servers, engine: Engine, values: str, expected: str):
    base = f"{BASE} CREATE TABLE s (id integer PRIMARY KEY);"
    pending = f"UPDATE t SET {values} WHERE n = 1 AND n + id = 5000;"

    assert verdict(servers, engine, base, pending, "SELECT state FROM t") == expected


@pytest.mark.parametrize(
    "values",
    [
        "(state, n) = (trim(state), n)",
        "tags[1] = 'x'",
        "place.street = 'x'",
        "yes = n IS DISTINCT FROM 1, tags = NULL",
    ],
)
def test_a_column_of_postgresql_counts_however_it_is_set(servers: Servers, values: str):
    base = """CREATE TYPE address AS (street text, town text);
    CREATE TABLE t (id integer PRIMARY KEY, state text, n integer, yes bool, tags text[], place address);"""
    pending = f"UPDATE t SET {values} WHERE id = 5000;"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT state, tags, place FROM t") == "pu"


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (f"DO $$ BEGIN {TRIMMED} END $$;", "SELECT state FROM t", "pu"),
        (f"DO $$ BEGIN {TRIMMED} END $$;", "SELECT n FROM t", "pp"),
        (f"DO $$ BEGIN {FREED} END $$;", "SELECT count(*) FROM t", "pu"),
        (
            (
                "WITH gone AS (DELETE FROM t WHERE n + id = 5000 RETURNING id)"
                " UPDATE s SET n = 1 FROM gone WHERE s.id = gone.id;"
            ),
            "SELECT state FROM t",
            "pu",
        ),
        (
            (
                "WITH old AS (SELECT id FROM s WHERE n = 5000)"
                " UPDATE t SET state = 'x' FROM old WHERE t.id = old.id;"
            ),
            "SELECT state FROM t",
            "pu",
        ),
        ("DO $$ BEGIN PERFORM 1; END $$;", "SELECT state FROM t", "pp"),
    ],
)
def test_what_a_block_or_a_with_changes_is_told_as_well(
    servers: Servers, pending: str, query: str, expected: str
):
    base = f"{BASE} CREATE TABLE s (id integer PRIMARY KEY, n integer);"
    whole = f"-- +goose StatementBegin\n{pending}\n-- +goose StatementEnd\n"

    assert verdict(servers, Engine.POSTGRESQL, base, whole, query) == expected


def test_a_word_beside_the_table_is_no_table(servers: Servers):
    """Of `UPDATE t AS x SET`, and of a comment before it, a word may be one that a query has as well."""
    pending = """-- +goose StatementBegin
DO $$ BEGIN -- update the name that a state is listed by
  UPDATE t AS x SET state = trim(x.state) WHERE x.state <> trim(x.state); END $$;
-- +goose StatementEnd
"""
    base = f"{BASE} CREATE TABLE s (id integer PRIMARY KEY, name text, state text);"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT x.name, x.state FROM s AS x") == "pp"
    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT x.state FROM t AS x") == "pu"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (FREED, "INSERT INTO kid (id, t_id, m) VALUES (77, {}, 1)", "pu"),
        (FREED, "UPDATE kid SET t_id = {} WHERE id = 2", "pu"),
        (FREED, "UPDATE kid SET m = {} WHERE id = 2", "pp"),
        (FREED, "DELETE FROM kid WHERE t_id = {}", "pp"),
        (FREED, "INSERT INTO grandkid (id, kid_id) VALUES (77, {})", "pp"),
        (MOVED, "INSERT INTO kid (id, t_id) VALUES (77, {})", "pu"),
        (TRIMMED, "INSERT INTO kid (id, t_id, m) VALUES (77, {}, 1)", "pp"),
    ],
)
def test_a_row_that_is_gone_is_no_parent_any_more(
    servers: Servers, engine: Engine, pending: str, query: str, expected: str
):
    base = f"""{BASE} CREATE TABLE kid (id integer PRIMARY KEY, t_id integer, m integer,
      FOREIGN KEY (t_id) REFERENCES t (id));
    CREATE TABLE grandkid (id integer PRIMARY KEY, kid_id integer,
      FOREIGN KEY (kid_id) REFERENCES kid (id));"""
    text = query.format("$1" if engine is Engine.POSTGRESQL else "?")

    assert verdict(servers, engine, base, pending, text) == expected


@pytest.mark.parametrize("engine", EVERY)
def test_an_upsert_changes_the_row_that_is_there(servers: Servers, engine: Engine):
    conflict = "ON DUPLICATE KEY" if engine is ENGINE else "ON CONFLICT (id) DO"
    pending = f"INSERT INTO t (id, state) VALUES (5000, 'x') {conflict} UPDATE state = 'x';"
    pending = pending if engine is ENGINE else pending.replace("UPDATE state", "UPDATE SET state")

    assert verdict(servers, engine, BASE, pending, "SELECT state FROM t WHERE id = 1") == "pu"
    assert verdict(servers, engine, BASE, pending, "SELECT n FROM t WHERE id = 1") == "pp"


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("delete", "expected"),
    [
        ("DELETE t FROM t JOIN s ON s.id = t.n WHERE t.n + t.id = 5000;", "pu"),
        ("DELETE x FROM s JOIN t AS x ON s.id = x.n WHERE x.n + x.id = 5000;", "pu"),
        ("DELETE IGNORE FROM t WHERE n + id = 5000;", "pu"),
        ("DELETE s FROM s JOIN apart ON s.id = apart.id WHERE s.id = 5000;", "pp"),
    ],
)
def test_whose_rows_a_delete_of_mysql_takes(servers: Servers, delete: str, expected: str):
    base = f"{BASE} CREATE TABLE s (id integer PRIMARY KEY); CREATE TABLE apart (id integer PRIMARY KEY);"

    assert verdict(servers, ENGINE, base, delete, "SELECT count(*) FROM t") == expected


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("action", "pending", "query", "expected"),
    [
        ("ON DELETE CASCADE", FREED, "SELECT count(*) FROM kid", "pu"),
        ("ON DELETE SET NULL", FREED, "SELECT t_id FROM kid", "pu"),
        ("ON DELETE SET NULL", FREED, "SELECT m FROM kid", "pp"),
        ("ON DELETE RESTRICT", FREED, "SELECT count(*) FROM kid", "pp"),
        (
            "ON UPDATE CASCADE",
            "UPDATE t SET id = 8 WHERE n = 1 AND n + id = 5000;",
            "SELECT t_id FROM kid",
            "pu",
        ),
        (
            "ON UPDATE CASCADE",
            "UPDATE t SET n = 8 WHERE n = 1 AND n + id = 5000;",
            "SELECT t_id FROM kid",
            "pp",
        ),
    ],
)
def test_what_a_foreign_key_takes_along_counts(
    servers: Servers, engine: Engine, action: str, pending: str, query: str, expected: str
):
    kid = f"""CREATE TABLE kid (id integer PRIMARY KEY, m integer, t_id integer,
      FOREIGN KEY (t_id) REFERENCES t (id) {action});"""

    assert verdict(servers, engine, f"{BASE} {kid}", pending, query) == expected


@pytest.mark.parametrize("engine", EVERY)
def test_what_is_generated_of_a_changed_column_counts(servers: Servers, engine: Engine):
    base = BASE.replace("n integer", "n integer, g integer GENERATED ALWAYS AS (n * 2) STORED")
    pending = "UPDATE t SET n = 4 WHERE n = 1 AND n + id = 5000;"

    assert verdict(servers, engine, base, pending, "SELECT g FROM t") == "pu"
    assert verdict(servers, engine, base, pending, "SELECT state FROM t") == "pp"


@pytest.mark.parametrize(("changed", "read"), [("t", "t_some"), ("t_some", "t")])
def test_a_partition_has_its_tables_rows(servers: Servers, changed: str, read: str):
    base = """CREATE TABLE t (id integer, state text) PARTITION BY RANGE (id);
    CREATE TABLE t_some PARTITION OF t DEFAULT;"""

    pending = f"UPDATE {changed} SET state = trim(state) WHERE id = 5000;"
    assert verdict(servers, Engine.POSTGRESQL, base, pending, f"SELECT state FROM {read}") == "pu"


TRIMS = f"CREATE FUNCTION trims() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {TRIMMED} END $$;"
TRIMS_MYSQL = f"CREATE PROCEDURE trims() BEGIN {TRIMMED} END;"


def as_one(text: str) -> str:
    return f"\n-- +goose StatementBegin\n{text}\n-- +goose StatementEnd\n"


@pytest.mark.parametrize(
    ("engine", "makes", "calls"),
    [
        (Engine.POSTGRESQL, TRIMS, "SELECT trims();"),
        (Engine.POSTGRESQL, TRIMS, "DO $$ BEGIN PERFORM trims(); END $$;"),
        (
            Engine.POSTGRESQL,
            TRIMS.replace("FUNCTION trims() RETURNS void", "PROCEDURE trims()"),
            "CALL trims();",
        ),
        pytest.param(ENGINE, TRIMS_MYSQL, "CALL trims;", marks=pytest.mark.mariadb),
    ],
)
@pytest.mark.parametrize("is_old", [True, False])
def test_who_reads_what_a_function_changes_that_a_migration_calls_is_unproven(
    servers: Servers, engine: Engine, makes: str, calls: str, is_old: bool
):
    drops = f"DROP {'PROCEDURE' if 'PROCEDURE' in makes else 'FUNCTION'} trims;"
    base, pending = (
        (BASE + as_one(makes), as_one(calls)) if is_old else (BASE, as_one(makes) + as_one(calls) + drops)
    )

    assert verdict(servers, engine, base, pending, "SELECT state FROM t") == "pu"
    assert verdict(servers, engine, base, pending, "SELECT n FROM t") == "pp"


def test_a_function_that_is_made_and_not_called_changes_nothing(servers: Servers):
    pending = as_one(TRIMS) + as_one("SELECT count(*) FROM t;")

    assert verdict(servers, Engine.POSTGRESQL, BASE, pending, "SELECT state FROM t") == "pp"


@pytest.mark.parametrize(
    ("engine", "replaces"),
    [
        (Engine.SQLITE, "INSERT OR REPLACE INTO"),
        (Engine.SQLITE, "REPLACE INTO"),
        pytest.param(ENGINE, "REPLACE INTO", marks=pytest.mark.mariadb),
    ],
)
def test_who_reads_rows_that_a_migration_replaces_is_unproven(
    servers: Servers, engine: Engine, replaces: str
):
    pending = f"{replaces} t (id, state) VALUES (7000003, 'new');"

    assert verdict(servers, engine, BASE, pending, "SELECT n FROM t WHERE state = 'paid'") == "pu"


ONCE = "CREATE TABLE t (id integer PRIMARY KEY, state varchar(20), n integer{}, m integer{});"
BY_STATE = ONCE.format(" UNIQUE ON CONFLICT REPLACE", "")
LATER = ONCE.format("", ", UNIQUE (n, m) ON CONFLICT REPLACE")


@pytest.mark.parametrize(
    ("base", "pending", "expected"),
    [
        (ONCE.format("", ""), "UPDATE OR REPLACE t SET id = 7000003 WHERE n = 7000003;", "pu"),
        (
            ONCE.format("", ""),
            "WITH a AS (SELECT 7000003) INSERT OR REPLACE INTO t (id) SELECT * FROM a;",
            "pu",
        ),
        (BY_STATE, "INSERT INTO t (id, n) VALUES (7000003, 7000004);", "pu"),
        (BY_STATE, "UPDATE t SET n = 7000004 WHERE n = 7000003;", "pu"),
        (LATER, "INSERT INTO t (id, n) VALUES (7000003, 7000004);", "pu"),
        (BY_STATE, "UPDATE t SET m = 7000004 WHERE n = 7000003;", "pp"),
        (ONCE.format(" UNIQUE", ""), "INSERT INTO t (id, n) VALUES (7000003, 7000004);", "pp"),
    ],
)
def test_rows_that_are_replaced_where_they_are_in_the_way(
    servers: Servers, base: str, pending: str, expected: str
):
    query = "SELECT state FROM t WHERE id < 1000"

    assert verdict(servers, Engine.SQLITE, base, pending, query) == expected


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("unique", "query", "expected"),
    [
        ("(state)", "INSERT INTO t (id, state) VALUES (7000003, 'paid')", "pu"),
        ("(state, n)", "UPDATE t SET n = 7000003 WHERE id = 1", "pu"),
        ("(state, n)", "INSERT INTO t (id) VALUES (7000003)", "pp"),
        ("(n)", "INSERT INTO t (id, state) VALUES (7000003, 'paid')", "pp"),
    ],
)
def test_who_writes_what_is_unique_and_gets_other_values_is_unproven(
    servers: Servers, engine: Engine, unique: str, query: str, expected: str
):
    base = f"{BASE} CREATE UNIQUE INDEX once ON t {unique};"

    assert verdict(servers, engine, base, TRIMMED, query) == expected


def test_what_is_unique_by_an_expression_counts_as_well(servers: Servers):
    base = f"{BASE} CREATE UNIQUE INDEX once ON t (lower(state)) WHERE n > 0;"

    assert verdict(servers, Engine.POSTGRESQL, base, TRIMMED, "UPDATE t SET state = 'b' WHERE id = 1") == "pu"
    assert verdict(servers, Engine.POSTGRESQL, base, TRIMMED, "UPDATE t SET n = 2 WHERE id = 1") == "pu"


@pytest.mark.mariadb
def test_an_insert_of_mysql_that_sets_columns_changes_no_row_that_is_there(servers: Servers):
    pending = "INSERT INTO t SET id = 7000003, state = 'new', n = 7000003;"

    assert verdict(servers, ENGINE, BASE, pending, "SELECT state FROM t WHERE id < 1000") == "pp"


SHOWN = f"""{BASE} CREATE VIEW v AS SELECT id, state AS s, n FROM t;
CREATE VIEW w AS SELECT id, s AS r, n FROM v;"""


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, pytest.param(ENGINE, marks=pytest.mark.mariadb)])
@pytest.mark.parametrize(
    ("pending", "read", "expected"),
    [
        ("UPDATE v SET s = trim(s) WHERE s <> trim(s);", "state", "pu"),
        ("UPDATE w SET r = trim(r) WHERE r <> trim(r);", "state", "pu"),
        ("UPDATE v SET n = 5 WHERE n = 7000003;", "n", "pu"),
        ("UPDATE v SET n = 5 WHERE n = 7000003;", "state", "pp"),
        ("DELETE FROM v WHERE n = 7000003;", "state", "pu"),
        ("INSERT INTO v (id, s) VALUES (7000003, 'new');", "state", "pp"),
    ],
)
def test_what_is_changed_through_a_view_is_changed_in_its_table(
    servers: Servers, engine: Engine, pending: str, read: str, expected: str
):
    query = f"SELECT {read} FROM t WHERE id < 1000"

    assert verdict(servers, engine, SHOWN, pending, query) == expected


def test_what_is_changed_through_a_view_of_sqlite_is_what_its_trigger_changes(servers: Servers):
    instead = as_one(
        """CREATE TRIGGER instead INSTEAD OF UPDATE ON v FOR EACH ROW
    BEGIN UPDATE t SET state = NEW.s WHERE id = OLD.id; END;"""
    )
    pending = "UPDATE v SET s = trim(s) WHERE s <> trim(s);"

    assert verdict(servers, Engine.SQLITE, SHOWN + instead, pending, "SELECT state FROM t") == "pu"


TELLS = f"""CREATE FUNCTION told(x text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN {TRIMMED} RETURN x; END $$;"""
OF_TOLD = f"{BASE} CREATE TABLE s (a text);{as_one(TELLS)}"


@pytest.mark.parametrize(
    "pending",
    [
        "CREATE TABLE u AS SELECT told('a');",
        "INSERT INTO s VALUES ('a'); ALTER TABLE s ALTER a TYPE text USING told(a);",
        "INSERT INTO s VALUES ('a'); ALTER TABLE s ADD b text DEFAULT told('b');",
        "ALTER TABLE s ALTER a SET DEFAULT told('a'); INSERT INTO s DEFAULT VALUES;",
        f"PREPARE trims AS {TRIMMED} EXECUTE trims;",
        f"EXPLAIN ANALYZE {TRIMMED}",
    ],
)
def test_what_a_statement_does_that_begins_with_no_word_of_rows(servers: Servers, pending: str):
    assert verdict(servers, Engine.POSTGRESQL, OF_TOLD, pending, "SELECT state FROM t") == "pu"
    assert verdict(servers, Engine.POSTGRESQL, OF_TOLD, pending, "SELECT n FROM t") == "pp"


@pytest.mark.parametrize(
    "pending",
    [
        "DROP FUNCTION told(text);",
        "CREATE VIEW u AS SELECT told('a') AS a;",
        "ALTER FUNCTION told(text) COST 7;",
        "COMMENT ON FUNCTION told(text) IS 'UPDATE t SET state = 1';",
    ],
)
def test_a_function_that_is_named_and_not_called_changes_nothing(servers: Servers, pending: str):
    assert verdict(servers, Engine.POSTGRESQL, OF_TOLD, pending, "SELECT state FROM t") == "pp"


@pytest.mark.mariadb
@pytest.mark.parametrize(
    "pending",
    [
        f"/*!40101 {TRIMMED.removesuffix(';')} */;",
        f'PREPARE p FROM "{TRIMMED}"; EXECUTE p;',
    ],
)
def test_what_mysql_runs_of_a_comment_or_a_text(servers: Servers, pending: str):
    assert verdict(servers, ENGINE, BASE, pending, "SELECT state FROM t") == "pu"
    assert verdict(servers, ENGINE, BASE, pending, "SELECT n FROM t") == "pp"


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("read", "expected"),
    [("SELECT n FROM t", "pu"), ("SELECT state FROM t", "pp"), ("SELECT k FROM s", "pp")],
)
def test_a_text_counts_that_a_variable_of_mysql_holds_for_prepare(servers: Servers, read: str, expected: str):
    base = f"{BASE} CREATE TABLE s (id integer PRIMARY KEY, k integer);"
    held = "SET @held = 'UPDATE t SET n = 3 WHERE n = 7000003'; PREPARE held FROM @held; EXECUTE held;"

    assert verdict(servers, ENGINE, base, held, read) == expected


@pytest.mark.parametrize("runs", ["VALUES (trims());", "EXPLAIN ANALYZE SELECT trims();"])
def test_whatever_runs_a_function_of_postgresql_counts(servers: Servers, runs: str):
    pending = as_one(runs)

    assert verdict(servers, Engine.POSTGRESQL, BASE + as_one(TRIMS), pending, "SELECT state FROM t") == "pu"
    assert verdict(servers, Engine.POSTGRESQL, BASE + as_one(TRIMS), pending, "SELECT n FROM t") == "pp"
