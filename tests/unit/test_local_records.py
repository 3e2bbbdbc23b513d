"""The state folder: locks that survive its deletion, records that are whole, ports that are free."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.adapters.platforms._local import durable
from coordinator.adapters.platforms._local.addresses import free_port
from coordinator.adapters.platforms._local.processes import birth_of
from coordinator.adapters.platforms._local.records import Deployment, SideRecord, StateFolder
from coordinator.errors import StepFailed

RECORD = SideRecord(
    Deployment("1.4", ("python3", "a.py"), (("A", "", "b"), ("C", "env", "D")), "/ready"),
    port=20000,
    log_from=7,
)


def test_a_lock_has_one_holder(tmp_path: Path):
    folder = StateFolder(tmp_path / "state")

    with folder.lock("lock", seconds=0), pytest.raises(TimeoutError), folder.lock("lock", seconds=0):
        pass
    with folder.lock("lock", seconds=0) as again:
        assert again >= 10


def test_a_lock_of_a_folder_that_was_deleted_meanwhile_does_not_count(tmp_path: Path, monkeypatch):
    folder = StateFolder(tmp_path / "state")
    flock = fcntl.flock

    def delete_the_folder_first(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        shutil.rmtree(folder.path)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", delete_the_folder_first)

    with folder.lock("lock", seconds=30) as held:
        assert os.path.samestat(os.fstat(held), (folder.path / "lock").stat())


def test_a_side_is_read_as_it_was_written(tmp_path: Path):
    folder = StateFolder(tmp_path)

    folder.write_side("blue", RECORD)

    assert folder.side("blue") == RECORD
    assert folder.side("green") is None


def test_a_state_folder_that_cannot_be_used_is_told_and_is_no_bug(tmp_path: Path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "occupied").write_text("no folder")
    occupied = StateFolder(tmp_path / "occupied")
    with pytest.raises(StepFailed, match="Not a directory") as unread:
        occupied.side("blue")
    with pytest.raises(StepFailed, match="File exists"), occupied.lock("lock", seconds=0):
        pytest.fail("nobody holds it")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StepFailed, match="No space left"):
        StateFolder(tmp_path).write_side("blue", RECORD)

    assert unread.value.code == "local-unusable"
    assert str(occupied.side_file("blue")) in str(unread.value)


def test_a_write_that_fails_leaves_the_old_text(tmp_path: Path):
    file = tmp_path / "a.json"
    durable.write(file, {"old": True})

    with pytest.raises(TypeError):
        durable.write(file, {"new": object()})

    assert durable.read(file) == {"old": True}


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path):
    durable.write(tmp_path / "a.json", {})

    assert (tmp_path / "a.json").stat().st_mode & 0o077 == 0


def test_a_side_is_alive_only_if_its_process_is_the_one_that_was_recorded():
    assert replace(RECORD, pid=os.getpid(), birth=birth_of(os.getpid())).is_alive
    assert not replace(RECORD, pid=os.getpid(), birth="another boot 1").is_alive
    assert not RECORD.is_alive


def test_a_free_port_is_neither_taken_nor_from_the_range_of_outgoing_connections():
    port = free_port()

    with closing(socket.create_server(("127.0.0.1", port))):
        assert free_port(besides=frozenset([port])) != port
    assert 20000 <= port < 30000
