"""A process's lease as a kernel lock on a file: it ends with the process, however that dies.

It excludes coordinators of one checkout on one machine; across machines the lease in the databases
(coordinator/leases.py), the migration tools' own locks and the platforms' compare-and-set do.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from coordinator.errors import StepFailed, Waiting

_PAUSE: Final = 0.02
_PATIENCE: Final = 10
"""Attempts: whoever asks for the holder has the lock for an instant, and must not turn a release away."""


class FileLease:
    """ports.Lease: one file a scope, with the holder's name inside for people."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def held(self, scope: str, *, holder: str) -> Iterator[None]:
        with self._usable(scope):
            self._folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self._file(scope), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _locked(file, fcntl.LOCK_EX, patience=_PATIENCE):
                raise Waiting(
                    "lease-held",
                    f"Another coordinator works on this plan: {_name_in(file)}.",
                    why="Two at once would do the same steps twice.",
                    next_step="Let it finish, or stop it with Ctrl-C where it runs; then run again.",
                )
            with self._usable(scope):
                os.ftruncate(file, 0)
                os.pwrite(file, holder.encode(), 0)
            yield
        finally:
            os.close(file)

    def holder_of(self, scope: str, *, since: datetime | None = None) -> str | None:
        """Return who holds the lease at this instant, None if nobody does.

        With `since` only who took it after that: the name is written when it is taken.
        """
        try:
            with self._usable(scope):
                file = os.open(self._file(scope), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if _locked(file, fcntl.LOCK_SH) or (since and os.fstat(file).st_mtime < since.timestamp()):
                return None
            return _name_in(file)
        finally:
            os.close(file)

    @contextmanager
    def _usable(self, scope: str) -> Iterator[None]:
        """Tell a full disk, or rights that are wrong, as the journal does; a missing file is neither."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StepFailed(
                "journal-unusable",
                f"The file {self._file(scope)}, which lets one process at a time work on a plan, cannot be"
                f" used: {error.strerror}.",
                why="The journal is beside it, without which a run could not be resumed; nothing was done.",
                next_step="Free space on the disk or mend the folder's rights, and run again.",
            ) from error

    def _file(self, scope: str) -> Path:
        return self._folder / f"{scope}.lease"


def _locked(file: int, kind: int, *, patience: int = 1) -> bool:
    for _ in range(patience):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        else:
            return True
    return False


def _name_in(file: int) -> str:
    return os.pread(file, 200, 0).decode(errors="replace").strip() or "another process"
