"""What the journal has as done is not believed of a database that has lost it: after a real failover too."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from fixtures.audience import Audience
from fixtures.code_release import world
from fixtures.standby import primary_with_standby

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.place import Place
from coordinator.app.running import Ended, Runner
from coordinator.errors import InDoubt, Interrupted

PLAN = """
version: 1
release: shop-2
databases:
  shop:
    engine: postgresql
    url: env:SHOP_URL
    migrations: {tool: goose, dir: migrations}
"""
MIGRATION = "-- +goose Up\n-- coordinator: phase=expand\nCREATE TABLE orders (x int);\n"
BACKFILL = """\
    backfills:
      - name: fill
        after: 00001_orders
        table: orders
        key: id
        sql: UPDATE orders SET y = x WHERE {range}
        remaining: SELECT count(*) FROM orders WHERE y IS NULL
        before: 00002_small
on_failure: stop
"""
FILLED = (
    "-- +goose Up\n-- coordinator: phase=expand\nCREATE TABLE orders (id int PRIMARY KEY, x int, y int);\n"
)
REFUSED = "-- +goose Up\n-- coordinator: phase=expand\nALTER TABLE orders ADD CHECK (y < 5);\n"
ROWS = "INSERT INTO orders SELECT each, each FROM generate_series(1, 10) each"


def project(folder: Path, url: str) -> ConnectedPorts:
    (folder / "migrations").mkdir(exist_ok=True)
    (folder / "migrations" / "00001_orders.sql").write_text(MIGRATION)
    (folder / "plan.yaml").write_text(PLAN)
    return world(folder, {"SHOP_URL": url})


def filled_project(folder: Path, url: str) -> ConnectedPorts:
    """Return one whose release stops right behind its backfill."""
    (folder / "migrations").mkdir(exist_ok=True)
    (folder / "migrations" / "00001_orders.sql").write_text(FILLED)
    (folder / "migrations" / "00002_small.sql").write_text(REFUSED)
    (folder / "plan.yaml").write_text(PLAN + BACKFILL)
    return world(folder, {"SHOP_URL": url})


def run(ports: ConnectedPorts, *, until: str = "") -> Ended:
    """Run the release, or go on with it, and let it begin nothing behind the step `until`."""
    stopping: list[bool] = []
    audience = Audience(acts={until: lambda: stopping.append(True)})
    runner = Runner(Place(ports.plan.file), ports, {}, step_kinds(), audience, lambda: bool(stopping))
    return runner.run_release(supersede=False, accept_unproven=True, show=lambda *_: None)


def test_a_run_does_not_go_on_over_a_migration_that_is_gone(database_url: str, tmp_path: Path) -> None:
    ports = project(tmp_path, database_url)
    with pytest.raises(Interrupted):
        run(ports, until="expand:shop:00001_orders")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE orders")
        connection.execute("DELETE FROM goose_db_version WHERE version_id = 1")

    with pytest.raises(InDoubt) as lost:
        run(ports)

    assert lost.value.code == "migration-lost"
    assert "00001_orders" in lost.value.what


def test_a_failover_that_loses_a_migration_is_noticed(tmp_path: Path) -> None:
    with primary_with_standby() as (first, standby):
        standby.fall_behind()
        with pytest.raises(Interrupted):
            run(project(tmp_path, first), until="expand:shop:00001_orders")
        standby.promote()

        with pytest.raises(InDoubt) as lost:
            run(project(tmp_path, standby.url))

    assert lost.value.code == "migration-lost"


def test_a_failover_that_loses_what_a_backfill_did_is_noticed(tmp_path: Path) -> None:
    with primary_with_standby() as (first, standby):
        with pytest.raises(Interrupted):
            run(filled_project(tmp_path, first), until="expand:shop:00001_orders")
        standby.catch_up(first)
        standby.fall_behind()
        with psycopg.connect(first, autocommit=True) as connection:
            connection.execute(ROWS)
        assert run(filled_project(tmp_path, first)).stuck == ("expand:shop:00002_small",)
        assert run(filled_project(tmp_path, first)).stuck == ("expand:shop:00002_small",)
        standby.promote()

        with pytest.raises(InDoubt) as lost:
            run(filled_project(tmp_path, standby.url))

    assert lost.value.code == "backfill-lost"
    assert "`fill`" in lost.value.what
