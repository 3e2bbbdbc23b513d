"""A listener on the loopback that forwards to a Service or a Pod through the API server's proxy.

With it, checks and commands from outside of the cluster reach what no client reaches yet, with nothing but
access to the API. What the service and the API server answer is passed on as it is (also 503, no endpoints);
what we ourselves have to say comes as 502 with our words, so that a right that we lack does not look like a
403 of the service's own. Nothing is repeated: whoever checks, asks again.

It is a fence too, for it lends our credentials to everybody on this machine: it serves one target, hands on
no path that leaves it, and no header by which a client could act as somebody else. The API server takes the
header Authorization for its own, so a request with one cannot come through, and is refused and not mangled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from coordinator.adapters.platforms._kubernetes import failures
from coordinator.adapters.platforms._kubernetes.api import Api
from coordinator.adapters.platforms._kubernetes.failures import Asked
from coordinator.adapters.platforms._kubernetes.wire import Lost, NotSent, Reply, Untrusted, parts_of
from coordinator.errors import StepFailed

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a request's body; a check sends little."""
_SECONDS: Final = 60.0
"""How long one wait for the service may last; a check has its own, shorter limit."""
_CHUNK: Final = 65536
_VERBS: Final = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
"""How the API server's access rules name a method at a proxy."""
_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Of one connection, not of the message (RFC 9110, 7.6.1)."""
_WITHHELD: Final = _HOP | {"host", "content-length", "expect", "accept-encoding"}
_AS_ANOTHER: Final = ("impersonate-", "x-remote-")
_OF_SERVER: Final = ("audit-id", "x-kubernetes-", "date", "content-length")


class Relay:
    """`Relay(api, namespace="shop", target="services/http:shop-preview:80")`; it ends with the process."""

    def __init__(self, api: Api, *, namespace: str, target: str) -> None:
        """Listen at once, on a free port of 127.0.0.1; `target` is `services/<…>` or `pods/<…>`."""
        self._api = api
        self._namespace = namespace
        self._target = target
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = api
        self._server.prefix = f"/api/v1/namespaces/{namespace}/{target}/proxy"
        Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="relay").start()

    @property
    def address(self) -> str:
        """Return the base URL, `http://127.0.0.1:<port>`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def check_right(self) -> None:
        """Raise StepFailed `cluster-forbidden` where the access rules do not let us ask the target."""
        kind, _, name = self._target.partition("/")
        if not self._api.may("get", "", kind, name=name, namespace=self._namespace, subresource="proxy"):
            asked = Asked(self._api.server, self._api.context, "get", self._server.prefix)
            raise failures.forbidden(asked, "Its access rules say so.")

    def close(self) -> None:
        """Stop listening; what is under way goes on to its end."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Return itself, for `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class Relays:
    """The relays to the Services of one namespace, each made when it is first wanted; safe to share."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._open: dict[str, Relay] = {}
        self._lock = Lock()

    def address_of(self, service: str, *, is_asked: bool) -> str:
        """Return where a Service answers, `shop-preview` or `shop:80`, as the API server's path has it.

        Raises: StepFailed `cluster-forbidden` where it is to be asked and we lack the right.
        """
        with self._lock, ExitStack() as unfit:
            if service not in self._open:
                relay = Relay(self._api, namespace=self._namespace, target=f"services/{service}")
                unfit.enter_context(relay)
                if is_asked:
                    relay.check_right()
                self._open[service] = relay
                unfit.pop_all()
            return self._open[service].address


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    api: Api
    prefix: str
    """The path of the target's proxy at the API server."""


class _Unfit(Exception):
    """A request that is not handed on: a status, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS

    def log_message(self, *_: object) -> None:
        """Say nothing: what was asked is the asker's to tell."""

    def handle(self) -> None:
        with suppress(OSError, Lost):  # the client has left, or half an answer came: the connection ends too
            super().handle()

    def _serve(self) -> None:
        try:
            path, body = self._path(), self._body()
            headers = self._passed_headers()
        except _Unfit as error:
            self.close_connection = True  # a body that was not read would be taken for the next request
            self._say(error.status, str(error))
            return
        asked = Asked(self.server.api.server, self.server.api.context, _VERBS[self.command], path)
        try:
            answer = self._ask(asked, headers=headers, body=body)
        except StepFailed as error:
            self._say(HTTPStatus.BAD_GATEWAY, f"{error} [{error.code}]")
        except Untrusted as error:
            self._say(HTTPStatus.BAD_GATEWAY, str(failures.untrusted(asked, str(error))))
        except (NotSent, Lost) as error:
            self._say(HTTPStatus.BAD_GATEWAY, f"{asked.where} cannot be reached: {error}.")
        else:
            with closing(answer):
                self._pass_on(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the library's names

    # -- what is asked -------------------------------------------------------------------------------------

    def _path(self) -> str:
        """Return the path at the API server; refuse one that would leave the target."""
        parts = urlsplit(self.path)
        if parts.scheme or parts.netloc or not self.path.startswith("/"):
            raise _Unfit(HTTPStatus.BAD_REQUEST, "It forwards paths, and is no proxy for other addresses.")
        steps = unquote(unquote(parts.path)).replace("\\", "/").split("/")
        if "." in steps or ".." in steps:
            raise _Unfit(HTTPStatus.BAD_REQUEST, "A step `.` or `..` of the path could leave the target.")
        return self.server.prefix + self.path

    def _body(self) -> bytes | None:
        if "transfer-encoding" in self.headers:
            raise _Unfit(HTTPStatus.LENGTH_REQUIRED, "A body needs a Content-Length here.")
        length = self.headers.get("content-length", "0")
        if not length.isdecimal():
            raise _Unfit(HTTPStatus.BAD_REQUEST, "The Content-Length is no number.")
        if int(length) > BODY_LIMIT:
            raise _Unfit(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body has at most {BODY_LIMIT} bytes here.")
        return self.rfile.read(int(length)) if int(length) else None

    def _passed_headers(self) -> dict[str, str]:
        if "authorization" in self.headers:
            raise _Unfit(
                HTTPStatus.BAD_GATEWAY,
                "The API server takes the header Authorization for its own and does not hand it on. Give the "
                "service a `url` in the plan, or check without it.",
            )
        named = {each.strip().lower() for each in self.headers.get("connection", "").split(",")}
        return {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in _WITHHELD | named and not name.lower().startswith(_AS_ANOTHER)
        }

    # -- what comes back -----------------------------------------------------------------------------------

    def _ask(self, asked: Asked, *, headers: dict[str, str], body: bytes | None) -> _Answer:
        """Return the answer of the service, or of the API server about it.

        Raises: StepFailed where the API server did not let us through, NotSent, Lost, Untrusted.
        """
        door, renewed, denials = self.server.api.door, False, self.server.api.denials()
        while True:
            answer = _Answer(
                door.open(self.command, asked.path, headers=headers, body=body, seconds=_SECONDS)
            )
            refusal = _own_refusal(answer)
            if refusal is None:
                return answer
            if failures.is_denial(refusal) and denials.may_pass(door):
                continue
            if refusal.status == HTTPStatus.FORBIDDEN or renewed:
                raise failures.refusal(asked, refusal)
            door, renewed = self.server.api.renewed(door), True

    def _pass_on(self, answer: _Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP and not name.lower().startswith(_OF_SERVER):
                self.send_header(name, self._as_seen(value) if name.lower() == "location" else value)
        chunked = answer.length is None and self.request_version != "HTTP/1.0"
        if answer.length is not None:
            self.send_header("Content-Length", answer.length)
        elif chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.close_connection |= answer.length is None and not chunked
        self.end_headers()
        if self.command == "HEAD":
            return
        for part in answer.parts():
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _as_seen(self, location: str) -> str:
        """Return a redirect's target for our client: the API server has put its proxy's path before it."""
        parts = urlsplit(location)
        if not parts.path.startswith(self.server.prefix):
            return location
        path = parts.path.removeprefix(self.server.prefix) or "/"
        return urlunsplit(("", "", path, parts.query, parts.fragment))

    def _say(self, status: HTTPStatus, words: str) -> None:
        text = f"coordinator: {words}\n".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)


class _Answer:
    """An answer whose body is read as it is passed on."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        self._response = response
        self._read = b""
        self.status = response.status
        self.headers = response.headers
        self.length = response.headers.get("content-length")

    def whole(self) -> Reply:
        """Read the body to its end; `parts` gives it back all the same. Raises: Lost."""
        self._read = b"".join(self.parts())
        return Reply(self.status, dict(self.headers), self._read)

    def parts(self) -> Iterator[bytes]:
        """Yield the body as it comes. Raises: Lost."""
        if self._read:
            yield self._read
        yield from parts_of(self._response, seconds=_SECONDS, decode=False)

    def close(self) -> None:
        self._response.close()


def _own_refusal(answer: _Answer) -> Reply | None:
    """Return a 401 or 403 that the API server itself gave, None where the service may answer for itself."""
    if answer.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return None
    reply = answer.whole()
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return reply if failures.status_of(reply).get("reason") == "Unauthorized" else None
    return reply if failures.is_rbac(reply) else None
