"""The client of the Kubernetes API against a scripted server: what is sent how often, and what comes out.

What the answers look like was taken from a real server of version 1.34; tests/cluster holds it against one.
"""

from __future__ import annotations

import socket
from contextlib import closing
from threading import Barrier, Thread, Timer
from typing import Any

import pytest
import urllib3
from fixtures.api_stub import (
    CUT,
    SILENT,
    UNREAD,
    Answer,
    ApiStub,
    Cut,
    answer,
    does_not_fit,
    half,
    status,
    text,
)

from coordinator.adapters.platforms._kubernetes.api import Api
from coordinator.adapters.platforms._kubernetes.failures import (
    AlreadyExists,
    Changed,
    Conflict,
    Missing,
    OwnedField,
    Unanswered,
)
from coordinator.adapters.platforms._kubernetes.wire import Door
from coordinator.errors import StepFailed

SERVICE = "/api/v1/namespaces/shop/services/shop"
SERVICES = "/api/v1/namespaces/shop/services"
PODS = "/api/v1/namespaces/shop/pods"
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/shop-blue"
SWITCH = [
    {"op": "test", "path": "/spec/selector/color", "value": "blue"},
    {"op": "replace", "path": "/spec/selector/color", "value": "green"},
]
SHOP = {"kind": "Service", "metadata": {"name": "shop"}}
UNAUTHORIZED = status(401, "Unauthorized", reason="Unauthorized")


def api_at(address: str, *, patience: float = 10.0, wait: float = 5.0) -> Api:
    return Api(lambda: door_at(address), context="tests", patience=patience, wait=wait)


def door_at(address: str, token: str = "secret") -> Door:
    pool = urllib3.PoolManager(retries=False, maxsize=32)
    return Door(address, pool=pool, credentials=lambda: {"authorization": f"Bearer {token}"})


def calls() -> dict[str, Any]:
    """Each verb that changes something, as one call."""
    return {
        "create": lambda api: api.create(SERVICES, SHOP),
        "json_patch": lambda api: api.json_patch(SERVICE, SWITCH),
        "merge_patch": lambda api: api.merge_patch(SERVICE, {"metadata": {}}),
        "repeatable merge_patch": lambda api: api.merge_patch(SERVICE, {"metadata": {}}, repeatable=True),
        "apply": lambda api: api.apply(SERVICE, SHOP),
        "delete": lambda api: api.delete(SERVICE),
    }


READS = {
    "get": lambda api: api.get(SERVICE),
    "list": lambda api: api.list(SERVICES),
    "logs": lambda api: api.logs("shop", "shop-1", "shop"),
    "may": lambda api: api.may("patch", "", "services"),
    "cluster_uid": lambda api: api.cluster_uid(),
}
WRITES = calls()
REPEATABLE = ("repeatable merge_patch", "apply", "delete")
NOT_REPEATABLE = ("create", "json_patch", "merge_patch")
GOOD = answer({"kind": "Any", "metadata": {"uid": "u", "name": "shop"}, "items": [], "status": {}})


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# -- what is asked, and what comes out ---------------------------------------------------------------------


def test_gets_an_object_with_our_credentials():
    with ApiStub(answer(SHOP)) as stub:
        assert api_at(stub.address).get(SERVICE) == SHOP

    (request,) = stub.received
    assert (request.method, request.path) == ("GET", SERVICE)
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["user-agent"] == "coordinator"


def test_takes_an_absent_object_for_none():
    with ApiStub(status(404, 'services "shop" not found', reason="NotFound")) as stub:
        assert api_at(stub.address).get(SERVICE) is None


def test_lists_every_page_of_one_snapshot():
    first = answer({"items": [{"n": 1}, {"n": 2}], "metadata": {"continue": "next+/="}})
    with ApiStub(first, answer({"items": [{"n": 3}], "metadata": {}})) as stub:
        found = api_at(stub.address).list(PODS, labels="app=shop,color in (blue)")

    assert found == ({"n": 1}, {"n": 2}, {"n": 3})
    assert stub.received[0].query == {"limit": "500", "labelSelector": "app=shop,color in (blue)"}
    assert stub.received[1].query["continue"] == "next+/="


def test_starts_a_list_over_when_its_snapshot_is_gone():
    gone = status(410, "The provided continue parameter is too old", reason="Expired")
    first = answer({"items": [{"n": 1}], "metadata": {"continue": "old"}})
    with ApiStub(first, gone, answer({"items": [{"n": 7}], "metadata": {}})) as stub:
        assert api_at(stub.address).list(PODS) == ({"n": 7},)

    assert "continue" not in stub.received[2].query


def test_lists_nothing_of_a_collection_without_items():
    with ApiStub(answer({"items": None, "metadata": {}})) as stub:
        assert api_at(stub.address).list(PODS) == ()


def test_says_that_a_kind_of_resource_is_not_there():
    with ApiStub(text("404 page not found\n", status=404)) as stub, pytest.raises(Missing) as caught:
        api_at(stub.address).list("/apis/nope/v1/namespaces/shop/things")

    assert caught.value.code == "cluster-missing"
    assert "`things.nope` in namespace `shop`" in caught.value.what


def test_sends_a_json_patch_under_our_name():
    with ApiStub(answer(SHOP)) as stub:
        assert api_at(stub.address).json_patch(SERVICE, SWITCH) == SHOP

    (request,) = stub.received
    assert request.method == "PATCH"
    assert request.headers["content-type"] == "application/json-patch+json"
    assert request.query == {"fieldManager": "coordinator", "fieldValidation": "Strict"}
    assert request.value == SWITCH


def test_sends_a_merge_patch():
    with ApiStub(answer(SHOP)) as stub:
        api_at(stub.address).merge_patch(SERVICE, {"metadata": {"labels": {"a": None}}})

    assert stub.received[0].headers["content-type"] == "application/merge-patch+json"
    assert stub.received[0].value == {"metadata": {"labels": {"a": None}}}


@pytest.mark.parametrize("force", [False, True])
def test_applies_as_the_manager_that_is_named(force):
    with ApiStub(answer(SHOP)) as stub:
        api_at(stub.address).apply(SERVICE, SHOP, manager="coordinator-scale", force=force)

    (request,) = stub.received
    assert request.headers["content-type"] == "application/apply-patch+yaml"
    assert request.query == {"fieldManager": "coordinator-scale", "force": str(force).lower()}
    assert request.value == SHOP


def test_creates_and_refuses_unknown_fields():
    with ApiStub(answer(SHOP, status=201)) as stub:
        assert api_at(stub.address).create(SERVICES, SHOP) == SHOP

    assert (stub.received[0].method, stub.received[0].path) == ("POST", SERVICES)
    assert stub.received[0].query["fieldValidation"] == "Strict"


@pytest.mark.parametrize("turn", [answer({"kind": "Status"}), status(404, reason="NotFound")])
def test_takes_a_deleted_object_for_done(turn):
    with ApiStub(turn) as stub:
        api_at(stub.address).delete(SERVICE)

    assert stub.asked() == [f"DELETE {SERVICE}"]


def test_reads_the_last_lines_of_a_container():
    with ApiStub(text("ready\nbroken \x00é\n")) as stub:
        said = api_at(stub.address).logs("shop", "shop-1", "shop", lines=5, previous=True)

    assert said == "ready\nbroken \x00é\n"
    assert stub.received[0].path == f"{PODS}/shop-1/log"
    query = {"container": "shop", "tailLines": "5", "limitBytes": "65536", "previous": "true"}
    assert stub.received[0].query == query


@pytest.mark.parametrize("code", [400, 404, 500])
def test_has_no_lines_of_a_container_that_nobody_has_any_of(code):
    with ApiStub(status(code, "container is waiting to start")) as stub:
        assert api_at(stub.address).logs("shop", "shop-1", "shop") == ""

    assert len(stub.received) == 1


@pytest.mark.parametrize("allowed", [True, False])
def test_asks_what_we_may(allowed):
    with ApiStub(answer({"status": {"allowed": allowed}}, status=201)) as stub:
        may = api_at(stub.address).may(
            "get", "", "services", name="http:shop:80", namespace="shop", subresource="proxy"
        )

    assert may is allowed
    assert stub.received[0].value["spec"]["resourceAttributes"] == {
        "verb": "get",
        "resource": "services",
        "name": "http:shop:80",
        "namespace": "shop",
        "subresource": "proxy",
    }


def test_knows_a_cluster_by_the_uid_of_kube_system():
    with ApiStub(answer({"metadata": {"uid": "b926"}})) as stub:
        assert api_at(stub.address).cluster_uid() == "b926"

    assert stub.asked() == ["GET /api/v1/namespaces/kube-system"]


# -- refusals ----------------------------------------------------------------------------------------------


def refusal_of(turn: Answer, call: str) -> StepFailed:
    with ApiStub(turn) as stub, pytest.raises(StepFailed) as caught:
        WRITES[call](api_at(stub.address))
    assert len(stub.received) == 1
    return caught.value


def test_tells_a_patch_that_does_not_fit():
    error = refusal_of(does_not_fit(), "json_patch")

    assert isinstance(error, Changed)
    assert (error.code, error.exit_code) == ("cluster-changed", 1)


def test_tells_an_object_that_is_not_valid_from_a_patch_that_does_not_fit():
    details = {"name": "shop", "kind": "Service", "causes": [{"message": "bad", "field": "spec.type"}]}
    turn = status(422, 'Service "shop" is invalid: spec.type: bad', reason="Invalid", details=details)
    error = refusal_of(turn, "json_patch")

    assert not isinstance(error, Changed)
    assert error.code == "cluster-refused"
    assert "spec.type: bad" in str(error)


def test_names_the_fields_that_others_manage():
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "helm" using apps/v1',
            "field": ".spec.replicas",
        },
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-edit"',
            "field": ".spec.paused",
        },
    ]
    turn = status(409, "Apply failed with 2 conflicts", reason="Conflict", details={"causes": causes})
    error = refusal_of(turn, "apply")

    assert isinstance(error, Conflict)
    assert error.fields == (OwnedField("helm", ".spec.replicas"), OwnedField("kubectl-edit", ".spec.paused"))
    assert "`.spec.replicas` of `helm`" in error.what


def test_tells_an_old_version_from_a_field_that_others_manage():
    turn = status(409, "the object has been modified", reason="Conflict", details={"name": "shop"})
    error = refusal_of(turn, "merge_patch")

    assert isinstance(error, Conflict)
    assert error.fields == ()


def test_tells_that_an_object_is_there_already():
    turn = status(409, 'services "shop" already exists', reason="AlreadyExists")
    error = refusal_of(turn, "create")

    assert isinstance(error, AlreadyExists)
    assert error.code == "cluster-already-exists"


@pytest.mark.parametrize("call", ["json_patch", "merge_patch", "create"])
def test_tells_that_what_was_to_be_changed_is_not_there(call):
    error = refusal_of(status(404, "not found", reason="NotFound"), call)

    assert isinstance(error, Missing)


def test_names_the_right_that_we_lack_and_how_to_get_it():
    said = (
        'deployments.apps "shop-blue" is forbidden: User "bot" cannot create resource "deployments" '
        'in API group "apps" in the namespace "shop"'
    )
    with ApiStub(status(403, said, reason="Forbidden")) as stub, pytest.raises(StepFailed) as caught:
        api_at(stub.address).apply(DEPLOYMENT, {})

    assert caught.value.code == "cluster-forbidden"
    assert "`create` `deployments.apps/shop-blue` in namespace `shop`" in caught.value.what
    assert 'User "bot"' in caught.value.why
    assert "coordinator doctor --rbac" in caught.value.next_step


def test_does_not_take_a_quota_for_a_right_that_we_lack():
    turn = status(403, 'pods "x" is forbidden: exceeded quota: q, requested: pods=1', reason="Forbidden")
    error = refusal_of(turn, "create")

    assert error.code == "cluster-refused"
    assert "exceeded quota" in str(error)


def test_refuses_at_once_a_manifest_with_a_field_that_the_server_does_not_know():
    said = (
        "failed to create typed patch object (/shop; apps/v1, Kind=Deployment): .spec.x: field not declared"
    )
    error = refusal_of(status(500, said), "apply")

    assert error.code == "cluster-refused"
    assert "field not declared" in error.why


@pytest.mark.parametrize("turn", [text("<html>", status=200), text("", status=302, location="/login")])
def test_refuses_a_server_that_is_no_api_server(turn):
    with ApiStub(turn) as stub, pytest.raises(StepFailed) as caught:
        api_at(stub.address).get(SERVICE)

    assert caught.value.code == "cluster-refused"
    assert len(stub.received) == 1


# -- what is repeated, and what is not ---------------------------------------------------------------------

SICK = [
    UNREAD,
    CUT,
    half({"kind": "Any", "metadata": {"uid": "u"}}),
    status(500, "etcdserver: request timed out", reason="InternalError"),
    status(503, "apiserver not ready", reason="ServiceUnavailable"),
    status(504, "Timeout: request did not complete", reason="Timeout"),
]
UNHARMED = [
    status(429, "too many requests", reason="TooManyRequests", retry_after="0"),
    status(503, "the server is shutting down", reason="ServiceUnavailable", retry_after="0"),
    status(500, 'Internal error occurred: failed calling webhook "x": no endpoints', reason="InternalError"),
]


@pytest.mark.parametrize("turn", [*SICK[:3], SICK[4], *UNHARMED[:2]], ids=str)
@pytest.mark.parametrize("call", READS)
def test_repeats_a_read_whatever_became_of_it(call, turn):
    with ApiStub(turn, GOOD) as stub:
        READS[call](api_at(stub.address))

    assert stub.left == 0


@pytest.mark.parametrize("turn", [*SICK, *UNHARMED], ids=str)
@pytest.mark.parametrize("call", REPEATABLE)
def test_repeats_a_write_that_may_be_done_twice(call, turn):
    with ApiStub(turn, GOOD) as stub:
        WRITES[call](api_at(stub.address))

    assert stub.left == 0
    assert len({request.body for request in stub.received}) == 1


@pytest.mark.parametrize("turn", SICK, ids=str)
@pytest.mark.parametrize("call", NOT_REPEATABLE)
def test_never_repeats_a_write_that_the_server_may_have_done(call, turn):
    with ApiStub(turn, GOOD) as stub, pytest.raises(Unanswered) as caught:
        WRITES[call](api_at(stub.address))

    assert stub.left == 1
    assert caught.value.code == "cluster-unanswered"


@pytest.mark.parametrize("turn", UNHARMED, ids=str)
@pytest.mark.parametrize("call", NOT_REPEATABLE)
def test_repeats_every_write_that_the_server_surely_has_not_done(call, turn):
    with ApiStub(turn, turn, GOOD) as stub:
        WRITES[call](api_at(stub.address))

    assert len(stub.received) == 3


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_waits_for_a_server_that_is_away(call):
    port = free_port()
    stub = ApiStub(GOOD, port=port, listen=False)
    back = Timer(0.3, stub.__enter__)
    back.start()
    try:
        (READS | WRITES)[call](api_at(stub.address))
    finally:
        back.join()
        stub.__exit__()

    assert len(stub.received) == 1


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_gives_up_on_a_server_that_stays_away(call):
    address = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(StepFailed) as caught:
        (READS | WRITES)[call](api_at(address, patience=0.2))

    assert caught.value.code == "cluster-unreachable"
    assert "Connection refused" in caught.value.why


def test_goes_on_asking_while_each_answer_takes_too_long():
    with ApiStub(SILENT, SILENT, answer(SHOP)) as stub:
        assert api_at(stub.address, wait=0.2).get(SERVICE) == SHOP

    assert len(stub.received) == 3


def test_does_not_repeat_a_patch_whose_answer_takes_too_long():
    with ApiStub(SILENT, GOOD) as stub, pytest.raises(Unanswered) as caught:
        api_at(stub.address, wait=0.2).json_patch(SERVICE, SWITCH)

    assert "no answer within 0.2 s" in caught.value.why
    assert stub.left == 1


def test_says_that_an_apply_may_have_been_done_when_the_patience_is_over():
    with ApiStub(CUT, *[status(503, "etcd is away")] * 50) as stub, pytest.raises(Unanswered):
        api_at(stub.address, patience=0.5).apply(SERVICE, SHOP)

    assert len(stub.received) > 1


def test_says_that_a_read_was_not_answered_when_the_patience_is_over():
    with ApiStub(*[status(503, "etcd is away")] * 50) as stub, pytest.raises(StepFailed) as caught:
        api_at(stub.address, patience=0.5).get(SERVICE)

    assert caught.value.code == "cluster-unreachable"
    assert "etcd is away" in caught.value.why
    assert len(stub.received) > 1


def test_does_not_ask_again_before_the_server_said():
    busy = status(429, "too many requests", retry_after="60")
    with ApiStub(busy, GOOD) as stub, pytest.raises(StepFailed) as caught:
        api_at(stub.address, patience=30).json_patch(SERVICE, SWITCH)

    assert caught.value.code == "cluster-unreachable"
    assert len(stub.received) == 1


def test_limits_an_answer_that_comes_in_drops():
    with ApiStub(Answer(200, b"{}" + b" " * 500, drip=True)) as stub, pytest.raises(Unanswered) as caught:
        api_at(stub.address, wait=0.3).json_patch(SERVICE, SWITCH)

    assert "no whole answer within 0.3 s" in caught.value.why


# -- credentials -------------------------------------------------------------------------------------------


class Doors:
    """A way in with another token each time."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.opened = 0

    def __call__(self) -> Door:
        self.opened += 1
        return door_at(self.address, token=f"token-{self.opened}")


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_reads_credentials_anew_when_they_are_refused(call):
    with ApiStub(UNAUTHORIZED, GOOD) as stub:
        (READS | WRITES)[call](Api(Doors(stub.address), context="tests"))

    assert [each.headers["authorization"] for each in stub.received] == ["Bearer token-1", "Bearer token-2"]


def test_gives_up_when_new_credentials_are_refused_too():
    with ApiStub(UNAUTHORIZED, UNAUTHORIZED, GOOD) as stub, pytest.raises(StepFailed) as caught:
        Api(Doors(stub.address), context="tests").get(SERVICE)

    assert caught.value.code == "cluster-credentials-rejected"
    assert stub.left == 1
    assert "token-" not in str(caught.value)


def test_reads_credentials_anew_once_for_all_threads():
    threads = 8
    with ApiStub(*[UNAUTHORIZED] * threads, *[GOOD] * threads, hold=threads) as stub:
        doors = Doors(stub.address)
        api = Api(doors, context="tests")
        asking = [Thread(target=api.get, args=(SERVICE,)) for _ in range(threads)]
        for each in asking:
            each.start()
        for each in asking:
            each.join()

    assert doors.opened == 2
    assert len(stub.received) == 2 * threads


def test_serves_many_threads_at_once():
    threads, each_asks = 8, 5
    turns = [answer({"items": [{"n": 1}], "metadata": {}})] * (threads * each_asks)
    found: list[object] = []
    start = Barrier(threads)
    with ApiStub(*turns) as stub:
        api = api_at(stub.address)

        def ask() -> None:
            start.wait()
            found.extend(api.list(PODS) for _ in range(each_asks))

        asking = [Thread(target=ask) for _ in range(threads)]
        for each in asking:
            each.start()
        for each in asking:
            each.join()

    assert found == [({"n": 1},)] * (threads * each_asks)


def test_knows_every_way_in_which_a_connection_ends():
    assert {turn for turn in SICK if isinstance(turn, Cut)} | {SILENT} == set(Cut)
