"""Processes that outlive the command which started them: start, recognise, end.

A process is known by its number and its birth: numbers are used again, and the second bearer must never
get the signal that was meant for the first. What is started carries a marker in its environment, so that
a process whose record is gone (somebody deleted the folder) is still found; children inherit it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

MARKER = "COORDINATOR_LOCAL"
"""The environment variable that names the state folder, and for a service its colour behind a slash."""

_PROC = Path("/proc")
_POLL = 0.01
_KILL_SECONDS = 5.0
"""How long the kernel may take to end a process that got SIGKILL."""
_ROOT = str(Path(__file__).absolute().parents[__name__.count(".")])
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from importlib import import_module as get"


class Unkillable(Exception):
    """A process is still there, seconds after SIGKILL: it hangs in the kernel, or is not ours."""


def program(module: str, *arguments: str) -> list[str]:
    """Return the argv that runs `main` of a module beside this one; it starts without site-packages."""
    code = f"{_START}; get({f'{__package__}.{module}'!r}).main(sys.argv[1:])"
    return [sys.executable, "-I", "-S", "-c", code, _ROOT, *arguments]


def spawn(argv: list[str], *, environment: Mapping[str, str], log: str, keep: int | None = None) -> int:
    """Start `argv` in a session of its own, its output appended to `log`; return its number.

    `keep` is a descriptor (10 or higher) that the child inherits as number 3. Not `subprocess`: its Popen
    objects complain when they are dropped while the child lives, which is the purpose here.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    if keep is not None:
        actions.append((os.POSIX_SPAWN_DUP2, keep, 3))
    return os.posix_spawn(
        argv[0],
        argv,
        environment,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE),
    )


def close_inherited(*, first: int) -> None:
    """Close every descriptor from `first` on: whoever reads a pipe of our caller must see its end."""
    os.closerange(first, 65536)


def birth_of(pid: int) -> str | None:
    """Return what tells this process from any other that has or had its number; None when it has ended.

    Linux: the boot's id and field 22 of /proc/PID/stat (proc_pid_stat(5)); elsewhere the start time by ps.
    """
    if sys.platform != "linux":
        return _birth_by_ps(pid)
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {int(fields[19])}"


def _birth_by_ps(pid: int) -> str | None:
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S607
    state, _, start = shown.stdout.decode().strip().partition(" ")
    return None if not start or state.startswith("Z") else start.strip()


def exit_code(pid: int) -> int | None:
    """Return the exit code of a child of ours that has ended (negative: the signal), and let it go."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if ended else None


def end(pid: int, *, birth: str, grace: float) -> None:
    """End the process and its group: SIGTERM, and SIGKILL after `grace` seconds. Harmless when it is gone.

    Raises:
        Unkillable: it is still there.
    """
    if birth_of(pid) != birth:
        exit_code(pid)
        return
    _signal_group(pid, signal.SIGTERM)
    if not _is_gone_within(grace, pid, birth):
        _signal_group(pid, signal.SIGKILL)
        if not _is_gone_within(_KILL_SECONDS, pid, birth):
            raise Unkillable(f"process {pid}")
    _signal_group(pid, signal.SIGKILL)  # children that the leader left behind
    exit_code(pid)


def _is_gone_within(seconds: float, pid: int, birth: str) -> bool:
    until = time.monotonic() + seconds
    while birth_of(pid) == birth:
        if time.monotonic() >= until:
            return False
        time.sleep(_POLL)
    return True


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # nobody is left in it; macOS says "not permitted" for a group of zombies


def kill_marked(marker: str) -> None:
    """Kill every process whose marker is `marker` or lies below it, but not this one. Linux only.

    Raises:
        Unkillable: one of them is still there.
    """
    until = time.monotonic() + _KILL_SECONDS
    while pids := list(marked(marker)):
        if time.monotonic() >= until:
            raise Unkillable(f"process {pids[0]}")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(_POLL)


def marked(marker: str) -> Iterator[int]:
    """Yield the processes that carry `marker`, or one below it, without this one."""
    exact = f"{MARKER}={marker}".encode()
    for found in _PROC.glob("[0-9]*/environ"):
        try:
            variables = found.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended, or it is somebody else's
        pid = int(found.parent.name)
        if pid != os.getpid() and any(each == exact or each.startswith(exact + b"/") for each in variables):
            yield pid
