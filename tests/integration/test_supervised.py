"""A supervised program: its lines without secrets, its children, its lock, and a supervisor that dies."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event, Timer

import pytest
from fixtures.local import processes_of, until

from coordinator.adapters.command_runner import CommandRunner
from coordinator.adapters.databases import sqlite
from coordinator.adapters.supervised import Output, Pipes, Supervised
from coordinator.applied import Book
from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError, StepFailed, Waiting
from coordinator.model import (
    CommandSpec,
    DatabaseName,
    DatabaseSpec,
    Engine,
    Migration,
    MigrationsSpec,
    SecretRef,
)
from coordinator.ports.programs import Ended
from coordinator.programs import Programs, VersionTable
from coordinator.secret import Secret
from migrations_hooks.goose import TOOL

MOVE = Migration(1, "00001_move", None, None, (), is_code=True)
PLACE = Place("plan.yaml", 1)


def runner_of(folder: Path, code: str) -> CommandRunner:
    command = CommandSpec((sys.executable, "-c", code), folder, timedelta(minutes=1), False, False, PLACE)
    spec = DatabaseSpec(
        DatabaseName("shop"),
        Engine.POSTGRESQL,
        SecretRef("env", "SHOP_URL"),
        MigrationsSpec("goose", folder, None, PLACE, command),
        timedelta(seconds=1),
        PLACE,
    )
    return CommandRunner(spec, command, environment=os.environ, secrets=lambda: ())


def run(runner: CommandRunner, note: Callable[[str], None] = print) -> Ended:
    return runner.up(MOVE, url=Secret("postgresql://shop:s3cret@db/shop"), live=None, note=note)


def test_a_secret_is_hidden_also_where_it_comes_in_pieces() -> None:
    seen: list[str] = []
    output = Output(seen.append, (Secret("s3cret"),))

    for piece in (b"it is s3", b"cret\nand\x1b[31m more\r", b"the end"):
        output.take(piece)
    output.end()

    assert seen == ["it is ********", "and [31m more", "the end"]


def test_a_line_without_end_takes_no_memory_and_shows_no_half_of_a_secret() -> None:
    seen: list[str] = []
    output = Output(seen.append, (Secret("s3cret"),))

    for _ in range(1000):
        output.take(b"s3cret" * 1000)
    output.end()

    [line] = seen
    assert set(line) == {"*"}


def test_shows_lines_and_the_exit_code(tmp_path: Path) -> None:
    seen: list[str] = []

    ended = run(
        runner_of(tmp_path, "import os; print(os.environ['SHOP_URL']); raise SystemExit(7)"), seen.append
    )

    assert ended == Ended(7, ("********",))
    assert seen == ["********"]


def test_what_the_program_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    child = f"'{tmp_path}'; import time; time.sleep(600)"

    ended = run(
        runner_of(tmp_path, f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])")
    )

    assert ended.exit_code == 0
    until(lambda: not processes_of(tmp_path))


def test_what_the_supervisor_said_is_heard_while_somebody_has_its_pipe_open() -> None:
    (control_of, control), (said_of, said), (lines_of, lines) = os.pipe(), os.pipe(), os.pipe()
    os.write(said, b"7")
    os.close(lines)
    is_released = Event()

    def release() -> None:
        is_released.set()
        os.close(said)

    holder = Timer(30, release)
    holder.start()
    with (
        os.fdopen(control, "wb") as first,
        os.fdopen(said_of, "rb") as second,
        os.fdopen(lines_of, "rb") as third,
    ):
        program = Supervised("it", Pipes(first, second, third), holder.cancel)
        ended = program.watch(deadline=timedelta(minutes=1), output=Output(print, ()))
        program.close()
    os.close(control_of)
    if not is_released.is_set():
        os.close(said)

    assert ended == Ended(7, ())
    assert not is_released.is_set(), "it was waited for who has it open"


def test_a_program_that_is_no_program_was_not_started(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    runner = runner_of(tmp_path, "")
    command = CommandSpec(("./text",), tmp_path, timedelta(minutes=1), False, False, PLACE)
    runner._command = command

    with pytest.raises(StepFailed) as failed:
        run(runner)

    assert failed.value.code == "program-not-started"


def test_while_a_program_lives_whose_supervisor_died_no_other_one_starts(tmp_path: Path) -> None:
    code = f"'{tmp_path}'; import os, signal, time; os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)"
    runner = runner_of(tmp_path, code)

    ended = run(runner)

    assert ended.exit_code is None
    with pytest.raises(Waiting) as waiting:
        run(runner)
    assert waiting.value.code == "program-running"
    [held] = re.findall(r"it has (\S+) open", waiting.value.next_step)
    for program in processes_of(tmp_path):
        assert Path(held) in [each.readlink() for each in Path(f"/proc/{program}/fd").iterdir()]
        os.kill(program, signal.SIGKILL)
    runner.demand_gone(timedelta(seconds=30))


class _Records:
    """A runner that does nothing; after it the database cannot be looked at."""

    called = "its program"
    is_repeatable = False
    rehearses = False

    def up(self, migration: Migration, **_: object) -> Ended:
        del migration
        return Ended(0, ())

    def up_together(
        self, migrations: Sequence[Migration], *, url: Secret, note: Callable[[str], None]
    ) -> Ended | None: ...

    def let_go(self) -> None: ...

    def demand_gone(self, timeout: timedelta) -> None: ...


def test_a_table_that_cannot_be_looked_at_afterwards_leaves_the_step_in_doubt(tmp_path: Path) -> None:
    database = sqlite.connect(Secret(f"sqlite://{tmp_path}/shop.db"), lock_timeout=timedelta(seconds=1))
    sessions = iter([database.session(label="before")])

    def connect():
        session = next(sessions, None)
        if session is None:
            raise Waiting("migration-lock-held", "Somebody else holds the lock.")
        return session

    versions = VersionTable(TOOL, (MOVE,), None, timedelta(seconds=1))
    book = Book("shop-1", print)
    programs = Programs(connect, versions, _Records(), Secret("sqlite://shop.db"), book)

    with pytest.raises(DatabaseError) as failed:
        programs.apply(MOVE)

    assert failed.value.ambiguous
    assert "has ended, and the version table cannot be read" in failed.value.what
