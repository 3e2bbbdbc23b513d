"""A constraint that comes with a migration, which no sample row or value happens to meet."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.model import Engine

__all__ = ["servers"]
BASE = "CREATE TABLE t (id integer PRIMARY KEY, a integer NOT NULL, b varchar(20) NOT NULL, c integer{});\n"
SETS_A = "UPDATE t SET a = $1 WHERE id = $2"
SETS_C = "UPDATE t SET c = $1 WHERE id = $2"
UNIQUE = "CREATE UNIQUE INDEX once ON t (a, b);"
EVERYWHERE = pytest.mark.parametrize(
    "engine", [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)]
)


def verdict(servers: Servers, engine: Engine, pending: str, query: str, *, more: str = "") -> str:
    """Return the verdicts of a live version that writes."""
    text = query
    for number in range(1, 4) if engine is not Engine.POSTGRESQL else ():
        text = text.replace(f"${number}", "?")
    base, made = BASE.format(more), TOGETHER + pending
    _, [live, _] = rehearsed(servers[engine], engine, base, made, live=text, next_="SELECT id FROM t")
    return live


@EVERYWHERE
@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (UNIQUE, SETS_A, "pu"),
        (UNIQUE, SETS_C, "pp"),
        (UNIQUE.replace("(a", "(id, a"), SETS_A, "pp"),
        (UNIQUE.replace("UNIQUE ", ""), SETS_A, "pp"),
        (UNIQUE, "DELETE FROM t WHERE id = $1", "pp"),
    ],
    ids=["written", "not written", "holds the key", "not unique", "deletes"],
)
def test_a_unique_index_of_two_columns_that_no_two_sample_rows_share(
    servers: Servers, engine: Engine, pending: str, query: str, expected: str
):
    assert verdict(servers, engine, pending, query) == expected


@pytest.mark.parametrize(
    ("keys", "more", "expected"),
    [
        ("(id, c) NULLS NOT DISTINCT", "", "pp"),
        ("(b, c) NULLS NOT DISTINCT", ", UNIQUE NULLS NOT DISTINCT (c)", "pp"),
        ("(b, c) NULLS NOT DISTINCT", ", UNIQUE (c)", "pu"),
        ("(b, c) NULLS NOT DISTINCT", "", "pu"),
        ("(b, c)", ", UNIQUE (c)", "pp"),
    ],
    ids=[
        "holds the primary key",
        "holds such a one",
        "holds one that takes NULLs",
        "holds none",
        "takes NULLs",
    ],
)
def test_a_unique_index_to_which_two_nulls_are_alike(servers: Servers, keys: str, more: str, expected: str):
    pending = f"CREATE UNIQUE INDEX once ON t {keys};"

    assert verdict(servers, Engine.POSTGRESQL, pending, SETS_C, more=more) == expected


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_the_condition_of_a_unique_index_is_written(servers: Servers, engine: Engine):
    assert verdict(servers, engine, UNIQUE.replace(";", " WHERE c > 1000;"), SETS_C) == "pu"


@pytest.mark.parametrize(
    ("condition", "query", "expected"),
    [
        ("a <> 77", SETS_A, "pu"),
        ("a <> 77", SETS_C, "pp"),
        ("a <> 77", "INSERT INTO t (id, a, b) VALUES ($1, $2, $3)", "pu"),
        ("c <> 77", "INSERT INTO t (id, a, b) VALUES ($1, $2, $3)", "pp"),
    ],
)
def test_a_check_that_no_sample_value_fails(servers: Servers, condition: str, query: str, expected: str):
    pending = f"ALTER TABLE t ADD CHECK ({condition});"

    assert verdict(servers, Engine.POSTGRESQL, pending, query) == expected


@pytest.mark.parametrize(
    ("condition", "query", "expected"),
    [
        ("a <> 77", "UPDATE t SET a = 5, c = $1 WHERE id = $2", "pp"),
        ("a <> 77", "UPDATE t SET c = $1, a = -5 WHERE id = $2 RETURNING id", "pp"),
        ("b IN ('x', 'sample 1')", "UPDATE t SET b = 'x' WHERE id = $1", "pp"),
        ("b IN ('x', 'sample 1')", "INSERT INTO t (id, a, b) VALUES ($1, coalesce($2, 1), 'x')", "pp"),
        ("a <> 77 OR c <> 88", "UPDATE t SET a = 5 WHERE id = $1", "pu"),
        ("a <> 77", "UPDATE t SET a = 5 + c WHERE id = $1", "pu"),
        ("a <> 77", "UPDATE t SET a = 5 WHERE c = 99", "pp"),
        ("a <> 77", "UPDATE t SET a = 5 WHERE c = abs(99)", "pu"),
        (
            "a <> 77",
            "INSERT INTO t (id, a, b) VALUES ($1, 5, 'x') ON CONFLICT (id) DO UPDATE SET a = $2",
            "pu",
        ),
    ],
)
def test_a_check_of_what_the_text_has_as_literals_is_met_by_all_rows_or_none(
    servers: Servers, condition: str, query: str, expected: str
):
    pending = f"ALTER TABLE t ADD CHECK ({condition}) NOT VALID;"

    assert verdict(servers, Engine.POSTGRESQL, pending, query) == expected


@EVERYWHERE
@pytest.mark.parametrize(
    ("query", "expected"), [("UPDATE t SET c = c + 1 WHERE id = $1 AND c IS NULL", "pu"), (SETS_A, "pp")]
)
def test_a_foreign_key_that_no_sample_value_meets(
    servers: Servers, engine: Engine, query: str, expected: str
):
    base = ");\nCREATE TABLE p (id integer PRIMARY KEY"
    key = "CONSTRAINT of_p FOREIGN KEY (c) REFERENCES p (id)"
    pending = f"ALTER TABLE t ADD {key}{' NOT VALID' if engine is Engine.POSTGRESQL else ''};"
    if engine is Engine.SQLITE:
        columns = "id integer PRIMARY KEY, a integer NOT NULL, b varchar(20) NOT NULL, c integer"
        pending = f"""CREATE TABLE other ({columns}, {key});
INSERT INTO other SELECT * FROM t;
DROP TABLE t;
ALTER TABLE other RENAME TO t;
"""

    assert verdict(servers, engine, pending, query, more=base) == expected


def test_a_check_that_is_validated_is_no_new_one(servers: Servers):
    more = ", CONSTRAINT other CHECK (a <> 77)"
    pending = """ALTER TABLE t DROP CONSTRAINT other;
ALTER TABLE t ADD CONSTRAINT again CHECK (a <> 77) NOT VALID;
"""

    assert verdict(servers, Engine.POSTGRESQL, pending, SETS_A, more=more) == "pp"


@pytest.mark.parametrize(
    ("condition", "query", "expected"),
    [
        ("a IS NOT NULL AND b IS NOT NULL", SETS_A, "pp"),
        ("c IS NULL OR d IS NULL", SETS_C, "pb"),
        ("c IS NOT NULL OR d IS NOT NULL", SETS_C, "pb"),
    ],
)
def test_a_check_for_null_is_met_by_sets_with_null_also_together_with_what_a_row_has(
    servers: Servers, condition: str, query: str, expected: str
):
    pending = f"ALTER TABLE t ADD CHECK ({condition}) NOT VALID;"

    assert verdict(servers, Engine.POSTGRESQL, pending, query, more=", d integer") == expected


def test_a_table_behind_a_view_of_its_old_name_has_the_same_constraints(servers: Servers):
    pending = "ALTER TABLE t RENAME TO o;\nCREATE VIEW t AS SELECT * FROM o;"

    assert verdict(servers, Engine.POSTGRESQL, pending, SETS_A, more=", UNIQUE (a, b)") == "pp"


def test_a_constraint_of_the_table_behind_a_view_may_refuse_what_the_view_takes(servers: Servers):
    base = BASE.format("") + "CREATE VIEW v AS SELECT id, a, b FROM t;\n"

    _, [live, _] = rehearsed(
        servers[Engine.POSTGRESQL],
        Engine.POSTGRESQL,
        base,
        TOGETHER + UNIQUE,
        live=SETS_A.replace("UPDATE t", "UPDATE v"),
        next_="SELECT id FROM t",
    )

    assert live == "pu"


def test_a_generated_column_is_written_with_what_it_is_made_of(servers: Servers):
    more = ", g integer GENERATED ALWAYS AS (a * 2) STORED"
    pending = "ALTER TABLE t ADD CHECK (g <> 77);"

    assert verdict(servers, Engine.POSTGRESQL, pending, SETS_A, more=more) == "pu"
    assert verdict(servers, Engine.POSTGRESQL, pending, SETS_C, more=more) == "pp"


def test_a_unique_that_lets_rows_be_left_out_no_more(servers: Servers):
    """What it makes an INSERT ignore needs a row that is alike in both columns, with its condition."""
    more = ");\nCREATE UNIQUE INDEX once ON t (lower(b)) WHERE c > 1000"
    base = BASE.format("").replace(");\n", f"{more};\n")

    _, [live, _] = rehearsed(
        servers[Engine.SQLITE],
        Engine.SQLITE,
        base,
        TOGETHER + "DROP INDEX once;",
        live="INSERT INTO t (id, a, b, c) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        next_="SELECT id FROM t",
    )

    assert live == "pu"


REFUSES = {
    Engine.POSTGRESQL: """CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF {} THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
CREATE TRIGGER guarded BEFORE {} ON {} FOR EACH ROW EXECUTE FUNCTION guard();
""",
    Engine.SQLITE: """CREATE TRIGGER guarded BEFORE {1} ON {2} FOR EACH ROW BEGIN
SELECT raise(ABORT, 'no') WHERE {0}; END;
""",
    MYSQL_ENGINE: """CREATE TRIGGER guarded BEFORE {1} ON {2} FOR EACH ROW BEGIN
IF {0} THEN SIGNAL SQLSTATE '45000'; END IF; END;
""",
}


def guarding(engine: Engine, condition: str, event: str = "UPDATE", table: str = "t") -> str:
    """Return the file of a migration that makes a trigger which refuses some rows."""
    made = REFUSES[engine].format(condition, event, table)
    return f"-- +goose StatementBegin\n{made}-- +goose StatementEnd\n"


@EVERYWHERE
@pytest.mark.parametrize(
    ("event", "query", "expected"),
    [
        ("UPDATE", SETS_A, "pu"),
        ("UPDATE", "INSERT INTO t (id, a, b) VALUES ($1, $2, $3)", "pp"),
        ("INSERT", "INSERT INTO t (id, a, b) VALUES ($1, $2, $3)", "pu"),
        ("INSERT", SETS_A, "pp"),
    ],
)
def test_a_trigger_may_refuse_what_no_sample_value_is(
    servers: Servers, engine: Engine, event: str, query: str, expected: str
):
    assert verdict(servers, engine, guarding(engine, "NEW.a = 77", event), query) == expected


@EVERYWHERE
def test_a_trigger_that_a_sample_row_meets_breaks(servers: Servers, engine: Engine):
    assert verdict(servers, engine, guarding(engine, "NEW.c IS NULL"), "UPDATE t SET a = a + 1") == "pb"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize(("action", "expected"), [("SET NULL", "pu"), ("CASCADE", "pp")])
def test_a_trigger_of_a_child_may_refuse_what_is_done_to_its_parent(
    servers: Servers, engine: Engine, action: str, expected: str
):
    child = "CREATE TABLE r (id integer PRIMARY KEY, d integer, t integer REFERENCES t (id) ON DELETE"
    pending = guarding(engine, "NEW.d = 77", table="r")

    deletes = verdict(servers, engine, pending, "DELETE FROM t WHERE id = $1", more=f");\n{child} {action}")

    assert deletes == expected


def test_a_trigger_that_only_writes_is_compared_by_what_it_writes(servers: Servers):
    pending = guarding(Engine.POSTGRESQL, "NEW.a = 77").replace("RAISE EXCEPTION 'no'", "RAISE NOTICE 'no'")

    assert verdict(servers, Engine.POSTGRESQL, pending, SETS_A) == "pp"


def test_a_trigger_that_a_renamed_table_keeps_is_no_new_one(servers: Servers):
    more = f");\n{guarding(Engine.POSTGRESQL, 'NEW.a = 77')}CREATE TABLE other (id integer"
    pending = "ALTER TABLE t RENAME TO o;\nCREATE VIEW t AS SELECT * FROM o;"

    assert verdict(servers, Engine.POSTGRESQL, pending, SETS_A, more=more) == "pp"
