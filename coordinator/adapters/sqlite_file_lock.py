"""What an advisory lock is for a file of SQLite: the kernel's lock on a file beside it.

SQLite has none of its own, and its write lock is free between two statements. The database's file is not
locked itself: SQLite locks ranges of it, which some systems take for the same kind of lock. The file is taken
away by whoever has the lock, so who waits for it looks again whether it is still the one that is there.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from coordinator.adapters.batches import lock_held

_SUFFIX: Final = "-coordinator"
_POLL: Final = 0.02


@contextmanager
def locked_beside(database: Path, *, timeout: timedelta) -> Iterator[None]:
    """Keep others out of a database for whom the same is done; Waiting with the holder when time is up.

    Nobody is kept out where the folder cannot be written: nor can the database be, then.
    """
    whole = database.resolve()
    file = whole.with_name(f"{whole.name}{_SUFFIX}")
    try:
        descriptor = _awaited(file, timeout)
    except OSError:
        descriptor = None
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                if _is_at(descriptor, file):  # else somebody deleted it, and it is another one's
                    file.unlink()
            os.close(descriptor)


def _awaited(file: Path, timeout: timedelta) -> int:
    deadline = time.monotonic() + timeout.total_seconds()
    while (descriptor := _lock(file)) is None:
        if time.monotonic() >= deadline:
            raise lock_held(file, _holders(file), unseen="it has just let go")
        time.sleep(_POLL)
    with suppress(OSError):  # a full disk: nobody learns who holds it
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return descriptor


def _lock(file: Path) -> int | None:
    """Return the descriptor of the file, locked; None where another process has it. Raises: OSError."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(descriptor, file):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_at(descriptor: int, file: Path) -> bool:
    return os.path.samestat(os.fstat(descriptor), file.stat())


def _holders(file: Path) -> tuple[str, ...]:
    try:
        return tuple(filter(None, (file.read_text("utf-8"),)))
    except OSError:
        return ()
