"""The two colours of a service as processes: start, watch, end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from coordinator.adapters.platforms._local.addresses import free_port, url
from coordinator.adapters.platforms._local.processes import (
    MARKER,
    birth_of,
    end,
    exit_code,
    kill_marked,
    program,
    spawn,
)
from coordinator.adapters.platforms._local.records import Deployment, SideRecord, StateFolder
from coordinator.adapters.web import NoReply, get
from coordinator.argv import argv_from
from coordinator.errors import CoordinatorError, StepFailed
from coordinator.model import Colour, SecretRef, Version
from coordinator.ports.platforms import Side
from coordinator.secret import Secret, without

_ASK: Final = timedelta(seconds=2)
_OBSERVE: Final = timedelta(seconds=1)
_POLL = 0.05
_RECORDED_POLL = 0.005
_TAIL_BYTES = 8192
_TAIL_LINES = 5


@dataclass(frozen=True, slots=True)
class Sides:
    """Both colours of one service; `folder` is the plan's, in which they run."""

    service: str
    state: StateFolder
    folder: Path
    environment: Mapping[str, str]
    """What every process of the service gets of this process's environment."""
    resolve: Callable[[SecretRef], Secret]

    def observe(self, colour: Colour) -> Side:
        """Return what `colour` runs and whether it is ready at this moment."""
        record = self.state.side(colour)
        if record is None:
            return Side()
        version = Version(record.deployment.version)
        if not record.is_alive:
            return Side(version=version, detail=self._end_of(colour, record))
        unready = _unready(record, timeout=_OBSERVE)
        return Side(version=version, running=True, ready=not unready, detail=unready)

    def start(self, colour: Colour, deployment: Deployment, *, lock: int) -> None:
        """Start `deployment` on a port that is free now; on return its record is durable.

        `lock` is the descriptor of the service's lock: the process keeps it until it is recorded.
        """
        environment = {**self.environment, **self._environment_of(deployment)}
        other = self.state.side(colour.other)
        log = self.state.log(colour)
        record = SideRecord(
            deployment,
            port=free_port(besides=frozenset([other.port] if other else [])),
            log_from=log.stat().st_size if log.exists() else 0,
        )
        argv = argv_from(deployment.command, folder=self.folder)
        pid = spawn(
            program("launcher", str(self.state.side_file(colour)), record.as_json(), str(self.folder), *argv),
            environment={
                **environment,
                "PORT": str(record.port),
                "VERSION": deployment.version,
                "COLOR": colour,
                MARKER: f"{self.state.path}/{colour}",
            },
            log=str(log),
            keep=lock,
        )
        while not self._is_recorded(colour, pid):
            if birth_of(pid) is None and not self._is_recorded(colour, pid):
                raise self._start_failed(colour, record, exit_code(pid))
            time.sleep(_RECORDED_POLL)

    def end(self, colour: Colour, *, grace: timedelta) -> None:
        """End what runs as `colour`, its children and what escaped its group included."""
        record = self.state.side(colour)
        if record is not None:
            end(record.pid, birth=record.birth, grace=grace.total_seconds())
        kill_marked(f"{self.state.path}/{colour}")

    def wait_until_ready(self, colour: Colour, *, until: float) -> None:
        """Return when `colour` is ready; `until` is a time of time.monotonic.

        Raises:
            StepFailed: `start-failed` as soon as its process has ended, `not-ready` when time is up,
                `never-deployed` if somebody takes the service down meanwhile.
        """
        while True:
            record = self.state.side(colour)
            if record is None:
                raise StepFailed(
                    "never-deployed",
                    f"`{self.service}` was taken down while {colour} was waited for.",
                    next_step="Bring it up again (`coordinator local up`), and run again.",
                )
            left = max(0.1, until - time.monotonic())
            unready = _unready(record, timeout=min(_ASK, timedelta(seconds=left)))
            if not record.is_alive:  # asked last: an answer may have come from a stranger on that port
                raise self._start_failed(colour, record, exit_code(record.pid))
            if not unready:
                return
            if time.monotonic() >= until:
                raise self._not_ready(colour, record, unready)
            time.sleep(_POLL)

    def _is_recorded(self, colour: Colour, pid: int) -> bool:
        record = self.state.side(colour)
        return record is not None and record.pid == pid and birth_of(pid) in (record.birth, None)

    def _environment_of(self, deployment: Deployment) -> dict[str, str]:
        secrets = self._secrets_of(deployment)
        literals = {name: text for name, scheme, text in deployment.environment if not scheme}
        return literals | {name: secret.reveal() for name, secret in secrets.items()}

    def _secrets_of(self, deployment: Deployment) -> dict[str, Secret]:
        return {
            name: self.resolve(_reference(scheme, text))
            for name, scheme, text in deployment.environment
            if scheme
        }

    def _end_of(self, colour: Colour, record: SideRecord) -> str:
        if record.stopped:
            return "stopped"
        code = exit_code(record.pid)
        last = self._tail(colour, record)[-1:]
        return ": ".join(["ended" if code is None else f"ended with exit code {code}", *last])

    def _tail(self, colour: Colour, record: SideRecord) -> list[str]:
        """Return the last lines of the log, without the secrets that the service was given.

        Where a secret can't be read now it can't be recognised either, and no line is shown.
        """
        try:
            secrets = self._secrets_of(record.deployment).values()
            with self.state.log(colour).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(record.log_from, size - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except (CoordinatorError, FileNotFoundError):
            return []
        return [line for line in without(text, secrets).splitlines() if line.strip()][-_TAIL_LINES:]

    def _start_failed(self, colour: Colour, record: SideRecord, code: int | None) -> StepFailed:
        tail = "\n  ".join(["Its last lines:", *self._tail(colour, record)])
        ended = "ended" if code is None else f"ended with exit code {code}"
        return StepFailed(
            "start-failed",
            f"`{self.service}` {record.deployment.version} ({colour}) {ended} before it was ready.",
            why=tail if "\n" in tail else "It wrote nothing.",
            next_step=f"\nAll of its output is in {self.state.log(colour)}.",
        )

    def _not_ready(self, colour: Colour, record: SideRecord, unready: str) -> StepFailed:
        return StepFailed(
            "not-ready",
            f"`{self.service}` {record.deployment.version} ({colour}) runs, and was not ready in time.",
            why=f"Its readiness check said last: {unready}.",
            next_step=f"Look at {self.state.log(colour)}, or give it a longer `deploy.deadline`.",
        )


def _unready(record: SideRecord, *, timeout: timedelta) -> str:
    """Return why the side is not ready, empty if it is."""
    path = record.deployment.ready
    try:
        status = get(url(record.port) + path, timeout=timeout).status
    except NoReply as error:
        return f"GET {path}: {error}"
    return "" if status == 200 else f"GET {path} answered {status}"  # noqa: PLR2004


def _reference(scheme: str, name: str) -> SecretRef:
    return SecretRef("env", name) if scheme == "env" else SecretRef("file", name)
