"""What the core asks of a platform: where versions run, and which one the traffic goes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from coordinator.diagnostics import Diagnostic
from coordinator.model import Colour, SecretRef, ServiceSpec, Version
from coordinator.ports.checks import Answer
from coordinator.secret import Secret


@dataclass(frozen=True, slots=True)
class Side:
    """One colour of a service, as observed. A colour that was never deployed is not running."""

    version: Version | None = None
    running: bool = False
    ready: bool = False
    """It is running and answers its readiness check; what `deploy` waits for and a rollback asks."""
    detail: str = ""
    """What a person wants to know when it is not ready: exit code, last line of its log."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A service as observed: which colour new connections reach (None: none yet), and both sides.

    While a canary is out, both are reached, and `live` is the one that served before it. A worker has no
    connections; its live colour is the one that does the work.
    """

    live: Colour | None
    sides: Mapping[Colour, Side]
    diagnostics: tuple[Diagnostic, ...] = ()
    """What the platform found wrong with what is there; an error stops a release before it begins."""


class Platform(Protocol):
    """One service on its platform. Failures are StepFailed; nothing here waits without a deadline."""

    def identity(self) -> str:
        """Name the place where the service runs, so that no other place has the same name.

        A release belongs to the places that it began in: the same plan and database with another place is
        another release, which knows nothing of the versions that run in the first.
        """
        ...

    def fence(self, run: str) -> None:
        """Let nobody but this process change the service from now on; repeating it is harmless.

        What an older process still tries fails there, and says who took over (Waiting `fenced-off`). From
        here on a change of the traffic that no process of this run made is told by every method that looks
        at it (Waiting `changed-by-hand`), and is never overwritten.
        """
        ...

    def survey(self) -> Serving:
        """Observe the service; changes nothing."""
        ...

    def deploy(self, colour: Colour, version: Version, *, deadline: timedelta) -> None:
        """Make `colour` run `version` from the plan's settings and wait until it is ready.

        Repeating it is harmless: what already runs that version is left alone and waited for. Never touches
        traffic; refuses (StepFailed `colour-serves`) to replace the colour that serves by another version.
        On failure it may leave the colour running: `stop` cleans up.
        """
        ...

    def restore(self, colour: Colour, *, deadline: timedelta) -> None:
        """Start again what was last deployed as `colour`, unchanged, and wait until it is ready."""
        ...

    def address(self, colour: Colour) -> str:
        """Return a base URL (no trailing slash) that reaches `colour` whoever serves, for verification."""
        ...

    def public_address(self) -> str:
        """Return the base URL that clients use, for monitoring."""
        ...

    def log_of(self, colour: Colour) -> str:
        """Name where a person reads what `colour` prints: a file, or a command; contacts nobody."""
        ...

    def let_clients_in(self) -> None:
        """Start the platform's own router again, where it had died; asks nobody, and changes nothing else."""
        ...

    def canary(self, colour: Colour, percent: int, *, deadline: timedelta) -> float:
        """Let `colour` take about `percent` of the new connections beside live; return the true share.

        The share is in percent too, and as near as whole replicas come. Repeating it, with whatever percent,
        is harmless. Live stays as large as it is. Ended by `switch`, or by `end_canary`.
        """
        ...

    def end_canary(self) -> None:
        """Send all new connections to live alone again. Harmless where no canary is out."""
        ...

    def before_switch(self, to: Colour) -> tuple[Answer, ...]:
        """Ask whatever must hold before traffic moves to `to`, each its own answer; changes nothing.

        An answer that is not ok keeps traffic where it is. A way back does not ask.
        """
        ...

    def switch(self, *, expected: Colour | None, to: Colour) -> None:
        """Send new connections to `to`, if they go to `expected` now; StepFailed `switch-conflict` otherwise.

        Atomic for new connections; open ones finish where they are. Returns when the router has confirmed.
        Asks nothing of the colour that it leaves. It ends a canary.
        """
        ...

    def after_switch(self, to: Colour, *, deadline: timedelta) -> tuple[Answer, ...]:
        """Wait until the switch to `to` is seen everywhere; return each thing that was asked with its answer.

        Returns as soon as every answer is ok, or with what is not at the deadline.
        """
        ...

    def open_connections(self, colour: Colour) -> int | None:
        """Return how many client connections are still open to `colour`; None where nobody can count them."""
        ...

    def stop(self, colour: Colour, *, grace: timedelta) -> None:
        """Scale `colour` to nothing: SIGTERM, and SIGKILL after `grace`. Repeating it is harmless.

        Refuses (StepFailed `colour-serves`) to stop the colour that new connections reach. A worker has
        none, and each of its colours may be stopped.
        """
        ...

    def missing_rights(self) -> tuple[str, ...]:
        """Return what we would need and may not do, a clause each; empty where nothing is missing."""
        ...


class PlatformKind(Protocol):
    """A platform's adapter: `PLATFORM: Final[PlatformKind]`, last line of adapters/platforms/<key>.py."""

    spec: type
    """The pydantic model of the plan's `platform: {<key>: …}`; ServiceSpec.platform_spec holds its value."""

    def connect(
        self,
        *,
        service: ServiceSpec,
        release: str,
        folder: Path,
        resolve: Callable[[SecretRef], Secret],
    ) -> Platform:
        """Return the service on its platform; contacts nothing yet.

        `folder` is the plan's; `.coordinator/` below it is for state. `resolve` reads a secret of the
        settings just before use; its value never reaches a log, a file or an argument list.
        """
        ...

    def lint(self, service: ServiceSpec, *, folder: Path) -> tuple[Diagnostic, ...]:
        """Return what is wrong with a service's settings and the files that they name; contacts nobody."""
        ...

    def place_of(self, service: ServiceSpec) -> str | None:
        """Return where clients reach a service, as a person calls it; None where that is nobody else's."""
        ...

    def rights(self, services: Sequence[ServiceSpec], *, folder: Path) -> str:
        """Return the document with which an administrator grants what these services need; empty: nothing."""
        ...
