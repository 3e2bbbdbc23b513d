"""Blue and green as two Deployments behind one Service of a Kubernetes cluster.

A plan is checked with what stands here; what talks to a cluster (_kubernetes/service.py, and with it the
`kubernetes` package) is imported when a command connects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.diagnostics import Diagnostic
from coordinator.model import SecretRef, ServiceSpec
from coordinator.ports.platforms import PlatformKind
from coordinator.secret import Secret

if TYPE_CHECKING:
    from coordinator.adapters.platforms._kubernetes.service import Kubernetes


class KubernetesKind:
    """The platform `kubernetes`."""

    spec: type = KubernetesSpec

    def connect(
        self,
        *,
        service: ServiceSpec,
        release: str,
        folder: Path,
        resolve: Callable[[SecretRef], Secret],  # noqa: ARG002 - secrets are the manifest's
    ) -> Kubernetes:
        """Return the service in its cluster; reads the kubeconfig and contacts nobody yet."""
        from coordinator.adapters.platforms._kubernetes.service import service_at  # noqa: PLC0415

        return service_at(folder, service=service, release=release)

    def lint(self, service: ServiceSpec, *, folder: Path) -> tuple[Diagnostic, ...]:
        """Return what is wrong with the settings and the manifest; contacts nobody."""
        from coordinator.adapters.platforms._kubernetes.lint import lint_service  # noqa: PLC0415

        return lint_service(service, folder=folder)

    def place_of(self, service: ServiceSpec) -> str | None:
        """Return the Service, of which a worker has none."""
        spec = service.platform_spec
        assert isinstance(spec, KubernetesSpec)
        if spec.service is None:
            return None
        return f"the Service `{spec.service}` in `{spec.namespace}` of `{spec.context}`"

    def rights(self, services: Sequence[ServiceSpec], *, folder: Path) -> str:
        """Return Roles with exactly what the services need, and their bindings, for each cluster."""
        from coordinator.adapters.platforms._kubernetes.needs import granted_to  # noqa: PLC0415

        return granted_to(services, folder=folder)


PLATFORM: Final[PlatformKind] = KubernetesKind()
