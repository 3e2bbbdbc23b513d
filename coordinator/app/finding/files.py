"""The files of a repository that are worth a look: bounded in depth and number, and never through a link."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from coordinator.errors import Usage

MAX_FILES = 50_000
_MAX_DEPTH = 10
_HEAD_BYTES = 1 << 16
_SKIPPED = frozenset(
    {"node_modules", "vendor", "third_party", "venv", "__pycache__", "build", "dist", "target", "testdata"}
)
"""Other people's code, what tools wrote, and what tests read."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file; `path` is relative to the folder that was looked through."""

    path: PurePosixPath
    _on_disk: Path

    def head(self, limit: int = _HEAD_BYTES) -> bytes:
        """Return how the file begins; nothing if it cannot be read, for then it says nothing."""
        try:
            with self._on_disk.open("rb") as stream:
                return stream.read(limit)
        except OSError:
            return b""


def list_files(folder: Path) -> tuple[tuple[File, ...], bool]:
    """Return the files below a folder, sorted, and whether these are all.

    Raises: Usage `file-unreadable` where the folder itself cannot be listed.
    """
    found: list[File] = []
    for parent, folders, names in os.walk(folder, onerror=_refuse_top(folder)):
        below = PurePosixPath(Path(parent).relative_to(folder).as_posix())
        is_deepest = len(below.parts) >= _MAX_DEPTH
        folders[:] = [] if is_deepest else sorted(each for each in folders if _is_ours(each))
        for name in sorted(names):
            if len(found) == MAX_FILES:
                return tuple(found), False
            on_disk = Path(parent, name)
            if _is_printable(name) and on_disk.is_file() and not on_disk.is_symlink():
                found.append(File(below / name, on_disk))
    return tuple(found), True


def _is_ours(folder: str) -> bool:
    return folder not in _SKIPPED and not folder.startswith(".") and _is_printable(folder)


def _is_printable(name: str) -> bool:
    """Tell whether a plan can hold the name: bytes that are no UTF-8 and control characters it cannot."""
    return name.isprintable()


def _refuse_top(folder: Path) -> Callable[[OSError], None]:
    def refuse(error: OSError) -> None:
        if Path(str(error.filename)) == folder:
            raise Usage(
                "file-unreadable",
                f"The folder {folder} cannot be read: {error.strerror}.",
                next_step="Check the path, its owner and its permissions.",
            ) from error

    return refuse
