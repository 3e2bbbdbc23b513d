"""What a write does in other tables by triggers, functions and foreign keys, and not at another state."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.evidence import Rehearsal
from coordinator.model import Engine

__all__ = ["servers"]
BESIDE = "a trigger, a function or a foreign key's action does that"
READS = "SELECT id FROM t"
DELETES = "DELETE FROM t WHERE id = $1"
INSERTS = "INSERT INTO t (id, name) VALUES ($1, $2)"
TABLES = """CREATE TABLE t (id integer PRIMARY KEY, name varchar(20) NOT NULL);
CREATE TABLE audit (id integer, what varchar(20));
"""
ITEMS = """CREATE TABLE t (id integer PRIMARY KEY, name varchar(20));
CREATE TABLE item (id integer PRIMARY KEY, t_id integer,
    CONSTRAINT of_t FOREIGN KEY (t_id) REFERENCES t (id) {});
"""
CASCADES, SETS_NULL = "ON DELETE CASCADE", "ON DELETE SET NULL"
EVERYWHERE = pytest.mark.parametrize(
    "engine", [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)]
)
ADDS_COLUMN = "ALTER TABLE t ADD COLUMN note varchar(9);\n"
PLAIN = "INSERT INTO audit (id, what) VALUES (NEW.id, 'x');"


def noting(engine: Engine, body: str = PLAIN) -> str:
    """Return what makes a trigger that runs a statement for each row that is inserted into `t`."""
    if engine is Engine.POSTGRESQL:
        return (
            f"{function('note()', 'trigger', f'{body} RETURN NULL;')}"
            "CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();\n"
        )
    return (
        "-- +goose StatementBegin\nCREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW BEGIN"
        f" {body} END;\n-- +goose StatementEnd\n"
    )


def function(name: str, returns: str, body: str) -> str:
    """Return what makes a function in PL/pgSQL, or makes it anew."""
    return (
        f"-- +goose StatementBegin\nCREATE OR REPLACE FUNCTION {name} RETURNS {returns} LANGUAGE plpgsql"
        f" AS $$ BEGIN {body} END $$;\n-- +goose StatementEnd\n"
    )


def without_note(engine: Engine) -> str:
    """Return what drops the trigger."""
    return "DROP TRIGGER note ON t;\n" if engine is Engine.POSTGRESQL else "DROP TRIGGER note;\n"


def with_key(engine: Engine, action: str) -> str:
    """Return what makes the foreign key anew with another action; SQLite makes its table anew."""
    if engine is Engine.SQLITE:
        _, made = ITEMS.format(action).replace("TABLE item", "TABLE made").split(";\n", 1)
        return f"""{made}
INSERT INTO made SELECT * FROM item;
DROP TABLE item;
ALTER TABLE made RENAME TO item;
"""
    drops = "CONSTRAINT" if engine is Engine.POSTGRESQL else "FOREIGN KEY"
    return (
        f"ALTER TABLE item DROP {drops} of_t,"
        f" ADD CONSTRAINT of_t_again FOREIGN KEY (t_id) REFERENCES t (id) {action};\n"
    )


def asked(text: str, engine: Engine) -> str:
    """Return a query with the parameters of an engine."""
    return text if engine is Engine.POSTGRESQL else text.replace("$1", "?").replace("$2", "?")


def told(rehearsal: Rehearsal) -> list[str]:
    """Return what is said to be done no more, each with the state."""
    return [
        f"{each.reason.partition(': ')[0]} at {each.state}"
        for each in rehearsal.unchecked
        if BESIDE in each.reason
    ]


def live_writes(
    servers: Servers, engine: Engine, base: str, *pending: str, text: str
) -> tuple[str, list[str]]:
    """Return the verdicts of a live version that writes, and what it is said to do no more."""
    rehearsal, [live, _] = rehearsed(
        servers[engine],
        engine,
        base,
        *[TOGETHER + each for each in pending],
        live=asked(text, engine),
        next_=READS,
    )
    return live, told(rehearsal)


@EVERYWHERE
def test_a_trigger_that_wrote_another_table_is_dropped(servers: Servers, engine: Engine):
    live, lost = live_writes(servers, engine, TABLES + noting(engine), without_note(engine), text=INSERTS)

    assert live == "pu"
    assert [each.startswith("the query added") and "`audit`, now 0 at 1" in each for each in lost] == [True]


@EVERYWHERE
def test_a_trigger_that_still_writes_it_is_no_loss(servers: Servers, engine: Engine):
    live, lost = live_writes(servers, engine, TABLES + noting(engine), ADDS_COLUMN, text=INSERTS)

    assert (live, lost) == ("pp", [])


@EVERYWHERE
def test_a_foreign_key_that_deleted_children_now_lets_them_stand(servers: Servers, engine: Engine):
    live, lost = live_writes(
        servers,
        engine,
        ITEMS.format(CASCADES),
        with_key(engine, SETS_NULL),
        text=DELETES,
    )

    assert live == "pu"
    assert [each.startswith("the query took") and "from `item`, now 0 at 1" in each for each in lost] == [
        True
    ]


@EVERYWHERE
def test_a_foreign_key_that_is_made_anew_as_it_was_is_no_loss(servers: Servers, engine: Engine):
    live, lost = live_writes(
        servers, engine, ITEMS.format(CASCADES), with_key(engine, CASCADES), text=DELETES
    )

    assert (live, lost) == ("pp", [])


@EVERYWHERE
def test_rows_of_a_table_that_is_not_there_are_no_loss(servers: Servers, engine: Engine):
    """The next version deletes what its new table refers to; before that there is nothing to delete there."""
    base, made = ITEMS.format(CASCADES).split("\n", 1)
    text = asked(DELETES, engine)

    rehearsal, verdicts = rehearsed(servers[engine], engine, base, TOGETHER + made, live=text, next_=text)

    assert (verdicts, told(rehearsal)) == (["pp", "pp"], [])


@EVERYWHERE
def test_next_is_unproven_where_its_trigger_is_not_there_yet(servers: Servers, engine: Engine):
    text = asked(INSERTS, engine)

    rehearsal, verdicts = rehearsed(
        servers[engine], engine, TABLES, TOGETHER + noting(engine), live=text, next_=text
    )

    assert verdicts == ["pp", "up"]
    assert [each.endswith("now 0 at 0") for each in told(rehearsal)] == [True]


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_a_table_of_another_name_is_no_loss(servers: Servers, engine: Engine):
    renames = "ALTER TABLE audit RENAME TO log;\n"
    anew = without_note(engine) + noting(engine, PLAIN.replace("audit", "log"))

    live, lost = live_writes(
        servers,
        engine,
        TABLES + noting(engine),
        renames + anew if engine is Engine.POSTGRESQL else renames,
        text=INSERTS,
    )

    assert (live, lost) == ("pp", [])


@pytest.mark.mariadb
def test_between_two_statements_the_trigger_is_not_there(servers: Servers):
    live, lost = live_writes(
        servers,
        MYSQL_ENGINE,
        TABLES + noting(MYSQL_ENGINE),
        f"{without_note(MYSQL_ENGINE)}{noting(MYSQL_ENGINE)}",
        text=INSERTS,
    )

    assert (live, [each.rpartition(" at ")[2] for each in lost]) == ("pu", ["1"])


@pytest.mark.parametrize(
    ("base", "pending", "text", "expected"),
    [
        (noting(Engine.POSTGRESQL), function("note()", "trigger", "RETURN NULL;"), "", "pu"),
        (noting(Engine.POSTGRESQL), function("note()", "trigger", f"{PLAIN} RETURN NULL;"), "", "pp"),
        (
            function("place(a integer)", "void", "INSERT INTO audit VALUES (a);"),
            function("place(a integer)", "void", ""),
            "SELECT place($1)",
            "pu",
        ),
        (
            noting(Engine.POSTGRESQL),
            "ALTER TABLE t RENAME TO o;\nCREATE VIEW t AS SELECT * FROM o;",
            "",
            "pp",
        ),
        (
            noting(Engine.POSTGRESQL, "UPDATE audit SET what = NEW.name;"),
            "DROP TABLE audit;\nDROP TRIGGER note ON t;",
            "",
            "pp",
        ),
    ],
    ids=["emptied", "made anew", "function", "view", "gone with its table"],
)
def test_what_postgresql_runs_beside_a_write(
    servers: Servers, base: str, pending: str, text: str, expected: str
):
    engine = Engine.POSTGRESQL

    live, lost = live_writes(servers, engine, TABLES + base, pending, text=text or INSERTS)

    assert (live, len(lost)) == (expected, expected.count("u"))


def test_a_table_that_has_partitions_no_more_is_no_loss(servers: Servers):
    base = """CREATE TABLE audit (id integer) PARTITION BY LIST (id);
CREATE TABLE first PARTITION OF audit FOR VALUES IN (1);
CREATE TABLE rest PARTITION OF audit DEFAULT;
CREATE TABLE t (id integer PRIMARY KEY, name text NOT NULL);
"""
    joined = "DROP TABLE audit;\nCREATE TABLE audit (id integer);\n"

    live, lost = live_writes(
        servers,
        Engine.POSTGRESQL,
        base + noting(Engine.POSTGRESQL, "INSERT INTO audit VALUES (NEW.id);"),
        joined,
        text=INSERTS,
    )

    assert (live, lost) == ("pp", [])
