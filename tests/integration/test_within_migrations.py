"""What a version meets between the statements of a migration that commits them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE

from coordinator import discovery
from coordinator.diagnostics import Place
from coordinator.evidence import Rehearsal
from coordinator.model import (
    DatabaseName,
    DatabaseSpec,
    Engine,
    Layer,
    Migration,
    MigrationsSpec,
    Role,
    SecretRef,
    ServiceName,
    SourceFile,
)
from coordinator.queries import Catalogue, Query
from coordinator.rehearsal_ports import RehearsalServer
from coordinator.rehearse import Subject, Task, rehearse_database
from coordinator.rehearse.within import steps_of

PLACE = Place("plan.yaml", 1, 1)
TOOL = discovery.migration_tool("goose")
USES = tuple((DatabaseName("shop"), ServiceName("shop"), role) for role in (Role.LIVE, Role.NEXT))
ALONE = "-- +goose NO TRANSACTION\n-- +goose Up\n"
TOGETHER = "-- +goose Up\n"
BASE = """CREATE TABLE t (id integer PRIMARY KEY, name varchar(20));
CREATE UNIQUE INDEX by_name ON t (name);
CREATE VIEW seen AS SELECT id FROM t;
CREATE TABLE other (id integer PRIMARY KEY);"""


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[Engine, RehearsalServer]]:
    """Yield a place for the servers that a module's tests have started."""
    with ExitStack() as stack:
        yield _Servers(stack)


class _Servers(dict[Engine, RehearsalServer]):
    def __init__(self, stack: ExitStack) -> None:
        super().__init__()
        self._stack = stack

    def __missing__(self, engine: Engine) -> RehearsalServer:
        server = discovery.rehearsal(engine).server(url=None, live_version=None)
        self[engine] = self._stack.enter_context(server)
        return self[engine]


def migration(version: int, text: str) -> Migration:
    file = SourceFile(f"{version:05}_m.sql", text.encode(), sha256(text.encode()).hexdigest())
    [found] = TOOL.read([file]).migrations
    return found


def rehearsed(
    server: RehearsalServer, engine: Engine, pending: str, *, live: str, next_: str
) -> tuple[Rehearsal, list[str]]:
    """Return the rehearsal, and each version's verdicts by state: `wb` works at first, and breaks then."""
    migrations = tuple(migration(at, text) for at, text in enumerate((TOGETHER + BASE, pending), 1))
    folder = MigrationsSpec("goose", Path("migrations"), None, PLACE)
    spec = DatabaseSpec(USES[0][0], engine, SecretRef("env", "URL"), folder, timedelta(seconds=2), PLACE)
    subjects = tuple(
        Subject(use, Catalogue("queries", (Query("Ask", text, PLACE),)))
        for use, text in zip(USES, (live, next_), strict=True)
    )
    layers = tuple(each for each in Layer if each in discovery.rehearsal(engine).layers)
    task = Task(spec, TOOL, migrations[:1], migrations[1:], subjects, layers)
    rehearsal, spans = rehearse_database(server, task)
    return rehearsal, [
        "".join(
            span.finding.verdict.value[0] for span in spans[use] for _ in range(span.first, span.last + 1)
        )
        for use in USES
    ]


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
    servers: dict[Engine, RehearsalServer], engine: Engine, pending: str, live: str, expected: str
):
    rehearsal, verdicts = rehearsed(servers[engine], engine, pending, live=live, next_="SELECT id FROM other")

    assert verdicts == [expected, "pp"]
    for each in rehearsal.breaks:
        assert each.migration == "00002_m"
        assert "between the statements of `00002_m` (after line " in each.objection.message


@pytest.mark.parametrize("engine", [Engine.SQLITE, Engine.POSTGRESQL, MYSQL])
def test_a_next_version_starts_behind_a_migration_in_whose_middle_it_breaks(
    servers: dict[Engine, RehearsalServer], engine: Engine
):
    _, verdicts = rehearsed(
        servers[engine], engine, ALONE + REPLACED, live="SELECT id FROM t", next_="SELECT id FROM seen"
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
