"""The two Deployments: what runs as which colour, made from the team's manifest, scaled, restored and
stopped.

What is deployed already is left alone: the annotation `coordinator/digest` says from what it was made.
Every change of a Deployment tests the fence's number; server-side apply, which cannot test, is given the
version of the object that was read instead.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.api import MANAGER
from coordinator.adapters.platforms._kubernetes.failures import Changed, Conflict, OwnedField, Unanswered
from coordinator.adapters.platforms._kubernetes.fence import Fence
from coordinator.adapters.platforms._kubernetes.manifest import (
    Manifest,
    Objects,
    objects_for,
    patch_for,
    read_manifest,
)
from coordinator.adapters.platforms._kubernetes.objects import (
    DIGEST,
    EPOCH,
    REPLICAS,
    VERSION,
    Json,
    annotate,
    annotation,
    at,
    demand,
    is_of_template,
    is_over,
    is_ready,
    number,
    put,
    size_of,
    version_of,
)
from coordinator.adapters.platforms._kubernetes.site import Site
from coordinator.adapters.platforms._kubernetes.waiting import (
    never_deployed,
    state_of,
    wait_until_complete,
    wait_until_gone,
)
from coordinator.errors import StepFailed
from coordinator.model import Colour, Version
from coordinator.ports.platforms import Side

_TRIES: Final = 6
_SET_BY_RELEASE: Final = re.compile(
    r"\.spec\.replicas|\.metadata\.(labels|annotations)\..*|\.spec\.template\.metadata\.labels\..*"
    r"|\.spec\.template\.spec\.containers\[name=[^]]*\]\.(image|env\b.*)"
)
"""The fields of a Deployment that a release sets, as the API server names them in a conflict."""
_PAUSE: Final = 0.2


class Deployments:
    """Both colours of one service."""

    def __init__(self, site: Site, fence: Fence, folder: Path) -> None:
        self._site = site
        self._fence = fence
        self._folder = folder

    def read(self, colour: Colour) -> dict[str, Any] | None:
        """Return a colour's Deployment, None if it was never deployed. Raises: Waiting `fenced-off`."""
        found = self._site.api.get(self._site.deployment(colour))
        if found is not None:
            self._fence.check(found)
        return found

    def observe(self, colour: Colour) -> Side:
        """Return what a colour runs now."""
        return self.side_of(self.read(colour))

    def side_of(self, deployment: Json | None) -> Side:
        """Return what a Deployment runs, None being none; ready is where at least half of its Pods serve.

        A colour that lost a Pod is no reason to refuse a way back to it, and one that lost most of them is.
        Asked are the Pods: the Deployment's status lags behind each change, be it of an annotation only (the
        generation counts those too: pkg/registry/apps/deployment/strategy.go).
        """
        if deployment is None:
            return Side()
        pods = [pod for pod in self._site.pods_of(deployment) if not is_over(pod)]
        size = size_of(deployment)
        there = sum(is_ready(pod) and is_of_template(pod, deployment) for pod in pods)
        return Side(
            version=version_of(deployment, self._site.spec.container),
            running=bool(size or pods),
            ready=bool(size and there and there * 2 >= size),
            detail="scaled to 0" if not size else state_of(deployment, pods),
        )

    @cached_property
    def manifest(self) -> Manifest | None:
        """The team's manifest, read once as migrations are; None where the plan names none.

        Raises: StepFailed.
        """
        named = self._site.spec.deployment
        return None if named is None else read_manifest(self._folder / named, service=self._site.service)

    def deploy(self, colour: Colour, version: Version, *, least: int, until: float) -> None:
        """Make a colour run a version with at least `least` Pods, and wait until all serve."""
        deployment, manifest = self.read(colour), self.manifest
        if manifest is None:
            size = self._patch(colour, deployment, version, least)
        else:
            size = self._apply(colour, deployment, self._objects(manifest, colour, version, least))
        self.wait(colour, until=until, size=size)

    def restore(self, colour: Colour, *, least: int, until: float) -> None:
        """Scale a colour to what it was before it was stopped, and wait until all serve."""
        deployment = self.read(colour)
        if deployment is None:
            raise never_deployed(self._site, colour)
        size = max(size_of(deployment) or number(deployment, REPLICAS) or 1, least)
        self.scale(colour, size)
        self.wait(colour, until=until, size=size)

    def stop(self, colour: Colour) -> None:
        """Scale a colour to nothing, remember how large it was, and wait until its last Pod is gone."""
        deployment = self.read(colour)
        if deployment is None:
            return
        if size_of(deployment):
            self.scale(colour, 0)
        wait_until_gone(self._site, colour)

    def scale(self, colour: Colour, size: int) -> None:
        """Set how many Pods a colour shall have; what it had before it was stopped is kept beside it."""

        def operations(deployment: Json) -> list[dict[str, Any]]:
            before = size_of(deployment)
            if before == size:
                return []
            kept = {} if size else {REPLICAS: str(before)}
            return [put(size, "spec", "replicas"), *annotate(deployment, {**self._fence.marks, **kept})]

        self._change(colour, operations)

    def annotate(self, colour: Colour, values: Mapping[str, str | None]) -> None:
        """Set annotations of a colour's Deployment."""
        self._change(colour, lambda deployment: annotate(deployment, {**self._fence.marks, **values}))

    def bound_autoscaler(self, colour: Colour, *, least: int, most: int | None = None) -> None:
        """Let a colour's autoscaler, if the manifest has one, choose between these sizes alone."""
        manifest = self.manifest
        if manifest is None or manifest.autoscaler is None:
            return
        path = self._site.autoscaler(colour)
        if self._site.api.get(path) is None:
            return
        spec = manifest.autoscaler["spec"]
        floor = max(int(spec.get("minReplicas") or 1), least)
        bounds = {
            "minReplicas": least if most else floor,
            "maxReplicas": most or max(spec["maxReplicas"], floor),
        }
        self._site.api.merge_patch(path, {"spec": bounds}, repeatable=True)

    def wait(self, colour: Colour, *, until: float, size: int) -> None:
        """Wait until all serve; what will not start is scaled down, for it would go on using the database."""
        fixed = None if self._is_autoscaled else size
        try:
            wait_until_complete(self._site, colour, until=until, size=fixed)
        except StepFailed as error:
            if error.code == "start-failed":
                self.scale(colour, 0)
                wait_until_gone(self._site, colour)
            raise

    # -- inside --------------------------------------------------------------------------------------------

    @property
    def _is_autoscaled(self) -> bool:
        return self.manifest is not None and self.manifest.autoscaler is not None

    def _objects(self, manifest: Manifest, colour: Colour, version: Version, least: int) -> Objects:
        spec, service = self._site.spec, self._site.service
        return objects_for(
            manifest,
            spec=spec,
            name=self._site.deployment_name(colour),
            app=service.name,
            colour=colour,
            version=version,
            release=self._site.release,
            replicas=least,
            annotations=self._fence.marks | {VERSION: version},
        )

    def _apply(self, colour: Colour, deployment: Json | None, objects: Objects) -> int:
        """Apply what is not there already, and return how many Pods there shall be."""
        digest = _digest_of(objects.deployment)
        size = size_of(objects.deployment)
        if objects.autoscaler is not None:
            self._take(self._site.autoscaler(colour), objects.autoscaler, read=None, seize=True)
        if objects.budget is not None:
            self._take(self._site.budget(colour), objects.budget, read=None, seize=True)
        if deployment is not None and annotation(deployment, DIGEST) == digest:
            if size_of(deployment) < size or not self._is_autoscaled:
                self.scale(colour, size)
            return size
        body = {**objects.deployment, "metadata": {**objects.deployment["metadata"]}}
        body["metadata"]["annotations"] = {**body["metadata"]["annotations"], DIGEST: digest}
        if deployment is not None:
            body["metadata"]["resourceVersion"] = at(deployment, "metadata", "resourceVersion")
        seize = (
            deployment is None or annotation(deployment, EPOCH) is None or not annotation(deployment, DIGEST)
        )
        self._take(self._site.deployment(colour), body, read=deployment, seize=seize)
        return size

    def _take(self, path: str, body: Json, *, read: Json | None, seize: bool) -> None:
        """Apply; take over fields that are ours by another way of writing, or where nobody released yet."""
        for _ in range(_TRIES):
            try:
                self._site.api.apply(path, body, force=seize)
            except Conflict as error:
                if error.fields and all(map(_is_ours, error.fields)):
                    seize = True
                elif error.fields or read is None:
                    raise
                else:  # only its status moved, or it was taken over
                    read = self._site.api.get(path) or read
                    self._fence.check(read)
                    body = {**body, "metadata": {**body["metadata"]}}
                    body["metadata"]["resourceVersion"] = at(read, "metadata", "resourceVersion")
            else:
                return
        raise Unanswered("cluster-changed", f"{path} is changed faster than it can be applied.")

    def _patch(self, colour: Colour, deployment: Json | None, version: Version, least: int) -> int:
        """Set image, version and env of a Deployment that the team made; return how many Pods it gets."""
        for _ in range(_TRIES):
            if deployment is None:
                raise StepFailed(
                    "deployment-missing",
                    f"There is no Deployment `{self._site.deployment_name(colour)}` in namespace"
                    f" `{self._site.namespace}`, and the plan names no manifest to make it from.",
                    next_step="Add `deployment:` with the manifest to the platform's settings, or apply it.",
                )
            size = max(size_of(deployment) or number(deployment, REPLICAS) or 1, least)
            wanted = patch_for(
                deployment,
                spec=self._site.spec,
                colour=colour,
                version=version,
                release=self._site.release,
            )
            digest = _digest_of({"patch": wanted})
            operations = [
                *self._fence.guard(),
                demand(at(deployment, "metadata", "resourceVersion"), "metadata", "resourceVersion"),
                *wanted,
                put(size, "spec", "replicas"),
                *annotate(deployment, {**self._fence.marks, VERSION: version, DIGEST: digest}),
            ]
            if self._patched(self._site.deployment(colour), operations):
                return size
            deployment = self.read(colour)
        raise self._restless(colour)

    def _change(self, colour: Colour, operations: Callable[[Json], list[dict[str, Any]]]) -> None:
        """Patch a colour's Deployment as it is read; where it changed meanwhile, look and patch again."""
        for _ in range(_TRIES):
            deployment = self.read(colour)
            if deployment is None:
                raise never_deployed(self._site, colour)
            wanted = operations(deployment)
            if not wanted or self._patched(self._site.deployment(colour), [*self._fence.guard(), *wanted]):
                return
        raise self._restless(colour)

    def _patched(self, path: str, operations: list[dict[str, Any]]) -> bool:
        """Patch, and tell whether it was done for sure; the caller looks again otherwise."""
        try:
            self._site.api.json_patch(path, operations)
        except (Changed, Unanswered):
            time.sleep(_PAUSE)
            return False
        return True

    def _restless(self, colour: Colour) -> StepFailed:
        return StepFailed(
            "cluster-changed",
            f"Deployment `{self._site.deployment_name(colour)}` is changed faster than it can be patched.",
            next_step="Look who changes it all the time, then run the command again.",
        )


def _is_ours(field: OwnedField) -> bool:
    """Tell whether a field is the release's to set, whoever wrote it last: size, image, environment, labels.

    Everything else of the manifest that somebody changed by hand is told, and not overwritten.
    """
    return field.manager == MANAGER or _SET_BY_RELEASE.fullmatch(field.path) is not None


def _digest_of(body: Json) -> str:
    """Return what tells two deployments apart: all but its size and our bookkeeping."""
    kept = json.loads(json.dumps(body))
    kept.get("metadata", {}).pop("annotations", None)
    kept.get("spec", {}).pop("replicas", None)
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def until_from(deadline: timedelta) -> float:
    """Return the instant of time.monotonic at which a deadline is over."""
    return time.monotonic() + deadline.total_seconds()
