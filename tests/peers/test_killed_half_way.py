"""After kill -9, at many instants of many migrations, the other program goes on, and the end is that of an
undisturbed run: coordinator is killed and the real tool goes on, and the other way round.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from fixtures.local import until
from fixtures.mariadb import ENGINE
from peers.real_tools import ENGINES, LEDGERS, World, real_command, run_real, write_files

from coordinator.model import Engine
from coordinator.ports.databases import Batch

pytestmark = pytest.mark.peers
NewWorld = Callable[[Engine], World]
VERSIONS = 40
INSTANTS = (1, 15)
"""So many migrations are done, as the program says itself, when it is killed."""
DONE = re.compile(r"OK +[0-9]+_t|[0-9]+/u t|✔ expand:|Running upgrade")
PLAN = """
version: 1
release: killed
databases:
  shop: {{engine: {engine}, url: "env:URL", migrations: {{tool: {tool}, dir: migrations}}}}
"""
OURS = ("coordinator_lease", "coordinator_applied")
ELSE_CONNECTED = {
    Engine.POSTGRESQL: "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    Engine.SQLITE: "SELECT 1 WHERE false",
    ENGINE: "SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}


class Checkout:
    """A folder with a plan and its migrations, for one tool."""

    def __init__(self, folder: Path, tool: str, engine: Engine) -> None:
        self.folder, self.tool = folder, tool
        folder.mkdir()
        (folder / "plan.yaml").write_text(PLAN.format(engine=engine, tool=tool))
        self.migrations = write_files(folder / "migrations", dict(map(self._file, range(1, VERSIONS + 1))))

    def _file(self, version: int) -> tuple[str, str]:
        # The real golang-migrate commits a file before its mark, so a file has to bear being sent again.
        text = f"CREATE TABLE IF NOT EXISTS t{version} (id integer PRIMARY KEY);\n"
        if self.tool == "goose":
            return f"{version:05}_t.sql", f"-- coordinator: phase=expand\n-- +goose Up\n{text}"
        return f"{version:05}_t.up.sql", f"-- coordinator: phase=expand\n{text}"

    def coordinator(self, world: World) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "coordinator", "run"], {**os.environ, "URL": world.url}

    def run(self, world: World) -> subprocess.CompletedProcess[str]:
        """Let coordinator run to its end."""
        command, environment = self.coordinator(world)
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def go_on(self, world: World) -> None:
        """Let the real tool go on, after `force` where golang-migrate's own convention asks for it."""
        for version, is_dirty in world.ledger(self.tool) or ():
            if self.tool == "golang-migrate" and is_dirty:
                assert run_real(self.tool, world, self.migrations, "force", str(int(str(version)) - 1)) == 0
        assert run_real(self.tool, world, self.migrations, "up") == 0


def instants(of: Sequence[int], killed: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield each with its number, and the first anew while nobody was killed at work.

    On a busy machine a program may come to its end before its killer has read the line.
    """
    yield from enumerate(of)
    for number in range(len(of), 30):
        if any(killed):
            return
        yield number, of[0]


def kill_when(
    done: int, world: World, command: list[str], *, cwd: Path, environment: dict[str, str], pause: float
) -> bool:
    """Start a command, kill it soon after it says that so much is done; tell whether it was still at work."""
    with subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = (line for line in process.stderr if DONE.search(line))
        for _ in zip(range(done), said, strict=False):
            pass
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        was_at_work = process.wait() == -signal.SIGKILL
    with world.database.session(label="compare") as session:
        until(lambda: not session.query(ELSE_CONNECTED[world.engine]), seconds=60)
    return was_at_work


def left(world: World, tool: str) -> object:
    """Return what is in a database, without the tables of coordinator."""
    with world.database.session(label="compare") as session:
        for table in OURS:
            session.execute(Batch((f"DROP TABLE IF EXISTS {table}",), transaction=False))
    return world.snapshot(tool)


@pytest.fixture(params=list(LEDGERS))
def tool(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("engine", ENGINES)
def test_the_real_tool_goes_on_where_coordinator_was_killed(
    tool: str, engine: Engine, *, new_world: NewWorld, tmp_path: Path
):
    chance, killed = random.Random(1), list[bool]()
    for number, done in instants(INSTANTS, killed):
        checkout = Checkout(tmp_path / str(number), tool, engine)
        mixed, pure = new_world(engine), new_world(engine)
        assert run_real(tool, pure, checkout.migrations, "up") == 0

        command, environment = checkout.coordinator(mixed)
        pause = chance.uniform(0, 0.005)
        killed.append(
            kill_when(done, mixed, command, cwd=checkout.folder, environment=environment, pause=pause)
        )
        checkout.go_on(mixed)

        ended = checkout.run(mixed)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert left(mixed, tool) == left(pure, tool)
    assert any(killed), "it was always done already"


@pytest.mark.parametrize("engine", ENGINES)
def test_coordinator_goes_on_where_the_real_tool_was_killed_or_says_what_to_do(
    tool: str, engine: Engine, *, new_world: NewWorld, tmp_path: Path
):
    chance, killed = random.Random(2), list[bool]()
    for number, done in instants(INSTANTS, killed):
        checkout = Checkout(tmp_path / str(number), tool, engine)
        mixed, pure = new_world(engine), new_world(engine)
        assert run_real(tool, pure, checkout.migrations, "up") == 0

        command = real_command(tool, mixed, checkout.migrations, "up")
        environment, pause = dict(os.environ), chance.uniform(0, 0.002)
        killed.append(
            kill_when(done, mixed, command, cwd=checkout.folder, environment=environment, pause=pause)
        )
        if tool == "golang-migrate" and (rows := mixed.ledger(tool)) and rows[0][1]:
            refused = checkout.run(mixed)
            assert "error[database-dirty]" in refused.stderr
            assert "migrate force" in refused.stderr
            assert run_real(tool, mixed, checkout.migrations, "force", str(int(str(rows[0][0])) - 1)) == 0

        ended = checkout.run(mixed)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert left(mixed, tool) == left(pure, tool)
    assert any(killed), "it was always done already"
