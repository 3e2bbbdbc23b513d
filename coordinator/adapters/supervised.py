"""Run a program of the user under a supervisor, show its lines as they come, and say how it ended.

A lock that the program and its children inherit is free when the last of them is gone, however they were
ended: so a later command knows that nobody of an earlier one still works on the database. It is a file of
this machine, where the journal is too.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Final, Self

from coordinator.adapters import supervisor
from coordinator.errors import StepFailed, Waiting
from coordinator.ports.programs import Ended
from coordinator.secret import Secret, without

_LAST_LINES: Final = 20
_SHOWN: Final = 500
"""Letters of a line that are shown."""
_LONGEST: Final = 1 << 16
"""Bytes of a line that are kept; what comes behind them is dropped."""
_GRACE: Final = 10.0
"""Seconds between SIGTERM and SIGKILL for a program whose time is up."""
_AFTER_END: Final = 1.0
"""Seconds in which a pipe is read to its end when its program has ended: a stray child may hold it open."""
_POLL: Final = 0.05
_NOT_STARTED: Final = "not started: "


class Output:
    """A program's lines, each without secrets and control characters, shown once and the last ones kept."""

    def __init__(self, note: Callable[[str], None], secrets: Iterable[Secret]) -> None:
        self._note = note
        self._secrets = tuple(secrets)
        self._rest = b""
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    @property
    def last(self) -> tuple[str, ...]:
        """Return the last lines."""
        return tuple(self._last)

    def take(self, piece: bytes) -> None:
        """Take what came next; a line is shown when it is whole."""
        *lines, self._rest = (self._rest + piece).replace(b"\r", b"\n").split(b"\n")
        for each in lines:
            self._show(each)
        self._rest = self._rest[:_LONGEST]  # never cut where it is shown: half a secret is none to replace

    def end(self) -> None:
        """Show the line that no newline ended."""
        self._show(self._rest)
        self._rest = b""

    def _show(self, line: bytes) -> None:
        text = without(line.decode(errors="replace"), self._secrets)
        text = "".join(each if each.isprintable() else " " for each in text).strip()[:_SHOWN]
        if text:
            self._last.append(text)
            self._note(text)


@dataclass(frozen=True, slots=True)
class Pipes:
    """Our ends of a supervisor's standard input, standard output and standard error."""

    control: IO[bytes]
    said: IO[bytes]
    lines: IO[bytes]


class Supervised:
    """A program at work under its supervisor, whose descriptors are the other ends of the pipes."""

    def __init__(self, program: str, pipes: Pipes, end: Callable[[], object]) -> None:
        self._program = program
        self._pipes = pipes
        self._end = end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def watch(self, *, deadline: timedelta, output: Output, until: IO[bytes] | None = None) -> Ended | None:
        """Return how it ended, or was at the deadline; None as soon as there is something to read in `until`.

        Raises: StepFailed `program-not-started` with nothing done.
        """
        pipes = self._pipes
        is_late = _watch(pipes, output, deadline.total_seconds(), until)
        if is_late is None:
            output.end()
            return None
        # It says it in one piece. To wait for the pipe's end would be to wait for whoever else has it open.
        said = os.read(pipes.said.fileno(), _LONGEST).decode(errors="replace")
        output.end()
        if said.startswith(_NOT_STARTED):
            raise StepFailed(
                "program-not-started",
                f"`{self._program}` could not be started: {said.removeprefix(_NOT_STARTED)}.",
                why="The plan's `command` names it.",
                next_step="Build it, or correct `command`; a name with a slash starts at the plan's folder.",
            )
        return Ended(int(said) if said else None, output.last, is_late=is_late)

    def close(self) -> None:
        """Kill it and all that it started, where it has not ended, and return when it is gone."""
        self._end()


def begin_supervised(
    argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], lock: int | None
) -> Supervised:
    """Start a program in `folder`; whoever watches it hears whether it could be."""
    command = [sys.executable, "-I", "-S", supervisor.__file__, str(-1 if lock is None else lock), *argv]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=() if lock is None else (lock,),
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    pipes = Pipes(process.stdin, process.stdout, process.stderr)
    return Supervised(argv[0], pipes, lambda: process.__exit__(None, None, None))


def run_supervised(
    argv: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    deadline: timedelta,
    lock: int | None,
    output: Output,
) -> Ended:
    """Run a program in `folder` until it and its children have ended, or were, at the deadline.

    Raises: StepFailed `program-not-started` with nothing done.
    """
    with begin_supervised(argv, folder=folder, environment=environment, lock=lock) as program:
        ended = program.watch(deadline=deadline, output=output)
        assert ended is not None, "nothing else was waited for"
        return ended


def _watch(pipes: Pipes, output: Output, seconds: float, other: IO[bytes] | None) -> bool | None:
    """Read until the supervisor has ended; return whether the program's time was up.

    None where there is something to read in `other`, and the program is at work.
    """
    until, is_late = time.monotonic() + seconds, False
    with selectors.DefaultSelector() as selector:
        selector.register(pipes.lines, selectors.EVENT_READ)
        selector.register(pipes.said, selectors.EVENT_READ)
        if other is not None:
            selector.register(other, selectors.EVENT_READ)
        while True:
            left = until - time.monotonic()
            if left <= 0 and not is_late:
                is_late, until = True, time.monotonic() + _GRACE
                _tell(pipes.control)
            elif left <= 0:
                pipes.control.close()  # the supervisor kills all of them
                until = time.monotonic() + seconds + _GRACE
            ready = {key.fileobj for key, _ in selector.select(max(0.0, until - time.monotonic()))}
            if pipes.lines in ready and not _take(pipes.lines, output):
                selector.unregister(pipes.lines)
            if pipes.said in ready:
                break  # it has said how the program ended, or is gone itself
            if other is not None and other in ready:
                other.read(1)
                if not is_late:
                    return None
    _drain(pipes.lines, output)
    return is_late


def _tell(control: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        control.write(supervisor.END_GENTLY)
        control.flush()


def _take(stream: IO[bytes], output: Output) -> bool:
    piece = os.read(stream.fileno(), 1 << 16)
    output.take(piece)
    return bool(piece)


def _drain(stream: IO[bytes], output: Output) -> None:
    until = time.monotonic() + _AFTER_END
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while selector.select(max(0.0, until - time.monotonic())):
            if not _take(stream, output):
                return


# -- the lock -------------------------------------------------------------------------------------------


@contextmanager
def held_by_program(file: Path) -> Iterator[int]:
    """Yield the lock for a program to inherit. Raises: Waiting `program-running`."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locks(lock):
            raise _running(file)
        yield lock
    finally:
        os.close(lock)


def demand_gone(file: Path, timeout: timedelta) -> None:
    """Return when the lock is free. Raises: Waiting `program-running` when time is up."""
    try:
        lock = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        until = time.monotonic() + timeout.total_seconds()
        while not _locks(lock):
            if time.monotonic() >= until:
                raise _running(file)
            time.sleep(_POLL)
    finally:
        os.close(lock)


def _locks(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _running(file: Path) -> Waiting:
    return Waiting(
        "program-running",
        "A program that an earlier command started is still running.",
        why="It may change the database at any moment.",
        next_step=f"Let it end, or end it: it has {file} open (`fuser -v` of that shows its number). Then run"
        " again.",
    )
