"""A team's program with golang-migrate's library, which has no migrations in Go, and coordinator by turns.

The library on a connection of its own takes another lock than the command line: both are kept out.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.local import until
from peers.go_program_build import build_program
from peers.real_tools import World, run_ours, write_files

from coordinator import discovery
from coordinator.model import Engine

pytestmark = pytest.mark.peers
NewWorld = Callable[[Engine], World]
TOOL = "golang-migrate"
BOTH = [Engine.POSTGRESQL, Engine.SQLITE]
FILES = {
    "1_a.up.sql": "CREATE TABLE a (x integer);",
    "2_rows.up.sql": "INSERT INTO a VALUES (1);",
    "3_b.up.sql": "CREATE TABLE b (x integer);",
}
WAITING = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture(scope="module")
def program() -> Path:
    return build_program("migrate_program")


def started(program: Path, world: World, folder: Path, version: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [program, folder, str(version)],
        env={**os.environ, "SHOP_URL": world.url},
        stderr=subprocess.PIPE,
        text=True,
    )


def by_library(program: Path, world: World, folder: Path, version: int) -> tuple[int, str]:
    """Let the library migrate to a version; return how the program ended and what it said."""
    with started(program, world, folder, version) as process:
        _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("ours_first", [True, False], ids=["ours-first", "library-first"])
def test_each_goes_on_where_the_other_stopped(
    before: int, engine: Engine, *, ours_first: bool, new_world: NewWorld, program: Path, tmp_path: Path
):
    alone, mixed = new_world(engine), new_world(engine)
    folder = write_files(tmp_path / "migrations", FILES)
    assert by_library(program, alone, folder, 3) == (0, "")

    if ours_first:
        assert run_ours(TOOL, mixed, folder, steps=before).is_done
        assert by_library(program, mixed, folder, 3) == (0, "")
    else:
        assert before == 0 or by_library(program, mixed, folder, before) == (0, "")
        assert run_ours(TOOL, mixed, folder, steps=3 - before).is_done

    assert mixed.snapshot(TOOL) == alone.snapshot(TOOL)
    assert [int(str(version)) for version, _ in mixed.ledger(TOOL) or ()] == [3]


@pytest.mark.parametrize("engine", BOTH)
def test_a_version_that_the_library_left_dirty_is_refused_until_somebody_judged_it(
    engine: Engine, new_world: NewWorld, program: Path, tmp_path: Path
):
    world = new_world(engine)
    broken = {**FILES, "2_rows.up.sql": "INSERT INTO nowhere VALUES (1);"}
    folder = write_files(tmp_path / "migrations", broken)

    code, said = by_library(program, world, folder, 3)
    refused = run_ours(TOOL, world, folder)

    assert (code, "nowhere" in said) == (1, True)
    assert [(int(str(version)), bool(dirty)) for version, dirty in world.ledger(TOOL) or ()] == [(2, True)]
    assert (refused.refused, world.tables()) == (frozenset({"database-dirty"}), {"a"})


def test_the_library_waits_while_we_hold_the_locks(new_world: NewWorld, program: Path, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", FILES)
    world = new_world(Engine.POSTGRESQL)
    hook = discovery.migration_tool(TOOL)

    with world.database.session(label="holder") as session:
        with session.locked(hook.lock_ids(session.target(None))[1:], timeout=timedelta(0)):
            process = started(program, world, folder, 3)
            until(lambda: session.query(WAITING), seconds=60)
            assert "a" not in world.tables()
        assert process.wait(60) == 0
        process.communicate()

    assert world.tables() >= {"a", "b"}
