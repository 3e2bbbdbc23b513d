"""A Kubernetes that is as small as a release needs it: objects in memory behind a real HTTP server.

It patches as RFC 6902 and 7386 say, applies, lists by labels, proxies to a Service, and refuses what a test
denies it in the authorizer's words. Its controllers take no time: a Deployment has all of its Pods at once,
and EndpointSlices follow the Service; Endpoints too, unless a test lets them be behind. What a real one does
besides (field managers, defaults, validation, admission, grace periods) it does not; tests/cluster has that.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import RLock, Thread
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from fakes.small_objects import (
    NAMESPACE,
    Asked,
    Refusal,
    asked_of,
    is_ready,
    json_patched,
    merged,
    pods_of,
    service_path,
    status_of,
    version_of,
)

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
CLIENTS = "/clients"
"""Below this path the server is what clients reach: the Service `web`, and not the API."""
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_COMPUTED = ("pods", "endpointslices")


@dataclass
class SmallCluster:
    """`with SmallCluster() as cluster:`; the namespace `shop` has a Service `web` that nobody serves yet."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    selected: list[str] = field(default_factory=list)
    """Each colour that the Service `web` has sent clients to, in order."""
    connections: Counter[str] = field(default_factory=Counter)
    """How many each Pod says that it has, by the Pod's name."""
    behind: Counter[str] = field(default_factory=Counter)
    """How often the Endpoints of a Service are still read before they follow its selector, by its name."""
    denied: set[tuple[str, str, str]] = field(default_factory=set)
    reviews: list[dict[str, str]] = field(default_factory=list)
    """What was asked of SelfSubjectAccessReview."""
    has_reviews: bool = True
    """Whether SelfSubjectAccessReview is there."""
    _endpoints: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    """The Pods that the proxy sends to, by namespace and name of a Service."""
    _lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self.objects[KUBE_SYSTEM] = {"metadata": {"name": "kube-system", "uid": "0c-1"}}
        self.add_service(NAMESPACE)
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.cluster = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def clients(self) -> str:
        """Return the address at which clients reach the Service `web`, without the API."""
        return f"http://127.0.0.1:{self.port}{CLIENTS}"

    def add_service(self, namespace: str) -> None:
        """Be the team that applies its Service `web` before the first release."""
        ports = [{"port": 80, "targetPort": 8080}]
        self.put(
            service_path("web", namespace),
            {
                "kind": "Service",
                "metadata": {"name": "web", "namespace": namespace},
                "spec": {"selector": {"app": "web", "color": "none"}, "ports": ports},
            },
        )

    def deny(self, verb: str, resource: str, name: str = "") -> None:
        """Take a right away; without a name, of every object of that kind."""
        self.denied.add((verb, resource, name))

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Store an object as the API server and its controllers leave it."""
        before, now = self.objects.get(path, {}), copy.deepcopy(dict(body))
        meta = now.setdefault("metadata", {})
        meta["resourceVersion"] = str(
            1 + max((version_of(each) for each in self.objects.values()), default=0)
        )
        meta["generation"] = int(before.get("metadata", {}).get("generation", 0)) + (
            before.get("spec") != now.get("spec")
        )
        if now.get("kind") == "Deployment":
            now["status"] = status_of(now)
        if path == service_path("web"):
            colour = now["spec"]["selector"].get("color", "both")
            self.selected += [colour] if self.selected[-1:] != [colour] else []
        self.objects[path] = now
        return now

    def pods(self, namespace: str) -> Iterator[dict[str, Any]]:
        """Return the Pods that the Deployments of a namespace ask for."""
        for path, each in list(self.objects.items()):
            if f"/namespaces/{namespace}/deployments/" in path:
                yield from pods_of(each)

    def serving(self, name: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        """Return the ready Pods that a Service selects."""
        wanted = self.objects.get(service_path(name, namespace), {"spec": {}})["spec"].get("selector")
        return [
            pod
            for pod in self.pods(namespace)
            if wanted and wanted.items() <= pod["metadata"]["labels"].items() and is_ready(pod)
        ]

    # -- requests -----------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, kind: str, body: bytes) -> tuple[int, object]:
        """Return the status and the body of an answer; what is no object is a text."""
        url = urlsplit(target)
        with self._lock:
            try:
                if url.path == "/readyz":
                    return 200, "ok"
                if url.path == REVIEWS:
                    return self._review(json.loads(body))
                if url.path.startswith(CLIENTS):
                    return self._answered_by("web", NAMESPACE)
                asked = asked_of(method, url.path)
                self._authorize(asked)
                return self._do(asked, url.path, dict(parse_qsl(url.query)), kind, body)
            except Refusal as refused:
                return refused.code, {
                    "kind": "Status",
                    "status": "Failure",
                    "code": refused.code,
                    "message": refused.message,
                    "reason": refused.reason,
                }

    def _is_denied(self, asked: Asked) -> bool:
        return bool(self.denied & {(asked.verb, asked.resource, name) for name in ("", asked.name)})

    def _authorize(self, asked: Asked) -> None:
        self.asked.append(asked)
        if self._is_denied(asked):
            kind = asked.resource.partition("/")[0] + (f".{asked.group}" if asked.group else "")
            named = f'{kind} "{asked.name}"' if asked.name else kind
            what = f'resource "{asked.resource}" in API group "{asked.group}"'
            said = f'cannot {asked.verb} {what} in the namespace "{asked.namespace}"'
            raise Refusal(403, f'{named} is forbidden: User "bot" {said}', "Forbidden")

    def _review(self, review: dict[str, Any]) -> tuple[int, object]:
        if not self.has_reviews:
            raise Refusal(404, "the server could not find the requested resource", "NotFound")
        self._authorize(Asked("create", "authorization.k8s.io", "selfsubjectaccessreviews", "", ""))
        self.reviews.append(review["spec"]["resourceAttributes"])
        of = dict.fromkeys(("verb", "group", "resource", "subresource", "name", "namespace"), "")
        of |= review["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (of["resource"], of["subresource"])))
        asked = Asked(of["verb"], of["group"], resource, of["name"], of["namespace"])
        return 201, {**review, "status": {"allowed": not self._is_denied(asked)}}

    def _do(
        self, asked: Asked, path: str, query: Mapping[str, str], kind: str, body: bytes
    ) -> tuple[int, object]:
        if asked.resource == "services/proxy":
            return self._answered_by(asked.name.partition(":")[0], asked.namespace)
        if asked.resource == "pods/proxy":
            return 200, f"open {self.connections[asked.name.partition(':')[0]]}\n"
        if asked.resource == "pods/log":
            return 200, "no luck\n"
        if asked.verb == "list":
            labels = dict(each.split("=") for each in query.get("labelSelector", "").split(",") if each)
            return 200, {"items": list(self._listed(asked, labels)), "metadata": {}}
        if asked.verb == "patch":
            return 200, self._patched(asked, path, kind, json.loads(body))
        return 200, self._found(asked, path)

    def _found(self, asked: Asked, path: str) -> dict[str, Any]:
        if asked.resource == "endpoints":
            return self._endpoints_of(asked.name, asked.namespace)
        if path not in self.objects:
            raise Refusal(404, f'{asked.resource} "{asked.name}" not found', "NotFound")
        return self.objects[path]

    def _answered_by(self, name: str, namespace: str) -> tuple[int, object]:
        for pod in self._reached(name, namespace):
            return 200, f"{pod['metadata']['labels']['version']} {pod['metadata']['labels']['color']}"
        return 503, f'no endpoints available for service "{name}"'

    def _endpoints_of(self, name: str, namespace: str) -> dict[str, Any]:
        pods = self._reached(name, namespace)
        self.behind -= Counter({name: 1})
        addresses = [
            {"ip": "10.0.0.1", "targetRef": {key: pod["metadata"][key] for key in ("uid", "name")}}
            for pod in pods
        ]
        return {"metadata": {"name": name}, "subsets": [{"addresses": addresses}] if addresses else []}

    def _reached(self, name: str, namespace: str) -> list[dict[str, Any]]:
        if not self.behind[name]:
            self._endpoints[namespace, name] = self.serving(name, namespace)
        return self._endpoints.get((namespace, name), [])

    def _listed(self, asked: Asked, labels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        assert asked.resource in _COMPUTED, asked
        if asked.resource == "pods":
            yield from (
                pod
                for pod in self.pods(asked.namespace)
                if labels.items() <= pod["metadata"]["labels"].items()
            )
            return
        name = labels["kubernetes.io/service-name"]
        if service_path(name, asked.namespace) in self.objects:
            reached = [
                {
                    "targetRef": {"uid": pod["metadata"]["uid"], "name": pod["metadata"]["name"]},
                    "conditions": {"ready": True},
                }
                for pod in self.serving(name, asked.namespace)
            ]
            yield {"metadata": {"name": f"{name}-1"}, "endpoints": reached}

    def _patched(self, asked: Asked, path: str, kind: str, patch: Any) -> dict[str, Any]:
        present = self.objects.get(path)
        if kind == "application/apply-patch+yaml":
            if present is None:  # the authorizer is asked a second time, with the object's name
                self._authorize(Asked("create", asked.group, asked.resource, asked.name, asked.namespace))
            said = patch["metadata"].get("resourceVersion")
            if present is not None and said not in (None, present["metadata"]["resourceVersion"]):
                raise Refusal(409, "the object has been modified", "Conflict")
            return self.put(path, merged(present or {}, patch))
        if present is None:
            raise Refusal(404, f'{asked.resource} "{asked.name}" not found', "NotFound")
        if kind == "application/merge-patch+json":
            return self.put(path, merged(present, patch))
        return self.put(path, json_patched(present, patch))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    cluster: SmallCluster

    def handle_error(self, *_: object) -> None:
        """Let a client leave when it wants; a bug of this file shows as a request without an answer."""


class _Connection(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or each answer waits for the client to acknowledge its head

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        kind = self.headers.get("content-type", "")
        status, found = self.server.cluster.answer(self.command, self.path, kind, body)
        sent = (found if isinstance(found, str) else json.dumps(found)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None: ...
