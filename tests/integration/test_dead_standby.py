"""A synchronous standby that is gone: a commit is on the disk and waits, and says so; nothing is given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from fixtures.audience import Audience
from fixtures.code_release import release, world
from fixtures.crashing import CrashingServer, crashing_server
from fixtures.local import until

from coordinator.app.connected import ConnectedPorts
from coordinator.errors import ExitCode
from coordinator.journal.events import Outcome

PLAN = """
version: 1
release: shop-2
databases:
  shop: {engine: postgresql, url: env:SHOP_URL, migrations: {tool: goose, dir: migrations}}
"""
FILE = "-- +goose Up\n-- coordinator: phase=expand\nCREATE TABLE moved (x int);\n"
OURS = (
    "CREATE TABLE coordinator_lease (scope text PRIMARY KEY, digest text NOT NULL,"
    " release_name text NOT NULL, acquired_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)


@pytest.fixture(scope="module")
def server() -> Iterator[CrashingServer]:
    with crashing_server() as made:
        yield made


def ports_in(folder: Path, url: str) -> ConnectedPorts:
    (folder / "migrations").mkdir()
    (folder / "migrations" / "00001_moved.sql").write_text(FILE)
    (folder / "plan.yaml").write_text(PLAN)
    return world(folder, {"SHOP_URL": url})


@contextmanager
def without_standby(server: CrashingServer) -> Iterator[tuple[Callable[[], None], ThreadPoolExecutor]]:
    """Let each commit wait for a standby that is not there, until what is yielded is called."""
    with psycopg.connect(server.url, autocommit=True) as connection, ThreadPoolExecutor() as pool:
        connection.execute("SET synchronous_commit = local")

        def wait_for(names: str) -> None:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
            connection.execute("SELECT pg_reload_conf()")

        wait_for("nobody")
        until(lambda: connection.execute("SHOW synchronous_standby_names").fetchone() == ("nobody",))
        try:
            yield lambda: wait_for(""), pool
        finally:
            wait_for("")


def test_a_commit_that_waits_for_a_standby_says_so(server: CrashingServer, tmp_path: Path) -> None:
    url, audience = server.new_database("says"), Audience()
    ports = ports_in(tmp_path, url)

    with without_standby(server) as (standby_comes, pool):
        ended = pool.submit(release, ports, audience)
        until(lambda: any("waits for a synchronous standby" in each for each in audience.notes))
        standby_comes()

    assert (ended.result().exit_code(wanted=Outcome.RELEASED), audience.failed) == (ExitCode.DONE, [])


def test_the_lease_waits_for_a_commit_of_a_coordinator_that_was_killed(
    server: CrashingServer, tmp_path: Path
) -> None:
    url, audience = server.new_database("orphan"), Audience()
    ports = ports_in(tmp_path, url)

    def leave_orphan() -> None:
        with psycopg.connect(url) as connection:
            connection.execute(OURS)

    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = 'orphan' AND wait_event = 'SyncRep'"
    with (
        psycopg.connect(server.url, autocommit=True) as looking,
        without_standby(server) as (standby_comes, pool),
    ):
        pool.submit(leave_orphan)
        until(lambda: looking.execute(waits).fetchone())
        ended = pool.submit(release, ports, audience)
        until(lambda: ended.done() or any("is held by pid" in each for each in audience.notes))
        standby_comes()

    assert (ended.result().exit_code(wanted=Outcome.RELEASED), audience.failed) == (ExitCode.DONE, [])
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT * FROM coordinator_lease").fetchall() == []
