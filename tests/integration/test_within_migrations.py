"""What a version meets between the statements of a migration that commits them one by one."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TOGETHER, Servers, migration, rehearsed, servers

from coordinator.model import Engine
from coordinator.rehearse.within import steps_of

__all__ = ["servers"]
ALONE = "-- +goose NO TRANSACTION\n-- +goose Up\n"
BASE = """CREATE TABLE t (id integer PRIMARY KEY, name varchar(20));
CREATE UNIQUE INDEX by_name ON t (name);
CREATE VIEW seen AS SELECT id FROM t;
CREATE TABLE other (id integer PRIMARY KEY);"""
MYSQL = pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)
RENAMED = "ALTER TABLE t RENAME TO people;\nCREATE VIEW t AS SELECT * FROM people;\n"
REPLACED = "DROP VIEW seen;\nCREATE VIEW seen AS SELECT id, name FROM t;\n"
SWAPPED = "CREATE UNIQUE INDEX CONCURRENTLY again ON t (name);\nDROP INDEX CONCURRENTLY by_name;\n"
SWAPPED_TOO_EARLY = "DROP INDEX CONCURRENTLY by_name;\nCREATE UNIQUE INDEX CONCURRENTLY again ON t (name);\n"
UPSERT = "INSERT INTO t (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
READ = "SELECT id, name FROM t"


@pytest.mark.parametrize(
    ("engine", "pending", "live", "expected"),
    [
        pytest.param(MYSQL_ENGINE, TOGETHER + RENAMED, READ, "pb", marks=pytest.mark.mariadb),
        (Engine.SQLITE, ALONE + RENAMED, READ, "pb"),
        (Engine.SQLITE, TOGETHER + RENAMED, READ, "pp"),
        (Engine.SQLITE, f"{ALONE}BEGIN;\n{RENAMED}COMMIT;\n", READ, "pp"),
        (Engine.POSTGRESQL, ALONE + RENAMED, READ, "pb"),
        (Engine.POSTGRESQL, TOGETHER + RENAMED, READ, "pp"),
        (Engine.POSTGRESQL, ALONE + SWAPPED_TOO_EARLY, UPSERT, "pb"),
        (Engine.POSTGRESQL, ALONE + SWAPPED, UPSERT, "pp"),
    ],
)
def test_a_live_version_that_breaks_between_two_statements_breaks(
    servers: Servers, engine: Engine, pending: str, live: str, expected: str
):
    rehearsal, verdicts = rehearsed(
        servers[engine], engine, BASE, pending, live=live, next_="SELECT id FROM other"
    )

    assert verdicts == [expected, "pp"]
    for each in rehearsal.breaks:
        assert each.migration == "00002_m"
        assert "between the statements of `00002_m` (after line " in each.objection.message


@pytest.mark.parametrize("engine", [Engine.SQLITE, Engine.POSTGRESQL, MYSQL])
def test_a_next_version_starts_behind_a_migration_in_whose_middle_it_breaks(servers: Servers, engine: Engine):
    _, verdicts = rehearsed(
        servers[engine], engine, BASE, ALONE + REPLACED, live="SELECT id FROM t", next_="SELECT id FROM seen"
    )

    assert verdicts == ["pp", "bp"]


def lines_of(text: str, engine: Engine) -> list[int]:
    return [each.line for each in steps_of(migration(2, text), engine)]


@pytest.mark.parametrize(
    ("engine", "text", "lines"),
    [
        (Engine.POSTGRESQL, f"{TOGETHER}DROP VIEW a;\nDROP VIEW b;\n", []),
        (Engine.POSTGRESQL, f"{ALONE}SET lock_timeout = 1;\nDROP VIEW a;\nDROP VIEW b;\n", [4, 5]),
        (Engine.MARIADB, f"{TOGETHER}UPDATE t SET a = 1;\nUPDATE t SET b = 1;\n", []),
        (Engine.MARIADB, f"{TOGETHER}CREATE TABLE a (i int);\nCREATE INDEX b ON a (i);\nDROP VIEW c;\n", [4]),
        (Engine.MARIADB, f"{TOGETHER}UPDATE t SET a = 1;\nDELETE FROM t;\nDROP VIEW a;\n", [3, 4]),
        (Engine.MARIADB, f"{ALONE}UPDATE t SET a = 1;\nDELETE FROM t;\nDROP VIEW a;\n", [3, 4, 5]),
        (
            Engine.MARIADB,
            f"{TOGETHER}LOCK TABLES t WRITE;\nDROP VIEW a;\nDROP VIEW b;\nUNLOCK TABLES;\n",
            [5],
        ),
    ],
)
def test_statements_are_taken_together_as_far_as_others_see_them_at_once(
    engine: Engine, text: str, lines: list[int]
):
    assert lines_of(text, engine) == lines
