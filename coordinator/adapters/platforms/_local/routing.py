"""How a command reaches the router, and brings it back when it is gone."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from coordinator.adapters.platforms._local.addresses import EXIT_PORT_TAKEN, HOST
from coordinator.adapters.platforms._local.processes import exit_code, kill_marked, program, spawn
from coordinator.adapters.platforms._local.records import StateFolder
from coordinator.errors import StepFailed

_ANSWER_SECONDS = 10.0
_START_SECONDS = 15.0
_AGAIN_SECONDS = 0.2
_POLL = 0.01
_NO_ROUTER: Final = (FileNotFoundError, ConnectionError)


@dataclass(frozen=True, slots=True)
class RouterStatus:
    """What a running router says of itself; `open` counts client connections by colour."""

    target: str | None
    port: int
    open: Mapping[str, int]
    accepted: int
    failed: int


@dataclass(frozen=True, slots=True)
class Routing:
    """The router of one service; `wanted_port` is the plan's, 0 if it does not care."""

    service: str
    folder: StateFolder
    wanted_port: int
    environment: Mapping[str, str]

    def status(self) -> RouterStatus | None:
        """Return what the router says, None if none runs; starts nothing."""
        answer = self._ask({"command": "status"})
        return None if answer is None else RouterStatus(**answer)

    def switch(self, *, expected: str | None, to: str) -> bool:
        """Send new connections to `to`, if they go to `expected`; tell whether they do now.

        The caller holds the service's lock, so nobody else moves the target: if the answer is lost and
        the target is `to`, it was this switch.
        """
        question = {"command": "switch", "expected": expected, "to": to}
        answer = self._ask(question)
        if answer is None:
            if self.start().target == to != expected:
                return True
            answer = self._ask(question)
        if answer is None:
            raise self._unreachable("It ended while it was asked to switch.")
        return bool(answer["switched"])

    def start(self) -> RouterStatus:
        """Make sure that the router runs. The caller holds the service's lock.

        Raises:
            StepFailed: `port-taken`, `port-changed`, `router-unreachable`.
        """
        status = self.status()
        if status is None:
            if self.folder.router() is None:
                kill_marked(str(self.folder.path))  # of a folder of this name that somebody deleted
            status = self._started()
        if self.wanted_port not in (0, status.port):
            raise StepFailed(
                "port-changed",
                f"The router of `{self.service}` listens on port {status.port}, not on {self.wanted_port}.",
                why="A router that moves to another port refuses the clients of the old one.",
                next_step=f"Put port: {status.port} into the plan, or run `coordinator local down` first.",
            )
        return status

    def _started(self) -> RouterStatus:
        until = time.monotonic() + _START_SECONDS
        argv = program("router", str(self.folder.path), str(self.wanted_port))
        while time.monotonic() < until:
            pid = spawn(argv, environment=self.environment, log=str(self.folder.log("router")))
            while (code := exit_code(pid)) is None and time.monotonic() < until:
                if (status := self.status()) is not None:
                    return status
                time.sleep(_POLL)
            if code == EXIT_PORT_TAKEN:
                raise self._port_taken()
            time.sleep(_AGAIN_SECONDS)  # another one holds the router's lock: it is coming or going
        raise self._unreachable(f"It did not answer within {_START_SECONDS:g} s.")

    def _ask(self, question: Mapping[str, object]) -> dict[str, Any] | None:
        record = self.folder.router()
        if record is None:
            return None
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            try:
                connection.connect(record.control)
                connection.sendall(json.dumps(question).encode() + b"\n")
                with connection.makefile("rb") as lines:
                    line = lines.readline()
            except TimeoutError:
                raise self._unreachable(f"It did not answer within {_ANSWER_SECONDS:g} s.") from None
            except _NO_ROUTER:
                return None
        return cast("dict[str, Any]", json.loads(line)) if line else None

    def _port_taken(self) -> StepFailed:
        record = self.folder.router()
        port = self.wanted_port or (record.port if record else 0)
        return StepFailed(
            "port-taken",
            f"The router of `{self.service}` cannot listen on {HOST}:{port}: another program does.",
            next_step="End that program, or give the service another `port` in the plan (0: any free one).",
        )

    def _unreachable(self, why: str) -> StepFailed:
        return StepFailed(
            "router-unreachable",
            f"The router of `{self.service}` cannot be asked.",
            why=why,
            next_step=f"Look at {self.folder.log('router')}; `coordinator local down` ends it in any case.",
        )
