"""What an API server's refusals are called here: typed where a caller decides by them, else told to a person.

Every one is a StepFailed, as the port promises, with a code and a next step: a caller that does not expect
one lets it pass. A subclass exists only where somebody catches it.

    StepFailed
    ├── Unanswered      the request may have been executed or not: look, then decide
    ├── Changed         a JSON patch does not fit (its `test` failed, or a path is not there): read anew
    ├── Conflict        another field manager owns a field, or `resourceVersion` is old; `fields` names them
    ├── AlreadyExists   a create met an object of that name
    └── Missing         a write or a list met nothing at its path

Statuses are those of `metav1.Status` (k8s.io/apimachinery/pkg/api/errors), as version 1.34 sends them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.wire import Reply
from coordinator.errors import StepFailed

_PATH: Final = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/.))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?"
)
_MANAGER: Final = re.compile(r'conflict with "(?P<manager>[^"]*)"')
_RBAC: Final = re.compile(r" cannot (?P<verb>[a-z]+) (?:resource|path) ")
"""What the authorizer writes; a quota, a policy or a webhook that forbids has other words."""
_REVIEW: Final = b"SelfSubjectAccessReview"
_STARTING: Final = "not yet ready to handle request"
"""What admission says, with 403, before it has read what it decides by (k8s.io/apiserver/pkg/admission)."""
_UNTYPED: Final = "failed to create typed patch object"
_WORDS: Final = 500


@dataclass(frozen=True, slots=True)
class OwnedField:
    """A field that server-side apply would have taken from another manager."""

    manager: str
    path: str


class Unanswered(StepFailed):
    """The connection was lost, or the server failed, after the request may have been executed."""


class Changed(StepFailed):
    """A JSON patch does not fit: the object is no longer what was read."""


class Conflict(StepFailed):
    """The object has another owner or another version; `fields` is empty where only the version is old."""

    fields: tuple[OwnedField, ...] = ()


class AlreadyExists(StepFailed):
    """An object of this name is there already."""


class Missing(StepFailed):
    """Nothing is at the path: the object, its namespace or its kind of resource."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of which server, in the words of its access rules, for messages."""

    server: str
    context: str
    verb: str
    path: str

    @property
    def where(self) -> str:
        """Name the server as the plan does, with its address."""
        return f"The API server of `{self.context}` ({self.server})"

    @property
    def thing(self) -> str:
        """Name what was asked for: `deployments.apps/shop-blue` in namespace `shop`."""
        found = _PATH.match(self.path)
        if found is None:
            return f"`{self.path}`"
        part = found.groupdict(default="")
        kind = ".".join(filter(None, (part["resource"], part["group"])))
        words = f"`{'/'.join(filter(None, (kind, part['name'], part['subresource'])))}`"
        return f"{words} in namespace `{part['namespace']}`" if part["namespace"] else words


def status_of(reply: Reply) -> Mapping[str, Any]:
    """Return the `Status` that an API server explains itself with; empty where the answer is none."""
    try:
        answer = json.loads(reply.body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def words_of(reply: Reply) -> str:
    """Return what the server said, in one line: its message, or the start of a text that is no `Status`."""
    said = status_of(reply).get("message") or reply.body[:_WORDS].decode(errors="replace")
    return " ".join(str(said).split())[:_WORDS] or f"It answered {reply.status} without a word."


def is_rbac(reply: Reply) -> bool:
    """Tell whether a 403 is of the access rules, and not of a quota, a policy or a proxied service."""
    return _RBAC.search(str(status_of(reply).get("message", ""))) is not None


def is_denial(reply: Reply) -> bool:
    """Tell whether the access rules say no: to what was asked, or in the answer to a question about them."""
    if reply.status == HTTPStatus.FORBIDDEN:
        return is_rbac(reply)
    if reply.status != HTTPStatus.CREATED or _REVIEW not in reply.body:
        return False
    review = json.loads(reply.body)
    return review.get("kind") == _REVIEW.decode() and not review.get("status", {}).get("allowed")


def is_about_server(reply: Reply) -> bool:
    """Tell whether an answer is about the server's state, so that it may differ next time.

    A manifest with a field that the server does not know is not: server-side apply answers 500 for it.
    """
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or _is_starting(reply):
        return True
    return reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not words_of(reply).startswith(_UNTYPED)


def _is_starting(reply: Reply) -> bool:
    return reply.status == HTTPStatus.FORBIDDEN and _STARTING in words_of(reply)


def is_not_executed(reply: Reply) -> bool:
    """Tell whether a server that failed has surely done nothing of what was asked.

    It sheds load (429) and says when to come back (503 with Retry-After) before it executes; a webhook that
    it could not call stands before the storage too, and so does admission that is not ready.
    """
    if _is_starting(reply):
        return True
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return "retry-after" in reply.headers
    return reply.status == HTTPStatus.TOO_MANY_REQUESTS or "failed calling webhook" in words_of(reply)


def refusal(asked: Asked, reply: Reply) -> StepFailed:
    """Return what an answer that is neither success nor worth repeating means; the caller raises it."""
    return _MEANING.get(reply.status, _refused)(asked, reply)


def unanswered(asked: Asked, why: str) -> Unanswered:
    """Return that nobody knows whether `asked` was done."""
    return Unanswered(
        code="cluster-unanswered",
        what=f"{asked.where} did not say whether it did `{asked.verb}` {asked.thing}.",
        why=f"{why.rstrip('.')}.",
        next_step="Run the command again: it looks first at what is there.",
    )


def unreachable(asked: Asked, why: str, *, seconds: float) -> StepFailed:
    """Return that the server was not there, or sick, for as long as we were patient."""
    return StepFailed(
        "cluster-unreachable",
        f"{asked.where} did not answer for {seconds:.0f} s when asked to `{asked.verb}` {asked.thing}.",
        why=f"{why.rstrip('.')}.",
        next_step="Look with `kubectl get --raw /readyz`, then run the command again.",
    )


def untrusted(asked: Asked, why: str) -> StepFailed:
    """Return that somebody answers at the server's address who cannot prove to be it."""
    return StepFailed(
        "cluster-untrusted",
        f"{asked.where} shows a certificate that the kubeconfig's authority did not sign for it.",
        why=f"{why.rstrip('.')}.",
        next_step="Check `server`, `certificate-authority` and `tls-server-name` of the context's cluster.",
    )


def forbidden(asked: Asked, why: str) -> StepFailed:
    """Return that the access rules of the cluster do not allow us what we asked."""
    return StepFailed(
        "cluster-forbidden",
        f"{asked.where} does not let us `{asked.verb}` {asked.thing}.",
        why=why,
        next_step="`coordinator doctor --rbac` prints the Role that the plan needs; bind it to this user.",
    )


def _credentials_rejected(asked: Asked, reply: Reply) -> StepFailed:
    return StepFailed(
        "cluster-credentials-rejected",
        f"{asked.where} does not accept our credentials, also after they were loaded anew.",
        why=words_of(reply),
        next_step="Log in again as the kubeconfig's user, then run the command again.",
    )


def _forbidden(asked: Asked, reply: Reply) -> StepFailed:
    found = _RBAC.search(words_of(reply))
    if found is None:
        return _refused(asked, reply)
    return forbidden(replace(asked, verb=found["verb"]), words_of(reply))  # an apply may lack `create`


def _missing(asked: Asked, reply: Reply) -> StepFailed:
    return Missing(
        code="cluster-missing",
        what=f"{asked.where} has no {asked.thing}.",
        why=words_of(reply),
        next_step="Check the names in the plan's `platform`, and who deleted it if it was there.",
    )


def _conflict(asked: Asked, reply: Reply) -> StepFailed:
    status = status_of(reply)
    if status.get("reason") == "AlreadyExists":
        return AlreadyExists(
            code="cluster-already-exists",
            what=f"{asked.where} has an object like that already: {words_of(reply)}",
            next_step="Look who made it; coordinator takes over nothing that it did not make.",
        )
    fields = tuple(_owned_fields(status))
    owners = ", ".join(f"`{each.path}` of `{each.manager}`" for each in fields)
    problem = owners or "it is no longer as it was read"
    error = Conflict(
        code="cluster-conflict",
        what=f"{asked.where} does not let us change {asked.thing}: {problem}.",
        why="Somebody else manages these fields." if fields else words_of(reply),
        next_step="Let only one of the two set them: take them out of the manifest, or out of the other tool."
        if fields
        else "Run the command again: it reads anew.",
    )
    error.fields = fields
    return error


def _owned_fields(status: Mapping[str, Any]) -> list[OwnedField]:
    causes = (status.get("details") or {}).get("causes") or []
    return [
        OwnedField(found["manager"], str(cause.get("field", "")))
        for cause in causes
        if (found := _MANAGER.search(str(cause.get("message", "")))) is not None
    ]


def _unprocessable(asked: Asked, reply: Reply) -> StepFailed:
    """Tell a patch that does not fit from an object that is not valid, whose causes name fields."""
    causes = (status_of(reply).get("details") or {}).get("causes") or []
    if asked.verb != "patch" or any(cause.get("field") for cause in causes):
        return _refused(asked, reply)
    return Changed(
        code="cluster-changed",
        what=f"{asked.where} did not change {asked.thing}: it is no longer what was read.",
        why=words_of(reply),
        next_step="Look who changed it, then run the command again: it reads anew.",
    )


def _refused(asked: Asked, reply: Reply) -> StepFailed:
    return StepFailed(
        "cluster-refused",
        f"{asked.where} refuses to `{asked.verb}` {asked.thing} ({reply.status}).",
        why=words_of(reply),
        next_step="Correct what the server names in the manifest or in the plan, then run the command again.",
    )


_MEANING: Final[Mapping[int, Callable[[Asked, Reply], StepFailed]]] = {
    401: _credentials_rejected,
    403: _forbidden,
    404: _missing,
    409: _conflict,
    422: _unprocessable,
}
