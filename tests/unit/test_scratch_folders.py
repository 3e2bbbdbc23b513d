"""Where the folder of a scratch server is made, and that an abandoned one is found wherever it is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from coordinator.adapters.rehearsals._postgresql.own_server import KIND
from coordinator.adapters.rehearsals._scratch import folders
from coordinator.adapters.rehearsals._scratch.folders import scratch_folder


@pytest.fixture
def memory(tmp_path, monkeypatch) -> Path:
    """Return a folder that stands for the one in memory."""
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(folders, "_IN_MEMORY", memory)
    monkeypatch.setattr(folders, "_ROOM", 0)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("TMPDIR", raising=False)
    return memory


def test_is_in_memory_where_there_is_room(memory):
    with scratch_folder(KIND, None) as folder:
        assert folder.parent == memory


def test_is_where_tmpdir_says(memory, monkeypatch):
    with tempfile.TemporaryDirectory(prefix="ct-") as named:  # not tmp_path: its path is long
        monkeypatch.setenv("TMPDIR", named)
        monkeypatch.setattr(tempfile, "tempdir", None)

        with scratch_folder(KIND, None) as folder:
            assert folder.parent == Path(named).resolve()


def test_is_on_disk_where_memory_is_short(memory, monkeypatch):
    monkeypatch.setattr(folders, "_ROOM", 1 << 62)

    with scratch_folder(KIND, None) as folder:
        assert folder.parent == Path(tempfile.gettempdir()).resolve()


def test_is_on_disk_where_the_system_has_no_such_folder(memory):
    memory.rmdir()

    with scratch_folder(KIND, None) as folder:
        assert folder.parent == Path(tempfile.gettempdir()).resolve()


def test_finds_an_abandoned_one_in_memory_also_when_made_elsewhere(memory, monkeypatch):
    abandoned = memory / "coordinator-pg-left"
    abandoned.mkdir()
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())

    with scratch_folder(KIND, None):
        assert not abandoned.exists()


def test_follows_no_link_that_somebody_else_put_there(memory, tmp_path):
    target, elsewhere = tmp_path / "made", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (memory / "coordinator-pg-lock").mkdir()
    (memory / "coordinator-pg-lock" / "lock").symlink_to(target)
    (memory / "coordinator-pg-folder").symlink_to(elsewhere)

    with scratch_folder(KIND, None):
        assert not target.exists()
        assert list(elsewhere.iterdir()) == []
