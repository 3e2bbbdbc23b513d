"""Whatever a killed rehearsal leaves is removed by the next one: servers, folders, the team's databases.

The killed command is a real process, and SIGKILL comes at once, when it is ready, or at some instant of its
start; the next command is this process.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from coordinator.adapters.rehearsals.postgresql import REHEARSAL
from coordinator.errors import Usage
from coordinator.secret import Secret

_PROGRAM = Path(__file__).parents[1] / "fixtures" / "rehearsing.py"


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Iterator[Path]:
    """Yield a folder for this test's scratch servers; its path is short, as a socket's must be.

    pytest makes its own folder before: it asks for the temporary one as well.
    """
    with tempfile.TemporaryDirectory(prefix="ct-") as folder:  # not tmp_path: its path is long
        path = Path(folder)
        path.chmod(0o711)
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield path


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """Return a cache folder without a template."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@contextmanager
def rehearsing(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command that rehearses; it is killed at the end."""
    command = subprocess.Popen(
        [sys.executable, _PROGRAM, "postgresql", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield command
    finally:
        command.kill()
        command.communicate()


def rehearse(url: str | None = None) -> None:
    """Do what the next command does."""
    with (
        REHEARSAL.server(url=Secret(url) if url else None, live_version=None) as server,
        server.database() as database,
    ):
        assert database.prepare(["SELECT 1"])


def servers_in(folder: Path) -> list[int]:
    """Return the processes whose argv or folder lies below `folder`."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            argv = (each / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in argv and b"postgres" in argv:
            found.append(int(each.name))
    return found


def test_next_command_ends_the_server_of_a_killed_one(temporary):
    with rehearsing() as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"ready\n"
        command.send_signal(signal.SIGKILL)
        command.wait()
    left = list(temporary.iterdir())

    rehearse()

    assert len(left) == 1
    assert list(temporary.iterdir()) == []
    assert servers_in(temporary) == []


@pytest.mark.parametrize("appeared", ["lock", "data", "data/PG_VERSION", "data/postmaster.pid"])
def test_next_command_removes_what_a_kill_left_half_made(temporary, own_cache, appeared):
    with rehearsing() as command:
        while not list(temporary.glob(f"*/{appeared}")):
            assert command.poll() is None
            time.sleep(0.001)
        command.send_signal(signal.SIGKILL)
        command.wait()

    rehearse()

    assert list(temporary.iterdir()) == []
    assert servers_in(temporary) == []


def test_a_server_starts_from_what_initdb_made_before(temporary, own_cache):
    rehearse()
    [template] = own_cache.glob("coordinator/postgresql/*-*")
    made = template.stat().st_mtime_ns

    rehearse()

    assert template.stat().st_mtime_ns == made
    assert not (template / "postmaster.pid").exists()


def test_a_spoilt_template_and_half_of_one_are_replaced(temporary, own_cache):
    rehearse()
    [template] = own_cache.glob("coordinator/postgresql/*-*")
    (template / "global" / "pg_control").write_bytes(b"")
    (template.parent / "draft-1").mkdir()

    rehearse()

    assert (template / "global" / "pg_control").read_bytes()
    assert not (template.parent / "draft-1").exists()


def test_a_cache_that_cannot_be_written_is_done_without(temporary, own_cache):
    (own_cache / "coordinator").write_text("no folder")

    rehearse()

    assert list(temporary.iterdir()) == []


def test_scratch_folder_is_private_and_gone_afterwards(temporary):
    with REHEARSAL.server(url=None, live_version=None):
        [folder] = temporary.iterdir()
        mode = folder.stat().st_mode & 0o777

    assert mode == 0o700
    assert list(temporary.iterdir()) == []


def test_two_rehearsals_at_a_time_leave_each_other_alone(temporary):
    with rehearsing() as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"ready\n"

        rehearse()

        assert len(list(temporary.iterdir())) == 1
        command.communicate()
        assert command.returncode == 0
    assert list(temporary.iterdir()) == []


def test_many_threads_may_rehearse_at_a_time(temporary):
    barrier = Barrier(3)
    done: list[str] = []

    def run() -> None:
        barrier.wait()
        rehearse()
        done.append("done")

    threads = [Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert done == ["done"] * 3
    assert list(temporary.iterdir()) == []


# -- the team's server ------------------------------------------------------------------------------------


def scratch_databases(postgres: str) -> set[str]:
    """Return the names of the scratch databases on a server."""
    with psycopg.connect(postgres) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'coordinator_rehearsal_%'"
        )
        return {str(name) for [name] in rows}


def test_databases_of_a_killed_command_are_dropped_from_the_teams_server(postgres):
    with rehearsing(postgres) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"ready\n"
        left = scratch_databases(postgres)
        command.send_signal(signal.SIGKILL)
        command.wait()
    _wait_until_alone(postgres, left)

    rehearse(postgres)

    assert left
    assert not left & scratch_databases(postgres)


def test_databases_of_a_running_command_stay_on_the_teams_server(postgres, new_database):
    with rehearsing(postgres) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"ready\n"
        theirs = scratch_databases(postgres)

        rehearse(new_database())  # another database of the same server: locks belong to databases

        assert theirs
        assert theirs <= scratch_databases(postgres)
        command.communicate()
    assert not theirs & scratch_databases(postgres)


def test_refuses_a_server_where_it_may_not_make_databases(postgres, new_database: Callable[[], str]):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE ROLE cannot_create LOGIN")
        try:
            with pytest.raises(Usage) as caught:
                rehearse(make_conninfo(postgres, user="cannot_create"))
        finally:
            connection.execute("DROP ROLE cannot_create")

    assert caught.value.code == "rehearsal-server-unfit"
    assert "cannot_create" in str(caught.value)


def _wait_until_alone(postgres: str, databases: set[str]) -> None:
    """Wait until the server has noticed that a client is gone."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        while connection.execute(
            "SELECT FROM pg_stat_activity WHERE application_name = 'coordinator rehearsal'"
            " AND (datname = ANY(%s) OR query LIKE '%%advisory%%')",
            [sorted(databases)],
        ).fetchall():
            time.sleep(0.01)
