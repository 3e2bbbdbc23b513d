"""What a state folder holds, typed: who the router is and where it sends, who each side is.

    router.json     written by the router before it answers: port, target, and who it is
    <colour>.json   written by the launcher before the service starts: what was deployed, and who runs it
    <colour>.log, router.log
    fence.json      written by the coordinator that took the service last (fence.py)
    lock            held by whoever changes a side or the target; in it is who held it last
    router.lock     held by the one router, as long as it lives

A record stays when its process ends: what was deployed last is what a rollback starts again.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from coordinator.adapters.platforms._local import durable
from coordinator.adapters.platforms._local.processes import birth_of

_POLL = 0.01


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `deploy` started: the version and the settings. Secrets stand here as references only."""

    version: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str, str], ...]
    """Name, scheme and text: the scheme is `env` or `file` for a reference, empty for a literal."""
    ready: str


@dataclass(frozen=True, slots=True)
class SideRecord:
    """One colour: what was deployed, on which port, and which process is or was its first."""

    deployment: Deployment
    port: int
    log_from: int
    """Where in the log this process's output begins, in bytes."""
    stopped: bool = False
    """Somebody stopped it on purpose: it is not to be repaired."""
    pid: int = 0
    birth: str = ""

    @property
    def is_alive(self) -> bool:
        """Tell whether its first process still runs."""
        return bool(self.birth) and birth_of(self.pid) == self.birth

    def as_json(self) -> str:
        """Return the text that the launcher completes; no secret is in it."""
        return json.dumps(asdict(self))

    def as_stopped(self) -> SideRecord:
        """Return the record of the same side after it was stopped on purpose."""
        return replace(self, stopped=True)


@dataclass(frozen=True, slots=True)
class RouterRecord:
    """The router: `port` and `target` outlive it."""

    port: int
    target: str | None
    control: str
    """Its Unix socket."""
    pid: int
    birth: str

    def remove_control(self) -> None:
        """Delete the socket of a router that has ended, and the folder that was made for it."""
        with suppress(OSError):
            Path(self.control).unlink()
        with suppress(OSError):
            Path(self.control).parent.rmdir()

    def with_target(self, colour: str) -> RouterRecord:
        """Return the record after a switch."""
        return replace(self, target=colour)


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The state folder of one service."""

    path: Path

    def side_file(self, colour: str) -> Path:
        """Return where the launcher records this colour."""
        return self.path / f"{colour}.json"

    def log(self, name: str) -> Path:
        """Return the log of a colour, or of the `router`."""
        return self.path / f"{name}.log"

    def side(self, colour: str) -> SideRecord | None:
        """Return what was last deployed as `colour`, None if nothing was."""
        found = cast("dict[str, Any] | None", durable.read(self.side_file(colour)))
        if found is None:
            return None
        deployed = found.pop("deployment")
        return SideRecord(
            deployment=Deployment(
                version=deployed["version"],
                command=tuple(deployed["command"]),
                environment=tuple((name, scheme, text) for name, scheme, text in deployed["environment"]),
                ready=deployed["ready"],
            ),
            **found,
        )

    def write_side(self, colour: str, record: SideRecord) -> None:
        """Record a side durably."""
        durable.write(self.side_file(colour), asdict(record))

    def router(self) -> RouterRecord | None:
        """Return the router of this folder, None if there never was one."""
        found = cast("dict[str, Any] | None", durable.read(self.path / "router.json"))
        return None if found is None else RouterRecord(**found)

    def write_router(self, record: RouterRecord) -> None:
        """Record the router durably."""
        durable.write(self.path / "router.json", asdict(record))

    @contextmanager
    def lock(self, name: str, *, seconds: float) -> Iterator[int]:
        """Hold a lock of this folder and yield its descriptor; TimeoutError with its holder after `seconds`.

        The kernel frees it with the last process that has the descriptor. The file may be deleted while
        we wait for it, with the folder; then another process may hold the new one, so look again.
        """
        until = time.monotonic() + seconds
        while (descriptor := _lock(self.path / name)) is None:
            if time.monotonic() >= until:
                raise TimeoutError(self._holder_of(name))
            time.sleep(_POLL)
        try:
            with durable.usable(self.path / name):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"pid {os.getpid()}".encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)

    def _holder_of(self, name: str) -> str:
        """Name the process that took a lock last; whoever has just made the file has not said so yet."""
        try:
            return (self.path / name).read_text("utf-8") or "another process"
        except OSError:
            return "another process"


def _lock(file: Path) -> int | None:
    try:
        with durable.usable(file):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            low = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None  # the folder was deleted this instant
    descriptor = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 10)  # `spawn` wants a high one to pass on
    os.close(low)
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(descriptor, file):
            return descriptor
    os.close(descriptor)
    return None


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        there = file.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)
