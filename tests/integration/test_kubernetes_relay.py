"""The relay through the API server's proxy: what is handed on, what comes back, what it refuses."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Thread
from urllib.parse import urlsplit

import pytest
import urllib3
from fixtures.api_stub import CUT, Answer, ApiStub, Received, answer, half, status, text

from coordinator.adapters.platforms._kubernetes.api import Api
from coordinator.adapters.platforms._kubernetes.relay import BODY_LIMIT, Relay
from coordinator.adapters.platforms._kubernetes.wire import Door
from coordinator.errors import StepFailed

PREFIX = "/api/v1/namespaces/shop/services/http:shop-preview:80/proxy"
FORBIDDEN = status(
    403,
    'services "http:shop-preview:80" is forbidden: User "bot" cannot get resource "services/proxy" in API '
    'group "" in the namespace "shop"',
    reason="Forbidden",
)
UNAUTHORIZED = status(401, "Unauthorized", reason="Unauthorized")
Ask = Callable[..., tuple[int, http.client.HTTPMessage, bytes]]


def api_at(address: str) -> Api:
    pool = urllib3.PoolManager(retries=False, maxsize=32)
    return Api(
        lambda: Door(address, pool=pool, credentials=lambda: {"authorization": "Bearer secret"}),
        context="tests",
        patience=0.2,
    )


@contextmanager
def relay_to(stub: ApiStub) -> Iterator[Ask]:
    with Relay(api_at(stub.address), namespace="shop", target="services/http:shop-preview:80") as relay:
        yield lambda *args, **kw: ask(relay.address, *args, **kw)


def ask(
    address: str,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    whole: bool = True,
    **headers: str,
):
    """Return status, headers and body; where it is not `whole`, what came before it broke off."""
    parts = urlsplit(address)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)) as connection:
        connection.request(method, path, body=body, headers=named)
        response = connection.getresponse()
        if whole:
            return response.status, response.headers, response.read()
        with pytest.raises(http.client.IncompleteRead) as broken:
            response.read()
        return response.status, response.headers, broken.value.partial


def only(stub: ApiStub) -> Received:
    (request,) = stub.received
    return request


def test_hands_on_a_path_with_its_query_and_our_credentials():
    with ApiStub(text("1.5", x_version="1.5")) as stub, relay_to(stub) as asked:
        code, headers, body = asked("/version?a=1&b=%2F", accept="text/plain", x_smoke="yes")

    assert (code, headers["x-version"], body) == (200, "1.5", b"1.5")
    request = only(stub)
    assert (request.path, request.query) == (f"{PREFIX}/version", {"a": "1", "b": "/"})
    assert request.headers["authorization"] == "Bearer secret"
    assert (request.headers["accept"], request.headers["x-smoke"]) == ("text/plain", "yes")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_hands_on_every_method_with_its_body(method):
    body = None if method in {"GET", "HEAD"} else b"x" * 70_000
    with ApiStub(text("done", status=201)) as stub, relay_to(stub) as asked:
        code, _, said = asked("/orders", method=method, body=body)

    assert (code, said) == (201, b"" if method == "HEAD" else b"done")
    assert (only(stub).method, only(stub).body) == (method, body or b"")


def test_hands_on_a_body_of_unknown_length():
    chunked = Answer(200, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", {"transfer-encoding": "chunked"})
    with ApiStub(chunked) as stub, relay_to(stub) as asked:
        assert asked("/stream")[2] == b"abcde"


@pytest.mark.parametrize("code", [401, 403, 404, 500])
def test_lets_the_service_refuse_for_itself(code):
    with ApiStub(text("the service says no", status=code)) as stub, relay_to(stub) as asked:
        assert asked("/")[::2] == (code, b"the service says no")

    assert len(stub.received) == 1


def test_passes_on_that_the_service_has_no_endpoints():
    turn = status(503, 'no endpoints available for service "shop-preview"', reason="ServiceUnavailable")
    with ApiStub(turn) as stub, relay_to(stub) as asked:
        code, _, body = asked("/ready")

    assert code == 503
    assert b"no endpoints available" in body
    assert len(stub.received) == 1


def test_does_not_let_a_right_that_we_lack_look_like_the_services_refusal():
    with ApiStub(FORBIDDEN, FORBIDDEN) as stub, relay_to(stub) as asked:
        code, _, body = asked("/ready")

    assert code == 502
    assert b"[cluster-forbidden]" in body
    assert b"does not let us `get` `services/http:shop-preview:80/proxy` in namespace `shop`" in body


def test_asks_again_where_a_server_that_starts_knows_no_rights_yet():
    with ApiStub(FORBIDDEN, FORBIDDEN, text("1.5"), unready=(FORBIDDEN,)) as stub, relay_to(stub) as asked:
        assert asked("/version")[::2] == (200, b"1.5")


def test_checks_its_right_before_anybody_asks():
    with ApiStub(answer({"status": {"allowed": False}}), answer({"status": {"allowed": True}})) as stub:
        relay = Relay(api_at(stub.address), namespace="shop", target="services/http:shop-preview:80")
        with relay, pytest.raises(StepFailed) as caught:
            relay.check_right()
        relay.check_right()

    assert caught.value.code == "cluster-forbidden"
    wanted = {
        "verb": "get",
        "resource": "services",
        "subresource": "proxy",
        "name": "http:shop-preview:80",
        "namespace": "shop",
    }
    assert stub.received[0].value["spec"]["resourceAttributes"] == wanted


def test_reads_credentials_anew_when_the_api_server_refuses_them():
    with ApiStub(UNAUTHORIZED, text("1.5")) as stub, relay_to(stub) as asked:
        assert asked("/version")[::2] == (200, b"1.5")

    assert len(stub.received) == 2


def test_says_that_credentials_are_refused_for_good():
    with ApiStub(UNAUTHORIZED, UNAUTHORIZED) as stub, relay_to(stub) as asked:
        code, _, body = asked("/version")

    assert code == 502
    assert b"[cluster-credentials-rejected]" in body


def test_says_that_the_api_server_cannot_be_reached():
    with ApiStub(CUT) as stub, relay_to(stub) as asked:
        code, _, body = asked("/version")

    assert code == 502
    assert b"The API server of `tests`" in body


def test_breaks_off_where_the_answer_broke_off():
    with ApiStub(half({"kind": "Order", "lines": [1, 2, 3]})) as stub, relay_to(stub) as asked:
        got = asked("/orders/1", whole=False)

    assert got[0] == 200
    assert not got[2].endswith(b"}")


def test_takes_the_proxys_path_out_of_a_redirect():
    turn = text("", status=302, location=f"{PREFIX}/login?next=%2F")
    with ApiStub(turn) as stub, relay_to(stub) as asked:
        assert asked("/")[1]["location"] == "/login?next=%2F"


@pytest.mark.parametrize(
    "path",
    [
        "/../../../secrets",
        "/a/../../b",
        "/%2e%2e/secrets",
        "/a/%2E%2e%2fsecrets",
        "/%252e%252e/secrets",
        "/..\\secrets",
        "http://other/secrets",
    ],
)
def test_hands_on_no_path_that_leaves_the_target(path):
    with ApiStub() as stub, relay_to(stub) as asked:
        assert asked(path)[0] == 400

    assert stub.received == []


def test_lets_nobody_act_as_somebody_else():
    headers = {"impersonate_user": "admin", "impersonate_group": "system:masters", "x_remote_user": "admin"}
    with ApiStub(text("ok")) as stub, relay_to(stub) as asked:
        asked("/", **headers)

    assert not [name for name in only(stub).headers if name.startswith(("impersonate", "x-remote"))]


def test_refuses_a_header_that_the_api_server_would_take_for_its_own():
    with ApiStub() as stub, relay_to(stub) as asked:
        code, _, body = asked("/", authorization="Bearer of-the-service")

    assert code == 502
    assert b"Authorization" in body
    assert stub.received == []


def test_refuses_a_body_that_is_too_long():
    with ApiStub() as stub, relay_to(stub) as asked:
        code, headers, body = asked("/", method="POST", content_length=str(BODY_LIMIT + 1))

    assert (code, headers["content-type"]) == (413, "text/plain; charset=utf-8")
    assert str(BODY_LIMIT).encode() in body
    assert stub.received == []


def test_listens_on_the_loopback_alone():
    with ApiStub() as stub:
        relay = Relay(api_at(stub.address), namespace="shop", target="pods/http:shop-1:8080")
        with relay:
            assert urlsplit(relay.address).hostname == "127.0.0.1"

        parts = urlsplit(relay.address)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((parts.hostname, parts.port), timeout=5)


def test_serves_many_at_once():
    threads = 16
    found: list[tuple[int, bytes]] = []
    with ApiStub(*[text("1.5")] * threads, hold=threads) as stub, relay_to(stub) as asked:
        asking = [Thread(target=lambda: found.append(asked("/version")[::2])) for _ in range(threads)]
        for each in asking:
            each.start()
        for each in asking:
            each.join()

    assert found == [(200, b"1.5")] * threads
