"""A Deployment's body against the rules for Pods (workload_rules.py), wherever it comes from.

It is the team's manifest before anybody is contacted, or what runs in the cluster where the plan names no
manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from coordinator.adapters.platforms._kubernetes.manifest import Manifest
from coordinator.adapters.platforms._kubernetes.objects import Json, at, containers_of, name_of
from coordinator.adapters.platforms._kubernetes.reading import index_of_container, read
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec, preview_problem
from coordinator.adapters.platforms._kubernetes.workload_rules import POD, RULES, Found, Rule, Workload
from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.model import Colour, ServiceSpec


def lint_manifest(manifest: Manifest, service: ServiceSpec) -> tuple[Diagnostic, ...]:
    """Return what the manifest's Pods lack, in the order of the file."""
    workload = _workload_of(manifest.deployment, service)
    if workload is None:
        return ()
    replicas = at(manifest.deployment, "spec", "replicas") or 1
    least = at(manifest.autoscaler, "spec", "minReplicas") or 1 if manifest.autoscaler else replicas
    workload = replace(workload, budget=manifest.budget, least=int(least))
    found = (
        _diagnostic(rule, each, manifest.place(*each.path))
        for rule in RULES
        if not rule.is_of_cluster and (workload.has_traffic or not rule.is_of_traffic)
        for each in rule.find(workload)
    )
    return tuple(sorted(found, key=lambda each: each.place))


def lint_live(service: ServiceSpec, found: Mapping[Colour, Json | None]) -> tuple[Diagnostic, ...]:
    """Return what the Deployments in the cluster lack; with a manifest, only what a release cannot mend."""
    spec = service.platform_spec
    assert isinstance(spec, KubernetesSpec)
    return tuple(
        _diagnostic(rule, each, Place(f"deployment/{name_of(deployment)}"))
        for deployment in found.values()
        if deployment is not None and (workload := _workload_of(deployment, service)) is not None
        for rule in RULES
        if _counts_in_cluster(rule, spec) and (workload.has_traffic or not rule.is_of_traffic)
        for each in rule.find(workload)
    )


def lint_service(service: ServiceSpec, *, folder: Path) -> tuple[Diagnostic, ...]:
    """Return what is wrong with a service's settings and its manifest; contacts nobody."""
    spec = service.platform_spec
    assert isinstance(spec, KubernetesSpec)
    settings = tuple(_settings_problems(service, spec))
    if spec.deployment is None:
        return settings
    reading = read(folder / spec.deployment, spec=spec, place=service.place)
    if reading.manifest is None:
        return (*settings, *reading.diagnostics)
    return (*settings, *lint_manifest(reading.manifest, service))


def _counts_in_cluster(rule: Rule, spec: KubernetesSpec) -> bool:
    return rule.is_of_cluster if spec.deployment is not None else not rule.is_of_file


def _workload_of(deployment: Json, service: ServiceSpec) -> Workload | None:
    spec = service.platform_spec
    assert isinstance(spec, KubernetesSpec)
    index = index_of_container(deployment, spec.container)
    if not isinstance(index, int):
        return None
    container = containers_of(deployment)[index]
    path = (*POD, "containers", index)
    return Workload(
        deployment,
        container,
        path,
        has_traffic=service.worker is None,
        least=int(at(deployment, "spec", "replicas") or 1),
    )


def _diagnostic(rule: Rule, found: Found, place: Place) -> Diagnostic:
    return Diagnostic(
        rule.code, place, what=found.what, why=rule.why, next_step=found.next_step, severity=rule.severity
    )


# -- the settings --------------------------------------------------------------------------------------------


def _settings_problems(service: ServiceSpec, spec: KubernetesSpec) -> Iterator[Diagnostic]:
    if (spec.service is None) is (service.worker is None):
        yield Diagnostic(
            code="service-or-worker",
            place=service.place,
            what=f"`{service.name}` has neither a `service` whose traffic is switched nor `worker`."
            if spec.service is None
            else f"`{service.name}` is a worker, and its settings name the Service `{spec.service}`.",
            why="What has traffic is switched by its Service, and what has none is handed over.",
            next_step="Add `service:` to its Kubernetes settings, or `worker: overlap` beside them."
            if spec.service is None
            else "Remove `worker:`, or `service:`.",
        )
    if spec.service is not None and spec.confirm is None:
        yield Diagnostic(
            code="no-confirm",
            place=service.place,
            what=f"Nobody asks at the clients' address whether `{service.name}` has switched.",
            why="EndpointSlices are right before the nodes are that follow them, and know no ingress.",
            next_step='Add `url:` with that address and `confirm: {path: /version, contains: "{version}"}`.',
            severity=Severity.WARNING,
        )
    if (problem := preview_problem(spec.preview_name(service.name))) is not None:
        yield Diagnostic(code="bad-kubernetes-name", place=service.place, what=problem)
