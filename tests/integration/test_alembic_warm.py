"""Revisions in forks of a warm interpreter: as clean, as well supervised and as well locked as without it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.alembic_project import ENV, LINE, SHOP, apply_next, heads, plan_in, revision, write_project
from fixtures.local import processes_of, until

from coordinator.adapters import warm_interpreter
from coordinator.adapters.runners.alembic import AlembicRunner
from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.planning import plan_release
from coordinator.errors import InDoubt, StepFailed, Waiting
from coordinator.model import Script
from coordinator.ports import programs

MORE = {**LINE, **revision("d4", "c3")}
SAYS = """
import json, os, sys
from pathlib import Path
HERE = Path(__file__).resolve().parents[1]
if (HERE / "now.py").exists():
    exec((HERE / "now.py").read_text())
"""
"""An env.py that does what a file says just then."""
TELLS = """
sys.path.insert(0, str(HERE))
import state
state.seen.append(1)
command = Path("/proc/self/cmdline").read_text().split(chr(0))
told = [Path(command[-2]).name, [Path(each).name for each in sys.argv]]
told += [os.getcwd(), os.environ.get("LEFT"), len(state.seen), os.getpid()]
(HERE / "told").open("a").write(json.dumps(told) + chr(10))
os.environ["LEFT"] = "x"
os.environ["SHOP_URL"] = "x"
os.chdir("/")
"""
STAYS = "'{folder}'; import time; time.sleep(600)"
HANGS = "(HERE / 'at-work').touch()\nimport time\ntime.sleep(600)\n"
COORDINATOR = """
import sys
from pathlib import Path
from fixtures.alembic_project import apply_next, plan_in
folder = Path(sys.argv[1])
ports = plan_in(folder, f"sqlite:///{folder}/shop.db")
apply_next(ports, "b2")
(folder / "now.py").write_text(sys.argv[2])
apply_next(ports, "c3")
"""


def project(folder: Path, now: str = "", more: str = "") -> ConnectedPorts:
    """Return the world of a project whose first revision was applied in another one."""
    url = f"sqlite:///{write_project(folder, MORE, env=SAYS + ENV)}/shop.db"
    (folder / "state.py").write_text("seen = []\n")
    apply_next(plan_in(folder, url), "a1")
    does(folder, now)
    return plan_in(folder, url, more=more)


def does(folder: Path, now: str) -> None:
    (folder / "now.py").write_text(now)


def told(folder: Path) -> list[list[object]]:
    return [json.loads(each) for each in (folder / "told").read_text().splitlines()]


def warm(folder: Path) -> list[int]:
    """Return the warm interpreter, and its forks."""
    return [pid for pid, said in processes_of(folder).items() if "_alembic_warm.py" in said]


def demand_free(ports: ConnectedPorts, seconds: int = 0) -> None:
    runner = ports.runner(SHOP)
    assert runner is not None
    runner.demand_gone(timedelta(seconds=seconds))


def give_time(ports: ConnectedPorts, deadline: timedelta) -> None:
    """Let each revision from now on have so long."""
    runner = ports.runner(SHOP)
    assert isinstance(runner, AlembicRunner)
    runner._spec = replace(runner._spec, migrations=replace(runner._spec.migrations, deadline=deadline))


def test_no_revision_finds_what_another_one_left(tmp_path: Path):
    ports = project(tmp_path, TELLS)

    for version in ("b2", "c3", "d4"):
        apply_next(ports, version)
        demand_free(ports)

    found = told(tmp_path)
    assert [each[0] for each in found] == ["_alembic_warm.py"] * 3
    assert [each[1] for each in found] == [["_alembic_child.py"]] * 3
    assert [each[2:5] for each in found] == [[str(tmp_path), None, 1]] * 3
    assert len({each[5] for each in found}) == 3
    assert heads(ports) == {"d4"}


def test_a_plan_may_lie_in_another_folder_than_the_command_is_run_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path.parent)
    ports = project(Path(tmp_path.name), TELLS)

    for version in ("b2", "c3"):
        apply_next(ports, version)

    assert [each[:1] + each[2:3] for each in told(tmp_path)] == [["_alembic_warm.py", str(tmp_path)]] * 2


def test_a_rehearsal_runs_revisions_in_forks_too(tmp_path: Path):
    says = "coordinator: phase=expand"
    asks = {
        **revision("a1", up="op.get_bind()", said=says),
        **revision("b2", "a1", up="op.get_bind()", said=says),
        **revision("c3", "b2", up="op.get_bind()", said=says),
    }
    ports = plan_in(write_project(tmp_path, asks, env=SAYS + ENV), f"sqlite:///{tmp_path}/shop.db")
    (tmp_path / "state.py").write_text("seen = []\n")
    does(tmp_path, TELLS)

    proof, _ = plan_release(ports, step_kinds(), watches_statements=True)

    [rehearsal] = proof.evidence.rehearsals.values()
    ran = [each[0] for each in told(tmp_path)]
    assert rehearsal.is_whole
    assert len(ran) >= len(asks)
    assert ran == ["_alembic_warm.py"] * len(ran)


def test_the_sql_of_revisions_is_said_in_a_fork_too(tmp_path: Path):
    ports = project(tmp_path, "(HERE / 'said-by').write_bytes(Path('/proc/self/cmdline').read_bytes())")
    runner = ports.runner(SHOP)
    assert runner is not None

    said = runner.scripts(ports.migrations(SHOP), url=ports.resolve(ports.plan.databases[SHOP].url))

    assert {type(each) for each in said.values()} == {Script}
    assert "_alembic_warm.py" in (tmp_path / "said-by").read_text()


def test_a_revision_that_hangs_in_a_rehearsal_does_not_take_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(programs, "ON_SCRATCH", timedelta(seconds=8))
    asks = revision("a1", up="op.get_bind()", said="coordinator: phase=expand")
    ports = plan_in(write_project(tmp_path, asks, env=SAYS + ENV), f"sqlite:///{tmp_path}/shop.db")
    does(tmp_path, f"from alembic import context\nif not context.is_offline_mode():\n    exec({HANGS!r})\n")

    proof, _ = plan_release(ports, step_kinds(), watches_statements=True)

    [rehearsal] = proof.evidence.rehearsals.values()
    assert not rehearsal.is_whole
    assert "its time was up: a rehearsal gives it" in " ".join(rehearsal.notes)
    demand_free(ports)


def test_the_interpreter_ends_with_the_world_of_the_plan(tmp_path: Path):
    ports = project(tmp_path)
    apply_next(ports, "b2")
    assert len(warm(tmp_path)) == 1

    del ports

    assert warm(tmp_path) == []


def test_an_env_that_exits_tells_its_code_and_the_next_revision_runs(tmp_path: Path):
    ports = project(tmp_path, "os._exit(7)")

    with pytest.raises(StepFailed, match="exit code 7"):
        apply_next(ports, "b2")

    demand_free(ports)
    does(tmp_path, TELLS)
    apply_next(ports, "b2")
    assert [each[0] for each in told(tmp_path)] == ["_alembic_warm.py"]


def test_what_env_py_leaves_for_the_end_of_its_process_is_done(tmp_path: Path):
    ports = project(tmp_path, "import atexit\natexit.register((HERE / 'at-exit').touch)\n")

    apply_next(ports, "b2")

    assert (tmp_path / "at-exit").exists()


def test_a_child_that_stays_is_ended_with_its_revision(tmp_path: Path):
    stays = f"import subprocess\nsubprocess.Popen([sys.executable, '-c', {STAYS.format(folder=tmp_path)!r}])"
    ports = project(tmp_path, stays)

    apply_next(ports, "b2")

    until(lambda: not [each for each in processes_of(tmp_path).values() if "time.sleep" in each])
    demand_free(ports, 30)
    apply_next(ports, "c3")


def test_a_fork_that_hangs_is_ended_at_the_deadline(tmp_path: Path):
    ports = project(tmp_path, HANGS)
    give_time(ports, timedelta(seconds=8))

    with pytest.raises(StepFailed, match=r"its time was up.*Nothing of it was sent"):
        apply_next(ports, "b2")

    assert len(warm(tmp_path)) == 1
    demand_free(ports)
    does(tmp_path, "")
    give_time(ports, timedelta(minutes=5))
    apply_next(ports, "b2")


def test_while_a_fork_lives_whose_supervisor_died_no_other_one_starts(tmp_path: Path):
    dies = "(HERE / 'pid').write_text(str(os.getpid()))\nos.kill(os.getppid(), 9)\n"
    ports = project(tmp_path, dies + HANGS)

    with pytest.raises(InDoubt, match="nobody knows how it ended"):
        apply_next(ports, "b2")

    does(tmp_path, "")
    with pytest.raises(Waiting) as waiting:
        apply_next(ports, "b2")
    assert waiting.value.code == "program-running"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    demand_free(ports, 30)
    apply_next(ports, "b2")


def test_a_killed_coordinator_takes_the_fork_and_the_interpreter_with_it(tmp_path: Path):
    ports = project(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", COORDINATOR, str(tmp_path), HANGS]

    with subprocess.Popen(command, env=environment) as process:
        try:
            until((tmp_path / "at-work").exists, seconds=60)
            assert len(warm(tmp_path)) == 3  # the interpreter, a supervisor and the program
        finally:
            process.kill()

    until(lambda: not processes_of(tmp_path))
    demand_free(ports)
    does(tmp_path, "")
    assert heads(ports) == {"b2"}
    apply_next(ports, "c3")


def test_an_interpreter_that_was_killed_in_between_is_replaced(tmp_path: Path):
    ports = project(tmp_path, TELLS)
    apply_next(ports, "b2")
    [first] = warm(tmp_path)

    os.kill(first, signal.SIGKILL)
    apply_next(ports, "c3")
    apply_next(ports, "d4")

    assert [each[0] for each in told(tmp_path)] == [
        "_alembic_warm.py",
        "_alembic_child.py",
        "_alembic_warm.py",
    ]


def test_a_fork_is_heard_to_its_end_when_the_interpreter_is_killed_meanwhile(tmp_path: Path):
    kills = """
import signal
supervisor = os.getppid()
stat = Path(f"/proc/{supervisor}/stat").read_text()
os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
"""
    ports = project(tmp_path, kills)

    apply_next(ports, "b2")

    assert heads(ports) == {"b2"}
    demand_free(ports)
    apply_next(ports, "c3")


SITE = {
    "lacks what a fork needs": "import socket\ndel socket.recv_fds\n",
    "has a thread": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n",
    "ends at once": "import sys\nif '_alembic_warm' in str(sys.orig_argv):\n    sys.exit(3)\n",
}


@pytest.mark.parametrize("code", SITE.values(), ids=SITE)
def test_with_an_interpreter_that_cannot_be_forked_each_revision_has_one_of_its_own(
    code: str, tmp_path: Path
):
    ports = project(tmp_path, TELLS, more=python_with(tmp_path, code))

    apply_next(ports, "b2")
    apply_next(ports, "c3")

    assert [each[0] for each in told(tmp_path)] == ["_alembic_child.py"] * 2


def test_an_interpreter_that_comes_too_late_does_not_run_what_another_one_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(warm_interpreter, "_PATIENCE", 0.5)
    late = f"""
import os, sys, time
if '_alembic_warm' in str(sys.orig_argv):
    end = time.monotonic() + 240
    while not os.path.exists({str(tmp_path / "go")!r}) and time.monotonic() < end:
        time.sleep(0.02)
    fork = os.fork
    def tells():
        open({str(tmp_path / "forked")!r}, "w").close()
        return fork()
    os.fork = tells
"""
    ports = project(tmp_path, TELLS, more=python_with(tmp_path, late, start=""))

    apply_next(ports, "b2")

    assert (
        warm(tmp_path) != []
    )  # what was started is a shell; the interpreter itself is not reached by a kill
    (tmp_path / "go").touch()
    until(lambda: warm(tmp_path) == [])
    assert [each[0] for each in told(tmp_path)] == ["_alembic_child.py"]
    assert not (tmp_path / "forked").exists(), "a fork that is killed in time would tell nothing either"


@pytest.mark.parametrize("which", [1, 2])
def test_a_fork_that_cannot_be_had_is_a_program_that_was_not_started(which: int, tmp_path: Path):
    code = f"""
import os
left, fork = [None] * {which}, os.fork
def limited():
    left.pop()
    if left:
        return fork()
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = limited
"""
    ports = project(tmp_path, more=python_with(tmp_path, code))

    with pytest.raises(StepFailed, match="could not be started: Resource temporarily") as failed:
        apply_next(ports, "b2")

    assert failed.value.code == "program-not-started"
    demand_free(ports)
    assert heads(ports) == {"a1"}


def python_with(folder: Path, code: str, start: str = "exec ") -> str:
    """Return the plan's word for an interpreter that runs some code when it starts."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(code)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexport PYTHONPATH={folder}/site\n{start}{sys.executable} "$@"\nexit $?\n')
    python.chmod(0o755)
    return "python: ./python"
