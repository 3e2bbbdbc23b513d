"""A migration's CHECK refuses some sample rows: a table keeps another one, and most of its proofs."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
ON_MYSQL = pytest.param(ENGINE, marks=pytest.mark.mariadb)
EVERY = [Engine.POSTGRESQL, Engine.SQLITE, ON_MYSQL]
COLUMNS = "id integer PRIMARY KEY, paused boolean NOT NULL, name varchar(40) NOT NULL"
FLOW = f"""CREATE TABLE flow ({COLUMNS});
CREATE TABLE run (id integer PRIMARY KEY, flow integer NOT NULL REFERENCES flow (id), n integer);
"""
NEW = "until varchar(20), CHECK (NOT paused AND until IS NULL OR paused AND until IS NOT NULL)"
PAUSED = {
    Engine.POSTGRESQL: f"ALTER TABLE flow ADD COLUMN {NEW.replace(', CHECK', ', ADD CHECK')};",
    Engine.SQLITE: f"""CREATE TABLE fresh ({COLUMNS}, {NEW});
INSERT INTO fresh (id, paused, name) SELECT id, paused, name FROM flow;
DROP TABLE flow; ALTER TABLE fresh RENAME TO flow;""",
    ENGINE: f"ALTER TABLE flow ADD COLUMN {NEW.replace(', CHECK', ', ADD CHECK')};",
}


def marked(engine: Engine, text: str) -> str:
    return text if engine is Engine.POSTGRESQL else text.replace("$1", "?").replace("$2", "?")


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT name FROM flow WHERE id = $1", "pp"),
        ("SELECT n FROM run JOIN flow ON flow.id = run.flow WHERE name = $1", "pp"),
        ("UPDATE run SET n = $1 WHERE id = $2", "pp"),
        ("UPDATE flow SET name = $1 WHERE id = $2", "pp"),
    ],
)
def test_what_the_check_is_not_about_is_proven(servers: Servers, engine: Engine, query: str, expected: str):
    assert verdict(servers, engine, FLOW, PAUSED[engine], marked(engine, query)) == expected


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize("flag", ["NOT paused", "paused"])
@pytest.mark.parametrize("default", ["", " DEFAULT false", " DEFAULT true"])
def test_whichever_row_it_refuses_another_one_stays(
    servers: Servers, engine: Engine, flag: str, default: str
):
    base, pending = (
        each.replace("paused boolean NOT NULL", f"paused boolean{default}") for each in (FLOW, PAUSED[engine])
    )
    told = f"({flag} AND until IS NULL OR NOT ({flag}) AND"
    pending = pending.replace("(NOT paused AND until IS NULL OR paused AND", told)

    assert verdict(servers, engine, base, pending, "SELECT name FROM flow") == "pp"


@pytest.mark.parametrize("engine", EVERY)
def test_what_the_check_refuses_is_not(servers: Servers, engine: Engine):
    for query in ("UPDATE flow SET paused = $1 WHERE id = $2", "UPDATE flow SET paused = true WHERE id = $1"):
        found = verdict(servers, engine, FLOW, PAUSED[engine], marked(engine, query))
        assert found[0] == "p"
        assert found[1] in "bu"


@pytest.mark.parametrize("engine", EVERY)
def test_who_reads_what_the_migration_changes_in_other_rows_is_not(servers: Servers, engine: Engine):
    pending = "UPDATE flow SET name = 'z' WHERE paused;\n" + PAUSED[engine]

    assert verdict(servers, engine, FLOW, pending, "SELECT name FROM flow") == "pu"
    assert verdict(servers, engine, FLOW, pending, "SELECT n FROM run") == "pp"


@pytest.mark.parametrize("engine", EVERY)
def test_a_check_that_no_sample_row_meets_leaves_the_table_without_rows(servers: Servers, engine: Engine):
    pending = PAUSED[engine].replace("NOT paused AND", "NOT paused AND id = 424242 AND")
    rehearsal, [live, _] = rehearsed(
        servers[engine], engine, FLOW, TOGETHER + pending, live="SELECT name FROM flow", next_="SELECT 1"
    )

    assert live == "uu"
    assert any("`flow`: `00002_m" in each for each in rehearsal.notes)
