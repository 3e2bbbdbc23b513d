"""Killed in the middle of a file on MariaDB, where a file is not whole or not at all: the real tool is killed
and coordinator comes, and the other way round. Whoever comes sees the same schema and version table, runs
nothing twice, and says what a person has to look at.

A statement of the file waits for a named lock that the test holds. So the kill hits it at that statement, and
the server's orphan ends when the test says so.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.local import until
from fixtures.mariadb import ENGINE
from peers.real_tools import LEDGERS, World, real_command, run_real, write_files

from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.ports.databases import Batch, Session

pytestmark = [pytest.mark.peers, pytest.mark.mariadb]
NewWorld = Callable[[Engine], World]
GATE = "SELECT GET_LOCK('coordinator test gate', 60);"
STATEMENTS = (
    "CREATE TABLE a (x int);",
    "INSERT INTO a (x) VALUES (1);",
    "ALTER TABLE a ADD COLUMN y int;",
    "INSERT INTO a (x) VALUES (2);",
)
TAKEN_BACK = {2: "DELETE FROM a WHERE x = 1", 4: "DELETE FROM a WHERE x = 2"}
"""What goose leaves at a gate and we do not: rows behind a change of the schema, which are in a transaction
with us and stand for themselves with goose (docs/reference/migration-tools.md)."""
GATES = range(len(STATEMENTS) + 1)
PLAN = """
version: 1
release: killed
databases:
  shop: {{engine: {engine}, url: "env:URL", migrations: {{tool: {tool}, dir: migrations}}}}
"""
OURS = ("coordinator_lease", "coordinator_applied")
ELSE = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
AT_THE_GATE = (
    "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND state = 'User lock'"
    " AND info LIKE '%coordinator test gate%' AND id <> CONNECTION_ID()"
)


@dataclass(frozen=True)
class Checkout:
    """A folder with a plan and one migration of several statements, one of which waits for the test."""

    folder: Path
    tool: str
    gate: int

    @property
    def migrations(self) -> Path:
        return self.folder / "migrations"

    def write(self) -> Checkout:
        """Write it with a statement a line: the first in line 3."""
        self.folder.mkdir()
        (self.folder / "plan.yaml").write_text(PLAN.format(engine=ENGINE, tool=self.tool))
        texts = (*STATEMENTS[: self.gate], GATE, *STATEMENTS[self.gate :])
        head = "-- +goose Up" if self.tool == "goose" else "-- up"
        name = "1_step.sql" if self.tool == "goose" else "1_step.up.sql"
        write_files(self.migrations, {name: "\n".join(("-- coordinator: phase=expand", head, *texts, ""))})
        return self

    def line(self, statement: int) -> int:
        """Return the line of a statement, behind the gate or before it."""
        return 3 + statement + (statement >= self.gate)

    @property
    def line_of_gate(self) -> int:
        return 3 + self.gate

    def coordinator(self, world: World, *command: str) -> subprocess.CompletedProcess[str]:
        """Let coordinator do something to its end."""
        return subprocess.run(
            [sys.executable, "-m", "coordinator", *command],
            cwd=self.folder,
            env={**os.environ, "URL": world.url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def killed_at_the_gate(self, world: World, command: list[str]) -> None:
        """Run a command until the server has its statement at the gate, kill it, and end its orphan there.

        Left alone, MariaDB goes on with the rest of a text of several statements though nobody listens.
        """
        with gate_held(world) as session:
            with subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "URL": world.url},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                until(lambda: session.query(AT_THE_GATE))
                process.send_signal(signal.SIGKILL)
            for [orphan] in session.query(AT_THE_GATE):
                with suppress(DatabaseError):  # the server has just seen that nobody listens
                    session.execute(Batch((f"KILL {orphan}",), transaction=False))
        with world.database.session(label="compare") as session:
            until(lambda: not session.query(ELSE))

    def kill_real(self, world: World) -> None:
        self.killed_at_the_gate(world, real_command(self.tool, world, self.migrations, "up"))

    def kill_coordinator(self, world: World) -> None:
        self.killed_at_the_gate(world, [sys.executable, "-m", "coordinator", "run"])


@contextmanager
def gate_held(world: World) -> Iterator[Session]:
    with world.database.session(label="gate") as session:
        assert session.query(GATE) == [(1,)]
        yield session


def send(world: World, *texts: str) -> None:
    """Do by hand what a person does."""
    with world.database.session(label="person") as session:
        for text in texts:
            session.execute(Batch((text,), transaction=False))


def left(world: World, tool: str) -> object:
    """Return what is in a database, but for the tables of coordinator."""
    content, ledger = world.snapshot(tool)
    parts = re.split(r"^(?=CREATE TABLE )", content, flags=re.MULTILINE)
    ours = tuple(f"CREATE TABLE `{name}`" for name in OURS)
    return [part.rstrip("\n") for part in parts if not part.startswith(ours)], ledger


@pytest.fixture(params=list(LEDGERS))
def tool(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=GATES, ids=lambda gate: f"at {gate}")
def checkout(tool: str, request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout", tool, request.param).write()


def test_after_the_real_tool_was_killed_coordinator_runs_nothing_twice_and_says_what_is_to_be_done(
    checkout: Checkout, new_world: NewWorld
):
    tool = checkout.tool
    pure, killed = new_world(ENGINE), new_world(ENGINE)
    assert run_real(tool, pure, checkout.migrations, "up") == 0
    ended = left(pure, tool)
    checkout.kill_real(killed)
    found = left(killed, tool)

    came = checkout.coordinator(killed, "run")

    said = " ".join((came.stdout + came.stderr).split())
    if tool == "goose" and checkout.gate == 0:  # nothing had happened
        assert came.returncode == 0, said
        assert left(killed, tool) == ended
        return
    assert came.returncode != 0, said
    assert left(killed, tool) == found
    assert run_real(tool, killed, checkout.migrations, "up") == 1, "the real tool cannot go on either"
    assert left(killed, tool) == found
    if tool == "goose":
        assert f"1_step.sql:{checkout.line(0)}" in said
        assert "already exists" in said
    else:
        assert "stopped half-way at version 1 (dirty)" in said
        assert "migrate force" in said
        assert run_real(tool, killed, checkout.migrations, "force", "--", "-1") == 0
    send(killed, "DROP TABLE IF EXISTS a")

    again = checkout.coordinator(killed, "run")

    assert again.returncode == 0, again.stdout + again.stderr
    assert left(killed, tool) == ended


def test_after_coordinator_was_killed_the_real_tool_finds_what_it_would_have_left_and_coordinator_goes_on(
    checkout: Checkout, new_world: NewWorld
):
    tool, gate = checkout.tool, checkout.gate
    pure = new_world(ENGINE)
    assert run_real(tool, pure, checkout.migrations, "up") == 0
    ended = left(pure, tool)
    real, killed = new_world(ENGINE), new_world(ENGINE)
    checkout.kill_real(real)
    checkout.kill_coordinator(killed)
    if tool == "goose" and gate in TAKEN_BACK:
        send(real, TAKEN_BACK[gate])
    found = left(killed, tool)
    assert found == left(real, tool)

    by_real = run_real(tool, killed, checkout.migrations, "up")

    if tool == "goose" and gate == 0:  # nothing had happened
        assert (by_real, left(killed, tool)) == (0, ended)
    else:
        assert (by_real, left(killed, tool)) == (1, found)
    came = checkout.coordinator(killed, "run")
    said = " ".join((came.stdout + came.stderr).split())
    if tool == "goose":  # what was cut off was taken back
        assert came.returncode == 0, said
    else:
        assert came.returncode == 5, said
        assert told(said) == [checkout.line(each) for each in range(gate)]
        assert left(killed, tool) == found
        assert f"was cut off at line {checkout.line_of_gate} ({GATE})" in said
        [way] = set(re.findall(r"It is not: `coordinator (settle [^`]+)`", said))
        assert checkout.coordinator(killed, *way.split()).returncode == 0
        again = checkout.coordinator(killed, "run")
        assert again.returncode == 0, again.stdout + again.stderr
    assert left(killed, tool) == ended


def told(said: str) -> list[int]:
    """Return the lines that are said to be there for good."""
    there = said.partition("There for good:")[2].partition("Behind line")[0]
    return [int(line) for line in re.findall(r"line (\d+) \(", there)]
