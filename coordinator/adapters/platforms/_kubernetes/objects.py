"""What is read off Kubernetes objects, and how a patch of them is written. Pure: JSON in, values out.

Objects stay the raw JSON that the server sent: models would drop the fields that they do not know, and a
patch tests what was really read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from coordinator.model import Colour, Version

Json = Mapping[str, Any]

COLOUR: Final = "color"
"""The label that tells the two Deployments apart, as everybody spells it."""
PARKED: Final = "none"
"""The value of `color` in a Service's selector while nobody serves yet."""

EPOCH: Final = "coordinator/epoch"
"""Counts the coordinators that took the service; each patch tests that it is still its own."""
RUN: Final = "coordinator/run"
HOLDER: Final = "coordinator/holder"
SELECTOR: Final = "coordinator/selector"
"""The selector as the run last wrote or found it: what differs from it was changed by somebody else."""
LIVE: Final = "coordinator/live"
CANARY: Final = "coordinator/canary"
VERSION: Final = "coordinator/version"
"""A version as its authors write it; the label may hold it only in part."""
RELEASE: Final = "coordinator/release"
DIGEST: Final = "coordinator/digest"
"""SHA-256 of what was deployed: what has it already is left alone."""
REPLICAS: Final = "coordinator/replicas"
"""How large a Deployment was before it was stopped."""
WORKS_SINCE: Final = "coordinator/works-since"
"""Of a worker: the colour with the larger number does the work."""


def at(value: object, *keys: str) -> Any:
    """Return what stands below `keys`, None where one of them is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def annotation(thing: Json, key: str) -> str | None:
    """Return one annotation."""
    found = at(thing, "metadata", "annotations", key)
    return None if found is None else str(found)


def number(thing: Json, key: str) -> int:
    """Return an annotation that counts, 0 where it is absent or no number."""
    text = annotation(thing, key) or ""
    return int(text) if text.isdecimal() else 0


def text_of(selector: Mapping[str, str]) -> str:
    """Return a selector as the annotation holds it."""
    return json.dumps(selector, sort_keys=True, separators=(",", ":"))


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as a label selector of the API."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


# -- patches -----------------------------------------------------------------------------------------------


def pointer(*keys: str) -> str:
    """Return the JSON pointer of a path (RFC 6901)."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def demand(value: object, *keys: str) -> dict[str, Any]:
    """Return the operation that fails where something else stands there by now."""
    return {"op": "test", "path": pointer(*keys), "value": value}


def put(value: object, *keys: str) -> dict[str, Any]:
    """Return the operation that writes a member, whether it is there or not."""
    return {"op": "add", "path": pointer(*keys), "value": value}


def annotate(thing: Json, values: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Return the operations that set annotations of `thing`, or take away those that shall be None."""
    present = at(thing, "metadata", "annotations")
    operations = [] if present else [put({}, "metadata", "annotations")]
    for key, value in values.items():
        if value is not None:
            operations.append(put(value, "metadata", "annotations", key))
        elif present and key in present:
            operations.append({"op": "remove", "path": pointer("metadata", "annotations", key)})
    return operations


# -- Deployments -------------------------------------------------------------------------------------------


def size_of(deployment: Json) -> int:
    """Return how many Pods a Deployment shall have; 1 is the server's default."""
    wanted = at(deployment, "spec", "replicas")
    return 1 if wanted is None else int(wanted)


def available_of(deployment: Json) -> int:
    """Return how many Pods of the present template serve, as the controller says."""
    updated = int(at(deployment, "status", "updatedReplicas") or 0)
    return min(updated, int(at(deployment, "status", "availableReplicas") or 0))


def is_current(deployment: Json) -> bool:
    """Tell whether the status speaks of the present spec."""
    observed = int(at(deployment, "status", "observedGeneration") or 0)
    return observed >= int(at(deployment, "metadata", "generation") or 0)


def is_complete(deployment: Json) -> bool:
    """Tell whether all Pods that shall be there serve, are of the present template, and no other is left."""
    size = size_of(deployment)
    counts = {int(at(deployment, "status", key) or 0) for key in ("replicas", "updatedReplicas")}
    return is_current(deployment) and counts == {size} and available_of(deployment) == size


def selector_of(deployment: Json) -> Mapping[str, str]:
    """Return the labels by which a Deployment knows its Pods."""
    return at(deployment, "spec", "selector", "matchLabels") or {}


def version_of(deployment: Json, container: str | None) -> Version | None:
    """Return which version a Deployment runs: what we wrote down, else its label, else its image's tag."""
    said = annotation(deployment, VERSION) or at(
        deployment, "spec", "template", "metadata", "labels", "version"
    )
    said = said or at(deployment, "metadata", "labels", "version")
    if said:
        return Version(str(said))
    tag = image_of(deployment, container).partition("@")[0].rpartition("/")[2].partition(":")[2]
    return Version(tag) if tag else None


def containers_of(deployment: Json) -> list[Json]:
    """Return the containers of a Deployment's template."""
    return at(deployment, "spec", "template", "spec", "containers") or []


def image_of(deployment: Json, container: str | None) -> str:
    """Return the image of the container that the plan means, empty where there is none."""
    for each in containers_of(deployment):
        if container is None or each.get("name") == container:
            return str(each.get("image") or "")
    return ""


# -- Pods --------------------------------------------------------------------------------------------------


def name_of(thing: Json) -> str:
    """Return an object's name."""
    return str(at(thing, "metadata", "name"))


def uid_of(thing: Json) -> str:
    """Return an object's UID."""
    return str(at(thing, "metadata", "uid"))


def is_over(pod: Json) -> bool:
    """Tell whether a Pod's containers have ended for good."""
    return at(pod, "status", "phase") in ("Succeeded", "Failed")


def is_leaving(pod: Json) -> bool:
    """Tell whether a Pod was told to end."""
    return at(pod, "metadata", "deletionTimestamp") is not None


def is_ready(pod: Json) -> bool:
    """Tell whether a Pod gets traffic: it is ready, and was not told to end."""
    conditions = at(pod, "status", "conditions") or ()
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return ready and not is_leaving(pod)


def is_of_template(pod: Json, deployment: Json) -> bool:
    """Tell whether a Pod is of the Deployment's present template: it has all of the template's labels."""
    wanted = at(deployment, "spec", "template", "metadata", "labels") or {}
    return not is_leaving(pod) and wanted.items() <= (at(pod, "metadata", "labels") or {}).items()


def restarts_of(pod: Json) -> int:
    """Return how often containers of a Pod were started again."""
    return sum(int(each.get("restartCount") or 0) for each in at(pod, "status", "containerStatuses") or ())


def colour_of(pod: Json) -> Colour | None:
    """Return the colour that a Pod's label says."""
    said = at(pod, "metadata", "labels", COLOUR)
    return Colour(said) if said in set(Colour) else None


def longest_grace(pods: Iterable[Json]) -> timedelta:
    """Return for how long the Pods may take to end after they were told to."""
    seconds = [int(at(pod, "spec", "terminationGracePeriodSeconds") or 30) for pod in pods]
    return timedelta(seconds=max(seconds, default=30))


def reachable_in(slices: Iterable[Json]) -> Mapping[str, str]:
    """Return the Pods that EndpointSlices send new connections to: UID to name, each once.

    `ready` null means ready, and one that was told to end is not reached (EndpointConditions,
    k8s.io/api/discovery/v1).
    """
    found: dict[str, str] = {}
    for each in slices:
        for endpoint in each.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            target = endpoint.get("targetRef") or {}
            if conditions.get("ready") is not False and not conditions.get("terminating"):
                found[str(target.get("uid"))] = str(target.get("name"))
    return found


def addressed_in(endpoints: Json | None) -> Mapping[str, str]:
    """Return the Pods that Endpoints send to, UID to name; the API server's proxy asks these.

    (`ResourceLocation` in pkg/registry/core/service/storage, Kubernetes 1.34.) They are written by another
    controller than EndpointSlices, some time after a selector has changed.
    """
    return {
        str(at(address, "targetRef", "uid")): str(at(address, "targetRef", "name") or address.get("ip"))
        for subset in at(endpoints or {}, "subsets") or ()
        for address in subset.get("addresses") or ()
    }
