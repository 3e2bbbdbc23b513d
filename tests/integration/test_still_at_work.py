"""A tool that was killed leaves its statement to the server: of a dirty version it is told who is at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.mariadb import ADAPTER, ENGINE

from coordinator import discovery
from coordinator.adapters.databases import postgresql
from coordinator.app.connected import ConnectedPorts
from coordinator.diagnostics import Diagnostic
from coordinator.load import load_plan
from coordinator.model import DatabaseName, Engine
from coordinator.ports.databases import Batch, Database
from coordinator.secret import Secret
from coordinator.survey import survey_database

PLAN = """
version: 1
release: shop
databases:
  shop: {{engine: {engine}, url: "env:URL", migrations: {{tool: golang-migrate, dir: migrations}}}}
"""
DIRTY = (
    "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)",
    "INSERT INTO schema_migrations VALUES (1, true)",
)


@dataclass(frozen=True)
class Shop:
    """A database whose version 1 is dirty, and its plan."""

    database: Database
    ports: ConnectedPorts

    def told(self) -> Diagnostic:
        """Return what is said of the dirty version."""
        [found] = (
            each
            for each in survey_database(self.ports, DatabaseName("shop"))[1]
            if each.code == "database-dirty"
        )
        return found


@pytest.fixture(params=[Engine.POSTGRESQL, pytest.param(ENGINE, marks=pytest.mark.mariadb)])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    engine = request.param
    fixture, adapter = (
        ("database_url", postgresql) if engine is Engine.POSTGRESQL else ("mariadb_url", ADAPTER)
    )
    url = request.getfixturevalue(fixture)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1_a.up.sql").write_text("CREATE TABLE a (x integer);\n")
    (tmp_path / "plan.yaml").write_text(PLAN.format(engine=engine))
    environment = {"URL": url}
    database = adapter.connect(Secret(url), lock_timeout=timedelta(seconds=2))
    with database.session(label="killed") as session:
        for text in DIRTY:
            session.execute(Batch((text,), transaction=False))
    plan = load_plan(tmp_path / "plan.yaml", settings={}, environment=environment)
    return Shop(database, ConnectedPorts(plan, environment=environment))


def test_says_who_is_still_at_work_on_a_dirty_version(shop: Shop):
    tool = discovery.migration_tool("golang-migrate")
    with shop.database.session(label="killed") as session:
        lock = tool.lock_ids(session.target(None))[-1]
        with session.locked((lock,), timeout=timedelta(seconds=5)):
            told = shop.told()

    assert told.why.startswith("It may still be at work: Another session holds the migration lock")
    assert "Wait until it is done" in told.next_step


def test_says_nothing_of_work_where_nobody_holds_the_lock(shop: Shop):
    told = shop.told()

    assert "may still be at work" not in told.why
    assert "migrate force VERSION" in told.next_step
