"""The objects of one colour, made from the team's manifest, and the patch of a Deployment that is there.

The manifest stays the team's: what coordinator sets is the name, the labels, the image and the environment
of one container, and the size. Everything else is applied as it stands. Version and release stand in labels
and never in a selector: a selector cannot be changed, so the next release could not be applied.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.objects import COLOUR, Json, at, containers_of, demand, put
from coordinator.adapters.platforms._kubernetes.reading import Manifest, index_of_container, read
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec, label_value
from coordinator.errors import StepFailed
from coordinator.model import Colour, ServiceSpec, Version

__all__ = ["Manifest", "Objects", "container_of", "objects_for", "patch_for", "read_manifest"]

_POD_LABELS: Final = ("spec", "template", "metadata", "labels")
_CONTAINERS: Final = ("spec", "template", "spec", "containers")


@dataclass(frozen=True, slots=True)
class Objects:
    """What one colour is applied from."""

    deployment: dict[str, Any]
    autoscaler: dict[str, Any] | None
    budget: dict[str, Any] | None


def read_manifest(path: Path, *, service: ServiceSpec) -> Manifest:
    """Return the manifest of a service. Raises: StepFailed with the first problem of the file."""
    assert isinstance(service.platform_spec, KubernetesSpec)
    reading = read(path, spec=service.platform_spec, place=service.place)
    if reading.manifest is None:
        first = reading.diagnostics[0]
        raise StepFailed(first.code, f"{first.place}: {first.what}", why=first.why, next_step=first.next_step)
    return reading.manifest


def container_of(deployment: Json, spec: KubernetesSpec) -> int:
    """Return the index of the container that gets the image. Raises: StepFailed `container-unknown`."""
    index = index_of_container(deployment, spec.container)
    if isinstance(index, int):
        return index
    raise StepFailed(
        "container-unknown",
        f"Which container is the service? The Deployment has {', '.join(index) or 'none'}.",
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
    """Return the objects of one colour, with at least `replicas` Pods.

    `app` is the label where the manifest has none; the annotations are the Deployment's. With an autoscaler
    the size is where it begins, and the least that it may choose.
    """
    body = copy.deepcopy(dict(manifest.deployment))
    own = {"app": at(body, *_POD_LABELS, "app") or label_value(app), COLOUR: colour.value}
    labels = {**own, "version": label_value(version), "release": label_value(release)}
    identity = {"name": name, "namespace": spec.namespace}
    _clean(body)
    body["metadata"] |= identity | {
        "labels": {**(at(body, "metadata", "labels") or {}), **labels},
        "annotations": {**(at(body, "metadata", "annotations") or {}), **annotations},
    }
    inner = body["spec"]
    inner["replicas"] = _size_from(manifest, replicas)
    inner["selector"]["matchLabels"] = {**inner["selector"]["matchLabels"], **own}
    inner["template"]["metadata"]["labels"] = {**at(body, *_POD_LABELS), **labels}
    container = at(body, *_CONTAINERS)[container_of(body, spec)]
    container["image"] = spec.image
    container["env"] = environment_of(
        container.get("env") or (), spec, colour=colour, version=version, release=release
    )
    beside = identity | {"labels": own}
    return Objects(
        body,
        _autoscaler(manifest.autoscaler, beside, least=replicas),
        _budget(manifest.budget, beside, inner["selector"]["matchLabels"]),
    )


def environment_of(
    present: Sequence[Json], spec: KubernetesSpec, *, colour: Colour, version: Version, release: str
) -> list[dict[str, Any]]:
    """Return a container's environment with ours in it.

    COLOR, VERSION and RELEASE come first, so that every other variable may use them: `$(VERSION)` is filled
    in only if it stands before. The plan's variables replace those of the same name, and the rest follows.
    """
    release_own = {"COLOR": colour.value, "VERSION": version, "RELEASE": release}
    kept = [dict(each) for each in present if each.get("name") not in release_own]
    named = {each.get("name") for each in kept}
    replaced = [
        {"name": name, "value": spec.env[name]} if (name := each.get("name")) in spec.env else each
        for each in kept
    ]
    added = {name: value for name, value in spec.env.items() if name not in named}
    return [*_variables(release_own), *replaced, *_variables(added)]


def patch_for(
    deployment: Json, *, spec: KubernetesSpec, colour: Colour, version: Version, release: str
) -> list[dict[str, Any]]:
    """Return the operations that make a Deployment of the team run a version: image, labels, environment.

    They test what they rest on: that the container is still at its place, with the environment that was read.
    Raises: StepFailed `container-unknown`.
    """
    index = container_of(deployment, spec)
    container = containers_of(deployment)[index]
    path = (*_CONTAINERS, str(index))
    present = container.get("env")
    wanted = environment_of(present or (), spec, colour=colour, version=version, release=release)
    operations = [demand(container.get("name"), *path, "name")]
    operations += [demand(present, *path, "env")] if present else []
    operations += [put(spec.image, *path, "image"), put(wanted, *path, "env")]
    labels = {"version": label_value(version), "release": label_value(release)}
    for where in (("metadata", "labels"), _POD_LABELS):
        operations += [] if at(deployment, *where) else [put({}, *where)]
        operations += [put(value, *where, key) for key, value in labels.items()]
    return operations


# -- inside --------------------------------------------------------------------------------------------------


def _variables(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _clean(body: dict[str, Any]) -> None:
    """Take away what `kubectl create --dry-run` prints and nobody means: empty fields of the server's."""
    body.pop("status", None)
    body["metadata"].pop("creationTimestamp", None)
    body["spec"]["template"]["metadata"].pop("creationTimestamp", None)


def _size_from(manifest: Manifest, least: int) -> int:
    written = at(manifest.deployment, "spec", "replicas")
    scaled = at(manifest.autoscaler, "spec", "minReplicas")
    return max(1, *(int(each) for each in (written, scaled, least) if each is not None))


def _autoscaler(manifest: Json | None, metadata: Json, *, least: int) -> dict[str, Any] | None:
    if manifest is None:
        return None
    body = copy.deepcopy(dict(manifest))
    body.pop("status", None)
    body["metadata"] = _beside(body, metadata)
    spec = body["spec"]
    spec["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"]}
    spec["minReplicas"] = max(int(spec.get("minReplicas") or 1), least)
    spec["maxReplicas"] = max(int(spec["maxReplicas"]), spec["minReplicas"])
    return body


def _budget(manifest: Json | None, metadata: Json, selector: Json) -> dict[str, Any] | None:
    if manifest is None:
        return None
    body = copy.deepcopy(dict(manifest))
    body.pop("status", None)
    body["metadata"] = _beside(body, metadata)
    body["spec"]["selector"] = {"matchLabels": dict(selector)}
    return body


def _beside(body: Json, metadata: Json) -> dict[str, Any]:
    """Return the metadata of what belongs to a colour's Deployment: its name, the team's labels and ours."""
    kept = {key: value for key, value in body["metadata"].items() if key != "creationTimestamp"}
    return {**kept, **metadata, "labels": {**(kept.get("labels") or {}), **metadata["labels"]}}
