"""A file of which no marks are kept fails behind rows that stay: they are not written twice, unless somebody
says that they are taken back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fixtures.code_release import release, world
from fixtures.mariadb import ENGINE

from coordinator.app.connected import ConnectedPorts
from coordinator.app.place import Place
from coordinator.app.requests import leave
from coordinator.app.running import Ended
from coordinator.errors import ExitCode
from coordinator.graph import StepId
from coordinator.journal.events import Outcome, StepSettled
from coordinator.model import DatabaseName, Engine
from coordinator.ports.databases import Batch
from coordinator.world import Seen

PLAN = """
version: 1
release: shop-2
on_failure: ON_FAILURE
databases:
  shop: {engine: ENGINE, url: env:SHOP_URL, migrations: {tool: goose, dir: migrations}}
"""
SHOP, STEP = DatabaseName("shop"), StepId("expand:shop:1_fill")
HEAD = "-- +goose NO TRANSACTION\n-- +goose Up\n-- coordinator: phase=expand\nINSERT INTO seen VALUES (1);\n"
LAST = "ALTER TABLE missing ADD y int;\n"
UNCOUNTED = {
    Engine.POSTGRESQL: "DO $$ BEGIN PERFORM 1; END $$;\n",
    Engine.SQLITE: "SELECT 1; SELECT 2;\n",
    ENGINE: "SET @a = 1;\n",
}
OWN = HEAD.replace("INSERT", "BEGIN;\nINSERT") + "COMMIT;\n"
CASES = [
    pytest.param(
        engine, text, id=f"{engine} {name}", marks=[pytest.mark.mariadb] if engine.speaks_mysql else []
    )
    for engine in UNCOUNTED
    for name, text in (("uncounted", HEAD + UNCOUNTED[engine]), ("transaction of its own", OWN))
]


def code_of(ended: Ended) -> ExitCode:
    return ended.exit_code(wanted=Outcome.RELEASED)


def send(ports: ConnectedPorts, *statements: str) -> None:
    with ports.session(SHOP, label="test") as session:
        session.execute(Batch(statements, transaction=True))


def rows(ports: ConnectedPorts) -> int:
    with ports.session(SHOP, label="test") as session:
        return len(session.query("SELECT n FROM seen"))


def lay_out(folder: Path, engine: Engine, text: str, *, on_failure: str = "stop") -> None:
    (folder / "migrations").mkdir()
    (folder / "migrations" / "1_fill.sql").write_text(text)
    (folder / "plan.yaml").write_text(PLAN.replace("ENGINE", engine).replace("ON_FAILURE", on_failure))


def url_of(engine: Engine, request: pytest.FixtureRequest, folder: Path) -> str:
    if engine is Engine.SQLITE:
        return f"sqlite://{folder}/shop.db"
    return str(request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url"))


@pytest.mark.parametrize("on_failure", ["stop", "rollback"])
@pytest.mark.parametrize(("engine", "text"), CASES)
def test_the_next_run_asks_and_goes_on_when_somebody_says_that_all_is_taken_back(
    engine: Engine, text: str, on_failure: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    lay_out(tmp_path, engine, text + LAST, on_failure=on_failure)
    ports = world(tmp_path, {"SHOP_URL": url_of(engine, request, tmp_path)})
    send(ports, "CREATE TABLE seen (n int)")

    codes = [code_of(release(ports)) for _ in range(3)]

    assert codes == [ExitCode.FAILED, ExitCode.IN_DOUBT, ExitCode.IN_DOUBT]
    assert rows(ports) == 1

    send(ports, "DELETE FROM seen", "CREATE TABLE missing (x int)")
    asked = release(ports)
    assert asked.state is not None
    assert "stopped half-way (shop-2)" in asked.state.steps[STEP].detail
    said = StepSettled(datetime.now(UTC), STEP, Seen.NOT_DONE, "me", 0)
    leave(Place(tmp_path / "plan.yaml").journal, asked.state, said, holder=None)

    assert code_of(release(ports)) is ExitCode.DONE
    assert rows(ports) == 1


@pytest.mark.parametrize(("engine", "text"), CASES)
def test_the_next_run_goes_on_by_itself_when_somebody_completed_it_and_recorded_it(
    engine: Engine, text: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    lay_out(tmp_path, engine, text + LAST)
    ports = world(tmp_path, {"SHOP_URL": url_of(engine, request, tmp_path)})
    send(ports, "CREATE TABLE seen (n int)")
    assert [code_of(release(ports)) for _ in range(2)] == [ExitCode.FAILED, ExitCode.IN_DOUBT]

    send(ports, "CREATE TABLE missing (y int)")
    assert code_of(release(ports)) is ExitCode.IN_DOUBT, "the version table does not have it yet"
    send(ports, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)")
    ended = release(ports)

    assert code_of(ended) is ExitCode.DONE
    assert ended.state is not None
    assert ended.state.steps[STEP].detail == "the version table has it"
    assert rows(ports) == 1
