"""A file that stopped half-way, rehearsed on a dump of the live schema: the dump has what it did before."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.audience import Audience
from fixtures.code_release import release, world
from fixtures.mariadb import ADAPTER, ENGINE

from coordinator.adapters.databases import postgresql
from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.planning import plan_release
from coordinator.evidence import Rehearsal, Verdict
from coordinator.model import DatabaseName, Engine, Role, ServiceName
from coordinator.ports.databases import Batch
from coordinator.secret import Secret

PLAN = """
version: 1
release: shop-2
databases:
  shop:
    engine: ENGINE
    url: env:SHOP_URL
    migrations: {tool: TOOL, dir: migrations}
    rehearsal: {base: dump}
"""
SERVICES = """services:
  shop: {version: "2", uses: [shop], queries: {sql: queries}, platform: {local: {command: [nothing]}}}
"""
FIRST = "CREATE TABLE a (x int);\n"
SECOND = """-- coordinator: phase=expand
ALTER TABLE a ADD y int;
CREATE UNIQUE INDEX a_x ON a (x);
CREATE TABLE b (x int);
"""
HEADS = {"goose": "-- +goose NO TRANSACTION\n-- +goose Up\n", "golang-migrate": ""}
CASES = [
    pytest.param(
        (tool, engine), marks=[pytest.mark.mariadb] if engine is ENGINE else [], id=f"{tool} {engine}"
    )
    for tool, engine in (("goose", ENGINE), ("golang-migrate", ENGINE), ("goose", Engine.POSTGRESQL))
]


class Shop:
    """A database whose second file was refused at its second statement."""

    def __init__(self, folder: Path, url: str, *, tool: str, engine: Engine) -> None:
        adapter = postgresql if engine is Engine.POSTGRESQL else ADAPTER
        self._folder, self._url, self._connect = folder, url, adapter.connect
        self._head, self._end = HEADS[tool], ".sql" if tool == "goose" else ".up.sql"
        for each in ("migrations", "queries"):
            (folder / each).mkdir()
        (folder / "queries" / "all.sql").write_text("-- name: All :many\nSELECT a.x, a.y, b.x FROM a, b;\n")
        (folder / "plan.yaml").write_text(PLAN.replace("TOOL", tool).replace("ENGINE", engine))
        self.write("1_a", FIRST)
        assert self.release() == []
        self.write("2_b", SECOND)
        self.send("INSERT INTO a VALUES (1), (1)")
        assert self.release() == ["half-applied"]
        self.send("DELETE FROM a")

    def write(self, name: str, text: str) -> None:
        (self._folder / "migrations" / f"{name}{self._end}").write_text(self._head + text)

    def ports(self) -> ConnectedPorts:
        return world(self._folder, {"SHOP_URL": self._url, "PATH": "/usr/bin:/bin:/usr/sbin"})

    def release(self) -> list[str]:
        audience = Audience()
        release(self.ports(), audience)
        return [each.code for each in audience.failed]

    def send(self, text: str) -> None:
        database = self._connect(Secret(self._url), lock_timeout=timedelta(seconds=20))
        with database.session(label="test") as session:
            session.execute(Batch((text,), transaction=True))

    def planned(self) -> tuple[Verdict, Rehearsal]:
        """Return what is found of the next version in the end, and the rehearsal."""
        plan = self._folder / "plan.yaml"
        plan.write_text(plan.read_text() + SERVICES)
        proof, _ = plan_release(self.ports(), step_kinds())
        [rehearsal] = proof.evidence.rehearsals.values()
        use = (DatabaseName("shop"), ServiceName("shop"), Role.NEXT)
        return proof.evidence.finding(use, 1).verdict, rehearsal


@pytest.fixture(params=CASES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    tool, engine = request.param
    url = request.getfixturevalue("database_url" if engine is Engine.POSTGRESQL else "mariadb_url")
    return Shop(tmp_path, url, tool=tool, engine=engine)


def test_what_is_left_of_it_is_rehearsed(shop: Shop):
    verdict, rehearsal = shop.planned()

    assert (verdict, rehearsal.failed) == (Verdict.PROVEN, None)
    sent = [each.statement.text.split()[:2] for each in rehearsal.statements]
    assert sent == [["CREATE", "UNIQUE"], ["CREATE", "TABLE"]]


def test_the_whole_file_is_rehearsed_where_somebody_took_back_what_it_did(shop: Shop):
    shop.send("ALTER TABLE a DROP COLUMN y")

    verdict, rehearsal = shop.planned()

    assert (verdict, rehearsal.failed) == (Verdict.PROVEN, None)
    assert len(rehearsal.statements) == 3


def test_a_file_that_begins_otherwise_now_is_no_proof(shop: Shop):
    shop.write("2_b", SECOND.replace("ADD y int", "ADD y bigint"))

    verdict, rehearsal = shop.planned()

    assert (verdict, rehearsal.failed) == (Verdict.UNPROVEN, "2_b")
