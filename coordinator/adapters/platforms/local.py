"""Blue and green as processes of this machine behind a TCP router: the whole product without a cluster.

A service lives in `.coordinator/local/<service>` below the plan (_local/records.py says what is there).
Processes outlive the command, and nothing of them outlives `coordinator local down`. A plan is checked with
what stands here; what starts and ends processes (_local/service.py) is imported when a command connects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coordinator.adapters.platforms._local.spec import LocalSpec
from coordinator.diagnostics import Diagnostic
from coordinator.model import SecretRef, ServiceSpec
from coordinator.ports.platforms import PlatformKind
from coordinator.secret import Secret

if TYPE_CHECKING:
    from coordinator.adapters.platforms._local.service import Local


class LocalKind:
    """The platform `local`."""

    spec: type = LocalSpec

    def connect(
        self,
        *,
        service: ServiceSpec,
        release: str,  # noqa: ARG002 - its processes carry no name of a release
        folder: Path,
        resolve: Callable[[SecretRef], Secret],
    ) -> Local:
        """Return the service on this machine; touches nothing yet."""
        from coordinator.adapters.platforms._local.service import service_at  # noqa: PLC0415

        assert isinstance(service.platform_spec, LocalSpec)
        return service_at(folder, name=service.name, spec=service.platform_spec, resolve=resolve)

    def lint(self, service: ServiceSpec, *, folder: Path) -> tuple[Diagnostic, ...]:  # noqa: ARG002
        """Return what a plan asks for that processes behind a router cannot do."""
        next_step = "Remove it, or release the service on Kubernetes."
        canary = Diagnostic(
            "canary-not-supported",
            service.place,
            f"`{service.name}` has a `canary`, and the local platform sends all traffic to one version.",
            next_step=next_step,
        )
        worker = Diagnostic(
            "worker-not-supported",
            service.place,
            f"`{service.name}` is a `worker`, and the local platform runs services with traffic only.",
            next_step=next_step,
        )
        return (*([canary] if service.canary else ()), *([worker] if service.worker else ()))

    def place_of(self, service: ServiceSpec) -> str | None:
        """Return the public port; a free one is taken for each service that names none."""
        assert isinstance(service.platform_spec, LocalSpec)
        port = service.platform_spec.port
        return f"the port {port}" if port else None

    def rights(self, services: Sequence[ServiceSpec], *, folder: Path) -> str:  # noqa: ARG002
        """Return that nobody has to grant anything: the processes are the user's own."""
        return ""


PLATFORM: Final[PlatformKind] = LocalKind()
