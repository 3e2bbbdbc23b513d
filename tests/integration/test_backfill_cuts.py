"""What a statement leaves must not depend on where its batches end: the rehearsal tries several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fixtures.backfilling import COUNT_UP, Items
from fixtures.sqlite_rehearsal import apply

from coordinator import discovery
from coordinator.evidence import Finding, Verdict
from coordinator.model import BackfillSpec, Engine
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.backfilling import try_backfills

ENGINES = (
    Engine.POSTGRESQL,
    Engine.SQLITE,
    pytest.param(Engine.MARIADB, marks=pytest.mark.mariadb),
)
SCHEMA = (
    "CREATE TABLE items (id int NOT NULL PRIMARY KEY, n int NOT NULL, m int, at varchar(40))",
    "CREATE TABLE logs (n int)",
    "INSERT INTO items (id, n) VALUES (-3, 0), (1, 0), (2, 0), (4, 0), (9, 0), (1000000000, 0)",
)
LEFT = "SELECT count(*) FROM items WHERE n = 0"
BEGUN = "SELECT CASE WHEN (SELECT count(*) FROM logs) + (SELECT sum(n) FROM items) > 0 THEN 0 ELSE 1 END"
"""For what leaves rows as they are."""


@pytest.fixture(scope="module", params=ENGINES)
def database(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, RehearsalDatabase]]:
    with (
        discovery.rehearsal(request.param).server(url=None, live_version=None) as server,
        server.database() as made,
    ):
        apply(made, *SCHEMA)
        yield request.param, made


def rehearsed(database: tuple[Engine, RehearsalDatabase], **changes: object) -> Finding:
    """Return what the rehearsal makes of a backfill of the items."""
    engine, scratch = database
    spec: BackfillSpec = replace(COUNT_UP, **{"remaining": LEFT, **changes})  # type: ignore[arg-type]
    plan = Items(engine, "").database()
    [trial] = try_backfills(scratch, replace(plan, backfills=(spec,)), (), state=0, working=())
    return trial.finding


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE items SET n = n + 1 WHERE {range}",
        "UPDATE items SET n = n + 1 WHERE (n = 0 OR m IS NULL) AND {range}",
        "UPDATE items SET n = 1, at = CURRENT_TIMESTAMP WHERE {range}",
        "UPDATE items SET n = 1, id = -1000 - id WHERE {range} AND id > -1000",
        "DELETE FROM items WHERE {range}",
    ],
)
def test_a_statement_that_does_each_row_by_itself_is_proven(
    database: tuple[Engine, RehearsalDatabase], sql: str
) -> None:
    assert rehearsed(database, sql=sql).verdict is Verdict.PROVEN


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE items SET n = n + 1 WHERE n < 7 OR m = 1 AND {range}",
        "UPDATE items SET n = n + 1 /* WHERE {range} */",
    ],
)
def test_a_statement_that_changes_rows_outside_its_batch_is_refused(
    database: tuple[Engine, RehearsalDatabase], sql: str
) -> None:
    found = rehearsed(database, sql=sql)

    assert found.verdict is Verdict.BROKEN
    assert "changes rows of" in found.reason
    assert "that are not in its batch" in found.reason


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE items SET n = n + 1, id = id + 1000 WHERE {range}",
        "INSERT INTO items (id, n) SELECT id + 1000, 1 FROM items WHERE {range}",
    ],
)
def test_a_statement_that_comes_again_to_rows_that_it_has_done_is_refused(
    database: tuple[Engine, RehearsalDatabase], sql: str
) -> None:
    found = rehearsed(database, sql=sql, remaining=BEGUN)

    assert found.verdict is Verdict.BROKEN
    assert "comes again and again" in found.reason


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        (
            "UPDATE items SET n = 1, m = (SELECT sum(o.n) FROM (SELECT n FROM items) o) WHERE {range}",
            "items.m",
        ),
        ("INSERT INTO logs SELECT count(*) FROM items WHERE {range}", "logs"),
    ],
)
def test_a_statement_whose_work_depends_on_where_batches_end_is_unproven(
    database: tuple[Engine, RehearsalDatabase], sql: str, what: str
) -> None:
    found = rehearsed(database, sql=sql, remaining=BEGUN)

    assert found.verdict is Verdict.UNPROVEN
    assert f"{what}` depends on where its batches end" in found.reason


def test_a_question_that_counts_no_row_before_they_are_done_says_nothing(
    database: tuple[Engine, RehearsalDatabase],
) -> None:
    found = rehearsed(database, remaining="SELECT count(*) FROM items WHERE m = NULL")

    assert found.verdict is Verdict.UNPROVEN
    assert "`remaining` counts none of the sample rows" in found.reason


@pytest.mark.mariadb
def test_a_table_without_transactions_is_not_said_to_be_done_once() -> None:
    with (
        discovery.rehearsal(Engine.MARIADB).server(url=None, live_version=None) as server,
        server.database() as made,
    ):
        apply(made, SCHEMA[0] + " ENGINE = MyISAM", *SCHEMA[1:])
        found = rehearsed((Engine.MARIADB, made))

    assert found.verdict is Verdict.UNPROVEN
    assert "`items` is kept by MyISAM, which has no transactions" in found.reason
