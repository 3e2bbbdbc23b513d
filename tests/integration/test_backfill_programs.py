"""A backfill whose rows a program of the user does: each range at least once, and never two at a time."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.backfilling import Items, items
from fixtures.local import processes_of, until

from coordinator.adapters.range_program import RangeProgram
from coordinator.backfills.cursor import digest_of, read_cursor
from coordinator.backfills.work import Work
from coordinator.diagnostics import Place
from coordinator.errors import StepFailed, Waiting
from coordinator.model import RANGE, BackfillSpec, CommandSpec, Engine
from coordinator.secret import Secret

ROWS = 20
PROGRAM = """
import os, pathlib, sqlite3, sys, time
place, condition = pathlib.Path(__file__).parent, sys.argv[1]
with (place / "told").open("a") as told:
    print(condition, file=told)
connection = sqlite3.connect(os.environ["URL"].removeprefix("sqlite://"))
if (place / "wait-before").exists():
    (place / "at-work").touch()
    time.sleep(600)
print("working on", condition)
if (place / "fail").exists() and (place / "fail").read_text() in condition:
    print("no such customer:", os.environ["URL"])
    raise SystemExit(3)
with connection:
    connection.execute(f"UPDATE items SET n = n + 1 WHERE {condition}")
if (place / "wait-after").exists():
    (place / "at-work").touch()
    time.sleep(600)
"""
FIVE = {"rows_per_second": 5}
"""Ranges of five rows."""


@dataclass
class Workplace:
    """A folder with the program, a table, and what a command would do with both."""

    folder: Path
    table: Items

    @property
    def spec(self) -> BackfillSpec:
        argv = (sys.executable, "work.py", RANGE)
        command = CommandSpec(argv, self.folder, timedelta(minutes=5), True, False, Place("plan.yaml", 1))
        return replace(self.table.spec, sql=None, command=command, rows_per_second=5)

    def work(self) -> Work:
        spec = self.spec
        assert spec.command is not None
        work = self.table.work(sql=None, command=spec.command, **FIVE)
        work.program = RangeProgram(
            self.table.database(),
            spec.name,
            spec.command,
            url=lambda: Secret(self.table.url),
            environment=os.environ,
            secrets=lambda: (),
        )
        return work

    def passed(self) -> int:
        with self.table.session() as session:
            cursor = read_cursor(session, self.spec)
        return 0 if cursor is None else cursor.passed

    def told(self) -> list[str]:
        return (self.folder / "told").read_text().splitlines()

    def programs(self) -> list[int]:
        """Return the processes of the program, without its supervisor, which has the same words."""
        found = processes_of(self.folder).items()
        return [pid for pid, said in found if "work.py" in said and "supervisor.py" not in said]


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    (tmp_path / "work.py").write_text(PROGRAM)
    return Workplace(tmp_path, items(Engine.SQLITE, f"sqlite://{tmp_path}/shop.db", rows=ROWS))


def test_a_program_gets_each_range_once_and_the_cursor_follows_it(place: Workplace) -> None:
    assert place.work().run() == f"{ROWS} rows passed, none left"

    assert place.table.times_done() == {1: ROWS}
    assert len(place.told()) == ROWS // 5
    assert any("working on" in each for each in place.table.notes), "its lines are shown"
    assert place.work().run() == f"{ROWS} rows passed, none left"
    assert len(place.told()) == ROWS // 5, "one that is complete is asked for nothing"


def test_a_program_that_fails_is_told_with_its_rows_and_its_last_lines_and_gets_them_again(
    place: Workplace,
) -> None:
    (place.folder / "fail").write_text('"items"."id" <= 15')

    with pytest.raises(StepFailed) as caught:
        place.work().run()

    assert caught.value.code == "backfill-program-failed"
    assert '"items"."id" > 10 AND "items"."id" <= 15' in caught.value.what
    assert "exit code 3" in caught.value.what
    assert "no such customer: ********" in caught.value.what, "without the address"
    assert place.passed() == 10
    (place.folder / "fail").unlink()
    place.work().run()
    assert place.table.times_done() == {1: ROWS}


def at_work(place: Workplace) -> int:
    """Work in a process of its own, and return its number when the program waits."""
    pid = os.fork()
    if pid == 0:
        try:
            place.work().run()
        finally:
            os._exit(0)
    until((place.folder / "at-work").exists)
    return pid


def killed_at_work(place: Workplace) -> None:
    """Work in a process of its own, and kill it while the program waits."""
    pid = at_work(place)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize(("when", "times"), [("before", {1: ROWS}), ("after", {1: ROWS - 5, 2: 5})])
def test_after_a_kill_the_program_is_gone_and_gets_the_same_rows_again(
    place: Workplace, when: str, times: dict[int, int]
) -> None:
    (place.folder / f"wait-{when}").touch()
    killed_at_work(place)
    until(lambda: not place.programs())
    (place.folder / f"wait-{when}").unlink()

    place.work().run()

    first, again, *_ = place.told()
    assert first == again
    assert place.table.times_done() == times, "at least once, and the page says so"
    assert place.passed() == ROWS


def test_no_program_works_beside_one_that_an_earlier_command_left(place: Workplace) -> None:
    (place.folder / "wait-before").touch()
    pid = at_work(place)
    [supervisor] = [at for at, said in processes_of(place.folder).items() if "supervisor.py" in said]
    os.kill(pid, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    [program] = place.programs()
    (place.folder / "wait-before").unlink()

    with pytest.raises(Waiting) as caught:
        place.work().run()
    os.kill(program, signal.SIGKILL)
    place.work().run()

    assert caught.value.code == "program-running"
    assert place.table.times_done() == {1: ROWS}


def test_a_program_whose_time_is_up_is_ended_and_named(place: Workplace) -> None:
    (place.folder / "wait-before").touch()
    work = place.work()
    assert isinstance(work.program, RangeProgram)
    work.program._command = replace(work.program._command, deadline=timedelta(seconds=1))

    with pytest.raises(StepFailed) as caught:
        work.run()

    assert "its time was up" in caught.value.what
    assert place.passed() == 0


def test_a_program_that_leaves_rows_alone_is_not_believed(place: Workplace) -> None:
    (place.folder / "work.py").write_text("print('done')")

    with pytest.raises(Waiting) as caught:
        place.work().run()

    assert caught.value.code == "backfill-incomplete"
    assert f"{ROWS} are left" in caught.value.what


def test_another_program_under_the_same_name_is_another_backfill(place: Workplace) -> None:
    spec = place.spec
    assert spec.command is not None

    other = replace(spec, command=replace(spec.command, argv=(*spec.command.argv, "--fast")))

    assert digest_of(spec) != digest_of(other)
    assert digest_of(spec) != digest_of(place.table.spec)
