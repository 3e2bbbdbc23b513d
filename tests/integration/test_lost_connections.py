"""A connection that is lost under a migration before its commit: nothing is there, so it is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from fixtures.alembic_project import LINE, apply_next, heads, plan_in, revision, rows, write_project
from fixtures.audience import Audience
from fixtures.code_release import release, world
from fixtures.crashing import CrashingServer, crashing_server
from fixtures.late_wire import Cut, LateWire, over, to_server_of
from fixtures.local import until

from coordinator.app.connected import ConnectedPorts
from coordinator.errors import ExitCode
from coordinator.journal.events import Outcome

UNLUCKY = b"unlucky"
EXPAND = "coordinator: phase=expand"
SQL = {
    "00001_moved.sql": "-- +goose Up\n-- coordinator: phase=expand\nCREATE TABLE moved (x int); -- unlucky\n",
    "00002_more.sql": "-- +goose Up\n-- coordinator: phase=expand\n-- +goose StatementBegin\n"
    "DO $$ BEGIN /* unlucky */\nCREATE TABLE more (x integer); END $$;\n-- +goose StatementEnd\n",
}
PLAN = """
version: 1
release: shop-2
databases:
  shop: {engine: postgresql, url: env:SHOP_URL, migrations: {tool: goose, dir: migrations}}
"""
OF_ALEMBIC = {
    **LINE,
    **revision("d4", "c3", up="op.execute(\"INSERT INTO item VALUES (4, 'unlucky')\")", said=EXPAND),
}


def project(folder: Path, url: str):
    (folder / "migrations").mkdir()
    for name, text in SQL.items():
        (folder / "migrations" / name).write_text(text)
    (folder / "plan.yaml").write_text(PLAN)
    return world(folder, {"SHOP_URL": url})


@contextmanager
def restarted_at_work(server: CrashingServer, database: str) -> Iterator[None]:
    """Restart a server as soon as somebody sleeps in a database."""
    asleep = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{database}' AND wait_event = 'PgSleep'"

    def restart() -> None:
        with psycopg.connect(server.url, autocommit=True) as connection:
            until(lambda: connection.execute(asleep).fetchone() is not None, seconds=60)
        server.restart()

    with ThreadPoolExecutor() as pool:
        restarted = pool.submit(restart)
        yield
        restarted.result()


def is_done(ended) -> bool:
    return ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE


def test_a_file_is_applied_though_its_connection_was_lost(database_url: str, tmp_path: Path) -> None:
    audience = Audience()
    with LateWire(to_server_of(database_url), Cut.LOST, UNLUCKY, each=2) as wire:
        ended = release(project(tmp_path, over(wire, database_url)), audience)

    assert (wire.cuts, is_done(ended), audience.failed) == (1, True, [])
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM more").fetchall() == [(0,)]


def test_a_revision_is_applied_once_though_its_connection_was_lost(database_url: str, tmp_path: Path) -> None:
    with LateWire(to_server_of(database_url), Cut.LOST, UNLUCKY, each=1) as wire:
        ports = plan_in(write_project(tmp_path, OF_ALEMBIC), over(wire, database_url))
        for version in ("a1", "b2", "c3"):
            apply_next(ports, version)
        begun: list[bool] = []

        def begin() -> None:
            begun.append(True)
            wire.text = b"cut no more" if len(begun) > 1 else UNLUCKY

        audience = Audience(acts={"expand:shop:d4": begin})
        ended = release(ports, audience)

        assert (wire.cuts, is_done(ended), audience.failed) == (1, True, [])
        assert heads(ports) == {"d4"}
        assert rows(ports, "SELECT id FROM item ORDER BY id") == [(1,), (4,)]


def test_a_session_that_an_administrator_ended_is_not_begun_again(database_url: str, tmp_path: Path) -> None:
    name = urlsplit(database_url).path[1:]
    ended = f"SELECT pg_terminate_backend(pg_backend_pid()) WHERE current_database() = '{name}'"
    project(tmp_path, database_url)
    (tmp_path / "migrations" / "00003_ended.sql").write_text(
        f"-- +goose Up\n-- coordinator: phase=expand\nCREATE TABLE last (x int);\n{ended};\n"
    )
    begun: list[bool] = []
    audience = Audience(acts={"expand:shop:00003_ended": lambda: begun.append(True)})

    assert not is_done(release(world(tmp_path, {"SHOP_URL": database_url}), audience))

    assert [each.code for each in audience.failed] == ["connection-lost"]
    assert len(begun) == 1


def test_a_session_of_alembic_that_an_administrator_ended_is_not_begun_again(
    database_url: str, tmp_path: Path
) -> None:
    name = urlsplit(database_url).path[1:]
    ended = f"SELECT pg_terminate_backend(pg_backend_pid()) WHERE current_database() = '{name}'"
    up = f'op.execute("CREATE TABLE last (x int)")\nop.execute("{ended}")'
    begun: list[bool] = []
    audience = Audience(acts={"expand:shop:a1": lambda: begun.append(True)})

    ports = plan_in(write_project(tmp_path, revision("a1", up=up, said=EXPAND)), database_url)

    assert not is_done(release(ports, audience))
    assert [each.code for each in audience.failed] == ["program-failed"]
    assert len(begun) == 1


def test_a_server_that_is_restarted_under_a_step_fails_no_release(tmp_path: Path) -> None:
    """It ends the session as an administrator does who wants its locks gone."""
    with crashing_server() as server:
        for name, made in (("goose", of_goose), ("alembic", of_alembic)):
            url, audience = server.new_database(name), Audience()
            with psycopg.connect(url) as connection:
                [[now]] = connection.execute("SELECT now()::text").fetchall()
            is_first = f"current_database() = '{name}' AND pg_postmaster_start_time() < '{now}'"
            (tmp_path / name).mkdir()
            ports = made(tmp_path / name, url, f"SELECT pg_sleep(CASE WHEN {is_first} THEN 600 ELSE 0 END)")

            with restarted_at_work(server, name):
                ended = release(ports, audience)

            assert (is_done(ended), audience.failed) == (True, [])


def of_goose(folder: Path, url: str, slow: str) -> ConnectedPorts:
    project(folder, url)
    text = f"-- +goose Up\n-- coordinator: phase=expand\n{slow};\nCREATE TABLE slow (x int);\n"
    (folder / "migrations" / "00003_slow.sql").write_text(text)
    return world(folder, {"SHOP_URL": url})


def of_alembic(folder: Path, url: str, slow: str) -> ConnectedPorts:
    up = f'op.execute("CREATE TABLE slow (x int)")\nop.execute("{slow}")'
    return plan_in(write_project(folder, revision("a1", up=up, said=EXPAND)), url)
