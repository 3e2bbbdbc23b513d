"""What a migration puts in the place of a version's values: by USING, a trigger or a default."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.model import Engine

__all__ = ["servers"]
T = """CREATE TABLE t (
  id integer PRIMARY KEY, name varchar(20) NOT NULL, price numeric(10,2) NOT NULL, n integer NOT NULL,
  at timestamp NULL
);
"""
V = "CREATE VIEW v AS SELECT id, name AS called FROM t;\n"
ANEW = {
    "lower": "ALTER TABLE t ALTER name TYPE varchar(20) USING lower(name);",
    "cents": "ALTER TABLE t ALTER price TYPE integer USING (price * 100)::integer;",
    "larger": "ALTER TABLE t ALTER n TYPE bigint USING n * 100;",
}
STAMPS = {
    Engine.POSTGRESQL: """CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.at = now(); RETURN NEW; END $$;
CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stamp();
""",
    Engine.SQLITE: """CREATE TRIGGER stamps AFTER UPDATE ON t BEGIN
UPDATE t SET at = datetime('now') WHERE id = NEW.id; END;
""",
    MYSQL_ENGINE: "CREATE TRIGGER stamps BEFORE UPDATE ON t FOR EACH ROW SET NEW.at = now();\n",
}
EVERYWHERE = pytest.mark.parametrize(
    "engine", [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)]
)


def in_one(text: str) -> str:
    return f"-- +goose StatementBegin\n{text}-- +goose StatementEnd\n"


def verdicts(servers: Servers, engine: Engine, base: str, pending: str, query: str) -> list[str]:
    """Return what is said of a query that both versions have; parameters are PostgreSQL's."""
    for number in range(1, 4) if engine is not Engine.POSTGRESQL else ():
        query = query.replace(f"${number}", "?")
    return rehearsed(servers[engine], engine, base, TOGETHER + pending, live=query, next_=query)[1]


@pytest.mark.parametrize(
    ("migration", "query", "expected"),
    [
        ("lower", "SELECT id FROM t WHERE name = $1", ["pu", "up"]),
        ("lower", "SELECT * FROM t", ["pu", "up"]),
        ("lower", "INSERT INTO t VALUES ($1, $2, $3, $4, $5)", ["pu", "up"]),
        ("lower", "SELECT count(*), max(id) FROM t", ["pp", "pp"]),
        ("lower", "SELECT id, price FROM t", ["pp", "pp"]),
        ("cents", "SELECT id FROM t WHERE price > 1000", ["pu", "up"]),
        ("cents", "UPDATE t SET price = price + 1 WHERE id = $1", ["pu", "up"]),
        ("cents", "DELETE FROM t WHERE id = $1", ["pp", "pp"]),
        ("larger", "UPDATE t SET n = n + 1 WHERE id = $1", ["pu", "up"]),
        ("larger", "SELECT id FROM t WHERE n > 1000", ["pu", "up"]),
    ],
)
def test_who_names_a_column_that_using_computes_anew_is_not_proven(
    servers: Servers, migration: str, query: str, expected: list[str]
):
    assert verdicts(servers, Engine.POSTGRESQL, T, ANEW[migration], query) == expected


def test_a_view_or_function_names_a_column_for_who_asks_it(servers: Servers):
    function = in_one(
        "CREATE FUNCTION called(i integer) RETURNS text LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN (SELECT called FROM v WHERE id = i); END $$;\n"
    )
    pending = f"DROP VIEW v;\n{ANEW['lower']}\n{V}"

    assert verdicts(servers, Engine.POSTGRESQL, T + V, pending, "SELECT called FROM v") == ["pu", "up"]
    base = f"{T}{V}{function}"
    assert verdicts(servers, Engine.POSTGRESQL, base, pending, "SELECT called(1)") == ["pu", "up"]


@pytest.mark.parametrize("expression", ["n", "n::bigint", "CAST(n AS bigint)"])
def test_using_that_casts_is_a_change_of_the_type_alone(servers: Servers, expression: str):
    pending = f"ALTER TABLE t ALTER n TYPE bigint USING {expression};"

    assert verdicts(servers, Engine.POSTGRESQL, T, pending, "SELECT id FROM t WHERE n > 1") == ["pp", "pp"]


def test_a_number_that_is_computed_without_a_parameter_loses_its_fraction(servers: Servers):
    pending = "ALTER TABLE t ALTER price TYPE integer;"
    query = "UPDATE t SET price = price / 2 WHERE id = $1"

    assert verdicts(servers, Engine.POSTGRESQL, T, pending, query)[0] == "pb"


@EVERYWHERE
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("UPDATE t SET name = $1, at = $2 WHERE id = $3", "pu"),
        ("UPDATE t SET name = $1 WHERE id = $2", "pp"),
        ("UPDATE t SET at = CURRENT_TIMESTAMP WHERE id = $1", "pp"),
    ],
)
def test_a_trigger_that_puts_the_time_where_the_version_writes_one_is_not_proven(
    servers: Servers, engine: Engine, query: str, expected: str
):
    assert verdicts(servers, engine, T, in_one(STAMPS[engine]), query)[0] == expected


@EVERYWHERE
def test_a_trigger_that_puts_the_time_is_missed_when_it_is_gone(servers: Servers, engine: Engine):
    drops = "DROP TRIGGER stamps" + (" ON t;" if engine is Engine.POSTGRESQL else ";")
    query = "UPDATE t SET name = $1 WHERE id = $2"

    assert verdicts(servers, engine, T + in_one(STAMPS[engine]), drops, query)[0] == "pb"


def test_a_time_that_a_trigger_replaced_and_replaces_no_more_is_the_versions_own(servers: Servers):
    base = T + in_one(STAMPS[Engine.POSTGRESQL])
    query = "UPDATE t SET name = $1, at = $2 WHERE id = $3"

    assert verdicts(servers, Engine.POSTGRESQL, base, "DROP TRIGGER stamps ON t;", query)[0] == "pu"


def test_a_default_of_the_time_that_becomes_a_fixed_one_is_missed(servers: Servers):
    base = T.replace("at timestamp NULL", "at timestamp DEFAULT now()")
    pending = "ALTER TABLE t ALTER at SET DEFAULT '1970-01-01';"
    query = "INSERT INTO t (id, name, price, n) VALUES ($1, $2, 5, 5)"

    assert verdicts(servers, Engine.POSTGRESQL, base, pending, query) == ["pb", "pp"]


GIVES = {
    Engine.POSTGRESQL: """CREATE FUNCTION give() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN {} RETURN NEW; END $$;
CREATE TRIGGER gives BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION give();
""",
    MYSQL_ENGINE: "CREATE TRIGGER gives BEFORE UPDATE ON t FOR EACH ROW BEGIN {} END;\n",
}
TRIMS = {
    Engine.POSTGRESQL: "NEW.name := trim(NEW.name);",
    MYSQL_ENGINE: "SET NEW.name = trim(NEW.name);",
}
IN_BOTH = pytest.mark.parametrize(
    "engine", [Engine.POSTGRESQL, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)]
)
SETS_NAME, SETS_N = "UPDATE t SET name = $1 WHERE id = $2", "UPDATE t SET n = $1 WHERE id = $2"


@IN_BOTH
@pytest.mark.parametrize("query", [SETS_NAME, SETS_N])
@pytest.mark.parametrize("comes", [True, False])
def test_a_trigger_that_changes_no_sample_value_may_change_what_a_client_sends_or_a_row_has(
    servers: Servers, engine: Engine, query: str, comes: bool
):
    gives = in_one(GIVES[engine].format(TRIMS[engine]))
    drops = "DROP TRIGGER gives ON t;" if engine is Engine.POSTGRESQL else "DROP TRIGGER gives;"
    base, pending = (T, gives) if comes else (T + gives, drops)

    assert verdicts(servers, engine, base, pending, query) == ["pu", "up"]


@pytest.mark.parametrize(
    ("body", "event", "expected"),
    [
        ("IF NEW.n = 7000003 THEN NEW.name := 'many'; END IF;", "UPDATE", "pu"),
        ("IF OLD.n <> NEW.n THEN NEW.at := now(); END IF;", "UPDATE", "pp"),
        ("NEW.name := trim(NEW.name);", "INSERT", "pp"),
        ("NEW.name := trim(NEW.name);", "UPDATE OF name", "pp"),
        ("NEW.name := coalesce(NEW.name, '');", "UPDATE", "pp"),
    ],
)
def test_only_a_trigger_that_may_change_what_a_row_has_counts_for_who_writes_another_column(
    servers: Servers, body: str, event: str, expected: str
):
    gives = GIVES[Engine.POSTGRESQL].replace("INSERT OR UPDATE", event).format(body)

    assert verdicts(servers, Engine.POSTGRESQL, T, in_one(gives), SETS_N)[0] == expected


def test_a_trigger_that_fills_a_column_which_the_version_does_not_have_changes_nothing_of_it(
    servers: Servers,
):
    body = "IF NEW.name <> OLD.name THEN NEW.called := lower(NEW.name); END IF;"
    gives = GIVES[Engine.POSTGRESQL].replace("INSERT OR UPDATE", "UPDATE").format(body)
    pending = f"ALTER TABLE t ADD called text;\n{in_one(gives)}"

    assert verdicts(servers, Engine.POSTGRESQL, T, pending, SETS_N)[0] == "pp"


@pytest.mark.parametrize(
    "body",
    [
        "IF NEW.name IS NULL THEN NEW.name := 'none'; END IF;",
        "NEW.name := coalesce(NEW.name, 'none');",
        "IF NEW.name = 'never' THEN RAISE NOTICE 'so'; END IF;",
    ],
)
def test_a_trigger_that_gives_a_value_where_there_is_none_leaves_what_is_sent(servers: Servers, body: str):
    gives = in_one(GIVES[Engine.POSTGRESQL].format(body))

    assert verdicts(servers, Engine.POSTGRESQL, T, gives, SETS_NAME) == ["pp", "pp"]


def test_a_trigger_that_stays_replaces_as_it_did(servers: Servers):
    gives = in_one(GIVES[Engine.POSTGRESQL].format(TRIMS[Engine.POSTGRESQL]))
    pending = "ALTER TRIGGER gives ON t RENAME TO still_gives;\nALTER TABLE t ADD c integer;"

    assert verdicts(servers, Engine.POSTGRESQL, T + gives, pending, SETS_NAME) == ["pp", "pp"]
