"""Two coordinators on one database, from two checkouts: the second is turned away."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from fixtures.database_alone import checkout

from coordinator.app.exclusion import alone_on_databases
from coordinator.errors import Waiting


def test_the_second_coordinator_is_turned_away_until_the_first_is_gone(
    tmp_path: Path, database_url: str
) -> None:
    first, second = (checkout(tmp_path / name, database_url) for name in ("one", "two"))

    with (
        alone_on_databases(first),
        pytest.raises(Waiting, match="coordinator shop-2") as refused,
        alone_on_databases(second),
    ):
        pass

    assert refused.value.code == "lease-held"
    with alone_on_databases(second):
        pass


def end_other_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_lock_that_was_lost_is_taken_again(tmp_path: Path, database_url: str) -> None:
    first, second = (checkout(tmp_path / name, database_url) for name in ("one", "two"))

    with alone_on_databases(first) as demand_alone:
        end_other_sessions(database_url)
        demand_alone()

        with pytest.raises(Waiting), alone_on_databases(second):
            pass


def test_a_coordinator_whose_lock_another_one_took_over_stops(tmp_path: Path, database_url: str) -> None:
    first, second = (checkout(tmp_path / name, database_url) for name in ("one", "two"))

    with alone_on_databases(first) as demand_alone:
        end_other_sessions(database_url)
        with alone_on_databases(second), pytest.raises(Waiting, match="coordinator shop-2"):
            demand_alone()


def test_a_database_that_is_down_does_not_keep_a_rollback_from_beginning(tmp_path: Path) -> None:
    ports = checkout(tmp_path / "one", f"postgresql://nobody@/none?host={tmp_path}")

    with alone_on_databases(ports):
        pass
