"""Either side goes on where the other stopped, at every point of a history, up and down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from peers.real_tools import ENGINES, LEDGERS, World, run_ours, run_real, write_files

from coordinator.applied import TABLE, Book
from coordinator.model import Engine
from coordinator.ports.databases import Batch

pytestmark = pytest.mark.peers
NewWorld = Callable[[Engine], World]
VERSIONS = 4
PREFIXES = range(VERSIONS + 1)

UPS = (
    "CREATE TABLE customer (id integer PRIMARY KEY, name text);",
    "INSERT INTO customer VALUES (1, 'one; 100%');\nINSERT INTO customer VALUES (2, 'two');",
    "ALTER TABLE customer ADD COLUMN email varchar(80);",
    "CREATE INDEX customer_email ON customer (email);",
)
DOWNS = (
    "DROP TABLE customer;",
    "DELETE FROM customer;",
    "ALTER TABLE customer DROP COLUMN email;",
    "DROP INDEX customer_email;",
)


def folder_of(tool: str, path: Path, engine: Engine) -> Path:
    files = {}
    downs = [each.replace("email;", "email ON customer;") for each in DOWNS[3:]]  # as MySQL drops an index
    downs = [*DOWNS[:3], *(downs if engine.speaks_mysql else DOWNS[3:])]
    for number, (up, down) in enumerate(zip(UPS, downs, strict=True), start=1):
        if tool == "goose":
            files[f"{number:05}_step.sql"] = f"-- +goose Up\n{up}\n-- +goose Down\n{down}\n"
        else:
            files[f"{number:04}_step.up.sql"] = up
            files[f"{number:04}_step.down.sql"] = down
    return write_files(path / "migrations", files)


def real_up(tool: str, world: World, folder: Path, steps: int) -> None:
    for _ in range(steps):
        assert run_real(tool, world, folder, *(["up-by-one"] if tool == "goose" else ["up", "1"])) == 0


def real_down(tool: str, world: World, folder: Path, steps: int) -> None:
    for _ in range(steps):
        assert run_real(tool, world, folder, *(["down"] if tool == "goose" else ["down", "1"])) == 0


def ours(tool: str, world: World, folder: Path, steps: int) -> None:
    outcome = run_ours(tool, world, folder, steps=steps)
    assert outcome.is_done, outcome


@pytest.mark.parametrize("applied", PREFIXES)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tool", list(LEDGERS))
def test_the_hook_goes_on_where_the_real_tool_stopped(
    tool: str, engine: Engine, applied: int, *, new_world: NewWorld, tmp_path: Path
):
    folder = folder_of(tool, tmp_path, engine)
    mixed, pure = new_world(engine), new_world(engine)
    assert run_real(tool, pure, folder, "up") == 0

    real_up(tool, mixed, folder, applied)
    ours(tool, mixed, folder, VERSIONS)

    assert mixed.snapshot(tool) == pure.snapshot(tool)
    assert run_real(tool, mixed, folder, "up") == 0
    assert mixed.snapshot(tool) == pure.snapshot(tool)


@pytest.mark.parametrize("applied", PREFIXES)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tool", list(LEDGERS))
def test_the_real_tool_goes_on_where_the_hook_stopped(
    tool: str, engine: Engine, applied: int, *, new_world: NewWorld, tmp_path: Path
):
    folder = folder_of(tool, tmp_path, engine)
    mixed, pure = new_world(engine), new_world(engine)
    assert run_real(tool, pure, folder, "up") == 0

    if applied:
        ours(tool, mixed, folder, applied)
    assert run_real(tool, mixed, folder, "up") == 0

    assert mixed.snapshot(tool) == pure.snapshot(tool)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tool", list(LEDGERS))
def test_the_table_of_our_own_changes_nothing_for_the_real_tool(
    tool: str, engine: Engine, new_world: NewWorld, tmp_path: Path
):
    folder = folder_of(tool, tmp_path, engine)
    mixed, pure = new_world(engine), new_world(engine)
    assert run_real(tool, pure, folder, "up") == 0

    outcome = run_ours(tool, mixed, folder, steps=2, book=Book("shop-1", print))
    assert outcome.is_done, outcome
    real_up(tool, mixed, folder, VERSIONS - 2)

    with mixed.database.session(label="test") as session:
        assert session.query(f"SELECT count(*) FROM {TABLE}") == [(2,)]
        session.execute(Batch((f"DROP TABLE {TABLE}",), transaction=True))
    assert mixed.snapshot(tool) == pure.snapshot(tool)
    real_down(tool, mixed, folder, VERSIONS)
    real_down(tool, pure, folder, VERSIONS)
    assert mixed.snapshot(tool) == pure.snapshot(tool)


@pytest.mark.parametrize("undone", range(1, VERSIONS + 1))
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tool", list(LEDGERS))
def test_each_undoes_what_the_other_applied(
    tool: str, engine: Engine, undone: int, *, new_world: NewWorld, tmp_path: Path
):
    folder = folder_of(tool, tmp_path, engine)
    by_us, by_real = new_world(engine), new_world(engine)

    real_up(tool, by_us, folder, VERSIONS)
    ours(tool, by_us, folder, -undone)
    ours(tool, by_real, folder, VERSIONS)
    real_down(tool, by_real, folder, undone)

    assert by_us.snapshot(tool) == by_real.snapshot(tool)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_version_without_a_down_file_is_refused_where_golang_migrate_moves_on(
    engine: Engine, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_a.up.sql": UPS[0]})
    world = new_world(engine)
    ours("golang-migrate", world, folder, 1)

    outcome = run_ours("golang-migrate", world, folder, steps=-1)
    assert outcome.error is not None
    assert outcome.error.code == "no-down-migration"
    assert run_real("golang-migrate", world, folder, "down", "1") == 0

    assert world.ledger("golang-migrate") == ()
    assert world.tables() == {"customer"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failed_down_leaves_the_table_clean_where_golang_migrate_leaves_it_dirty(
    engine: Engine, new_world: NewWorld, tmp_path: Path
):
    files = {"1_a.up.sql": UPS[0], "1_a.down.sql": "SELECT nothing_of_this_name;"}
    folder = write_files(tmp_path / "migrations", files)
    real, world = new_world(engine), new_world(engine)
    ours("golang-migrate", world, folder, 1)
    ours("golang-migrate", real, folder, 1)

    assert run_real("golang-migrate", real, folder, "down", "1") == 1
    assert run_ours("golang-migrate", world, folder, steps=-1).error is not None

    assert real.ledger("golang-migrate") == ((-1, True),)
    assert world.ledger("golang-migrate") == ((1, False),)
