"""Migrations that follow each other share a session and the tool's locks, and nothing of it outlives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from fixtures.one_statement import migrations_of

from coordinator import discovery
from coordinator.adapters.databases import postgresql
from coordinator.applied import Book
from coordinator.apply import read_ledger
from coordinator.errors import DatabaseError, StepFailed, Waiting
from coordinator.model import DatabaseName, Engine, LocksSpec, Migration, Script, Statement
from coordinator.ports.databases import Batch, Patience, Session
from coordinator.secret import Secret
from coordinator.series import KeptSeries, Series, may_follow

LIMIT = timedelta(seconds=5)
NOTHING = timedelta()
SHOP = DatabaseName("shop")
GOOSE = discovery.migration_tool("goose")
BOOK = Book("shop-1", lambda _: None)
PATIENCE = Patience(LocksSpec(), lambda _: None, lambda _: None, lambda _: None)


THREE = migrations_of(
    GOOSE.name, "CREATE TABLE a (x int)", "CREATE TABLE b (x int)", "CREATE TABLE c (x int)"
)


@pytest.fixture
def begin(database_url: str):
    def make() -> Series:
        session = postgresql.connect(Secret(database_url), lock_timeout=LIMIT).session(label="first")
        return Series.opened(session, GOOSE, table=None, lock_timeout=LIMIT)

    return make


@contextmanager
def another(database_url: str) -> Iterator[Session]:
    with postgresql.connect(Secret(database_url), lock_timeout=LIMIT).session(label="another") as session:
        yield session


def apply(series: Series, *migrations: Migration) -> None:
    for each in migrations:
        series.apply(each, migrations=THREE, patience=PATIENCE, book=BOOK, label=f"expand:{each.name}")


def applied(session: Session) -> tuple[object, ...]:
    return read_ledger(session, GOOSE, session.target(None)).applied


def test_each_migration_is_one_of_its_own_and_the_server_is_told_which(begin, database_url: str) -> None:
    series = begin()
    apply(series, THREE[0])
    first = series.session.query("SELECT pg_backend_pid()")
    apply(series, THREE[1])

    with another(database_url) as session:
        assert applied(session) == (2, 1)
        [[pid, name]] = session.query(
            "SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE 'expand:%'"
        )
        assert ([(pid,)], name) == (first, "expand:2_m")
    series.close()


def test_the_tools_lock_is_held_between_two_migrations_and_given_back_at_the_end(
    begin, database_url: str
) -> None:
    kept = KeptSeries()
    series = kept.take_or(SHOP, begin)
    apply(series, THREE[0])
    kept.leave(SHOP, series)

    with another(database_url) as session:
        locks = GOOSE.lock_ids(session.target(None))
        with pytest.raises(Waiting), session.locked(locks, timeout=NOTHING):
            pass
        kept.end_all_but({SHOP})
        with pytest.raises(Waiting), session.locked(locks, timeout=NOTHING):
            pass
        kept.end_all_but(())
        with session.locked(locks, timeout=LIMIT):
            assert kept.take_or(SHOP, lambda: series) is series


@pytest.mark.parametrize(
    "moved",
    [
        "DELETE FROM goose_db_version WHERE version_id = 1",
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true)",
    ],
)
def test_a_tool_that_takes_no_lock_and_moves_the_version_table_is_noticed(
    begin, database_url: str, moved: str
) -> None:
    series = begin()
    apply(series, THREE[0])

    with another(database_url) as session:
        session.execute(Batch((moved,), transaction=True))
        with pytest.raises(DatabaseError, match="version table changed"):
            apply(series, THREE[1])
        assert session.query("SELECT to_regclass('b') IS NULL") == [(True,)]
    series.close()


def test_a_migration_that_is_not_the_next_one_is_refused_in_the_middle_of_a_series(begin) -> None:
    series = begin()
    apply(series, THREE[0])

    with pytest.raises(StepFailed) as refused:
        apply(series, THREE[2])

    assert refused.value.code == "migration-order"
    series.close()


@pytest.mark.parametrize(
    ("text", "engine", "expected"),
    [
        ("CREATE TABLE a (x int);\nCREATE INDEX i ON a (x)", Engine.POSTGRESQL, True),
        ("CREATE TEMP TABLE a (x int)", Engine.POSTGRESQL, False),
        ("CREATE LOCAL TEMPORARY TABLE a (x int)", Engine.POSTGRESQL, False),
        ("PRAGMA foreign_keys = ON", Engine.SQLITE, False),
        ("SET @a = 1", Engine.MARIADB, False),
        ("SELECT set_config('a.b', 'c', false)", Engine.POSTGRESQL, False),
        ("DO $$ BEGIN PERFORM 1; END $$", Engine.POSTGRESQL, False),
    ],
)
def test_only_a_migration_that_leaves_the_session_as_it_was_is_followed_in_it(
    text: str, engine: Engine, *, expected: bool
) -> None:
    script = Script((Statement(text, 1),), transaction=True)

    assert may_follow(script, engine) is expected


def test_a_setting_that_a_migration_leaves_does_not_reach_the_next_one(begin) -> None:
    series = begin()
    files = migrations_of(GOOSE.name, "SET search_path = pg_catalog", "CREATE TABLE b (x int)")
    for each in files:
        series.apply(each, migrations=files, patience=PATIENCE, book=BOOK, label=each.name)

    assert series.session.query("SELECT to_regclass('public.b') IS NOT NULL") == [(True,)]
    series.close()
