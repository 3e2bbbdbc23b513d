"""One plan and one database, but the service runs in another place: that is another release."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fakes.platform import FilePlatform

from coordinator import leases
from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.place import Place
from coordinator.app.running import Ended, Runner
from coordinator.errors import Usage, Waiting
from coordinator.graph import StepId
from coordinator.journal.events import Approved, Event, Outcome, to_wire
from coordinator.journal.fold import RunState
from coordinator.load import load_plan
from coordinator.model import Colour, DatabaseName, ServiceName, Version
from coordinator.ports.platforms import Platform
from coordinator.survey import survey

PLAN = """
version: 1
release: shop-2
databases:
  shop: {engine: sqlite, url: "env:URL", migrations: {tool: goose, dir: migrations}}
services:
  api: {version: "2", uses: [shop], platform: {local: {command: [none]}}}
gates: {contract: {approve: [dba]}}
"""
MIGRATIONS = {
    "1_base": "CREATE TABLE a (b int, c int)",
    "2_less": "-- coordinator: phase=contract\nALTER TABLE a DROP COLUMN c",
}


class FilePorts(ConnectedPorts):
    def platform(self, service: ServiceName) -> Platform:
        return FilePlatform(self.plan.folder / f"{service}.json")


class Nobody:
    def saw(self, event: Event, state: RunState) -> None: ...
    def noted(self, step: StepId, text: str) -> None: ...
    def ticked(self, state: RunState, *, now: datetime) -> None: ...


def checkout(folder: Path, database: Path) -> FilePorts:
    (folder / "migrations").mkdir(parents=True)
    (folder / "plan.yaml").write_text(PLAN)
    for name, sql in MIGRATIONS.items():
        (folder / "migrations" / f"{name}.sql").write_text(f"-- +goose Up\n{sql};\n")
    environment = {"URL": f"sqlite://{database}"}
    return FilePorts(
        load_plan(folder / "plan.yaml", settings={}, environment=environment), environment=environment
    )


def run(ports: FilePorts) -> Ended:
    runner = Runner(
        place=Place(ports.plan.file),
        ports=ports,
        settings={},
        kinds=step_kinds(),
        audience=Nobody(),
        is_stopping=lambda: False,
    )
    return runner.run_release(supersede=False, show=lambda *_: None)


def old_version(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(
            "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL"
            ", is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));"
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1);"
            + MIGRATIONS["1_base"]
        )


def two_checkouts(folder: Path, database: Path) -> tuple[ConnectedPorts, ConnectedPorts]:
    """Return a checkout whose old version serves, and one from which nobody sees that."""
    old_version(database)
    first, other = checkout(folder / "one", database), checkout(folder / "two", database)
    live = first.platform(ServiceName("api"))
    live.deploy(Colour.BLUE, Version("1"), deadline=timedelta())
    live.switch(expected=None, to=Colour.BLUE)
    return first, other


def test_a_copy_of_the_checkout_cannot_take_a_release_over_whose_versions_it_does_not_see(
    tmp_path: Path,
) -> None:
    database = tmp_path / "shop.db"
    first, copy = two_checkouts(tmp_path, database)

    assert run(first).exit_code(wanted=Outcome.RELEASED) == 4
    ended = run(copy)

    assert ended.exit_code(wanted=Outcome.RELEASED) == 4
    assert [problem.code for problem in ended.problems] == ["release-under-way"]
    with closing(sqlite3.connect(database)) as connection:
        assert [row[1] for row in connection.execute("PRAGMA table_info(a)")] == ["b", "c"]


def test_a_run_does_not_go_on_at_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "shop.db"
    old_version(database)
    ports = checkout(tmp_path / "one", database)
    live = ports.platform(ServiceName("api"))
    live.deploy(Colour.BLUE, Version("1"), deadline=timedelta())
    live.switch(expected=None, to=Colour.BLUE)
    assert run(ports).exit_code(wanted=Outcome.RELEASED) == 4

    monkeypatch.setattr(FilePlatform, "identity", lambda _: "another cluster")
    with pytest.raises(Usage) as refused:
        run(ports)

    assert refused.value.code == "other-place"
    assert "api" in refused.value.what


def test_says_that_nobody_serves_here_where_the_database_was_migrated(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    old_version(database)

    found = survey(checkout(tmp_path / "two", database)).diagnostics

    assert [each.code for each in found] == ["nobody-serves"]


def test_a_release_that_was_superseded_from_elsewhere_does_not_go_on(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    first, other = two_checkouts(tmp_path, database)
    assert run(first).exit_code(wanted=Outcome.RELEASED) == 4
    with other.session(DatabaseName("shop"), label="other") as session:
        leases.acquire(session, leases.Claim("another digest", "shop-3"), supersede=True)
    journal = Place(first.plan.file).journal
    [name] = journal.runs()
    journal.ask(name, to_wire(Approved(first.clock.now(), StepId("approve:contract"), "dba")))

    with pytest.raises(Waiting) as refused:
        run(first)

    assert refused.value.code == "release-under-way"
    with closing(sqlite3.connect(database)) as connection:
        assert [row[1] for row in connection.execute("PRAGMA table_info(a)")] == ["b", "c"]
