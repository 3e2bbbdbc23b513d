"""Two coordinators on one database, from two checkouts: the second is turned away."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from fixtures.database_alone import checkout
from fixtures.local import until
from fixtures.mariadb import ENGINE, USER
from fixtures.silent_proxy import silent_proxy
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from coordinator.adapters.databases import postgresql
from coordinator.app import exclusion
from coordinator.app.exclusion import alone_on_databases
from coordinator.errors import Waiting
from coordinator.leases import Claim, acquire, demand_not_taken_over, release
from coordinator.model import DatabaseName, Engine
from coordinator.ports.databases import Batch, Session
from coordinator.secret import Secret

LOCK_ID = int.from_bytes(b"coord", "big")


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


def test_the_second_coordinator_on_a_file_of_sqlite_is_turned_away_until_the_first_is_gone(
    tmp_path: Path,
) -> None:
    url = f"sqlite://{tmp_path}/shop.db"
    first, second = (checkout(tmp_path / name, url, engine="sqlite") for name in ("one", "two"))

    with (
        alone_on_databases(first) as demand_alone,
        pytest.raises(Waiting, match=f"pid {os.getpid()}") as refused,
        alone_on_databases(second),
    ):
        pass
    demand_alone(None)

    assert refused.value.code == "lease-held"
    assert [each.name for each in tmp_path.glob("shop.db*")] == []
    with alone_on_databases(second):
        pass


def test_a_coordinator_that_was_killed_on_a_file_of_sqlite_turns_nobody_away(tmp_path: Path) -> None:
    (tmp_path / "shop.db-coordinator").write_text("pid 1 on a machine that lost its power")

    with alone_on_databases(checkout(tmp_path / "one", f"sqlite://{tmp_path}/shop.db", engine="sqlite")):
        pass


def test_a_lock_on_a_file_of_sqlite_that_somebody_deleted_takes_no_other_one_away(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/shop.db"
    first, second = (checkout(tmp_path / name, url, engine="sqlite") for name in ("one", "two"))
    third = checkout(tmp_path / "three", url, engine="sqlite")

    with ExitStack() as held:
        with alone_on_databases(first):
            (tmp_path / "shop.db-coordinator").unlink()
            held.enter_context(alone_on_databases(second))

        with pytest.raises(Waiting), alone_on_databases(third):
            pass


def test_two_databases_of_a_plan_may_be_one_file_of_sqlite(tmp_path: Path) -> None:
    demand_one_database_may_have_two_names(tmp_path, f"sqlite://{tmp_path}/shop.db", engine="sqlite")


def test_two_databases_of_a_plan_may_be_schemas_of_one(tmp_path: Path, database_url: str) -> None:
    demand_one_database_may_have_two_names(tmp_path, database_url, engine="postgresql")


@pytest.mark.mariadb
def test_two_databases_of_a_plan_may_be_one_of_mariadb(tmp_path: Path, mariadb_url: str) -> None:
    demand_one_database_may_have_two_names(tmp_path, mariadb_url, engine=ENGINE)


def demand_one_database_may_have_two_names(folder: Path, url: str, *, engine: str) -> None:
    first, second = (checkout(folder / name, url, engine=engine) for name in ("one", "two"))
    first.plan.databases[DatabaseName("again")] = first.plan.databases[DatabaseName("shop")]

    with alone_on_databases(first) as demand_alone:
        demand_alone(None)
        with pytest.raises(Waiting), alone_on_databases(second):
            pass
    with alone_on_databases(second):
        pass


def test_a_coordinator_that_was_killed_a_moment_ago_turns_nobody_away(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusion, "_IS_GONE", timedelta(minutes=1))
    asked = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock%'"
    asked += " AND datname = current_database()"
    is_over = threading.Event()

    def hear_of_it_late(dying: psycopg.Connection) -> None:
        with dying, psycopg.connect(database_url, autocommit=True) as looks:
            until(lambda: is_over.is_set() or looks.execute(asked).fetchall())

    dying = psycopg.connect(database_url, autocommit=True)
    dying.execute(f"SELECT pg_advisory_lock({LOCK_ID})")
    server = threading.Thread(target=hear_of_it_late, args=(dying,))
    server.start()
    try:
        with alone_on_databases(checkout(tmp_path, database_url)):
            pass
    finally:
        is_over.set()
        server.join()


def end_other_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_lock_that_was_lost_is_taken_again(tmp_path: Path, database_url: str) -> None:
    first, second = (checkout(tmp_path / name, database_url) for name in ("one", "two"))

    with alone_on_databases(first) as demand_alone:
        end_other_sessions(database_url)
        demand_alone(None)

        with pytest.raises(Waiting), alone_on_databases(second):
            pass


def test_a_lost_session_that_still_holds_the_lock_is_given_time_to_end(
    tmp_path: Path, database_url: str
) -> None:
    with alone_on_databases(checkout(tmp_path, database_url)) as demand_alone:
        end_other_sessions(database_url)
        dying = psycopg.connect(database_url, autocommit=True)
        dying.execute(f"SELECT pg_advisory_lock({LOCK_ID})")
        threading.Timer(0.3, dying.close).start()

        demand_alone(None)


def test_a_coordinator_whose_lock_another_one_took_over_stops(tmp_path: Path, database_url: str) -> None:
    first, second = (checkout(tmp_path / name, database_url) for name in ("one", "two"))

    with alone_on_databases(first) as demand_alone:
        end_other_sessions(database_url)
        with alone_on_databases(second), pytest.raises(Waiting, match="coordinator shop-2"):
            demand_alone(None)


def test_a_database_that_is_down_does_not_keep_a_rollback_from_beginning(tmp_path: Path) -> None:
    ports = checkout(tmp_path / "one", f"postgresql://nobody@/none?host={tmp_path}")

    with alone_on_databases(ports):
        pass


def test_whoever_waits_for_the_lock_stops_no_index_from_being_built(database_url: str) -> None:
    limit, locks = timedelta(seconds=60), (4097083626,)
    database = postgresql.connect(Secret(database_url), lock_timeout=limit)
    index = Batch(("CREATE INDEX CONCURRENTLY a_x ON a (x)",), transaction=False)
    waits = threading.Event()

    def wait_for_the_lock() -> None:
        with database.session(label="second") as second:
            second.target(None)
            waits.set()
            with second.locked(locks, timeout=limit):
                pass

    with database.session(label="first") as first, first.locked(locks, timeout=limit):
        first.execute(Batch(("CREATE TABLE a (x int)",), transaction=True))
        thread = threading.Thread(target=wait_for_the_lock)
        thread.start()
        assert waits.wait(60)
        first.execute(index)
        assert thread.is_alive()  # it asked for the lock all the time
    thread.join(60)

    assert not thread.is_alive()


def test_a_run_whose_lease_another_release_took_over_meanwhile_stops(
    tmp_path: Path, database_url: str
) -> None:
    mine, theirs = Claim("mine", "shop-2"), Claim("theirs", "shop-3")
    database = postgresql.connect(Secret(database_url), lock_timeout=timedelta(seconds=60))

    def is_mine(session: Session, _: DatabaseName) -> None:
        demand_not_taken_over(session, mine)

    with alone_on_databases(checkout(tmp_path, database_url)) as demand_alone:
        with database.session(label="mine") as session:
            acquire(session, mine, supersede=False)
        demand_alone(is_mine)
        end_other_sessions(database_url)  # this process stood still, and nobody heard of it
        with database.session(label="theirs") as session:
            acquire(session, theirs, supersede=True)

        with pytest.raises(Waiting, match="shop-3") as refused:
            demand_alone(is_mine)
        demand_alone(None)
        with database.session(label="theirs") as session:
            release(session, theirs)
        demand_alone(is_mine)

    assert refused.value.code == "release-under-way"
    assert "abort" in refused.value.next_step


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, pytest.param(ENGINE, marks=pytest.mark.mariadb)])
def test_a_lock_behind_a_proxy_that_falls_silent_is_given_up_and_taken_again(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    monkeypatch.setattr(exclusion, "_ANSWERS", timedelta(seconds=0.3))
    url = request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url")
    with silent_proxy(connector_to(url, engine)) as proxy:
        ports = checkout(tmp_path / "one", url_through(proxy.port, url, engine), engine=engine)
        other = checkout(tmp_path / "two", url, engine=engine)
        with alone_on_databases(ports) as renew:
            proxy.fall_silent()
            renew(None)
            proxy.speak()
            renew(None)

            with pytest.raises(Waiting) as refused, alone_on_databases(other):
                pass

    assert refused.value.code == "lease-held"


def connector_to(url: str, engine: Engine) -> Callable[[], socket.socket]:
    """Return what connects to the server of a URL, be it at a port or at a socket."""
    if engine.speaks_mysql:
        address = urlsplit(url)
        return lambda: socket.create_connection((address.hostname or "", address.port or 0))
    said = conninfo_to_dict(url)
    host, port = str(said["host"]), int(said.get("port") or 5432)
    if not host.startswith("/"):
        return lambda: socket.create_connection((host, port))

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{host}/.s.PGSQL.{port}")
        return connection

    return connect


def url_through(port: int, url: str, engine: Engine) -> str:
    if engine.speaks_mysql:
        return f"mysql://{USER}@127.0.0.1:{port}{urlsplit(url).path}?connect_timeout=1"
    said = {**conninfo_to_dict(url), "host": "127.0.0.1", "port": port, "connect_timeout": 2}
    return make_conninfo(**said)
