"""One process of Alembic, and what it is asked: one request, or one after the other where it stays.

A process that stays says so when what it was asked is committed, and waits; it has no transaction open then.
It is asked through named pipes in a folder of its own, which both ends open by their names: so it does not
matter who has started it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final
from weakref import finalize

from coordinator.adapters.own_folder import own_folder
from coordinator.adapters.runners import _alembic_child
from coordinator.adapters.supervised import Output, Supervised
from coordinator.ports.programs import Ended

_LONGEST_WAIT: Final = 10.0
"""Seconds after which nothing more is asked of a process: its connection may be gone."""
_TO_END: Final = timedelta(seconds=10)
"""How long a process may take to end that is asked for nothing more."""


class Process:
    """A process that was started; it is killed when this object is closed."""

    def __init__(
        self, start: Callable[[Mapping[str, str]], Supervised], request: Mapping[str, object], *, stays: bool
    ) -> None:
        with ExitStack() as unless_started:
            folder = unless_started.enter_context(own_folder("coordinator-alembic-"))
            self._answer, self._more = folder / "answer.json", folder / "more.json"
            places = [folder / "asked", folder / "done"] if stays else []
            self._pipes = [_pipe(each, unless_started) for each in places]
            stay = [str(self._more), *map(str, places)] if stays else None
            whole = {**request, "answer": str(self._answer), "stays": stay}
            self._program = unless_started.enter_context(start({_alembic_child.REQUEST: json.dumps(whole)}))
            self.close = finalize(self, unless_started.pop_all().close)
        self._waits_since: float | None = None

    @property
    def waits(self) -> bool:
        """It has done what it was asked, and waits for more."""
        return self._waits_since is not None

    @property
    def may_be_asked(self) -> bool:
        """It waits, and has not waited for long."""
        return self._waits_since is not None and time.monotonic() - self._waits_since < _LONGEST_WAIT

    def ask(self, request: Mapping[str, object]) -> None:
        """Ask for more; it `may_be_asked`."""
        self._tell(request)
        self._waits_since = None

    def watch(self, *, deadline: timedelta, output: Output) -> tuple[Ended, dict[str, Any]]:
        """Return how it ended, and its answer; where it waits now, it is as if it had ended well."""
        done = self._pipes[1] if self._pipes else None
        ended = self._program.watch(deadline=deadline, output=output, until=done)
        if ended is None:
            self._waits_since = time.monotonic()
            return Ended(0, output.last), {}
        answer = json.loads(self._answer.read_text()) if self._answer.exists() else {}
        self.close()
        return ended, answer

    def let_go(self) -> None:
        """Let a process that waits come to its end; it is killed where it cannot be told."""
        if self.close.alive and self.waits:
            with suppress(OSError):
                self._tell(None)
                self._program.watch(deadline=_TO_END, output=Output(_ignore, ()))
        self.close()

    def _tell(self, request: Mapping[str, object] | None) -> None:
        self._more.write_text(json.dumps(request), encoding="utf-8")
        self._pipes[0].write(b"a")


def _pipe(path: Path, held: ExitStack) -> IO[bytes]:
    """Make a named pipe and open it so that no end waits for another one."""
    os.mkfifo(path, 0o600)
    return held.enter_context(os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC), "r+b", buffering=0))


def _ignore(line: str) -> None:
    del line
