"""The objects of the small Kubernetes: what a request asks for, how one is patched, and the Pods that a
Deployment comes to. Pure.

The last part of a version says how its Pods behave, as in tests/fixtures/service.py: those of `1.5-dies` end
at their start, and those of `1.5-unready` are never ready.
"""

from __future__ import annotations

import copy
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAMESPACE = "shop"
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v[^/]+(?:/namespaces/(?P<namespace>[^/]+)(?=/.))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+)(?:/.*)?)?"
)
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Refusal(Exception):
    """An answer that is none of success."""

    code: int
    message: str
    reason: str


@dataclass(frozen=True)
class Asked:
    """A request as the access rules see it."""

    verb: str
    group: str
    resource: str
    """With its subresource: `services/proxy`."""
    name: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f"/{self.name}" if self.name else "")


def asked_of(method: str, path: str) -> Asked:
    found = _PATH.fullmatch(path)
    assert found is not None, path
    part = found.groupdict(default="")
    verb = _VERBS.get(method) or ("get" if part["name"] else "list")
    resource = "/".join(filter(None, (part["resource"], part["sub"])))
    namespace = part["name"] if resource == "namespaces" else part["namespace"]
    return Asked(verb, part["group"], resource, part["name"], namespace)


def version_of(thing: Mapping[str, Any]) -> int:
    return int(thing["metadata"].get("resourceVersion", 0))


def service_path(name: str, namespace: str = NAMESPACE) -> str:
    return f"/api/v1/namespaces/{namespace}/services/{name}"


def deployment_path(name: str, namespace: str = NAMESPACE) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def merged(thing: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return what RFC 7386 says, which is what an apply by one manager comes to where no list shrinks."""
    result = dict(thing)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            within = result.get(key)
            result[key] = merged(within if isinstance(within, dict) else {}, value)
        else:
            result[key] = value
    return result


def json_patched(thing: Mapping[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what RFC 6902 says of `test`, `add`, `replace` and `remove`, whole or not at all."""
    result: Any = copy.deepcopy(thing)
    for each in operations:
        *above, last = (
            part.replace("~1", "/").replace("~0", "~") for part in each["path"].removeprefix("/").split("/")
        )
        try:
            place = result
            for step in above:
                place = place[int(step)] if isinstance(place, list) else place[step]
            key = int(last) if isinstance(place, list) else last
            fits = each["op"] in {"add", "replace"} or place[key] == each.get("value", place[key])
        except (KeyError, IndexError):
            fits = False
        if not fits:
            raise Refusal(422, "the server rejected our request due to an error in our request", "Invalid")
        if each["op"] == "remove":
            del place[key]
        elif each["op"] != "test":
            place[key] = each["value"]
    return dict(result)


# -- Pods --------------------------------------------------------------------------------------------------


def behaviour_of(deployment: Mapping[str, Any]) -> str:
    return str(deployment["spec"]["template"]["metadata"]["labels"].get("version", "")).rpartition("-")[2]


def status_of(deployment: Mapping[str, Any]) -> dict[str, int]:
    """Return the status of a Deployment whose Pods are all there."""
    size = deployment["spec"].get("replicas", 1)
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": size,
        "updatedReplicas": size,
        "availableReplicas": 0 if behaviour_of(deployment) in {"dies", "unready"} else size,
    }


def pods_of(deployment: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the Pods of a Deployment, each with the same name for as long as its template is the same."""
    template, name = deployment["spec"]["template"], deployment["metadata"]["name"]
    made = zlib.crc32(json.dumps(template, sort_keys=True).encode())
    for number in range(deployment["spec"].get("replicas", 1)):
        named = f"{name}-{made:x}-{number}"
        yield {
            "metadata": {"name": named, "uid": f"uid-{named}", "labels": template["metadata"]["labels"]},
            "spec": template["spec"],
            "status": _pod_status(template, behaviour_of(deployment)),
        }


def _pod_status(template: Mapping[str, Any], behaviour: str) -> dict[str, Any]:
    ready = behaviour not in {"dies", "unready"}
    more = {"lastState": {"terminated": {"exitCode": 3}}} if behaviour == "dies" else {}
    return {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [
            {
                "name": each["name"],
                "imageID": each["image"],
                "ready": ready,
                "restartCount": 2 if behaviour == "dies" else 0,
                **more,
            }
            for each in template["spec"]["containers"]
        ],
    }


def is_ready(pod: Mapping[str, Any]) -> bool:
    return {"type": "Ready", "status": "True"} in pod["status"]["conditions"]
