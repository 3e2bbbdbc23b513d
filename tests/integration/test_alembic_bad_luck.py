"""Alembic on a bad day: what certainly sent nothing of its revision begins again, and fails no release."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fixtures.alembic_project import ENV, INI, apply_next, heads, plan_in, revision, rows, write_project
from fixtures.audience import Audience
from fixtures.code_release import release
from fixtures.crashing import crashing_server
from fixtures.late_wire import Cut, LateWire, over, to_server_of
from fixtures.local import until
from fixtures.mariadb import root_connection

from coordinator.app.connected import ConnectedPorts
from coordinator.errors import ExitCode, InDoubt
from coordinator.journal.events import Outcome

NAMES = ("r1", "r2", "r3", "r4", "r5")
WITHOUT_A_WAY = """
from pathlib import Path
CUT = Path(__file__).with_name("cut")
if CUT.exists():
    CUT.write_text(CUT.read_text()[1:])
    if not CUT.read_text():
        CUT.unlink()
    config.set_main_option("sqlalchemy.url", config.get_main_option("sqlalchemy.url").replace(WAY, NOWHERE))
"""
"""Cannot connect for as often as the file `cut` has letters."""
HOLDS = """
import time
from pathlib import Path
HERE = Path(__file__).parents[1]
is_live = "/shop" in config.get_main_option("sqlalchemy.url") and not context.is_offline_mode()
while is_live and (HERE / "hold").exists():
    (HERE / "held").touch()
    time.sleep(0.1)
"""
"""Waits before its migrations begin, at the live database, while there is a file `hold`."""
TELLS = """
import os
from pathlib import Path
with (Path(__file__).parents[1] / "told").open("a") as told:
    told.write(f"{os.getpid()}" + chr(10))
"""


def project(folder: Path, url: str, *, env: str = ENV) -> ConnectedPorts:
    """Return the world of five revisions, each of which adds its row to a table that has no key."""
    files: dict[str, str] = {}
    for number, (name, before) in enumerate(zip(NAMES, ("", *NAMES), strict=False)):
        up = "" if number else 'op.execute("CREATE TABLE seen (name text)")\n'
        up += f"op.execute(\"INSERT INTO seen VALUES ('{name}')\")"
        files |= revision(name, *filter(None, [before]), up=up, said="coordinator: phase=expand")
    return plan_in(write_project(folder, files, env=env), url)


def demand_released(ports: ConnectedPorts, audience: Audience) -> None:
    ended = release(ports, audience)
    assert (ended.exit_code(wanted=Outcome.RELEASED), audience.failed) == (ExitCode.DONE, []), audience.notes
    assert heads(ports) == {"r5"}
    assert rows(ports, "SELECT name FROM seen ORDER BY name") == [(name,) for name in NAMES]


def cannot_connect(folder: Path, url: str, *, way: str, nowhere: str) -> None:
    settings = WITHOUT_A_WAY.replace("WAY", repr(way)).replace("NOWHERE", repr(nowhere))
    env = ENV.replace("target_metadata = None", f"target_metadata = None\n{settings}")
    ports = project(folder, url, env=env)
    cut = folder / "migrations" / "cut"

    demand_released(ports, Audience(acts={"expand:shop:r1": lambda: cut.write_text("x")}))

    assert not cut.exists()


def test_a_process_that_cannot_connect_just_then_is_begun_again(database_url: str, tmp_path: Path):
    name = database_url.rpartition("/")[2].partition("?")[0]
    cannot_connect(tmp_path, database_url, way=f"/{name}", nowhere="/nowhere_at_all")


@pytest.mark.parametrize("is_of_sqlalchemy", [True, False])
def test_several_hosts_in_one_url_lead_to_the_one_that_takes_writes(
    database_url: str, tmp_path: Path, *, is_of_sqlalchemy: bool
):
    with LateWire(to_server_of(database_url), Cut.LOST, b"cut nothing", each=1) as wire:
        user, _, rest = over(wire, database_url).removeprefix("postgresql://").partition("@")
        host, _, rest = rest.partition("/")
        url = f"postgresql://{user}@127.0.0.1:1,{host}/{rest}&target_session_attrs=read-write"
        if is_of_sqlalchemy:
            several = f"host=127.0.0.1:1&host={host}&target_session_attrs=read-write"
            url = f"postgresql+psycopg://{user}@/{rest}&{several}"

        demand_released(project(tmp_path, url), Audience())


@pytest.mark.mariadb
def test_a_process_that_cannot_connect_to_mariadb_just_then_is_begun_again(mariadb_url: str, tmp_path: Path):
    name = mariadb_url.rpartition("/")[2]
    cannot_connect(tmp_path, mariadb_url, way=f"/{name}", nowhere="/nowhere_at_all")


@pytest.mark.mariadb
def test_a_process_whose_connection_was_ended_while_it_waited_is_replaced(mariadb_url: str, tmp_path: Path):
    name = mariadb_url.rpartition("/")[2]
    ended: list[int] = []

    def end() -> None:
        with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
            for [number] in cursor.fetchall():
                cursor.execute(f"KILL {number}")
                ended.append(number)

    demand_released(project(tmp_path, mariadb_url), Audience(acts={"expand:shop:r4": end}))

    assert ended


def test_a_connection_that_commits_each_statement_is_refused_where_env_does_not_say_so(
    database_url: str, tmp_path: Path
):
    """Each revision was taken to be whole: what one that failed had left was there twice in the end."""
    seen = 'op.execute("CREATE TABLE seen (name text)")'
    fails = (
        'op.execute("INSERT INTO seen VALUES (\'r2\')")\nop.execute("SELECT 1 / (count(*) - 1) FROM seen")'
    )
    said = "coordinator: phase=expand"
    files = {**revision("r1", up=seen, said=said), **revision("r2", "r1", up=fails, said=said)}
    ini = INI.replace("[loggers]", "sqlalchemy.isolation_level = AUTOCOMMIT\n[loggers]", 1)
    ports = plan_in(write_project(tmp_path, files, ini=ini), database_url)

    audience = Audience()
    refused = release(ports, audience)

    assert refused.exit_code(wanted=Outcome.RELEASED) is ExitCode.FAILED
    [failure] = audience.failed
    assert "commits each statement by itself" in failure.reason
    assert "Nothing of it was sent" in failure.reason
    assert heads(ports) == set()

    env = ENV.replace(
        "with connectable.connect() as connection:",
        'with connectable.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:',
    )
    ports = plan_in(write_project(tmp_path, files, ini=ini, env=env), database_url)
    ends = [release(ports, Audience()).exit_code(wanted=Outcome.RELEASED) for _ in range(2)]

    assert ends[1] is ExitCode.IN_DOUBT, "it failed in part, and a person is asked before it runs again"
    assert rows(ports, "SELECT name FROM seen") == [("r2",)]


@pytest.mark.parametrize("commit", ["'COMMIT'", "''.join(['COM', 'MIT'])"])
def test_what_a_revision_committed_by_a_text_of_its_own_is_not_done_again_unasked(
    database_url: str, tmp_path: Path, commit: str
):
    """The second is one that its code does not show: what the process saw counts."""
    said = "coordinator: phase=expand"
    texts = ("'INSERT INTO seen VALUES (2)'", commit, "'SELECT 1 / (count(*) - 1) FROM seen'")
    files = {
        **revision("r1", up='op.execute("CREATE TABLE seen (name int)")', said=said),
        **revision("r2", "r1", up="\n".join(f"op.execute({each})" for each in texts), said=said),
    }
    ports = plan_in(write_project(tmp_path, files), database_url)
    audience = Audience()

    first, second = (release(ports, audience).exit_code(wanted=Outcome.RELEASED) for _ in range(2))

    assert (first, second) == (ExitCode.FAILED, ExitCode.IN_DOUBT)
    assert "There for good: line 17 (INSERT INTO seen" in audience.failed[0].reason
    assert rows(ports, "SELECT name FROM seen") == [(2,)]


def test_a_server_that_was_restarted_before_a_process_reached_it_is_no_other_database(tmp_path: Path):
    env = ENV.replace("target_metadata = None", f"target_metadata = None\n{HOLDS}")
    with crashing_server() as server, ThreadPoolExecutor() as pool:
        url = server.new_database("shop")
        ports = project(tmp_path, url, env=env)
        (tmp_path / "hold").touch()

        def restart() -> None:
            until((tmp_path / "held").exists, seconds=120)
            server.restart()
            (tmp_path / "hold").unlink()

        restarted = pool.submit(restart)
        demand_released(ports, Audience())
        restarted.result()


def test_a_connection_that_is_lost_before_it_says_which_database_it_is_is_no_other_one(
    database_url: str, tmp_path: Path
):
    name = urlsplit(database_url).path
    with LateWire(to_server_of(database_url), Cut.LOST, b"pg_postmaster_start_time", each=2) as wire:
        by_wire = over(wire, database_url).replace("postgresql", "postgresql+psycopg", 1)
        goes = f'if "{name}" in config.get_main_option("sqlalchemy.url"):\n'
        goes += f'    config.set_main_option("sqlalchemy.url", {by_wire!r})\n'
        env = ENV.replace("target_metadata = None", f"target_metadata = None\n{goes}")

        demand_released(project(tmp_path, database_url, env=env), Audience())

        assert wire.cuts


def test_what_was_cut_off_at_its_commit_is_not_said_to_be_there(tmp_path: Path):
    dies = "import os\nfrom sqlalchemy import event\nfrom sqlalchemy.engine import Engine\n"
    dies += 'event.listen(Engine, "commit", lambda _: os.kill(os.getpid(), 9))\n'
    up = f"{dies}op.execute(\"INSERT INTO seen VALUES ('x')\")"
    made = revision("r1", up='op.execute("CREATE TABLE seen (name text)")')
    files = {**made, **revision("r2", "r1", up=up)}
    ports = plan_in(write_project(tmp_path, files), f"sqlite:///{tmp_path}/shop.db")
    apply_next(ports, "r1")

    with pytest.raises(InDoubt) as cut:
        apply_next(ports, "r2")

    assert "nobody saw it committed: line 21 (INSERT INTO seen" in cut.value.why
    assert rows(ports, "SELECT * FROM seen") == []


def test_a_process_that_was_killed_while_it_waited_is_replaced(tmp_path: Path):
    ports = project(tmp_path, f"sqlite:///{tmp_path}/shop.db", env=TELLS + ENV)

    def kill() -> None:
        os.kill(int((tmp_path / "told").read_text().split()[-1]), signal.SIGKILL)

    demand_released(ports, Audience(acts={"expand:shop:r4": kill}))


def test_a_process_that_cannot_be_asked_any_more_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ports = project(tmp_path, f"sqlite:///{tmp_path}/shop.db")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cleaned: list[Path] = []

    def clean() -> None:
        cleaned.extend(tmp_path.glob("coordinator-alembic-*"))
        for each in cleaned:
            shutil.rmtree(each)

    demand_released(ports, Audience(acts={"expand:shop:r4": clean}))

    assert cleaned


def test_after_a_kill_before_the_migrations_began_they_are_not_in_doubt_and_no_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    env = ENV.replace("target_metadata = None", f"target_metadata = None\n{HOLDS}")
    url = f"sqlite:///{tmp_path}/shop.db"
    ports = project(tmp_path, url, env=env)
    (tmp_path / "hold").touch()
    command = [sys.executable, "-m", "coordinator", "run", "--accept-unproven"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "SHOP_URL": url, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=-3, stderr=-3) as process:
        until((tmp_path / "held").exists, seconds=120)
        process.kill()
    (tmp_path / "hold").unlink()
    assert list(temporary.iterdir())

    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    demand_released(ports, Audience())

    assert list(temporary.iterdir()) == []
