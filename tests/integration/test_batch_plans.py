"""What each batch of a backfill reads, as the engine plans it: rows behind the cursor, or a whole table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.backfilling import COUNT_UP
from fixtures.sqlite_rehearsal import apply

from coordinator import discovery
from coordinator.diagnostics import Place
from coordinator.model import CommandSpec, Engine
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.batch_plans import batch_scans, hazards_of_batches

SCHEMA = (
    "CREATE TABLE items (id int NOT NULL PRIMARY KEY, code varchar(20) NOT NULL UNIQUE, n int NOT NULL)",
    "CREATE TABLE prices (code varchar(20) NOT NULL, price int NOT NULL)",
    "CREATE TABLE names (code varchar(20) NOT NULL PRIMARY KEY, name varchar(20) NOT NULL)",
)
PLAIN = "UPDATE items SET n = n + 1 WHERE {range}"
ALTERNATIVE = "UPDATE items SET n = n + 1 WHERE {range} OR n < 0"
COMPUTED = "UPDATE items SET n = n + 1 WHERE NOT ({range}) IS NOT TRUE"
LOOKS_UP = (
    "UPDATE items SET n = (SELECT max({column}) FROM {table} WHERE {table}.code = items.code) WHERE {{range}}"
)
BY_NAME = LOOKS_UP.format(column="length(name)", table="names")
BY_PRICE = LOOKS_UP.format(column="price", table="prices")
ENGINES = (
    Engine.POSTGRESQL,
    Engine.SQLITE,
    pytest.param(Engine.MARIADB, marks=pytest.mark.mariadb),
)


@pytest.fixture(scope="module", params=ENGINES)
def database(request: pytest.FixtureRequest) -> Iterator[RehearsalDatabase]:
    with (
        discovery.rehearsal(request.param).server(url=None, live_version=None) as server,
        server.database() as made,
    ):
        apply(made, *SCHEMA)
        made.fill()
        yield made


@pytest.mark.parametrize(
    ("sql", "read"),
    [(PLAIN, []), (BY_NAME, []), (ALTERNATIVE, ["items"]), (COMPUTED, ["items"]), (BY_PRICE, ["prices"])],
)
@pytest.mark.parametrize("key", ["id", "code"])
def test_a_table_that_each_batch_must_read_from_end_to_end_is_seen(
    database: RehearsalDatabase, sql: str, read: list[str], key: str
) -> None:
    with database.clone() as copy:
        scans = batch_scans(copy, replace(COUNT_UP, sql=sql, key=(key,)))

    assert [table.rpartition(".")[2] for _, table in scans] == read


def test_an_index_in_another_order_of_columns_does_not_serve_the_choice_of_rows(
    database: RehearsalDatabase,
) -> None:
    spec = replace(COUNT_UP, sql="UPDATE pairs SET n = 1 WHERE {range}", table="pairs", key=("a", "b"))
    with database.clone() as copy:
        apply(copy, "CREATE TABLE pairs (a int NOT NULL, b int NOT NULL, n int, UNIQUE (b, a))")
        copy.fill()
        scans = batch_scans(copy, spec)

    assert [table.rpartition(".")[2] for _, table in scans] == ["pairs"]


@pytest.mark.parametrize(("table", "key", "read"), [("items", "id", []), ("pairs", "a b", ["pairs"])])
def test_of_a_program_the_choice_of_its_rows_is_asked_about(
    database: RehearsalDatabase, table: str, key: str, read: list[str]
) -> None:
    program = CommandSpec(("./fill",), Path(), timedelta(minutes=1), False, False, Place("plan.yaml"))
    spec = replace(COUNT_UP, sql=None, command=program, table=table, key=tuple(key.split()))
    with database.clone() as copy:
        apply(copy, "CREATE TABLE pairs (a int NOT NULL, b int NOT NULL, n int, UNIQUE (b, a))")
        copy.fill()
        scans = batch_scans(copy, spec)

    assert [table.rpartition(".")[2] for _, table in scans] == read


def test_a_table_without_rows_tells_nothing(database: RehearsalDatabase) -> None:
    with database.clone() as copy:
        apply(copy, "DELETE FROM items")

        assert batch_scans(copy, replace(COUNT_UP, sql=ALTERNATIVE)) == ()


def test_a_table_that_is_known_to_be_small_is_not_named() -> None:
    scans = [("count-up", "public.items"), ("count-up", "public.prices")]

    def named(sizes: dict[str, int] | None) -> list[str]:
        return [each.what.split()[8].rstrip(",") for each in hazards_of_batches(scans, [COUNT_UP], sizes)]

    assert named(None) == ["public.items", "public.prices"]
    assert named({"public.items": 10**9, "public.prices": 10_000}) == ["public.items"]
