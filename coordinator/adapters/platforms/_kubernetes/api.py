"""About ten verbs of the Kubernetes API as raw JSON, each with a time limit, repeated where that is safe.

What may be repeated is decided in one place (`_call`) from two things: how far the request may have come, and
whether doing it twice is doing it once. Reads, server-side apply and delete may; a create and a JSON patch
may not, and neither may a merge patch unless its caller says so: where the server may have executed one of
those and its answer is lost, `Unanswered` is raised, and the caller looks. What the server surely has not
executed is repeated for everybody: a refused connection, load that it sheds, a webhook that it cannot call.

A right that is denied is believed of a server that is ready. One that starts answers before it has read the
access rules (seen of kube-apiserver 1.34: for 1.3 s after its first answer), and knows none of our rights.

Generated models were rejected: they cost 0.7 s at import and drop the fields that they do not know.
"""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from threading import Lock
from typing import Any, Final
from urllib.parse import urlencode

from coordinator.adapters.platforms._kubernetes import failures
from coordinator.adapters.platforms._kubernetes.failures import Asked
from coordinator.adapters.platforms._kubernetes.wire import Door, Lost, NotSent, Reply, Untrusted

MANAGER: Final = "coordinator"
"""Who we are in `managedFields`."""
PATIENCE: Final = 30.0
"""Seconds; an API server that restarts is back within them, and a person would look after them."""
_READ_SECONDS: Final = 15.0
_PAUSES: Final = (0.1, 0.2, 0.4, 0.8, 1.5)
"""Seconds between attempts, the last one for ever: whoever restarts meets a trickle and not a flood."""
_PAGE: Final = 500
_RELISTS: Final = 5
"""How often a list starts over because its snapshot was compacted away while it was read."""
_LOG_BYTES: Final = 65536
_METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "patch": "PATCH",
    "delete": "DELETE",
}
_READS: Final = frozenset({"get", "list"})
_OURS: Final = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
"""A field that the server does not know is an error, not a warning that nobody reads."""
_HEADERS: Final = {"Accept": "application/json, */*", "User-Agent": MANAGER}
_JSON: Final = "application/json"
_JSON_PATCH: Final = "application/json-patch+json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
"""JSON is YAML, so the body needs no second form."""
_OK, _REDIRECT, _BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _GONE = 200, 300, 400, 401, 404, 410
_ERROR = 500


class Api:
    """One API server with our credentials; safe to share between threads. Failures are StepFailed.

    A path is what follows the server's address: `/apis/apps/v1/namespaces/shop/deployments/shop-blue`.
    No call goes on for longer than `patience` and one more attempt.
    """

    server: str
    """The server's address, for messages."""

    def __init__(
        self,
        enter: Callable[[], Door],
        *,
        context: str,
        patience: float = PATIENCE,
        wait: float = _READ_SECONDS,
    ) -> None:
        """Enter at once; `enter` is called again, with the credentials read anew, when they are refused.

        `patience` is for how many seconds a call is repeated, `wait` for how many one answer is waited for.
        """
        self._enter = enter
        self._door = enter()
        self._renewal = Lock()
        self._was_let_in = False
        self._patience = patience
        self._wait = wait
        self.context = context
        self.server = self._door.server

    # -- reading -------------------------------------------------------------------------------------------

    def get(self, path: str) -> dict[str, Any] | None:
        """Return the object at `path`, None where there is none."""
        reply = self._call("get", path, allowed=(_NOT_FOUND,))
        return None if reply.status == _NOT_FOUND else self._read(reply, verb="get", path=path)

    def list(self, path: str, *, labels: str = "") -> tuple[dict[str, Any], ...]:
        """Return every object of a collection (with this label selector), as one consistent reading.

        Raises: Missing where the server does not know the collection. An absent namespace is just empty.
        """
        for _ in range(_RELISTS):
            items = self._read_pages(path, labels)
            if items is not None:
                return items
        raise failures.unreachable(
            self._asked("list", path), "Its snapshots expire while they are read", seconds=self._patience
        )

    def _read_pages(self, path: str, labels: str) -> tuple[dict[str, Any], ...] | None:
        """Return all pages of one snapshot, None if it was gone before its end: half of it is no reading."""
        items: builtins.list[dict[str, Any]] = []
        query = {"limit": str(_PAGE)} | ({"labelSelector": labels} if labels else {})
        while True:
            reply = self._call("list", path, query=query, allowed=(_GONE,))
            if reply.status == _GONE:
                return None
            page = self._read(reply, verb="list", path=path)
            items += page.get("items") or ()
            query["continue"] = page.get("metadata", {}).get("continue") or ""
            if not query["continue"]:
                return tuple(items)

    def logs(
        self, namespace: str, pod: str, container: str, *, lines: int = 20, previous: bool = False
    ) -> str:
        """Return the last lines that a container wrote; empty where nobody has any."""
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(_LOG_BYTES)}
        reply = self._call(
            "get",
            f"/api/v1/namespaces/{namespace}/pods/{pod}/log",
            query=query | ({"previous": "true"} if previous else {}),
            allowed=(_BAD_REQUEST, _NOT_FOUND, _ERROR),  # not started, gone, its node does not answer
        )
        return "" if reply.status >= _BAD_REQUEST else reply.body.decode(errors="replace")

    def text(self, path: str) -> str:
        """Return what is no JSON: a page that a Pod serves, through the API server's proxy."""
        return self._call("get", path).body.decode(errors="replace")

    def may(
        self,
        verb: str,
        group: str,
        resource: str,
        *,
        name: str = "",
        namespace: str = "",
        subresource: str = "",
    ) -> bool:
        """Tell whether we may: `may("patch", "apps", "deployments", name="shop-blue", namespace="shop")`."""
        attributes = {
            "verb": verb,
            "group": group,
            "resource": resource,
            "name": name,
            "namespace": namespace,
            "subresource": subresource,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        answer = self._object(
            "create",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            body=review,
            repeatable=True,  # it is a question that happens to be sent as an object
        )
        return bool(answer.get("status", {}).get("allowed"))

    def cluster_uid(self) -> str:
        """Return what identifies the cluster for as long as it exists: the UID of its kube-system."""
        return str(self._object("get", "/api/v1/namespaces/kube-system")["metadata"]["uid"])

    # -- writing -------------------------------------------------------------------------------------------

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in the collection `path`. Raises: AlreadyExists, Unanswered, Missing."""
        return self._object("create", path, query=_OURS, body=body)

    def json_patch(self, path: str, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Apply a JSON patch whole or not at all. Raises: Changed, Unanswered, Missing."""
        return self._object("patch", path, query=_OURS, body=operations, content=_JSON_PATCH)

    def merge_patch(self, path: str, body: Mapping[str, Any], *, repeatable: bool = False) -> dict[str, Any]:
        """Apply a JSON merge patch; `repeatable` says that doing it twice is doing it once.

        Raises: Conflict (an old `resourceVersion` in the body), Missing, Unanswered.
        """
        return self._object(
            "patch",
            path,
            query=_OURS,
            body=body,
            content=_MERGE_PATCH,
            repeatable=repeatable,
        )

    def apply(
        self, path: str, body: Mapping[str, Any], *, manager: str = MANAGER, force: bool = False
    ) -> dict[str, Any]:
        """Make the object at `path` hold what `body` says (server-side apply); create it where it is absent.

        Raises: Conflict, naming the other managers and their fields, unless `force` takes the fields over;
        Unanswered where it was repeated for nothing until the patience was over.
        """
        query = {"fieldManager": manager, "force": str(force).lower()}
        return self._object("patch", path, query=query, body=body, content=_APPLY, repeatable=True)

    def delete(self, path: str) -> None:
        """Ask for the object's end; where there is none, that is done. Raises: Unanswered, as `apply`."""
        self._call("delete", path, repeatable=True, allowed=(_NOT_FOUND,))

    # -- the way in, also for the relay --------------------------------------------------------------------

    @property
    def door(self) -> Door:
        """Return the way in as it is now."""
        return self._door

    def renewed(self, refused: Door) -> Door:
        """Return a way in with credentials that were read anew; of several threads only one reads them."""
        with self._renewal:
            if self._door is refused:
                self._door = self._enter()
            return self._door

    def denials(self) -> Denials:
        """Return what tells of one request whether a right that it is denied is really not ours."""
        return Denials(self._is_ready, self._patience)

    # -- inside --------------------------------------------------------------------------------------------

    def _object(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content: str = _JSON,
        repeatable: bool = False,
    ) -> dict[str, Any]:
        reply = self._call(verb, path, query=query, body=body, content=content, repeatable=repeatable)
        return self._read(reply, verb=verb, path=path)

    def _read(self, reply: Reply, *, verb: str, path: str) -> dict[str, Any]:
        try:
            answer = json.loads(reply.body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            asked = self._asked(verb, path)
            if verb in _READS:
                raise failures.refusal(asked, reply)
            raise failures.unanswered(asked, f"It answered {reply.status} with what is no JSON object")
        return answer

    def _call(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content: str = _JSON,
        repeatable: bool = False,
        allowed: tuple[int, ...] = (),
    ) -> Reply:
        """Return an answer that is a success or `allowed`; repeat, renew and translate everything else."""
        asked, reads = self._asked(verb, path), verb in _READS
        url = f"{path}?{urlencode(query)}" if query else path
        sent = None if body is None else json.dumps(body).encode()
        headers = _HEADERS if sent is None else {**_HEADERS, "Content-Type": content}
        door, renewed, in_doubt, denials = self._door, False, False, self.denials()
        until, pauses = time.monotonic() + self._patience, chain(_PAUSES, repeat(_PAUSES[-1]))
        while True:
            outcome = self._try(door, _METHODS[verb], url, headers=headers, body=sent)
            if isinstance(outcome, Untrusted):
                raise failures.untrusted(asked, str(outcome)) from outcome
            if isinstance(outcome, Reply) and outcome.status == _UNAUTHORIZED and not renewed:
                door, renewed = self.renewed(door), True
                continue
            if isinstance(outcome, Reply):
                if self._is_hasty(outcome) and denials.may_pass(door):
                    continue
                if outcome.status < _REDIRECT or outcome.status in allowed:
                    return outcome
                if not failures.is_about_server(outcome):
                    raise failures.refusal(asked, outcome)
            why = failures.words_of(outcome) if isinstance(outcome, Reply) else str(outcome)
            in_doubt = in_doubt or not (reads or _is_not_executed(outcome))
            if in_doubt and not repeatable:
                raise failures.unanswered(asked, why)
            pause = max(next(pauses), _asked_pause(outcome))
            if time.monotonic() + pause > until:
                raise (
                    failures.unanswered(asked, why)
                    if in_doubt
                    else failures.unreachable(asked, why, seconds=self._patience)
                )
            time.sleep(pause)

    def _try(
        self, door: Door, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None
    ) -> Reply | NotSent | Lost | Untrusted:
        try:
            return door.exchange(method, url, headers=headers, body=body, seconds=self._wait)
        except (NotSent, Lost, Untrusted) as error:
            return error

    def _is_hasty(self, reply: Reply) -> bool:
        """Tell whether a server that starts may have refused us before it had read what it decides by.

        It may say so of a right, and for seconds of credentials whose authenticator is not there yet
        (kubernetes/kubernetes#65785); those that were never taken are believed to be wrong at once.
        """
        self._was_let_in = self._was_let_in or reply.status < _BAD_REQUEST
        return failures.is_denial(reply) or (self._was_let_in and reply.status == _UNAUTHORIZED)

    def _is_ready(self, door: Door) -> bool:
        outcome = self._try(door, "GET", "/readyz", headers=_HEADERS, body=None)
        return isinstance(outcome, Reply) and outcome.status == _OK

    def _asked(self, verb: str, path: str) -> Asked:
        return Asked(server=self.server, context=self.context, verb=verb, path=path)


class Denials:
    """The refusals that one request met. One is believed of a server that was ready before it refused.

    A server that nobody may ask whether it is ready is believed when the patience is over.
    """

    def __init__(self, is_ready: Callable[[Door], bool], patience: float) -> None:
        self._is_ready = is_ready
        self._until = time.monotonic() + patience
        self._pauses = chain(_PAUSES, repeat(_PAUSES[-1]))
        self._is_final = False

    def may_pass(self, door: Door) -> bool:
        """Tell whether to ask again, after a pause where the server is not ready."""
        if self._is_final:
            return False
        pause = next(self._pauses)
        self._is_final = self._is_ready(door) or time.monotonic() + pause > self._until
        if not self._is_final:
            time.sleep(pause)
        return True


def _is_not_executed(outcome: Reply | NotSent | Lost) -> bool:
    return failures.is_not_executed(outcome) if isinstance(outcome, Reply) else isinstance(outcome, NotSent)


def _asked_pause(outcome: Reply | NotSent | Lost) -> float:
    """Return the seconds that the server asked us to stay away, 0 where it did not."""
    asked = outcome.headers.get("retry-after", "") if isinstance(outcome, Reply) else ""
    return float(asked) if asked.isdecimal() else 0.0
