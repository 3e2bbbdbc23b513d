"""A step is written twice: after each one of a release, what its `effects` said is held against the world."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.platform import FilePlatform

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.place import Place
from coordinator.app.running import Runner
from coordinator.graph import StepId
from coordinator.journal import events
from coordinator.journal.events import Event, Outcome
from coordinator.journal.fold import RunState
from coordinator.load import load_plan
from coordinator.model import CheckSpec, DatabaseName, Role, ServiceName
from coordinator.ports.checks import Answer, Subject
from coordinator.ports.platforms import Platform
from coordinator.survey import alive_at_start, survey
from coordinator.world import World

PLAN = """
version: 1
release: shop-2
databases:
  shop: {engine: sqlite, url: "env:URL", migrations: {tool: goose, dir: migrations}}
services:
  api: {version: "2", uses: [shop], platform: {local: {command: [none]}}}
  web: {version: "2", uses: [shop], platform: {local: {command: [none]}}, keep_blue: 1ms}
"""
MIGRATIONS = {
    "1_base": "CREATE TABLE a (b int, c int)",
    "2_more": "-- coordinator: phase=expand\nALTER TABLE a ADD COLUMN d int",
    "3_move": "-- coordinator: phase=migrate\nUPDATE a SET d = c",
    "4_less": "-- coordinator: phase=contract\nALTER TABLE a DROP COLUMN c",
}


class FilePorts(ConnectedPorts):
    """Real migrations on a real SQLite, and both services in files."""

    def platform(self, service: ServiceName) -> Platform:
        return FilePlatform(self.plan.folder / f"{service}.json")

    def ask(self, check: CheckSpec, subject: Subject) -> Answer:
        del check, subject
        return Answer(ok=True, detail="fine")


@dataclass
class Truth:
    """Follows the symbolic world, and looks at the real one after each step."""

    ports: FilePorts
    world: World
    compared: list[StepId] = field(default_factory=list)

    def saw(self, event: Event, state: RunState) -> None:
        if not isinstance(event, events.StepFinished):
            return
        step = state.graph.step(event.step)
        for effect in step_kinds()[step.kind].effects(step):
            self.world = self.world.with_effect(effect)
        about = str(step.service or step.database)
        assert part(self.real_world(), about) == part(self.world, about), event.step
        self.compared.append(event.step)

    def real_world(self) -> World:
        seen = survey(self.ports)
        applied = {name: database.applied - 1 for name, database in seen.databases.items()}
        alive, traffic = set(), {}
        for name, service in seen.services.items():
            roles = {
                side.version: Role.NEXT if side.version == "2" else Role.LIVE
                for side in service.serving.sides.values()
                if side.running
            }
            alive |= {(name, role) for role in roles.values()}
            traffic[name] = roles[service.serving.sides[service.serving.live].version]
        return World(applied, frozenset(alive), traffic)

    def noted(self, step: StepId, text: str) -> None: ...
    def ticked(self, state: RunState, *, now: datetime) -> None: ...


def part(world: World, about: str) -> tuple[object, ...]:
    """Return what one service or database is in; the others may be a step ahead of their events."""
    alive = {role for name, role in world.alive if name == about}
    return world.schema.get(about), alive, world.traffic.get(about)


@pytest.fixture
def ports(tmp_path: Path) -> FilePorts:
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "migrations").mkdir()
    for name, sql in MIGRATIONS.items():
        (tmp_path / "migrations" / f"{name}.sql").write_text(f"-- +goose Up\n{sql};\n")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(
            "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL"
            ", is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));"
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1);"
            + MIGRATIONS["1_base"]
        )
    environment = {"URL": f"sqlite://{tmp_path}/shop.db"}
    plan = load_plan(tmp_path / "plan.yaml", settings={}, environment=environment)
    ports = FilePorts(plan, environment=environment)
    for service in plan.services:
        live: Any = ports.platform(service)
        live.deploy("blue", "1", deadline=None)
        live.switch(expected=None, to="blue")
    return ports


def test_after_every_step_the_world_is_what_its_effects_said(ports: FilePorts) -> None:
    seen = survey(ports)
    start = World({DatabaseName("shop"): 0}, alive_at_start(seen), dict.fromkeys(seen.services, Role.LIVE))
    truth = Truth(ports, start)
    runner = Runner(
        place=Place(ports.plan.file),
        ports=ports,
        settings={},
        kinds=step_kinds(),
        audience=truth,
        is_stopping=lambda: False,
    )

    ended = runner.run_release(supersede=False, show=lambda *_: None)

    assert ended.exit_code(wanted=Outcome.RELEASED) == 0
    assert ended.state is not None
    assert sorted(truth.compared) == sorted(ended.state.steps)
    assert truth.world == World(
        {DatabaseName("shop"): 3},
        frozenset({(ServiceName("api"), Role.NEXT), (ServiceName("web"), Role.NEXT)}),
        {ServiceName("api"): Role.NEXT, ServiceName("web"): Role.NEXT},
    )
