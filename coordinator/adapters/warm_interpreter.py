"""A Python interpreter of the user that starts once, and runs a supervised program for each request.

The program may rely on all that run_supervised promises; it is spared the start alone. So what hinders the
interpreter is no error: where a request was certainly not taken, the caller starts a program as ever, and
that one says what is wrong. The interpreter runs a file that asks forker.py for its requests.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from typing import Final
from weakref import finalize

from coordinator.adapters import forker
from coordinator.adapters.supervised import Pipes, Supervised

_PATIENCE: Final = 60.0
"""Seconds for an interpreter to start and take a request, and to end."""


class WarmInterpreter:
    """One process, started at the first request: hardly ever is it the only one.

    It ends when this object does, or when it does not do what it should; then another one is started.
    """

    def __init__(self, argv: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self._argv = argv
        self._folder = folder
        self._environment = environment
        self._in_use = Lock()
        self._is_useless = False
        self._process: _Process | None = None

    def begin(self, variables: Mapping[str, str], *, lock: int | None) -> Supervised | None:
        """Return a program that has `variables` in its environment; None where none was started."""
        if not self._in_use.acquire(blocking=False):
            return None
        with ExitStack() as unless_begun:
            unless_begun.callback(self._in_use.release)
            request = json.dumps(dict(variables)).encode()
            process = self._started()
            if process is None or len(request) > forker.LONGEST:
                return None
            begun = self._begun(process, request, lock)
            if begun is not None:
                unless_begun.pop_all()
            return begun

    def _started(self) -> _Process | None:
        if self._process is None and not self._is_useless and sys.platform == "linux":
            try:
                self._process = _Process(self._argv, self._folder, self._environment)
            except OSError:
                return None
            finalize(self, self._process.end)
        return self._process

    def _begun(self, process: _Process, request: bytes, lock: int | None) -> Supervised | None:
        self._process = None  # until all is well: what it says too late belongs to no other request
        with ExitStack() as ours, ExitStack() as theirs:
            pipes, passed = _pipes(ours, theirs)
            if not process.takes(request, passed if lock is None else [*passed, lock]):
                self._is_useless = not process.has_taken
                process.end()
                return None
            closed = ours.pop_all()
        return Supervised(self._argv[0], pipes, lambda: self._end(process, closed))

    def _end(self, process: _Process, pipes: ExitStack) -> None:
        """End what a process has forked, and be ready for the next request where it says that it is."""
        pipes.close()
        if process.says(forker.ENDED):
            self._process = process
        else:
            process.end()
        self._in_use.release()


class _Process:
    """The interpreter's process, and the socket that is its standard input."""

    def __init__(self, argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.has_taken = False
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_PATIENCE)
        with theirs, ExitStack() as failed:
            failed.callback(self._channel.close)
            self._process = subprocess.Popen(
                argv,
                cwd=folder,
                env=dict(environment),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            failed.pop_all()

    def takes(self, request: bytes, passed: Sequence[int]) -> bool:
        """Hand over a request; return False where it certainly was not taken, and never will be."""
        try:
            socket.send_fds(self._channel, [request], passed)
        except OSError:
            return False
        if not self.says(forker.TAKEN):
            with suppress(OSError):
                self._channel.shutdown(socket.SHUT_RD)  # it cannot say so from here on, and then does nothing
            if not self.says(forker.TAKEN):  # nor did it at the last moment
                self._process.kill()
                return False
        self.has_taken = True
        return True

    def says(self, word: bytes) -> bool:
        """Return whether a word comes next, before time is up."""
        try:
            return self._channel.recv(1) == word
        except OSError:
            return False

    def end(self) -> None:
        """End it. The supervisor of a program that it has forked is none of its business: it goes on."""
        self._channel.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _pipes(ours: ExitStack, theirs: ExitStack) -> tuple[Pipes, list[int]]:
    """Return our ends of three pipes, and those of a supervisor."""
    (control, control_of), (said_of, said), (lines_of, lines) = os.pipe(), os.pipe(), os.pipe()
    passed = [control, said, lines]
    for each in passed:
        theirs.callback(os.close, each)
    return Pipes(
        ours.enter_context(os.fdopen(control_of, "wb", buffering=0)),
        ours.enter_context(os.fdopen(said_of, "rb")),
        ours.enter_context(os.fdopen(lines_of, "rb")),
    ), passed
