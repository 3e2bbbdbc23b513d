"""What every lease promises: a process's (ports.Lease), and a release's in each engine (leases.py)."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.mariadb import ADAPTER, ENGINE

from coordinator import leases
from coordinator.adapters.databases import postgresql, sqlite
from coordinator.adapters.leases.file import FileLease
from coordinator.errors import StepFailed, Waiting
from coordinator.leases import Claim
from coordinator.ports.databases import Session
from coordinator.secret import Secret

MINE = Claim("mine", "shop-1.5")
THEIRS = Claim("theirs", "it's 1.6\\")
ON_MYSQL = {ENGINE.value: ADAPTER}
HOLD = """
import sys
from pathlib import Path
from coordinator.adapters.leases.file import FileLease
with FileLease(Path(sys.argv[1])).held("plan", holder="pid 7 on ship"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_lease_that_cannot_be_written_is_told_as_a_journal_that_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "occupied").write_text("no folder")
    lease = FileLease(tmp_path / "occupied")
    with pytest.raises(StepFailed, match="File exists") as refused, lease.held("plan", holder="me"):
        pytest.fail("nobody holds it")
    with pytest.raises(StepFailed, match="Not a directory"):
        lease.holder_of("plan")
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StepFailed, match="No space left"), FileLease(tmp_path).held("plan", holder="me"):
        pytest.fail("nobody holds it")

    assert refused.value.code == "journal-unusable"


def test_a_process_lease_is_held_once_and_names_its_holder(tmp_path: Path) -> None:
    with FileLease(tmp_path).held("plan", holder="pid 7 on ship"):
        with (
            pytest.raises(Waiting, match="pid 7 on ship") as refused,
            FileLease(tmp_path).held("plan", holder="me"),
        ):
            pass
        with FileLease(tmp_path).held("other", holder="me"):
            pass

    assert refused.value.code == "lease-held"
    with FileLease(tmp_path).held("plan", holder="me"):
        pass


def test_a_process_lease_ends_with_its_process_however_that_dies(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Waiting), FileLease(tmp_path).held("plan", holder="me"):
            pass
        holder.kill()
        holder.wait()

    with FileLease(tmp_path).held("plan", holder="me"):
        pass


@pytest.fixture(
    params=["sqlite", "postgresql", *(pytest.param(each, marks=pytest.mark.mariadb) for each in ON_MYSQL)]
)
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    if request.param == "sqlite":
        database = sqlite.connect(Secret(f"sqlite://{tmp_path}/a.db"), lock_timeout=timedelta(seconds=5))
    elif request.param in ON_MYSQL:
        url = request.getfixturevalue("mariadb_url")
        database = ON_MYSQL[request.param].connect(Secret(url), lock_timeout=timedelta(seconds=5))
    else:
        url = request.getfixturevalue("database_url")
        database = postgresql.connect(Secret(url), lock_timeout=timedelta(seconds=5))
    with ExitStack() as opened:
        yield opened.enter_context(database.session(label="test"))


def test_a_release_holds_its_lease_until_it_gives_it_back(session: Session) -> None:
    assert not leases.is_held(session, MINE)
    leases.acquire(session, MINE, supersede=False)
    leases.acquire(session, MINE, supersede=False)

    assert leases.is_held(session, MINE)
    leases.release(session, MINE)
    assert not leases.is_held(session, MINE)
    leases.release(session, MINE)


def test_another_release_is_turned_away_and_told_who_holds_it(session: Session) -> None:
    leases.acquire(session, THEIRS, supersede=False)

    with pytest.raises(Waiting, match=r"it's 1\.6") as refused:
        leases.acquire(session, MINE, supersede=False)

    assert refused.value.code == "release-under-way"
    leases.release(session, MINE)
    assert leases.is_held(session, THEIRS)


def test_a_release_that_supersedes_takes_the_lease_over(session: Session) -> None:
    leases.acquire(session, THEIRS, supersede=False)

    leases.acquire(session, MINE, supersede=True)

    assert leases.is_held(session, MINE)
    assert not leases.is_held(session, THEIRS)
