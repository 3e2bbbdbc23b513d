"""A process's lease as a kernel lock on a file: it ends with the process, however that dies.

It excludes coordinators of one checkout on one machine; across machines the lease in the databases
(coordinator/leases.py), the migration tools' own locks and the platforms' compare-and-set do.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.errors import Waiting


class FileLease:
    """ports.Lease: one file a scope, with the holder's name inside for people."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def held(self, scope: str, *, holder: str) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self._folder / f"{scope}.lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                other = os.pread(file, 200, 0).decode(errors="replace").strip() or "another process"
                raise Waiting(
                    "lease-held",
                    f"Another coordinator works on this plan: {other}.",
                    why="Two at once would do the same steps twice.",
                    next_step="Let it finish, or stop it with Ctrl-C where it runs; then run again.",
                ) from error
            os.ftruncate(file, 0)
            os.pwrite(file, holder.encode(), 0)
            yield
        finally:
            os.close(file)
