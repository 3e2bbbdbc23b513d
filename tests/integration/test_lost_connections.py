"""A connection that is lost under a migration before its commit: nothing is there, so it is tried again."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from fixtures.alembic_project import LINE, apply_next, heads, plan_in, revision, rows, write_project
from fixtures.audience import Audience
from fixtures.code_release import release, world
from fixtures.late_wire import Cut, LateWire, over, to_server_of

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
