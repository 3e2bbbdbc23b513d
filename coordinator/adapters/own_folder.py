"""A private temporary folder, which the next command removes where its owner was killed.

The folder's lock is the folder's own: the kernel frees it however its owner ends, so a folder whose lock is
free is nobody's. A number of a process would lie after a restart.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def own_folder(prefix: str) -> Iterator[Path]:
    """Make a folder whose name begins so; remove those that killed commands left. Leaving removes it."""
    parent = Path(tempfile.gettempdir())
    remove_abandoned(parent, prefix)
    folder, lock = _claimed(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove each folder of ours whose owner is gone."""
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # it has just gone, is another user's, or is alive
            lock = _locked(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _claimed(parent: Path, prefix: str) -> tuple[Path, int | None]:
    """Return a new folder with its lock; None where folders have none, as on NFS: then no sweep takes any."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            return folder, _locked(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # a sweep came between the two lines, and took the folder for a dead one's
        except OSError:
            return folder, None


def _locked(folder: Path) -> int:
    """Return the lock of a folder that is ours and still there. Raises: OSError."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = os.fstat(lock)
        if held.st_uid != os.getuid() or not os.path.samestat(held, folder.stat()):
            raise FileNotFoundError(folder)
    except OSError:
        os.close(lock)
        raise
    return lock
