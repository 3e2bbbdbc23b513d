"""kill -9 of coordinator while a program of the user applies a migration: it dies too; nothing is guessed."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fixtures.checkout import Checkout
from fixtures.local import processes_of, until

PROGRAM = """
import os, pathlib, sqlite3, subprocess, sys, time
version, place = int(sys.argv[1]), pathlib.Path(__file__).parent
connection = sqlite3.connect(os.environ["SHOP_URL"].removeprefix("sqlite://"))
def record():
    with connection:
        connection.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)", [version])
def wait():
    (place / "at-work").touch()
    time.sleep(600)
if (place / "children").exists():
    subprocess.Popen([sys.executable, "-c", f"'{place}'; import time; time.sleep(600)"])
if (place / "before").exists():
    wait()
record()
if (place / "after").exists():
    wait()
"""
MOVE = "expand:shop:00002_move"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Checkout]:
    """Yield a checkout at 1.4 whose next release has a migration that is code."""
    with closing(Checkout(tmp_path / "shop")) as made:
        made.released("1.4")
        (made.folder / "migrate.py").write_text(PROGRAM)
        (made.folder / "migrations" / "00002_move.go").write_text("// coordinator: phase=expand\n")
        name_program(made)
        yield made


def name_program(shop: Checkout) -> None:
    plan = shop.folder / "plan.yaml"
    command = 'command: [python, migrate.py, "{version}"]'
    old, new = "      dir: migrations\n", f"      dir: migrations\n      {command}\n"
    plan.write_text(plan.read_text().replace(old, new))


def kill_at_work(shop: Checkout, *marks: str) -> None:
    """Kill coordinator while the program waits where the marks say."""
    for each in marks:
        (shop.folder / each).touch()
    running = shop.start_release("1.5", "--accept-unproven")
    until((shop.folder / "at-work").exists)
    running.signal(signal.SIGKILL)
    running.process.wait()
    for each in marks:
        (shop.folder / each).unlink()


def programs(shop: Checkout) -> list[int]:
    """Return the processes of the program and of its child, without its supervisor."""
    found = processes_of(shop.folder).items()
    ours = [(pid, said) for pid, said in found if "supervisor.py" not in said]
    return [pid for pid, said in ours if "migrate.py" in said or "time.sleep(600)" in said]


def versions(shop: Checkout) -> list[int]:
    with closing(sqlite3.connect(shop.database)) as connection:
        return [version for [version] in connection.execute("SELECT version_id FROM goose_db_version")]


def test_the_program_dies_with_coordinator_and_what_the_version_table_lacks_is_for_a_person(
    shop: Checkout,
) -> None:
    kill_at_work(shop, "before", "children")
    until(lambda: not programs(shop))

    doubtful = shop.release("1.5", "--accept-unproven")

    assert doubtful.exit_code == 5
    assert "Nobody can tell how far it came." in " ".join(doubtful.err.split())
    assert versions(shop) == [0, 1]
    assert shop.run("settle", MOVE, "--as", "not-done").exit_code == 0
    assert shop.release("1.5").exit_code == 0
    assert versions(shop) == [0, 1, 2]


def test_what_the_version_table_has_is_done(shop: Checkout) -> None:
    kill_at_work(shop, "after")

    assert shop.release("1.5").exit_code == 0
    assert versions(shop) == [0, 1, 2]


def test_what_may_be_repeated_is_repeated(shop: Checkout) -> None:
    plan = shop.folder / "plan.yaml"
    plan.write_text(plan.read_text().replace("command: [", "repeatable: true\n      command: ["))
    kill_at_work(shop, "before")

    assert shop.release("1.5").exit_code == 0
    assert versions(shop) == [0, 1, 2]


def test_a_program_whose_supervisor_died_too_is_waited_for(shop: Checkout) -> None:
    (shop.folder / "before").touch()
    running = shop.start_release("1.5", "--accept-unproven")
    until((shop.folder / "at-work").exists)
    [supervisor] = [pid for pid, command in processes_of(shop.folder).items() if "supervisor.py" in command]
    os.kill(running.process.pid, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    [program] = programs(shop)

    waiting = shop.start_release("1.5")
    until(lambda: "is still running" in waiting.err)
    os.kill(program, signal.SIGKILL)

    assert waiting.wait().exit_code == 5
