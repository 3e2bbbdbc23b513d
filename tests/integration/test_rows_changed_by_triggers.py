"""A migration that sets off a trigger: no sample row has to show what that changes to whoever reads it."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(ENGINE, marks=pytest.mark.mariadb)]
BASE = "CREATE TABLE t (id integer PRIMARY KEY, state varchar(20), n integer);"
TRIMMED = "UPDATE t SET state = trim(state) WHERE state <> trim(state);"
FILLED = "UPDATE t SET n = coalesce(n, 7) WHERE state <> trim(state);"
FREED = "DELETE FROM t WHERE n = 1 AND n + id = 5000;"
ADDED = "INSERT INTO t (id, state, n) VALUES (7000001, 'new', 7000001);"


TOTALS = BASE + "CREATE TABLE totals (t_id integer PRIMARY KEY, sum integer, note varchar(20));"
BODIES = {
    "other": "UPDATE totals SET sum = 0 WHERE t_id = NEW.id AND sum = 7000003;",
    "other-rows": "DELETE FROM totals WHERE t_id = NEW.id AND sum = 7000003;",
    "no-rows": "INSERT INTO totals SELECT NEW.id, 1, 'new' FROM t WHERE n = 7000003;",
}


def acting(engine: Engine, body: str, event: str = "UPDATE") -> str:
    """Return a trigger with a body, in goose's annotations."""
    if engine is Engine.POSTGRESQL:
        text = f"""CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {body} RETURN NULL; END $$;
CREATE TRIGGER acts AFTER {event} ON t FOR EACH ROW EXECUTE FUNCTION act();"""
    else:
        text = f"CREATE TRIGGER acts AFTER {event} ON t FOR EACH ROW BEGIN {body} END;"
    return f"{TOTALS}\n-- +goose StatementBegin\n{text}\n-- +goose StatementEnd\n"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(("event", "pending"), [("UPDATE", TRIMMED), ("INSERT", ADDED)])
@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        ("other", "SELECT sum FROM totals", "pu"),
        ("other", "SELECT note FROM totals", "pp"),
        ("other-rows", "SELECT note FROM totals", "pu"),
        ("no-rows", "SELECT note FROM totals", "pp"),
    ],
)
def test_who_reads_what_a_trigger_changes_that_a_migration_sets_off_is_unproven(
    servers: Servers, engine: Engine, event: str, pending: str, body: str, query: str, expected: str
):
    assert verdict(servers, engine, acting(engine, BODIES[body], event), pending, query) == expected


def test_a_trigger_counts_only_for_what_sets_it_off(servers: Servers):
    of_n = acting(Engine.POSTGRESQL, BODIES["other"], "UPDATE OF n")
    on_delete = acting(Engine.POSTGRESQL, BODIES["other"].replace("NEW", "OLD"), "DELETE")

    for base in (of_n, on_delete):
        assert verdict(servers, Engine.POSTGRESQL, base, TRIMMED, "SELECT sum FROM totals") == "pp"
    assert verdict(servers, Engine.POSTGRESQL, on_delete, FREED, "SELECT sum FROM totals") == "pu"
    assert verdict(servers, Engine.POSTGRESQL, of_n, FILLED, "SELECT sum FROM totals") == "pu"


@pytest.mark.parametrize(
    ("gives", "expected"),
    [("IF NEW.n = 7000003 THEN NEW.n := 3; END IF;", "pu"), ("NEW.n := coalesce(NEW.n, 3);", "pu")],
)
def test_what_a_trigger_gives_a_row_that_an_update_writes_counts_as_well(
    servers: Servers, gives: str, expected: str
):
    base = (
        acting(Engine.POSTGRESQL, gives)
        .replace("AFTER UPDATE", "BEFORE UPDATE")
        .replace("NULL; END", "NEW; END")
    )

    assert verdict(servers, Engine.POSTGRESQL, base, TRIMMED, "SELECT n FROM t") == expected


def test_rows_that_come_set_off_no_trigger_of_an_update(servers: Servers):
    base = acting(Engine.POSTGRESQL, BODIES["other"])

    assert verdict(servers, Engine.POSTGRESQL, base, ADDED, "SELECT sum FROM totals") == "pp"


def chained(engine: Engine, first: str, second: str, event: str) -> str:
    """Return a trigger that acts on `totals`, and one on that which acts on `far`."""
    if engine is Engine.POSTGRESQL:
        text = f"""CREATE FUNCTION goes_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {second} RETURN NULL; END $$;
CREATE TRIGGER goes_on AFTER {event} ON totals FOR EACH ROW EXECUTE FUNCTION goes_on();"""
    else:
        text = f"CREATE TRIGGER goes_on AFTER {event} ON totals FOR EACH ROW BEGIN {second} END;"
    far = "CREATE TABLE far (id integer PRIMARY KEY, k integer, sum integer);"
    return f"{acting(engine, first)}{far}\n-- +goose StatementBegin\n{text}\n-- +goose StatementEnd\n"


FAR = "UPDATE far SET k = 0 WHERE id = NEW.t_id AND sum = 7000003;"


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("first", "event"),
    [
        (BODIES["other"], "UPDATE"),
        ("INSERT INTO totals SELECT NEW.id, 1, 'new' FROM t WHERE n = 7000003;", "INSERT"),
    ],
)
def test_a_trigger_that_another_one_sets_off_counts(servers: Servers, engine: Engine, first: str, event: str):
    base = chained(engine, first, FAR, event)

    assert verdict(servers, engine, base, TRIMMED, "SELECT k FROM far") == "pu"
    assert verdict(servers, engine, base, TRIMMED, "SELECT sum FROM far") == "pp"


@pytest.mark.parametrize("engine", EVERY)
def test_what_a_foreign_key_takes_along_of_what_a_trigger_takes_away_counts(servers: Servers, engine: Engine):
    child = (
        "CREATE TABLE c (id integer PRIMARY KEY, t_id integer, FOREIGN KEY (t_id) REFERENCES totals (t_id)"
    )
    base = f"{acting(engine, BODIES['other-rows'])}{child} ON DELETE CASCADE);"

    assert verdict(servers, engine, base, TRIMMED, "SELECT count(*) FROM c") == "pu"


TRUNCATES = "IF NEW.n = 7000003 THEN TRUNCATE totals; END IF;"
WAYS_AWAY = [
    (Engine.POSTGRESQL, TRUNCATES),
    (Engine.POSTGRESQL, TRUNCATES.replace("TRUNCATE", "TRUNCATE TABLE ONLY")),
    (Engine.POSTGRESQL, TRUNCATES.replace("totals", "t, totals CASCADE")),
    (Engine.POSTGRESQL, "DELETE FROM totals USING t WHERE t.n = 7000003;"),
    (Engine.POSTGRESQL, "IF NEW.n = 7000003 THEN DELETE FROM totals; END IF;"),
    (Engine.SQLITE, "REPLACE INTO totals SELECT t_id, 1, 'x' FROM totals WHERE sum = 7000003;"),
    (Engine.SQLITE, "INSERT OR REPLACE INTO totals SELECT t_id, 1, 'x' FROM totals WHERE sum = 7000003;"),
    (Engine.SQLITE, "UPDATE OR REPLACE totals SET t_id = NEW.id WHERE sum = 7000003;"),
    *(
        pytest.param(ENGINE, body, marks=pytest.mark.mariadb)
        for body in (
            "REPLACE INTO totals SELECT t_id, 1, 'x' FROM totals WHERE sum = 7000003;",
            "REPLACE totals SELECT t_id, 1, 'x' FROM totals WHERE sum = 7000003;",
            "DELETE totals FROM totals WHERE sum = 7000003;",
            "DELETE o FROM totals AS o WHERE o.sum = 7000003;",
            "DELETE IGNORE FROM totals WHERE sum = 7000003;",
            "DELETE FROM o USING totals AS o JOIN t ON t.id = o.t_id WHERE o.sum = 7000003;",
            "DELETE FROM p, o USING t p, totals o WHERE o.sum = 7000003;",
        )
    ),
]


@pytest.mark.parametrize(("engine", "body"), WAYS_AWAY)
def test_however_a_trigger_takes_rows_away_that_counts(servers: Servers, engine: Engine, body: str):
    base = acting(engine, body)

    assert verdict(servers, engine, base, TRIMMED, "SELECT note FROM totals") == "pu"
    assert verdict(servers, engine, base, FREED, "SELECT note FROM totals") == "pp"


SIBLINGS = {
    "others": "UPDATE t SET n = 0 WHERE id <> NEW.id AND n = 7000003;",
    "of a like state": "UPDATE t SET n = 0 WHERE state = NEW.state AND n = 7000003;",
    "one or another": "UPDATE t SET n = 0 WHERE id = NEW.id OR n = 7000003;",
    "itself": "UPDATE t SET n = 0 WHERE id = NEW.id AND n = 7000003;",
    "taken away": "DELETE FROM t WHERE n = 7000003;",
}


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize("body", ["others", "of a like state", "one or another", "taken away"])
def test_other_rows_of_its_own_table_count_that_a_trigger_changes(
    servers: Servers, engine: Engine, body: str
):
    base = acting(engine, SIBLINGS[body], "INSERT")

    assert verdict(servers, engine, base, ADDED, "SELECT n FROM t WHERE id < 1000") == "pu"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_a_row_that_comes_is_none_that_is_there(servers: Servers, engine: Engine):
    base = acting(engine, SIBLINGS["itself"], "INSERT")

    assert verdict(servers, engine, base, ADDED, "SELECT n FROM t WHERE id < 1000") == "pp"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, pytest.param(ENGINE, marks=pytest.mark.mariadb)])
def test_a_trigger_that_writes_through_a_view_counts(servers: Servers, engine: Engine):
    body = "UPDATE seen SET s = 0 WHERE t_id = NEW.id AND s = 7000003;"
    base = acting(engine, body).replace(
        TOTALS, f"{TOTALS}CREATE VIEW seen AS SELECT t_id, sum AS s FROM totals;"
    )

    assert verdict(servers, engine, base, TRIMMED, "SELECT sum FROM totals") == "pu"
    assert verdict(servers, engine, base, TRIMMED, "SELECT note FROM totals") == "pp"


def test_a_trigger_counts_that_a_truncate_sets_off(servers: Servers):
    base = acting(Engine.POSTGRESQL, BODIES["other"].replace("t_id = NEW.id AND ", ""), "TRUNCATE").replace(
        "FOR EACH ROW", "FOR EACH STATEMENT"
    )

    assert verdict(servers, Engine.POSTGRESQL, base, "TRUNCATE t;", "SELECT sum FROM totals") == "pu"
    assert verdict(servers, Engine.POSTGRESQL, base, "TRUNCATE t;", "SELECT note FROM totals") == "pp"
    assert verdict(servers, Engine.POSTGRESQL, base, TRIMMED, "SELECT sum FROM totals") == "pp"


@pytest.mark.mariadb
def test_what_a_function_changes_counts_from_which_a_trigger_of_mysql_takes_a_value(servers: Servers):
    """Neither text ends in a semicolon: `SET NEW.n = f()`, and then what makes the function."""
    function = f"""CREATE FUNCTION f() RETURNS int MODIFIES SQL DATA
BEGIN {BODIES["other"].replace("NEW.id", "5000")} RETURN 1; END;"""
    base = acting(ENGINE, "SET NEW.n = f();").replace("BEGIN SET NEW.n = f(); END", "SET NEW.n = f()")
    base = base.replace("AFTER UPDATE", "BEFORE UPDATE")
    base = f"{TOTALS}\n-- +goose StatementBegin\n{function}\n-- +goose StatementEnd\n{base[len(TOTALS) :]}"

    assert verdict(servers, ENGINE, base, TRIMMED, "SELECT sum FROM totals") == "pu"
    assert verdict(servers, ENGINE, base, TRIMMED, "SELECT note FROM totals") == "pp"
