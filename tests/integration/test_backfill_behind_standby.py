"""A backfill waits for a real standby that stops replaying, and goes on when it replays again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from fixtures.backfilling import items
from fixtures.standby import Standby, primary_with_standby

from coordinator.errors import Waiting
from coordinator.model import Engine

ROWS, A_SECOND = 3_000, 100
"""Half a minute of work for whoever does not notice the standby."""
PASSED = "SELECT passed FROM coordinator_backfill"


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[str, Standby]]:
    with primary_with_standby() as servers:
        yield servers


@pytest.fixture
def servers(both: tuple[str, Standby]) -> tuple[str, Standby]:
    """The primary, without what another test left there, and its standby."""
    with psycopg.connect(both[0], autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS items, coordinator_backfill")
    return both


def test_it_waits_while_a_standby_replays_nothing_and_ends_when_it_does(servers: tuple[str, Standby]) -> None:
    url, standby = servers
    table = items(Engine.POSTGRESQL, url, rows=ROWS)
    table.deadline = timedelta(minutes=2)
    standing: list[object] = []

    def wait(duration: timedelta) -> None:
        if not any("behind" in each for each in table.notes):
            time.sleep(duration.total_seconds())
        elif len(standing) < 3:
            time.sleep(duration.total_seconds())
            standing.append(table.query(PASSED)[0][0])
            if len(standing) == 3:
                standby.resume()
        else:  # nobody needs to pause between batches any more
            time.sleep(min(duration.total_seconds(), 0.1))

    standby.pause()
    told = table.work(wait=wait, rows_per_second=A_SECOND, replication_lag=timedelta(seconds=2)).run()

    assert told == f"{ROWS:,} rows passed, none left"
    assert len(standing) == 3
    assert len(set(standing)) == 1, "no row is done while it waits"
    assert 0 < int(str(standing[0])) < ROWS
    assert table.times_done() == {1: ROWS}


def test_a_standby_that_never_catches_up_is_given_up(servers: tuple[str, Standby]) -> None:
    url, standby = servers
    table = items(Engine.POSTGRESQL, url, rows=ROWS)
    table.deadline = timedelta(seconds=4)
    looks: list[timedelta] = []

    def wait(duration: timedelta) -> None:
        if any("waiting for it" in each for each in table.notes):
            looks.append(duration)
        time.sleep(duration.total_seconds())

    standby.pause()
    with pytest.raises(Waiting) as given_up:
        table.work(wait=wait, rows_per_second=A_SECOND, replication_lag=timedelta(seconds=2)).run()

    standby.resume()
    assert given_up.value.code == "backfill-blocked"
    assert "falls further behind" in given_up.value.what
    lines = [each for each in table.notes if "waiting for it" in each]
    assert 0 < len(lines) < len(looks), "it is said less and less often"
