"""The same folders through the real goose and through the hook: what is left must be the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from peers.goose_cases import (
    FILES,
    FOLDERS,
    NO_TX,
    POSTGRESQL_FILES,
    POSTGRESQL_TRAPS,
    SQLITE_FILES,
    SQLITE_TRAPS,
    TRAPS,
    UP,
    A,
    Trap,
)
from peers.real_tools import (
    World,
    make_ledger,
    read_folder,
    run_ours,
    run_real,
    statements_of_goose,
    without_comments,
    write_files,
)

from coordinator.diagnostics import Place
from coordinator.load.migrations import read_migrations
from coordinator.model import Engine, MigrationsSpec

pytestmark = pytest.mark.peers
PG, LITE = Engine.POSTGRESQL, Engine.SQLITE
NewWorld = Callable[[Engine], World]

SAME = [
    *[
        pytest.param(engine, text, id=f"{engine} {name}")
        for engine in (PG, LITE)
        for name, text in FILES.items()
    ],
    *[pytest.param(PG, text, id=name) for name, text in POSTGRESQL_FILES.items()],
    *[pytest.param(LITE, text, id=name) for name, text in SQLITE_FILES.items()],
]
REFUSED = [
    *[
        pytest.param(engine, trap, id=f"{engine} {name}")
        for engine in (PG, LITE)
        for name, trap in TRAPS.items()
    ],
    *[pytest.param(PG, trap, id=name) for name, trap in POSTGRESQL_TRAPS.items()],
    *[pytest.param(LITE, trap, id=f"{LITE} {name}") for name, trap in SQLITE_TRAPS.items()],
]


def assert_same_end(new_world: NewWorld, engine: Engine, folder: Path) -> None:
    real, ours = new_world(engine), new_world(engine)

    code = run_real("goose", real, folder, "up")
    outcome = run_ours("goose", ours, folder)

    assert outcome.is_done == (code == 0), outcome
    if real.ledger("goose") is not None:
        make_ledger("goose", ours)  # goose makes its table before it reads a file; a refusal comes earlier
    assert ours.snapshot("goose") == real.snapshot("goose")


@pytest.mark.parametrize(("engine", "content"), SAME)
def test_a_file_ends_as_it_does_with_goose(
    engine: Engine, content: str | bytes, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"00001_case.sql": content})

    assert_same_end(new_world, engine, folder)


@pytest.mark.parametrize(
    "content", [pytest.param(text, id=name) for name, text in (FILES | SQLITE_FILES).items()]
)
def test_a_file_is_cut_as_goose_cuts_it(content: str | bytes, new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", {"00001_case.sql": content})

    cut_by_goose = statements_of_goose(new_world(LITE), folder)

    scripts = [each.up for each in read_folder("goose", folder).migrations if each.up]
    cut_by_us = [without_comments(each.text) for script in scripts for each in script.statements]
    if run_ours("goose", new_world(LITE), folder).is_done:
        assert cut_by_us == cut_by_goose
    else:
        assert cut_by_us[: len(cut_by_goose)] == cut_by_goose


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_ends_as_it_does_with_goose(name: str, new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", FOLDERS[name])

    assert_same_end(new_world, LITE, folder)


@pytest.mark.parametrize(("engine", "trap"), REFUSED)
def test_refuses_where_goose_loses_something(engine: Engine, trap: Trap, new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", {"00001_case.sql": trap.content})
    real, ours = new_world(engine), new_world(engine)

    code = run_real("goose", real, folder, "up", seconds=3 if trap.ends_well is None else 60)
    outcome = run_ours("goose", ours, folder)

    assert trap.code in outcome.refused
    assert (None if code is None else code == 0) == trap.ends_well
    assert real.tables() == trap.tables
    assert ours.tables() == set()


def test_a_migration_that_moves_the_search_path_is_recorded_where_goose_loses_the_record(
    new_world: NewWorld, tmp_path: Path
):
    content = UP + "CREATE SCHEMA app;\nSET search_path = app;\nCREATE TABLE a (x integer);\n"
    folder = write_files(tmp_path / "migrations", {"1_a.sql": content})
    real, ours = new_world(PG), new_world(PG)

    code = run_real("goose", real, folder, "up")
    outcome = run_ours("goose", ours, folder)

    assert code == 1
    assert real.ledger("goose") == ((0, True),)
    assert outcome.is_done
    assert ours.ledger("goose") == ((0, True), (1, True))


@pytest.mark.parametrize("setting", ["ROLE pg_monitor", "default_transaction_read_only = on"])
def test_a_changed_session_does_not_keep_a_migration_from_its_record_as_with_goose(
    setting: str, new_world: NewWorld, tmp_path: Path
):
    content = NO_TX + UP + A + f"SET {setting};\n"
    folder = write_files(tmp_path / "migrations", {"1_a.sql": content})
    real, ours = new_world(PG), new_world(PG)

    code = run_real("goose", real, folder, "up")
    outcome = run_ours("goose", ours, folder)

    assert (code, real.tables(), real.ledger("goose")) == (1, {"a"}, ((0, True),))
    assert outcome.is_done
    assert (ours.tables(), ours.ledger("goose")) == ({"a"}, ((0, True), (1, True)))


@pytest.mark.parametrize(("engine", "left_by_goose"), [(PG, {"a"}), (LITE, set())])
def test_a_transaction_that_a_file_leaves_open_is_an_error_where_goose_reports_success(
    engine: Engine, left_by_goose: set[str], new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_a.sql": NO_TX + UP + "BEGIN;\n" + A})
    real, ours = new_world(engine), new_world(engine)

    code = run_real("goose", real, folder, "up")
    outcome = run_ours("goose", ours, folder)

    assert (code, real.tables()) == (0, left_by_goose)
    assert outcome.error is not None
    assert (outcome.error.code, ours.tables()) == ("transaction-left-open", set())


def test_go_without_a_command_is_refused_where_goose_fails_when_it_gets_there(
    new_world: NewWorld, tmp_path: Path
):
    files = {"1_a.sql": UP + "CREATE TABLE a (x integer);\n", "2_b.go": "package migrations"}
    folder = write_files(tmp_path / "migrations", files)
    real = new_world(LITE)

    code = run_real("goose", real, folder, "up")
    [problem] = read_migrations(MigrationsSpec("goose", folder, None, Place("plan.yaml")), LITE).diagnostics

    assert (code, real.tables()) == (1, {"a"})
    assert problem.code == "goose-go-migration"


def test_a_mistake_in_a_later_file_is_found_before_anything_is_sent(new_world: NewWorld, tmp_path: Path):
    files = {"1_a.sql": UP + "CREATE TABLE a (x integer);\n", "2_b.sql": UP + "SELECT 1\n"}
    folder = write_files(tmp_path / "migrations", files)
    real, ours = new_world(LITE), new_world(LITE)

    code = run_real("goose", real, folder, "up")
    outcome = run_ours("goose", ours, folder)

    assert (code, real.tables()) == (1, {"a"})
    assert (outcome.refused, ours.tables()) == ({"goose-syntax"}, set())


def test_two_files_of_one_version_are_refused_by_both(new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", {"1_a.sql": UP, "01_b.sql": UP})
    real, ours = new_world(LITE), new_world(LITE)

    code = run_real("goose", real, folder, "up")
    outcome = run_ours("goose", ours, folder)

    assert code not in (0, None)
    assert outcome.refused == {"duplicate-version"}


def test_a_late_file_is_refused_by_both(new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", {"1_a.sql": UP, "3_c.sql": UP})
    world = new_world(PG)
    assert run_real("goose", world, folder, "up") == 0
    write_files(folder, {"2_b.sql": UP})

    code = run_real("goose", world, folder, "up")
    outcome = run_ours("goose", world, folder)

    assert code == 1
    assert outcome.refused == {"out-of-order"}


def test_a_database_that_is_newer_than_the_files_is_left_alone_by_both(new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", {"1_a.sql": UP, "2_b.sql": UP})
    world = new_world(PG)
    assert run_real("goose", world, folder, "up") == 0
    (folder / "2_b.sql").unlink()
    before = world.snapshot("goose")

    assert run_real("goose", world, folder, "up") == 0
    assert run_ours("goose", world, folder).is_done
    assert world.snapshot("goose") == before
