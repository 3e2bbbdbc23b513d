"""One service as processes of this machine: the router, two sides, and the rules between them.

The router's durable target is the one truth about who serves; the sides' records are the one truth about
what was deployed.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from coordinator.adapters.platforms._local import durable
from coordinator.adapters.platforms._local.addresses import url
from coordinator.adapters.platforms._local.fence import Fence
from coordinator.adapters.platforms._local.processes import MARKER, Unkillable, end, kill_marked
from coordinator.adapters.platforms._local.records import Deployment, SideRecord, StateFolder
from coordinator.adapters.platforms._local.routing import RouterStatus, Routing
from coordinator.adapters.platforms._local.sides import Sides
from coordinator.adapters.platforms._local.spec import LocalSpec
from coordinator.errors import StepFailed, Waiting
from coordinator.model import Colour, SecretRef, Version
from coordinator.ports.checks import Answer
from coordinator.ports.platforms import Serving
from coordinator.secret import Secret

_INHERITED = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "PATH",
        "PYTHONPATH",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
    }
)
"""What a service gets of our environment, with LC_*: a service that needs more says so in the plan."""
_LOCK_SECONDS = 60.0
_ROUTER_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Local:
    """One service as processes of this machine; also what `coordinator local` shows and takes down."""

    service: str
    spec: LocalSpec
    state: StateFolder
    sides: Sides
    routing: Routing
    fenced: Fence

    def identity(self) -> str:
        """Name this machine and the folder that the processes belong to."""
        return f"local:{socket.gethostname()}:{self.state.path.resolve()}"

    def fence(self, run: str) -> None:
        """Let nobody but this process change the service for a run from now on."""
        if not self.fenced.is_taken_for(run):
            with self._locked():
                self.fenced.take(run)

    def survey(self) -> Serving:
        """Observe the service; the router need not run."""
        return Serving(live=self._live(), sides={colour: self.sides.observe(colour) for colour in Colour})

    def deploy(self, colour: Colour, version: Version, *, deadline: timedelta) -> None:
        """Make `colour` run `version` from the plan's settings and wait until it is ready."""
        self._run(colour, self._deployment_of(version), deadline=deadline)

    def restore(self, colour: Colour, *, deadline: timedelta) -> None:
        """Start again what was last deployed as `colour`, unchanged, and wait until it is ready."""
        self._run(colour, self._deployed(colour).deployment, deadline=deadline)

    def address(self, colour: Colour) -> str:
        """Return where the process of `colour` listens."""
        return url(self._deployed(colour).port)

    def public_address(self) -> str:
        """Return where the router listens; starts it if need be."""
        return url(self.start_router().port)

    def log_of(self, colour: Colour) -> str:
        """Name the file of a colour's output."""
        return str(self.state.log(colour))

    def let_clients_in(self) -> None:
        """Start the router if need be."""
        self.start_router()

    def canary(self, colour: Colour, percent: int, *, deadline: timedelta) -> float:  # noqa: ARG002
        """Refuse: the router sends all new connections to one colour."""
        raise StepFailed(
            "canary-not-supported",
            f"`{self.service}` runs on the local platform, which has no canary.",
            next_step="Remove `canary` from the plan, or release it on Kubernetes.",
        )

    def end_canary(self) -> None:
        """Do nothing: there never is one."""

    def before_switch(self, to: Colour) -> tuple[Answer, ...]:
        """Ask whether `to` is ready at this moment."""
        side = self.sides.observe(to)
        return (Answer(ok=side.ready, detail=f"{to} is ready" if side.ready else f"{to}: {side.detail}"),)

    def switch(self, *, expected: Colour | None, to: Colour) -> None:
        """Send new connections to `to`, if they go to `expected` now."""
        with self._locked():
            self.fenced.check()
            self.routing.start()
            if not self.routing.switch(expected=expected, to=to):
                raise StepFailed(
                    "switch-conflict",
                    f"The traffic of `{self.service}` goes to {self._live() or 'nobody'}, "
                    f"and not to {expected or 'nobody'}, from where {to} was to take it over.",
                    why="Somebody moved it meanwhile.",
                    next_step="Look with `coordinator local status`, then run the command again.",
                )

    def after_switch(self, to: Colour, *, deadline: timedelta) -> tuple[Answer, ...]:  # noqa: ARG002
        """Ask the router, which confirmed the switch before it returned."""
        status = self.start_router()
        return (Answer(ok=status.target == to, detail=f"the router sends to {status.target or 'nobody'}"),)

    def open_connections(self, colour: Colour) -> int:
        """Return how many client connections the router still carries to `colour`."""
        return self.start_router().open[colour]

    def stop(self, colour: Colour, *, grace: timedelta) -> None:
        """End the processes of `colour`; refuses while new connections reach it."""
        with self._locked():
            self.fenced.check()
            if self._live() is colour:
                raise self._serves(colour, "stopping it would refuse every client")
            self._end(colour, grace)

    def missing_rights(self) -> tuple[str, ...]:
        """Return nothing: the processes are the user's own."""
        return ()

    # -- what a person does with it, beyond the port --------------------------------------------------

    def start_router(self) -> RouterStatus:
        """Make sure that the router runs, on the port and with the target that it had."""
        status = self.routing.status()
        if status is not None and self.spec.port in (0, status.port):
            return status
        with self._locked():
            return self.routing.start()

    def bring_up(self, version: Version, *, deadline: timedelta) -> tuple[str, ...]:
        """Make the service serve: `version` if it never did, else what it served; return what was done.

        What was stopped on purpose stays down, and a version that serves is never replaced. A side that
        does not serve and cannot be started again is told, and does not keep the other one down.
        """
        done = [] if self.routing.status() else ["started the router"]
        self.start_router()
        done += [self._repair(colour, deadline) for colour in Colour if self._has_fallen(colour)]
        if self._live() is None:
            self.deploy(Colour.BLUE, version, deadline=deadline)
            done.append(f"deployed {version} as blue")
            self._serve_first(Colour.BLUE)
        return tuple(done)

    def remove(self) -> bool:
        """End everything of the service and delete its state folder; tell whether there was anything."""
        with durable.usable(self.state.path):
            existed = self.state.path.exists()
        if existed:
            with self._locked():
                self._end_router()
                for colour in Colour:
                    self._end(colour, self.spec.grace)
                shutil.rmtree(self.state.path)
        with self._ending():
            kill_marked(str(self.state.path))  # the only trace if the folder was deleted by hand
        with suppress(OSError):
            self.state.path.parent.rmdir()
        return existed

    # -- inside ----------------------------------------------------------------------------------------

    def _run(self, colour: Colour, wanted: Deployment, *, deadline: timedelta) -> None:
        until = time.monotonic() + deadline.total_seconds()
        self.start_router()
        with self._locked(seconds=deadline.total_seconds()) as lock:
            self.fenced.check()
            record = self.state.side(colour)
            same = record is not None and record.deployment == wanted
            if record is not None and not same and self._live() is colour:
                raise self._serves(
                    colour, f"it would be replaced by {_difference(record.deployment, wanted)}"
                )
            if record is None or not same or record.stopped or not record.is_alive:
                self._end(colour, self.spec.grace)
                self.sides.start(colour, wanted, lock=lock)
        self.sides.wait_until_ready(colour, until=until)

    def _live(self) -> Colour | None:
        router = self.state.router()
        return None if router is None or router.target is None else Colour(router.target)

    def _deployed(self, colour: Colour) -> SideRecord:
        record = self.state.side(colour)
        if record is None:
            raise StepFailed(
                "never-deployed",
                f"Nothing of `{self.service}` was ever deployed as {colour} on this machine.",
                next_step="Deploy it first: `coordinator local up`, or a release.",
            )
        return record

    def _serve_first(self, colour: Colour) -> None:
        try:
            self.switch(expected=None, to=colour)
        except StepFailed as error:
            if error.code != "switch-conflict" or self._live() is None:
                raise  # otherwise another command brought the service up a moment before us

    def _has_fallen(self, colour: Colour) -> bool:
        record = self.state.side(colour)
        if record is None or record.is_alive:
            return False
        return not record.stopped or self._live() is colour

    def _repair(self, colour: Colour, deadline: timedelta) -> str:
        try:
            self.restore(colour, deadline=deadline)
        except StepFailed as error:
            if self._live() is colour:
                raise
            return f"{colour} serves nobody and cannot be started again: {error.what}"
        return f"started {colour} again"

    def _deployment_of(self, version: Version) -> Deployment:
        return Deployment(
            version=version,
            command=self.spec.command,
            environment=tuple(_recorded(name, value) for name, value in sorted(self.spec.env.items())),
            ready=self.spec.ready,
        )

    def _end_router(self) -> None:
        router = self.state.router()
        if router is not None:
            with self._ending():
                end(router.pid, birth=router.birth, grace=_ROUTER_GRACE)
            router.remove_control()

    def _end(self, colour: Colour, grace: timedelta) -> None:
        """End `colour`; first write down that it was meant to, so that a kill between looks like no death."""
        record = self.state.side(colour)
        if record is not None and not record.stopped:
            self.state.write_side(colour, record.as_stopped())
        with self._ending():
            self.sides.end(colour, grace=grace)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except Unkillable as error:
            raise StepFailed(
                "not-stopped",
                f"Of `{self.service}`, {error} is still there, seconds after SIGKILL.",
                why="It hangs in the kernel, or belongs to another user.",
                next_step="End it by hand, then run the command again.",
            ) from error

    @contextmanager
    def _locked(self, *, seconds: float = _LOCK_SECONDS) -> Iterator[int]:
        """Hold the service against other commands; yields the lock's descriptor."""
        with ExitStack() as stack:
            try:
                lock = stack.enter_context(self.state.lock("lock", seconds=seconds))
            except TimeoutError as error:
                raise Waiting(
                    "local-busy",
                    f"Another command has been changing `{self.service}` for {seconds:g} s: {error}.",
                    why="Nothing was changed. It may be suspended (Ctrl-Z, SIGSTOP).",
                    next_step="Let it go on (`fg`) and finish, or end it (`kill -9`); then run this command"
                    " again.",
                ) from error
            yield lock

    def _serves(self, colour: Colour, why: str) -> StepFailed:
        return StepFailed(
            "colour-serves",
            f"`{self.service}` {colour} serves the traffic, and {why}.",
            next_step=f"Switch to {colour.other} first.",
        )


def _recorded(name: str, value: SecretRef | str) -> tuple[str, str, str]:
    return (name, "", value) if isinstance(value, str) else (name, value.scheme, value.name)


def _difference(old: Deployment, new: Deployment) -> str:
    return f"{old.version} with other settings" if old.version == new.version else new.version


def _inherited_from(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environment.items() if name in _INHERITED or name.startswith("LC_")
    }


def service_at(folder: Path, *, name: str, spec: LocalSpec, resolve: Callable[[SecretRef], Secret]) -> Local:
    """Return the service of the plan in `folder`; touches nothing yet."""
    folder = folder.resolve()
    state = StateFolder(folder / ".coordinator" / "local" / name)
    environment = _inherited_from(os.environ)
    return Local(
        service=name,
        spec=spec,
        state=state,
        sides=Sides(name, state=state, folder=folder, environment=environment, resolve=resolve),
        routing=Routing(
            name,
            folder=state,
            wanted_port=spec.port,
            environment=environment | {MARKER: str(state.path)},
        ),
        fenced=Fence(name, state),
    )
