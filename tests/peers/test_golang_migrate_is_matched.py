"""The same folders through the real golang-migrate and through the hook: what is left must be the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from peers.golang_migrate_cases import (
    CLEAN_FILES,
    CLEAN_NOT_WRAPPED,
    CLEAN_POSTGRESQL,
    CLEAN_SQLITE,
    FOLDERS,
    NOT_WRAPPED,
    ONE_BY_ONE,
    POSTGRESQL_TRAPS,
    SAME_FILES,
    SAME_POSTGRESQL,
    SAME_SQLITE,
    SQLITE_TRAPS,
    TRAPS,
    A,
    B,
    Trap,
)
from peers.real_tools import World, make_ledger, run_ours, run_real, write_files

from coordinator.model import Engine

pytestmark = pytest.mark.peers
PG, LITE = Engine.POSTGRESQL, Engine.SQLITE
TOOL = "golang-migrate"
NewWorld = Callable[[Engine], World]


def both(files, postgresql, sqlite):
    return [
        *[
            pytest.param(engine, each, id=f"{engine} {name}")
            for engine in (PG, LITE)
            for name, each in files.items()
        ],
        *[pytest.param(PG, each, id=f"{PG} {name}") for name, each in postgresql.items()],
        *[pytest.param(LITE, each, id=f"{LITE} {name}") for name, each in sqlite.items()],
    ]


def assert_same_end(new_world: NewWorld, engine: Engine, folder: Path) -> None:
    real, ours = new_world(engine), new_world(engine)

    code = run_real(TOOL, real, folder, "up")
    outcome = run_ours(TOOL, ours, folder)

    assert outcome.is_done == (code == 0), outcome
    assert ours.snapshot(TOOL) == real.snapshot(TOOL)


@pytest.mark.parametrize(("engine", "content"), both(SAME_FILES, SAME_POSTGRESQL, SAME_SQLITE))
def test_a_file_ends_as_it_does_with_golang_migrate(
    engine: Engine, content: str, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_case.up.sql": content})

    assert_same_end(new_world, engine, folder)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_ends_as_it_does_with_golang_migrate(name: str, new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", FOLDERS[name])

    assert_same_end(new_world, LITE, folder)


@pytest.mark.parametrize(("engine", "content"), both(CLEAN_FILES, CLEAN_POSTGRESQL, CLEAN_SQLITE))
def test_a_failure_leaves_the_same_schema_and_no_dirty_version(
    engine: Engine, content: str, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_case.up.sql": content})
    real, ours = new_world(engine), new_world(engine)

    code = run_real(TOOL, real, folder, "up")
    outcome = run_ours(TOOL, ours, folder)
    make_ledger(TOOL, ours)

    assert code == 1
    assert outcome.error is not None
    assert "stays" not in outcome.error.why
    (real_schema, real_ledger), (our_schema, our_ledger) = real.snapshot(TOOL), ours.snapshot(TOOL)
    assert our_schema == real_schema
    assert (real_ledger, our_ledger) == (((1, True),), ())


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_a_file_that_needs_x_multi_statement_ends_as_it_does_with_it(
    name: str, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_case.up.sql": ONE_BY_ONE[name]})
    real, ours = new_world(PG), new_world(PG)
    mark = "&" if "?" in real.url else "?"

    code = run_real(TOOL, replace(real, url=f"{real.url}{mark}x-multi-statement=true"), folder, "up")
    outcome = run_ours(TOOL, ours, folder)

    assert outcome.is_done == (code == 0), outcome
    assert ours.snapshot(TOOL) == real.snapshot(TOOL)


@pytest.mark.parametrize("name", NOT_WRAPPED)
def test_a_folder_that_needs_x_no_tx_wrap_ends_as_it_does_with_it(
    name: str, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", NOT_WRAPPED[name])
    real, ours = new_world(LITE), new_world(LITE)

    code = run_real(TOOL, replace(real, url=real.url + "?x-no-tx-wrap=true"), folder, "up")
    outcome = run_ours(TOOL, ours, folder)

    assert (code, outcome.is_done) == (0, True), outcome
    assert ours.snapshot(TOOL) == real.snapshot(TOOL)


@pytest.mark.parametrize("name", CLEAN_NOT_WRAPPED)
def test_a_transaction_of_the_files_own_that_fails_on_sqlite_leaves_nothing(
    name: str, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_case.up.sql": CLEAN_NOT_WRAPPED[name]})
    real, ours = new_world(LITE), new_world(LITE)

    code = run_real(TOOL, replace(real, url=real.url + "?x-no-tx-wrap=true"), folder, "up")
    outcome = run_ours(TOOL, ours, folder)

    assert code == 1
    assert outcome.error is not None
    assert "stays" not in outcome.error.why
    (real_schema, real_ledger), (our_schema, our_ledger) = real.snapshot(TOOL), ours.snapshot(TOOL)
    assert our_schema == real_schema
    assert (real_ledger, our_ledger) == (((1, True),), ())


def test_a_savepoint_works_where_golang_migrate_has_no_transaction_for_it(
    new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_case.up.sql": "SAVEPOINT s;\n" + A})
    real, ours = new_world(PG), new_world(PG)

    code = run_real(TOOL, real, folder, "up")
    outcome = run_ours(TOOL, ours, folder)

    assert (code, real.tables(), real.ledger(TOOL)) == (1, set(), ((1, True),))
    assert outcome.is_done
    assert (ours.tables(), ours.ledger(TOOL)) == ({"a"}, ((1, False),))


@pytest.mark.parametrize(("engine", "trap"), both(TRAPS, POSTGRESQL_TRAPS, SQLITE_TRAPS))
def test_refuses_where_golang_migrate_loses_something(
    engine: Engine, trap: Trap, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", trap.files)
    real, ours = new_world(engine), new_world(engine)

    code = run_real(TOOL, real, folder, "up")
    outcome = run_ours(TOOL, ours, folder)

    assert trap.code in outcome.refused
    assert (code == 0) == trap.ends_well
    assert real.tables() == trap.tables
    assert real.ledger(TOOL) in (trap.ledger, None)
    assert ours.tables() == set()


def test_a_dirty_version_of_the_real_tool_is_refused_by_both(new_world: NewWorld, tmp_path: Path):
    folder = write_files(
        tmp_path / "migrations", {"1_a.up.sql": A, "2_b.up.sql": "SELECT nothing_of_this_name;"}
    )
    world = new_world(PG)
    assert run_real(TOOL, world, folder, "up") == 1
    write_files(folder, {"2_b.up.sql": B})

    assert run_real(TOOL, world, folder, "up") == 1
    assert run_ours(TOOL, world, folder).refused == {"database-dirty"}


def test_a_database_that_is_newer_than_the_files_is_refused_by_both(new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", {"1_a.up.sql": A, "2_b.up.sql": B})
    world = new_world(PG)
    assert run_real(TOOL, world, folder, "up") == 0
    (folder / "2_b.up.sql").unlink()

    assert run_real(TOOL, world, folder, "up") == 1
    assert run_ours(TOOL, world, folder).refused == {"database-newer"}


def test_a_late_file_is_passed_over_by_both(new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", {"1_a.up.sql": A, "3_c.up.sql": ""})
    world = new_world(PG)
    assert run_real(TOOL, world, folder, "up") == 0
    write_files(folder, {"2_b.up.sql": B})

    assert run_real(TOOL, world, folder, "up") == 0
    assert run_ours(TOOL, world, folder).is_done
    assert world.tables() == {"a"}
