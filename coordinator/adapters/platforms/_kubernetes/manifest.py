"""What a colour is made of: the team's manifest, read once, and the objects that one colour gets from it.
Pure but for the reading.

The manifest stays the team's: what coordinator sets is the name, the labels, the image and the environment
of one container, and the size. Everything else is applied as it stands.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.objects import COLOUR, Json, at, containers_of, demand, put
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec, label_value
from coordinator.errors import StepFailed
from coordinator.load.foreign import NotReadable, read_yaml_documents
from coordinator.model import Colour, ServiceSpec, Version

KINDS: Final = {
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The documents of the team's file, as they were read."""

    deployment: Json
    autoscaler: Json | None
    budget: Json | None


@dataclass(frozen=True, slots=True)
class Objects:
    """What one colour is applied from."""

    deployment: dict[str, Any]
    autoscaler: dict[str, Any] | None
    budget: dict[str, Any] | None


def read_manifest(path: Path, *, service: ServiceSpec) -> Manifest:
    """Return the manifest of a service. Raises: StepFailed `bad-manifest`."""
    try:
        documents = [each for each in read_yaml_documents(path.read_bytes()) if each is not None]
    except OSError as error:
        raise _bad(path, f"it cannot be read: {error.strerror}") from error
    except NotReadable as error:
        raise _bad(path, str(error)) from error
    found: dict[str, Json] = {}
    for each in documents:
        kind = str(at(each, "kind"))
        if kind not in KINDS or at(each, "apiVersion") != KINDS[kind]:
            raise _bad(path, f"it holds a {kind} ({at(each, 'apiVersion')}), which is no part of a colour")
        if kind in found:
            raise _bad(path, f"it holds two objects of kind {kind}")
        assert isinstance(each, Mapping)
        found[kind] = each
    if "Deployment" not in found:
        raise _bad(path, "it holds no Deployment")
    if not containers_of(found["Deployment"]):
        raise _bad(path, "its Deployment has no containers")
    assert isinstance(service.platform_spec, KubernetesSpec)
    container_of(found["Deployment"], service.platform_spec)
    return Manifest(
        found["Deployment"], found.get("HorizontalPodAutoscaler"), found.get("PodDisruptionBudget")
    )


def container_of(deployment: Json, spec: KubernetesSpec) -> int:
    """Return the index of the container that gets the image. Raises: StepFailed `container-unknown`."""
    names = [str(each.get("name")) for each in containers_of(deployment)]
    if spec.container in names:
        return names.index(spec.container)
    if spec.container is None and len(names) == 1:
        return 0
    raise StepFailed(
        "container-unknown",
        f"Which container is the service? The Deployment has {', '.join(names)}.",
        next_step="Name one of them as `container:` in the service's Kubernetes settings.",
    )


def objects_for(
    manifest: Manifest,
    *,
    spec: KubernetesSpec,
    name: str,
    app: str,
    colour: Colour,
    version: Version,
    release: str,
    replicas: int,
    annotations: Mapping[str, str],
) -> Objects:
    """Return the objects of one colour, with at least `replicas` Pods."""
    deployment = copy.deepcopy(dict(manifest.deployment))
    app = (
        at(deployment, "spec", "selector", "matchLabels", "app")
        or at(deployment, "spec", "template", "metadata", "labels", "app")
        or app
    )
    chosen = {"app": app, COLOUR: colour.value}
    labels = {**chosen, "version": label_value(version), "release": label_value(release)}
    metadata = {**(deployment.get("metadata") or {}), "name": name, "namespace": spec.namespace}
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    body = deployment["spec"]
    body["selector"] = {"matchLabels": {**(at(body, "selector", "matchLabels") or {}), **chosen}}
    template = body["template"]
    template["metadata"] = {**(template.get("metadata") or {})}
    template["metadata"]["labels"] = {**(template["metadata"].get("labels") or {}), **labels}
    body["replicas"] = max(int(body.get("replicas", 1)), replicas)
    container = template["spec"]["containers"][container_of(manifest.deployment, spec)]
    container["image"] = spec.image
    container["env"] = _environment(
        container.get("env") or [], spec, colour=colour, version=version, release=release
    )
    deployment["metadata"] = metadata
    return Objects(
        deployment,
        _autoscaler(manifest.autoscaler, metadata, labels, body["replicas"]),
        _budget(manifest.budget, metadata, labels, chosen),
    )


def _environment(
    present: list[dict[str, Any]], spec: KubernetesSpec, *, colour: Colour, version: Version, release: str
) -> list[dict[str, Any]]:
    ours = {"COLOR": colour.value, "VERSION": version, "RELEASE": release, **spec.env}
    kept = [each for each in present if each.get("name") not in ours]
    return [*kept, *({"name": name, "value": value} for name, value in ours.items())]


def _autoscaler(manifest: Json | None, metadata: Json, labels: Json, least: int) -> dict[str, Any] | None:
    if manifest is None:
        return None
    body = copy.deepcopy(dict(manifest))
    body["metadata"] = {"name": metadata["name"], "namespace": metadata["namespace"], "labels": dict(labels)}
    spec = body["spec"]
    spec["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"]}
    spec["minReplicas"] = max(int(spec.get("minReplicas") or 1), least)
    spec["maxReplicas"] = max(int(spec["maxReplicas"]), spec["minReplicas"])
    return body


def _budget(manifest: Json | None, metadata: Json, labels: Json, chosen: Json) -> dict[str, Any] | None:
    if manifest is None:
        return None
    body = copy.deepcopy(dict(manifest))
    body["metadata"] = {"name": metadata["name"], "namespace": metadata["namespace"], "labels": dict(labels)}
    body["spec"]["selector"] = {"matchLabels": dict(chosen)}
    return body


def patch_for(
    deployment: Json, *, spec: KubernetesSpec, colour: Colour, version: Version, release: str
) -> list[dict[str, Any]]:
    """Return the operations that make a Deployment of the team run a version: image, labels, environment."""
    index = container_of(deployment, spec)
    container = containers_of(deployment)[index]
    labels = {"version": label_value(version), "release": label_value(release)}
    path = ("spec", "template", "spec", "containers", str(index))
    operations = [
        demand(container.get("name"), *path, "name"),
        put(spec.image, *path, "image"),
        put(
            _environment(container.get("env") or [], spec, colour=colour, version=version, release=release),
            *path,
            "env",
        ),
    ]
    for where in (("metadata", "labels"), ("spec", "template", "metadata", "labels")):
        operations += [put(value, *where, key) for key, value in labels.items()]
    return operations


def _bad(path: Path, why: str) -> StepFailed:
    return StepFailed(
        "bad-manifest",
        f"The manifest {path} cannot be used: {why}.",
        next_step="Let it hold one Deployment, and if wanted its autoscaler and its disruption budget.",
    )
