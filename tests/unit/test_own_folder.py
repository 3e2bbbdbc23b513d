"""A folder of our own is gone when we are, and nobody's before."""

from __future__ import annotations

import errno
import fcntl
import tempfile
from pathlib import Path

import pytest

from coordinator.adapters.own_folder import own_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_one_that_nobody_holds_is_removed_and_one_that_somebody_uses_is_not(temporary: Path):
    abandoned, other = temporary / "ours-left", temporary / "theirs-left"
    abandoned.mkdir()
    other.mkdir()
    (abandoned / "file").touch()

    with own_folder("ours-") as first, own_folder("ours-") as second:
        assert set(temporary.iterdir()) == {first, second, other}
        assert first.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == [other]


def test_no_link_is_followed(temporary: Path):
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / "file").touch()
    (temporary / "ours-link").symlink_to(temporary / "elsewhere")
    with own_folder("ours-"):
        assert (temporary / "elsewhere" / "file").exists()


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_it_is_had_where_folders_cannot_be_locked_as_on_nfs(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    tries: list[int] = []

    def refuses(file: int, operation: int) -> None:
        tries.append(file)
        assert len(tries) < 9, "it goes on and on"
        raise OSError(number, "no lock")

    monkeypatch.setattr(fcntl, "flock", refuses)
    (temporary / "ours-left").mkdir()

    with own_folder("ours-") as folder:
        assert folder.is_dir()
        assert (temporary / "ours-left").exists(), "somebody may use it"
    assert not folder.exists()
