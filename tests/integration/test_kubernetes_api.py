"""The client of the Kubernetes API against a scripted server: what is sent, and what comes out.

What the answers look like was taken from a real server of version 1.34; tests/cluster holds it against one.
"""

from __future__ import annotations

import pytest
from fixtures.api_calls import PODS, SERVICE, SERVICES, SHOP, SWITCH, api_at
from fixtures.api_stub import ApiStub, answer, status, text

from coordinator.adapters.platforms._kubernetes.failures import Missing


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
