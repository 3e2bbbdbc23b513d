"""A program with goose's library and a migration in Go leaves beside coordinator what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.code_release import release, world
from peers.go_program_build import build_program
from peers.real_tools import World, write_files

from coordinator.applied import TABLE
from coordinator.journal.events import Outcome
from coordinator.model import Engine
from coordinator.ports.databases import Batch

pytestmark = pytest.mark.peers
NewWorld = Callable[[Engine], World]
FILES = {
    "00001_names.sql": "-- +goose Up\nCREATE TABLE names (name text);\nINSERT INTO names VALUES ('ann');\n",
    "00002_move.go": "package migrations\n\n// coordinator: phase=expand\n",
    "00003_index.sql": "-- coordinator: phase=expand\n-- +goose Up\nCREATE INDEX by_name ON names (name);\n",
}
PLAN = """
version: 1
release: names-RELEASE
databases:
  names:
    engine: ENGINE
    url: env:SHOP_URL
    migrations: {tool: goose, dir: migrations, command: COMMAND, rehearse: true}
"""


@pytest.fixture(scope="module")
def program() -> Path:
    return build_program("go_program")


def by_itself(program: Path, database: World, folder: Path, version: int) -> None:
    """Let the program alone apply the migrations; it holds those in Go, and reads the others."""
    if version:
        write_files(folder, {each: FILES[each] for each in FILES if each.endswith(".sql")})
        subprocess.run(
            [program, folder, str(version)],
            env={**os.environ, "SHOP_URL": database.url},
            check=True,
            capture_output=True,
            timeout=60,
        )


def by_coordinator(program: Path, database: World, folder: Path, version: int) -> None:
    """Release the first files."""
    folder.mkdir()
    write_files(folder / "migrations", {each: FILES[each] for each in sorted(FILES)[:version]})
    command = json.dumps([str(program), "migrations", "{version}"])
    plan = PLAN.replace("RELEASE", str(version)).replace("COMMAND", command)
    plan = plan.replace("ENGINE", database.engine)
    (folder / "plan.yaml").write_text(plan)
    if version:
        ended = release(world(folder, {**os.environ, "SHOP_URL": database.url}))
        assert ended.state is not None
        assert ended.state.outcome is Outcome.RELEASED
    with database.database.session(label="test") as session:
        session.execute(Batch((f"DROP TABLE IF EXISTS {TABLE}",), transaction=True))
        session.execute(Batch(("DROP TABLE IF EXISTS coordinator_lease",), transaction=True))


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize("before", range(4))
def test_coordinator_goes_on_where_the_program_stopped(
    before: int, engine: Engine, *, new_world: NewWorld, program: Path, tmp_path: Path
) -> None:
    alone, mixed = new_world(engine), new_world(engine)
    by_itself(program, alone, tmp_path / "sql", 3)

    by_itself(program, mixed, tmp_path / "sql", before)
    if before < len(FILES):
        by_coordinator(program, mixed, tmp_path / "shop", 3)

    assert mixed.snapshot("goose") == alone.snapshot("goose")
    assert alone.ledger("goose") == ((0, True), (1, True), (2, True), (3, True))


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize("before", range(4))
def test_the_program_goes_on_where_coordinator_stopped(
    before: int, engine: Engine, *, new_world: NewWorld, program: Path, tmp_path: Path
) -> None:
    alone, mixed = new_world(engine), new_world(engine)
    by_itself(program, alone, tmp_path / "sql", 3)

    by_coordinator(program, mixed, tmp_path / "shop", before)
    by_itself(program, mixed, tmp_path / "sql", 3)

    assert mixed.snapshot("goose") == alone.snapshot("goose")
