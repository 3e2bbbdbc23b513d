"""The working tree: files as they are on the disk now, also those that git does not know yet."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from coordinator.adapters.trees import MAX_FILE_BYTES, joined, outside, steps_from, too_large
from coordinator.errors import Usage


class FolderTree:
    """The files of a folder; its repository is the nearest folder above it with a `.git`, else itself."""

    label = "the working tree"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        here = folder.resolve()
        self._root = next((each for each in (here, *here.parents) if (each / ".git").exists()), here)
        self._base = here.relative_to(self._root).parts

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None if there is no such file."""
        file = self._located(path)
        try:
            if not stat.S_ISREG(file.stat().st_mode):
                return None
            with file.open("rb") as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        if len(content) > MAX_FILE_BYTES:
            raise too_large(path)
        return content

    def files(self, folder: str) -> tuple[str, ...]:
        """Return every file below a folder, sorted; what git keeps for itself is none."""
        start = self._located(folder)
        found: list[str] = []
        for parent, folders, names in os.walk(start, onerror=_refuse):
            folders[:] = [each for each in folders if each != ".git"]
            below = Path(parent).relative_to(start).as_posix()
            found.extend(joined(folder, joined(below, name)) for name in names if name != ".git")
        return tuple(sorted(each for each in found if self._is_file(each)))

    def place(self, path: str) -> str:
        """Return the file's path from the command's working folder."""
        return os.path.normpath(self._folder / path)

    def _located(self, path: str) -> Path:
        file = self._root.joinpath(*steps_from(self._base, path))
        if not _target_of(file).is_relative_to(self._root):
            raise outside(path)
        return file

    def _is_file(self, path: str) -> bool:
        """Tell whether `read` has a content for it: a link may lead nowhere, or out of the repository."""
        file = _target_of(self._root.joinpath(*steps_from(self._base, path)))
        return file.is_relative_to(self._root) and file.is_file()


def _target_of(file: Path) -> Path:
    return Path(os.path.realpath(file))  # Path.resolve raises where links lead in a circle


def _refuse(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise _unreadable(str(error.filename), error) from error


def _unreadable(path: str, error: OSError) -> Usage:
    return Usage(
        "file-unreadable",
        f"`{path}` cannot be read: {error.strerror}.",
        next_step="Check the owner and the permissions of the file and of its folders.",
    )
