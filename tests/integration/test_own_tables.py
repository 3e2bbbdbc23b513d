"""Two coordinators that begin at the same moment on a database that has none of our tables yet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Final

import psycopg
import pytest
from fixtures.backfilling import COUNT_UP, Items
from fixtures.local import until
from fixtures.mariadb import ENGINE

from coordinator import applied, leases
from coordinator.backfills.cursor import begin_cursor
from coordinator.errors import Waiting
from coordinator.model import Engine
from coordinator.ports.databases import Batch, Session

ROUNDS: Final = 10
_WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted"


def begin_backfill(session: Session) -> None:
    assert begin_cursor(session, COUNT_UP).batches == 0


def take_lease(session: Session) -> None:
    leases.acquire(session, leases.Claim("digest", "shop-2"), supersede=False)


def open_book(session: Session) -> None:
    notes: list[str] = []
    target = session.target("goose_db_version")
    assert applied.is_open(session, target, applied.Standing.ABSENT, applied.Book("shop-2", notes.append)), (
        notes
    )


TABLES: Final = {
    "coordinator_backfill": begin_backfill,
    "coordinator_lease": take_lease,
    "coordinator_applied": open_book,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_somebody_else_is_just_making_is_waited_for_and_used(name: str, database_url: str):
    table, use = Items(Engine.POSTGRESQL, database_url), TABLES[name]
    with table.session() as session:
        use(session)
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as thread:
        other.execute(f"CREATE SCHEMA kept; ALTER TABLE {name} SET SCHEMA kept")
        other.commit()
        other.execute(f"CREATE TABLE {name} (LIKE kept.{name} INCLUDING ALL)")
        second = thread.submit(_use, table, use)
        until(lambda: table.query(_WAITING))
        other.commit()

        second.result()

    assert table.query(f"SELECT count(*) FROM {name}") == [(0 if name == "coordinator_applied" else 1,)]


@pytest.mark.parametrize(
    "engine", [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(ENGINE, marks=pytest.mark.mariadb)]
)
def test_both_of_two_begin(engine: Engine, request: pytest.FixtureRequest, tmp_path: Path):
    """The same backfill too: both get its one cursor."""
    url = f"sqlite://{tmp_path}/shop.db"
    if engine is not Engine.SQLITE:
        url = request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url")
    table = Items(engine, url)
    for _ in range(ROUNDS):
        for use in TABLES.values():
            _both(table, use)
        assert table.query("SELECT count(*) FROM coordinator_backfill") == [(1,)]
        table.execute(*(f"DROP TABLE {name}" for name in TABLES))


def test_of_two_releases_that_begin_one_waits(database_url: str):
    table = Items(Engine.POSTGRESQL, database_url)
    for _ in range(ROUNDS):
        ended = [future.exception() for future in _futures(table, *map(_lease_of, ("shop-2", "shop-3")))]

        [error] = [each for each in ended if each is not None]
        assert isinstance(error, Waiting)
        assert error.code == "release-under-way"
        table.execute("DROP TABLE coordinator_lease")


def _lease_of(release: str) -> Callable[[Session], None]:
    claim = leases.Claim(release, release)
    return lambda session: leases.acquire(session, claim, supersede=False)


def _both(table: Items, use: Callable[[Session], None]) -> None:
    for future in _futures(table, use, use):
        future.result()


def _futures(table: Items, *uses: Callable[[Session], None]) -> list[Future[None]]:
    """Return what came of each, begun together in sessions of their own."""
    ready = Barrier(len(uses))

    def use_together(use: Callable[[Session], None]) -> None:
        with table.session() as session:
            ready.wait()
            use(session)

    with ThreadPoolExecutor(len(uses)) as threads:
        return [threads.submit(use_together, use) for use in uses]


def _use(table: Items, use: Callable[[Session], None]) -> None:
    with table.session() as session:
        use(session)


@pytest.mark.mariadb
@pytest.mark.parametrize("name", TABLES)
def test_our_rows_come_and_go_with_their_transaction_whatever_the_default_engine_is(
    name: str, mariadb_url: str
):
    table = Items(ENGINE, mariadb_url)
    of_ours = f"FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '{name}'"

    with table.session() as session:
        session.execute(Batch(("SET SESSION default_storage_engine = MyISAM",), transaction=False))
        TABLES[name](session)

        assert session.query(f"SELECT engine {of_ours}") == [("InnoDB",)]
