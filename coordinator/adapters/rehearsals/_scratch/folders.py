"""The folder of a scratch server: private, and removed by the next command if we are killed.

Whoever owns a folder holds the lock of a file in it, which the kernel lets go of however its holder ends. So
a folder whose lock is free is nobody's: its server, if one still runs, is ended, and the folder removed. A
process number that was written down would not do: numbers are used again.

The folder is in memory where there is room: a PostgreSQL and its scratch databases are two thousand small
files that nobody keeps, and to make them takes most of a rehearsal's time on a busy disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_LOCK = "lock"
_DATA = "data"
_LONGEST_PARENT = 60
"""A socket's path has at most 103 bytes on macOS, 107 on Linux; what follows the parent takes about 40."""
_SHORT_PARENT = Path("/tmp")  # noqa: S108 - POSIX promises it, and mkdtemp makes what is safe in it
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - Linux has its shared memory there, open to all as /tmp is
_ROOM = 1024 * 1024 * 1024
"""Bytes that must be free in memory; a rehearsal takes a tenth of it. A container has 64 MB, mostly."""
_QUIT_SECONDS = 5.0
_KILL_SECONDS = 10.0
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class ServerKind:
    """How to tell a scratch server of an engine, and how to end one that a killed command left."""

    prefix: str
    """How its folders' names begin."""
    pid_file: str
    """Where it writes its process number down, in the first line of a file in its data folder."""
    ends: tuple[signal.Signals, ...]
    """What ends it, the gentlest first; nobody wants its data."""


@contextmanager
def scratch_folder(kind: ServerKind, owner: tuple[int, int] | None) -> Iterator[Path]:
    """Make a folder (0700) for a server that runs as `owner` (user and group; None: as ourselves).

    What killed commands left is removed first. Whoever starts a server in it ends it first.
    """
    parent = _parent(owner)
    for each in {parent, _temporary(), _SHORT_PARENT, _IN_MEMORY}:
        remove_abandoned(each, kind)
    folder, lock = _claimed(parent, kind)
    try:
        if owner is not None:
            os.chown(folder, *owner)
        yield folder
    finally:
        _remove(folder, kind)
        os.close(lock)


def data_folder(folder: Path) -> Path:
    """Return where a scratch folder's server keeps its data."""
    return folder / _DATA


def remove_abandoned(parent: Path, kind: ServerKind) -> None:
    """Remove each scratch folder of ours whose owner is gone, and end its server."""
    for folder in parent.glob(f"{kind.prefix}*"):
        with suppress(OSError):  # it has just gone, or is another user's
            lock = _locked(folder)
            if lock is not None:
                _remove(folder, kind)
                os.close(lock)


def _parent(owner: tuple[int, int] | None) -> Path:
    """Return where the folder is made: in memory, unless TMPDIR says where, else in the temporary folder.

    It is the short one where that one's path is too long or closed to the server.
    """
    if "TMPDIR" not in os.environ and _has_room(_IN_MEMORY):
        return _IN_MEMORY
    parent = _temporary()
    is_open = owner is None or all(each.stat().st_mode & 0o001 for each in (parent, *parent.parents))
    return parent if is_open and len(os.fsencode(parent)) <= _LONGEST_PARENT else _SHORT_PARENT


def _temporary() -> Path:
    return Path(tempfile.gettempdir()).resolve()


def _has_room(folder: Path) -> bool:
    """Tell whether a folder takes what a rehearsal makes; what is free in it says nothing of the memory."""
    try:
        free = min(shutil.disk_usage(folder).free, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):  # there is none, or this system does not count so
        return False
    return free >= _ROOM and os.access(folder, os.W_OK | os.X_OK)


def _claimed(parent: Path, kind: ServerKind) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=kind.prefix, dir=parent))
        # A sweep may come between the two lines and take the folder for a dead one's.
        with suppress(FileNotFoundError):
            lock = _locked(folder)
            if lock is not None:
                return folder, lock


def _locked(folder: Path) -> int | None:
    """Return the lock of a folder, None if somebody has it. It counts only while its file is still there."""
    # Others can make folders of such names beside ours: no link of theirs is followed, least of all by root.
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(opened).st_uid != os.getuid() and os.getuid() != 0:
            return None
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(_LOCK, flags, 0o600, dir_fd=opened)
    finally:
        os.close(opened)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return None


def _remove(folder: Path, kind: ServerKind) -> None:
    _end_server(folder, kind)
    # A program of a killed command may still be writing here; it ends when its folder is gone.
    until = time.monotonic() + _QUIT_SECONDS
    while True:
        shutil.rmtree(folder / _DATA, ignore_errors=True)
        if not (folder / _DATA).exists() or time.monotonic() >= until:
            break
        time.sleep(_POLL_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _end_server(folder: Path, kind: ServerKind) -> None:
    """End the server that a killed command left in a folder, at once: nobody wants its data."""
    try:
        pid = int((folder / _DATA / kind.pid_file).read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    for number in kind.ends:
        until = time.monotonic() + (_KILL_SECONDS if number is signal.SIGKILL else _QUIT_SECONDS)
        # Its argv names the folder, so the number is not somebody else's by now; one that has ended has none.
        if str(folder / _DATA) in _arguments(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while str(folder / _DATA) in _arguments(pid) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)


def _arguments(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    with suppress(OSError):
        shown = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S607
        return shown.stdout.decode(errors="replace").split()
    return []
