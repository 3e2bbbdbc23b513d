"""Revisions that share a process: each is committed by itself, and none finds what another one left there.

A release begins with a group of one, in a process that does not stay. On PostgreSQL one of two follows, and
one of four.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from fixtures.alembic_project import ENV, SHOP, heads, plan_in, revision, rows, write_project
from fixtures.audience import Audience
from fixtures.code_release import release
from fixtures.local import until

from coordinator.adapters.runners import _alembic_process
from coordinator.app.connected import ConnectedPorts
from coordinator.engine import ahead
from coordinator.errors import ExitCode
from coordinator.journal.events import Outcome

EXPAND = "coordinator: phase=expand"
NAMES = tuple(f"r{number}" for number in range(1, 8))
TELLS = """
import os
from pathlib import Path
HERE = Path(__file__).resolve().parents[1]
def tell(step, **_):
    with (HERE / "told").open("a") as told:
        told.write(f"{os.getpid()} {step.up_revision_id}" + chr(10))
"""
"""Says which process applied which revision."""
TELLING = TELLS + ENV.replace(
    "connection=connection, target_metadata", "connection=connection, on_version_apply=tell, target_metadata"
)
WAITS = """
import time
if "r7" in (HERE / "told").read_text() and (HERE / "wait").exists():
    (HERE / "at-work").touch()
    time.sleep(600)
"""
"""What env.py does when all of its revisions are applied."""
COUNTS = """
op.execute("CREATE TABLE c (x int DEFAULT nextval('runs'))")
op.execute("INSERT INTO c DEFAULT VALUES")
op.execute("DROP TABLE missing")
"""
"""Fails, and a number that a sequence gave is not taken back: it counts how often the revision ran."""
PATIENT = """
from datetime import timedelta
from coordinator.__main__ import main
from coordinator.engine import ahead
ahead._QUICK = timedelta(minutes=1)
main()
"""
"""A coordinator whose groups grow however slow the machine is."""
COMMAND = (sys.executable, "-c", PATIENT, "run", "plan.yaml", "--accept-unproven")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_QUICK", timedelta(minutes=1))


def sends(sql: str) -> str:
    return f'op.execute("{sql}")'


def project(folder: Path, url: str, *, env: str = TELLING, locks: str = "", **ups: str) -> ConnectedPorts:
    """Return the world of seven revisions, r1 to r7, of which each makes a table, or does what is said."""
    files: dict[str, str] = {}
    for name, before in zip(NAMES, ("", *NAMES), strict=False):
        up = ups.get(name, sends(f"CREATE TABLE t_{name} (id integer PRIMARY KEY)"))
        files |= revision(name, *filter(None, [before]), up=up, said=EXPAND)
    return plan_in(write_project(folder, files, env=env), url, locks=locks)


def processes(folder: Path) -> list[list[str]]:
    """Return the revisions of each process."""
    found: dict[str, list[str]] = {}
    for line in (folder / "told").read_text().splitlines():
        process, name = line.split()
        found.setdefault(process, []).append(name)
    return list(found.values())


def entries(ports: ConnectedPorts) -> list[object]:
    return [version for [version] in rows(ports, "SELECT version FROM coordinator_applied ORDER BY 1")]


def demand_free(ports: ConnectedPorts) -> None:
    """Raise where a process is still there."""
    runner = ports.runner(SHOP)
    assert runner is not None
    runner.demand_gone(timedelta(0))


def run_and_kill(folder: Path, url: str, *, when: Callable[[], bool]) -> None:
    with subprocess.Popen(COMMAND, cwd=folder, env=environment(url), stdout=-3, stderr=-3) as process:
        try:
            until(when, seconds=120)
        finally:
            process.send_signal(signal.SIGKILL)


def run_again(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND, cwd=folder, env=environment(url), capture_output=True, text=True, timeout=200, check=False
    )


def environment(url: str) -> Mapping[str, str]:
    return {**os.environ, "SHOP_URL": url}


def test_those_that_follow_each_other_share_a_process_and_are_committed_one_by_one(
    database_url: str, tmp_path: Path
):
    ports = project(tmp_path, database_url)

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    assert processes(tmp_path) == [["r1"], [*NAMES[1:]]]
    assert (heads(ports), entries(ports)) == ({"r7"}, list(NAMES))
    transactions = rows(
        ports, "SELECT DISTINCT xmin::text FROM pg_class WHERE relname LIKE 't!_r_' ESCAPE '!'"
    )
    assert len(transactions) == len(NAMES)


def test_on_sqlite_each_is_a_step_of_its_own_in_a_process_that_stays(tmp_path: Path):
    rebuilt = """
with op.batch_alter_table("t_r1") as table:
    table.add_column(sa.Column("name", sa.Text, server_default="none"))
    table.alter_column("id", new_column_name="key")
"""
    ports = project(
        tmp_path, f"sqlite:///{tmp_path}/shop.db", r4=rebuilt, r5=sends("PRAGMA foreign_keys = 1")
    )

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    assert processes(tmp_path) == [["r1"], ["r2", "r3", "r4", "r5"], ["r6", "r7"]]
    assert (heads(ports), entries(ports)) == ({"r7"}, list(NAMES))
    demand_free(ports)


@pytest.mark.mariadb
def test_on_mariadb_each_is_a_step_of_its_own_in_a_process_that_stays(mariadb_url: str, tmp_path: Path):
    asks = "sa.inspect(op.get_bind()).get_table_names()\n" + sends("ALTER TABLE t_r1 ADD name text")
    ports = project(tmp_path, mariadb_url, r4=asks, r5=sends("SET sql_mode = ''"))

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    assert processes(tmp_path) == [["r1"], ["r2", "r3", "r4", "r5"], ["r6", "r7"]]
    assert (heads(ports), entries(ports)) == ({"r7"}, list(NAMES))
    demand_free(ports)


@pytest.mark.parametrize(
    "behind",
    [
        'with connectable.connect() as more:\n    more.execute(sa.text("SELECT 1"))\n',
        "run_migrations_online()\n",
    ],
)
def test_no_process_stays_where_env_py_goes_on_behind_its_migrations(behind: str, tmp_path: Path):
    made = TELLING.replace("    connectable = ", "    global connectable\n    connectable = ")
    env = f"{made}\nimport sqlalchemy as sa\n{behind}"
    ports = project(tmp_path, f"sqlite:///{tmp_path}/shop.db", env=env)

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    assert processes(tmp_path) == [[name] for name in NAMES]


def test_no_process_stays_any_more_once_env_py_runs_its_migrations_twice(tmp_path: Path):
    again = '\nif (HERE / "told").exists() and len((HERE / "told").read_text().split()) > 2:\n'
    env = f"{TELLING}{again}    run_migrations_online()\n"
    ports = project(tmp_path, f"sqlite:///{tmp_path}/shop.db", env=env, r3=sends("PRAGMA user_version = 3"))
    audience = Audience()

    assert release(ports, audience).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    assert processes(tmp_path) == [["r1"], ["r2", "r3"], *([name] for name in NAMES[3:])]
    assert any("runs the migrations 2 times" in each for each in audience.notes)


def test_nothing_is_asked_of_a_process_that_has_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_alembic_process, "_LONGEST_WAIT", 0.0)
    ports = project(tmp_path, f"sqlite:///{tmp_path}/shop.db")

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    assert processes(tmp_path) == [[name] for name in NAMES]


def test_a_file_that_is_edited_while_its_process_waits_is_refused(tmp_path: Path):
    edits = (
        "\nif step.up_revision_id == 'r3':\n    [(HERE / 'migrations/versions/r4.py').open('a').write('#')]"
    )
    env = TELLING.replace(
        "def tell(step, **_):\n", "def tell(step, **_):" + edits.replace("\n", "\n    ") + "\n"
    )
    ports = project(tmp_path, f"sqlite:///{tmp_path}/shop.db", env=env)
    audience = Audience()

    assert release(ports, audience).exit_code(wanted=Outcome.RELEASED) is ExitCode.FAILED

    assert "was changed while the command ran" in audience.failed[0].reason
    assert processes(tmp_path) == [["r1"], ["r2", "r3"]]


def test_behind_a_refused_one_nothing_has_happened_and_it_is_tried_once_more_alone(
    database_url: str, tmp_path: Path
):
    ports = project(tmp_path, database_url, r2=sends("CREATE SEQUENCE runs"), r6=COUNTS)
    audience = Audience()

    assert release(ports, audience).exit_code(wanted=Outcome.RELEASED) is ExitCode.FAILED

    [failed] = audience.failed
    assert "missing" in failed.reason
    assert (heads(ports), entries(ports)) == ({"r5"}, list(NAMES[:5]))
    assert rows(ports, "SELECT last_value FROM runs") == [(2,)]
    assert rows(ports, "SELECT to_regclass('c'), to_regclass('t_r7')") == [(None, None)]


@pytest.mark.parametrize(
    "leaves",
    [
        "SET work_mem = '64kB'",
        "SELECT set_config('work_mem', '64kB', false)",
        "CREATE TABLE x (id int); SET work_mem = '64kB'",
    ],
)
def test_what_one_leaves_in_the_session_the_next_one_does_not_find(
    leaves: str, database_url: str, tmp_path: Path
):
    sees = sends("CREATE TABLE seen AS SELECT current_setting('work_mem') AS it")
    ports = project(tmp_path, database_url, r5=sends(leaves), r6=sees)

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    assert processes(tmp_path) == [["r1"], ["r2", "r3", "r4", "r5"], ["r6", "r7"]]
    assert rows(ports, "SELECT it = current_setting('work_mem') FROM seen") == [(True,)]


def test_where_env_py_has_one_transaction_for_all_each_has_a_process(database_url: str, tmp_path: Path):
    ports = project(
        tmp_path, database_url, env=TELLING.replace("connectable.connect()", "connectable.begin()")
    )

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    assert processes(tmp_path) == [[name] for name in NAMES]
    assert heads(ports) == {"r7"}


def test_branches_are_applied_in_the_order_of_the_plan(database_url: str, tmp_path: Path):
    line = {
        "a1": (),
        "b2": ("a1",),
        "b3": ("b2",),
        "b4": ("b3",),
        "c2": ("a1",),
        "c3": ("c2",),
        "c4": ("c3",),
    }
    files: dict[str, str] = {}
    for name, after in line.items():
        files |= revision(name, *after, up=sends(f"CREATE TABLE {name} (x int)"), said=EXPAND)
    ports = plan_in(write_project(tmp_path, files, env=TELLING), database_url)
    order = [str(each.version) for each in ports.migrations(SHOP)]

    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE

    assert [name for process in processes(tmp_path) for name in process] == order
    assert heads(ports) == {"b4", "c4"}


def test_a_busy_table_stops_only_the_one_that_needs_it(database_url: str, tmp_path: Path):
    locks = "locks: {try: 20ms, budget: 40ms}"
    ports = project(tmp_path, database_url, locks=locks, r6=sends("ALTER TABLE busy ADD x int"))
    with psycopg.connect(database_url) as other:
        other.execute("CREATE TABLE busy (id int)")
        other.commit()
        other.execute("LOCK TABLE busy IN ACCESS SHARE MODE")

        ended = release(ports)

    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.WAITING
    assert heads(ports) == {"r5"}
    assert release(ports).exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE
    assert heads(ports) == {"r7"}


def test_after_a_kill_behind_the_last_of_them_all_are_known_to_be_done(database_url: str, tmp_path: Path):
    ports = project(tmp_path, database_url, env=TELLING + WAITS)
    (tmp_path / "wait").touch()
    run_and_kill(tmp_path, database_url, when=(tmp_path / "at-work").exists)
    (tmp_path / "wait").unlink()

    again = run_again(tmp_path, database_url)

    assert again.returncode == 0, again.stdout + again.stderr
    assert processes(tmp_path)[-1] == [*NAMES[1:]]
    assert heads(ports) == {"r7"}


def test_after_a_kill_between_two_of_them_the_rest_is_done(database_url: str, tmp_path: Path):
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(f"ALTER DATABASE {other.info.dbname} SET shop.pause = 600")
    slow = sends("CREATE TABLE t_r6 AS SELECT 6 AS id FROM pg_sleep(current_setting('shop.pause')::float)")
    ports = project(tmp_path, database_url, r6=slow)
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE TABLE t_r6 %'"
    run_and_kill(tmp_path, database_url, when=lambda: rows(ports, sleeping) == [(1,)])
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(f"ALTER DATABASE {other.info.dbname} SET shop.pause = 0")
    until(lambda: rows(ports, sleeping) == [(0,)])
    assert heads(ports) == {"r5"}

    again = run_again(tmp_path, database_url)

    assert again.returncode == 0, again.stdout + again.stderr
    assert (heads(ports), entries(ports)[-2:]) == ({"r7"}, ["r6", "r7"])
