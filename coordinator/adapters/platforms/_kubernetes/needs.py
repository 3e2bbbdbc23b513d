"""The least that a plan's services must be allowed in their cluster, each right with what it is for.

RBAC cannot name what does not exist yet, so a right to create or to list goes without names; everything
else is bound to the objects of the plan. No right here reaches a Secret, and none deletes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from coordinator.adapters.platforms._kubernetes.manifest import read_manifest
from coordinator.adapters.platforms._kubernetes.rights import Right
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.errors import StepFailed
from coordinator.model import Colour, ServiceSpec


def needs_of(service: ServiceSpec, *, folder: Path) -> tuple[Right, ...]:
    """Return every right that a release uses; a manifest that cannot be read counts as whole."""
    spec = service.platform_spec
    assert isinstance(spec, KubernetesSpec)
    return (
        Right(None, "", "namespaces", ("get",), "tells this cluster from every other one", ("kube-system",)),
        *_deployments(service, spec, folder),
        *_services(service, spec),
        *_pods(spec),
    )


def _deployments(service: ServiceSpec, spec: KubernetesSpec, folder: Path) -> Iterator[Right]:
    names = tuple(spec.deployment_name(service.name, colour) for colour in Colour)
    where = spec.namespace
    yield Right(where, "apps", "deployments", ("get", "patch"), "deploys and scales both colours", names)
    if spec.deployment is None:
        return
    yield Right(where, "apps", "deployments", ("create",), "makes a colour that is not there yet")
    has_autoscaler, has_budget = _beside(service, spec, folder)
    if has_autoscaler:
        group, resource = "autoscaling", "horizontalpodautoscalers"
        yield Right(where, group, resource, ("get", "patch"), "keeps next as large as live is", names)
        yield Right(where, group, resource, ("create",), "makes the autoscaler of a colour")
    if has_budget:
        group, resource = "policy", "poddisruptionbudgets"
        yield Right(where, group, resource, ("patch",), "keeps the disruption budget of each colour", names)
        yield Right(where, group, resource, ("create",), "makes the disruption budget of a colour")


def _beside(service: ServiceSpec, spec: KubernetesSpec, folder: Path) -> tuple[bool, bool]:
    assert spec.deployment is not None
    try:
        manifest = read_manifest(folder / spec.deployment, service=service)
    except StepFailed:
        return True, True
    return manifest.autoscaler is not None, manifest.budget is not None


def _services(service: ServiceSpec, spec: KubernetesSpec) -> Iterator[Right]:
    where, preview = spec.namespace, spec.preview_name(service.name)
    if spec.service is not None:
        yield Right(where, "", "services", ("get", "patch"), "switches the traffic", (spec.service,))
        yield Right(
            where, "discovery.k8s.io", "endpointslices", ("list",), "sees where clients are really sent"
        )
    yield Right(where, "", "services", ("get", "patch"), "points the preview Service at a colour", (preview,))
    yield Right(where, "", "services", ("create",), "makes the preview Service")
    asks = ("get", "create", "update", "patch", "delete")
    yield Right(where, "", "services/proxy", asks, "asks the checks of a colour before it serves", (preview,))
    if spec.service is not None and spec.url is None:
        yield Right(where, "", "services/proxy", asks, "asks at the Service, as the plan names no `url`")


def _pods(spec: KubernetesSpec) -> Iterator[Right]:
    where = spec.namespace
    yield Right(where, "", "pods", ("list",), "sees whether Pods are ready, and that the last one is gone")
    yield Right(where, "", "pods/log", ("get",), "shows why a version does not start")
    if spec.connections is not None:
        yield Right(where, "", "pods/proxy", ("get",), "counts the connections that are still open")
