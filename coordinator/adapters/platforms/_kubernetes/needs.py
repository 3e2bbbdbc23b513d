"""The least that a plan's services must be allowed in their cluster, each right with what it is for.

Every object that a release makes is made by server-side apply, whose `create` the API server checks with the
object's name; so a right to create is bound to the names of the plan too (seen on 1.34). Only lists, logs and
metrics go without, for nobody knows the names of Pods before. No right here reaches a Secret, and none
deletes. To ask for one's own rights needs none: `system:basic-user` lets everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from coordinator.adapters.platforms._kubernetes.manifest import read_manifest
from coordinator.adapters.platforms._kubernetes.rights import Right, Subject, manifest
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.errors import StepFailed
from coordinator.model import Colour, ServiceSpec

_ACCOUNT: Final = "coordinator"
_READS: Final = ("get",)
_ASKS: Final = ("get", "create", "update", "patch", "delete")
"""What GET, HEAD, POST, PUT, PATCH and DELETE through a proxy need, for a command that sends any of them."""
_READING_CHECKS: Final = frozenset({"http"})
"""The checks that never send anything but GET."""


def granted_to(services: Sequence[ServiceSpec], *, folder: Path) -> str:
    """Return the Roles and bindings that grant what services need, one part for each cluster of the plan."""
    by_context = sorted(services, key=lambda each: _spec_of(each).context)
    return "---\n".join(
        f"# For the cluster of the context `{context}`. Bind it to whoever runs coordinator there.\n"
        + _granted_in_cluster(list(group), folder)
        for context, group in groupby(by_context, key=lambda each: _spec_of(each).context)
    )


def needs_of(service: ServiceSpec, *, folder: Path) -> tuple[Right, ...]:
    """Return every right that a release uses; a manifest that cannot be read counts as whole."""
    spec = _spec_of(service)
    return (
        Right(None, "", "namespaces", _READS, "tells this cluster from every other one", ("kube-system",)),
        *_deployments(service, spec, folder),
        *_services(service, spec),
        *_answers(service, spec),
        *_pods(spec),
    )


def _granted_in_cluster(services: Sequence[ServiceSpec], folder: Path) -> str:
    namespace, service = min((_spec_of(each).namespace, each.name) for each in services)
    subject = Subject("ServiceAccount", _ACCOUNT, namespace)
    needs = [right for service in services for right in needs_of(service, folder=folder)]
    # Two plans may share a cluster, and the second one's Role must not replace the first one's.
    return manifest(needs, name=f"{_ACCOUNT}-{namespace}-{service}", subject=subject)


def _spec_of(service: ServiceSpec) -> KubernetesSpec:
    assert isinstance(service.platform_spec, KubernetesSpec)
    return service.platform_spec


def _deployments(service: ServiceSpec, spec: KubernetesSpec, folder: Path) -> Iterator[Right]:
    names = tuple(spec.deployment_name(service.name, colour) for colour in Colour)
    where = spec.namespace
    yield Right(where, "apps", "deployments", ("get", "patch"), "deploys and scales both colours", names)
    if spec.deployment is None:
        return
    yield Right(where, "apps", "deployments", ("create",), "makes a colour that is not there yet", names)
    has_autoscaler, has_budget = _beside(service, spec, folder)
    if has_autoscaler:
        why = "keeps next as large as live is"
        yield Right(where, "autoscaling", "horizontalpodautoscalers", ("get", "create", "patch"), why, names)
    if has_budget:
        why = "makes the disruption budget of each colour"
        yield Right(where, "policy", "poddisruptionbudgets", ("create", "patch"), why, names)


def _beside(service: ServiceSpec, spec: KubernetesSpec, folder: Path) -> tuple[bool, bool]:
    assert spec.deployment is not None
    try:
        read = read_manifest(folder / spec.deployment, service=service)
    except StepFailed:
        return True, True
    return read.autoscaler is not None, read.budget is not None


def _services(service: ServiceSpec, spec: KubernetesSpec) -> Iterator[Right]:
    where, preview = spec.namespace, (spec.preview_name(service.name),)
    if spec.service is not None:
        yield Right(where, "", "services", ("get", "patch"), "switches the traffic", (spec.service,))
        why = "sees where clients are really sent"
        yield Right(where, "discovery.k8s.io", "endpointslices", ("list",), why)
    verbs = ("get", "create", "patch")
    yield Right(where, "", "services", verbs, "makes the preview Service and points it at a colour", preview)


def asked_at_preview(service: ServiceSpec) -> frozenset[str]:
    """Return the kinds of the checks that are asked at the preview Service, through the API server."""
    asked = [*service.verify]
    if service.canary is not None or _watched_at_preview(service):
        asked += service.monitor.checks
    return frozenset(each.kind for each in asked)


def asked_at_service(service: ServiceSpec) -> frozenset[str]:
    """Return the kinds of what is asked at the clients' Service through the API server, without `url`."""
    spec = _spec_of(service)
    if spec.url is not None or spec.service is None:
        return frozenset()
    confirmed = {"http"} if spec.confirm is not None else set()
    return frozenset(confirmed | {each.kind for each in service.monitor.checks})


def _watched_at_preview(service: ServiceSpec) -> bool:
    """Tell whether `monitor` has no other address: a worker is reached by nothing else."""
    spec = _spec_of(service)
    return spec.service is None and spec.url is None


def _answers(service: ServiceSpec, spec: KubernetesSpec) -> Iterator[Right]:
    """Yield the rights to ask the service itself, where a check of the plan does."""
    where, preview = spec.namespace, (spec.preview_name(service.name),)
    if kinds := asked_at_preview(service):
        why = "asks the checks of a colour that no client reaches yet"
        yield Right(where, "", "services/proxy", _asked_by(kinds), why, preview)
        why = "sees that a colour whose checks are asked is the only one that answers"
        yield Right(where, "", "endpoints", _READS, why, preview)
    if kinds := asked_at_service(service):
        why = "asks the Service, as the plan names no `url`; its port is part of the name, and not known here"
        yield Right(where, "", "services/proxy", _asked_by(kinds), why)
        assert spec.service is not None
        why = "sees that checks which are asked at the Service are answered by the new colour alone"
        yield Right(where, "", "endpoints", _READS, why, (spec.service,))


def _asked_by(kinds: frozenset[str]) -> tuple[str, ...]:
    return _READS if kinds <= _READING_CHECKS else _ASKS


def _pods(spec: KubernetesSpec) -> Iterator[Right]:
    where = spec.namespace
    yield Right(where, "", "pods", ("list",), "sees whether Pods are ready, and that the last one is gone")
    yield Right(where, "", "pods/log", _READS, "shows why a version does not start")
    if spec.connections is not None:
        yield Right(where, "", "pods/proxy", _READS, "counts the connections that are still open")
