"""What a server's clock says of this machine's: was it set forward while a run was under way?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fixtures.engine_bench import NOW, a_step
from fixtures.mariadb import ADAPTER
from psycopg.conninfo import make_conninfo

from coordinator.adapters.databases import postgresql, sqlite
from coordinator.app.clocks import leap_of_clock
from coordinator.graph import Graph
from coordinator.journal import events
from coordinator.journal.fold import RunState, fold
from coordinator.journal.steps_on_wire import wire_from
from coordinator.leases import Claim, acquire, time_held
from coordinator.ports.databases import Batch, Database
from coordinator.secret import Secret

MINE, PATIENCE = Claim("digest", "shop-1.5"), timedelta(seconds=1)
HOURS = timedelta(hours=2)


@pytest.fixture(params=["postgresql", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def database(request: pytest.FixtureRequest) -> Database:
    if request.param == "mariadb":
        return ADAPTER.connect(Secret(request.getfixturevalue("mariadb_url")), lock_timeout=PATIENCE)
    return postgresql.connect(Secret(request.getfixturevalue("database_url")), lock_timeout=PATIENCE)


def run_that_took_its_lease(at: datetime) -> RunState:
    step = a_step("acquire-lease", kind="acquire-lease")
    started = events.RunStarted(NOW, "r", "plan.yaml", {}, wire_from(Graph((step,))), False, "0", {})
    return fold("r@1", [started, events.StepStarted(at, step.id), events.StepFinished(at, step.id, "")])


def leap_on(database: Database, *, taken: datetime, now: datetime, claim: Claim = MINE) -> timedelta:
    with database.session(label="test") as session:
        acquire(session, MINE, supersede=False)
        return leap_of_clock(session, run_that_took_its_lease(taken), claim, now=now)


def test_a_clock_that_was_set_forward_is_told_from_one_that_went_on(database: Database) -> None:
    now = datetime.now(UTC)

    assert leap_on(database, taken=now, now=now) == timedelta()
    assert abs(leap_on(database, taken=now, now=now + HOURS) - HOURS) < timedelta(minutes=1)


def test_of_a_clock_that_was_set_back_and_of_a_lease_of_others_nothing_is_said(database: Database) -> None:
    now = datetime.now(UTC)

    assert leap_on(database, taken=now, now=now - HOURS) == timedelta()
    assert leap_on(database, taken=now, now=now + HOURS, claim=Claim("other", "x")) == timedelta()


@pytest.mark.parametrize(("then", "later"), [("UTC", "Asia/Tokyo"), ("Asia/Tokyo", "UTC")])
def test_a_session_in_another_time_zone_is_no_leap(database_url: str, then: str, later: str) -> None:
    now = datetime.now(UTC)

    with in_zone(database_url, then).session(label="test") as session:
        acquire(session, MINE, supersede=False)
    with in_zone(database_url, later).session(label="test") as session:
        leap = leap_of_clock(session, run_that_took_its_lease(now), MINE, now=now)
        held = time_held(session, MINE)

    assert leap == timedelta()
    assert held is not None
    assert abs(held) < timedelta(minutes=5)


def in_zone(url: str, zone: str) -> Database:
    return postgresql.connect(Secret(make_conninfo(url, options=f"-ctimezone={zone}")), lock_timeout=PATIENCE)


def test_a_lease_that_is_taken_over_is_held_from_then_on(database: Database) -> None:
    with database.session(label="test") as session:
        acquire(session, Claim("other", "shop-1.4"), supersede=False)
        yesterday = "CURRENT_TIMESTAMP - INTERVAL '1' DAY"
        session.execute(Batch((f"UPDATE coordinator_lease SET acquired_at = {yesterday}",), transaction=True))
        acquire(session, MINE, supersede=True)

        held = time_held(session, MINE)

    assert held is not None
    assert held < timedelta(minutes=5)


def test_sqlite_has_no_clock_of_its_own(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    (tmp_path / "shop.db").touch()
    database = sqlite.connect(Secret(f"sqlite://{tmp_path}/shop.db"), lock_timeout=PATIENCE)

    assert leap_on(database, taken=now, now=now + HOURS) == timedelta()
