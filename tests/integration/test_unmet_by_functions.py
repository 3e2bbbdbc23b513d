"""What may refuse a query that no sample value meets, where a trigger, rule or function stands between."""

from __future__ import annotations

import pytest
from fixtures.two_versions import TWO, Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]


def function(name: str, arguments: str, body: str, returns: str = "void") -> str:
    return f"""-- +goose StatementBegin
CREATE OR REPLACE FUNCTION {name}({arguments}) RETURNS {returns} LANGUAGE plpgsql AS
$$ BEGIN {body} END $$;
-- +goose StatementEnd
"""


REFUSES = "IF n = 77 THEN RAISE EXCEPTION 'no'; END IF;"


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (function("twice", "n integer", f"{REFUSES} RETURN 2 * n;", "integer"), "SELECT twice($1)", "pu"),
        (function("twice", "n integer", "RETURN 2 * n; /* again */", "integer"), "SELECT twice($1)", "pp"),
        (function("twice", "n integer", "RETURN n + n;", "integer"), "SELECT twice($1)", "pu"),
        (
            f"""{function("minded", "n integer", REFUSES)}
{function("mind", "", "PERFORM minded(NEW.a); RETURN NEW;", "trigger")}
CREATE TRIGGER mind BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION mind();""",
            "INSERT INTO t (id, a) VALUES ($1, $2)",
            "pu",
        ),
        (
            "CREATE RULE mind AS ON INSERT TO t WHERE NEW.a = 77 DO INSTEAD NOTHING;",
            "INSERT INTO t (id, a) VALUES ($1, $2)",
            "pu",
        ),
    ],
)
def test_a_function_or_a_rule_that_may_refuse(servers: Servers, pending: str, query: str, expected: str):
    base = TWO + function("twice", "n integer", "RETURN 2 * n;", "integer")

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


@pytest.mark.parametrize(
    "pending", ["ALTER a SET NOT NULL", "ALTER b TYPE varchar(30)", "ADD CHECK (a >= 0)"]
)
def test_null_and_edges_reach_what_a_function_writes(servers: Servers, pending: str):
    base = f"""CREATE TABLE t (id integer PRIMARY KEY, a integer, b text);
{function("put", "id integer, a integer, b text", "INSERT INTO t VALUES (id, a, b);")}"""

    found = verdict(servers, Engine.POSTGRESQL, base, f"ALTER TABLE t {pending};", "SELECT put($1, $2, $3)")

    assert found == "pb"


LOGGED = """CREATE TABLE t (id integer PRIMARY KEY, a integer);
CREATE TABLE log (id serial PRIMARY KEY, t integer, a integer);
CREATE FUNCTION put(id integer, a integer) RETURNS void LANGUAGE sql AS
'INSERT INTO log (t, a) VALUES (id, a)';
-- +goose StatementBegin
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM put(NEW.id, NEW.a); RETURN NULL; END $$;
-- +goose StatementEnd
CREATE TRIGGER noted AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TABLE s (id integer PRIMARY KEY, a integer);
CREATE RULE noted AS ON INSERT TO s DO ALSO INSERT INTO log (t, a) VALUES (NEW.id, NEW.a);
"""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("INSERT INTO t (id, a) VALUES ($1, $2)", "pu"),
        ("UPDATE t SET a = $1 WHERE id = $2", "pu"),
        ("DELETE FROM t WHERE id = $1", "pp"),
        ("INSERT INTO s (id, a) VALUES ($1, $2)", "pu"),
        ("SELECT put($1, $2)", "pu"),
        ("SELECT * FROM log", "pp"),
    ],
)
def test_a_check_of_a_table_that_a_trigger_a_rule_or_a_function_writes(
    servers: Servers, query: str, expected: str
):
    pending = "ALTER TABLE log ADD CHECK (a <> 77);"

    assert verdict(servers, Engine.POSTGRESQL, LOGGED, pending, query) == expected


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        ("ALTER TABLE t ADD CHECK (b <> 'no');", "UPDATE t SET a = $1 WHERE id = $2", "pu"),
        ("ALTER TABLE t ADD CHECK (c <> 77);", "UPDATE t SET a = $1 WHERE id = $2", "pp"),
        (function("fits", "n integer", "RETURN n <> 77;", "boolean"), "UPDATE t SET c = $1", "pu"),
        ("CREATE UNIQUE INDEX ON t (left(d, 9));", "UPDATE t SET d = $1 WHERE id = $2", "pu"),
    ],
)
def test_what_a_trigger_writes_into_the_row_and_what_a_check_calls(
    servers: Servers, pending: str, query: str, expected: str
):
    base = f"""{function("fits", "n integer", "RETURN true;", "boolean")}
{function("given", "", "NEW.b := NEW.a || '!'; RETURN NEW;", "trigger")}
CREATE TABLE t (id integer PRIMARY KEY, a integer, b text, c integer CHECK (fits(c)),
d text UNIQUE);
CREATE TRIGGER given BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION given();
"""

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected
