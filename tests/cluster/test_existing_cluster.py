"""The two ways in of docs/how-to/existing-cluster.md: Deployments that the team made, and a single one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fixtures.cluster_clients import Stream
from fixtures.cluster_release import Shop
from fixtures.local import until

pytestmark = pytest.mark.cluster

ORDERS = Stream(rate=40, path="/orders")


def _made_by_team(shop: Shop, name: str, colour: str | None, like: dict[str, Any]) -> None:
    """Create a Deployment as a person would who knows nothing of coordinator, and wait until it serves."""
    labels = {"app": "shop"} | ({"color": colour} if colour else {})
    spec = copy.deepcopy(like["spec"])
    spec["selector"] = {"matchLabels": labels}
    spec["template"]["metadata"] = {"labels": {**labels, "version": "1.4"}}
    deployments = f"/apis/apps/v1/namespaces/{shop.namespace}/deployments"
    shop.cluster.api.create(deployments, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    shop.cluster.api.wait(
        f"{deployments}/{name}", lambda found: found["status"].get("availableReplicas") == 2
    )


def _selector(shop: Shop, selector: dict[str, str | None]) -> None:
    """Set the Service's selector as a person does, with nothing of coordinator on it."""
    service = shop.cluster.api.get(shop.service_path)
    annotations = dict.fromkeys(service["metadata"].get("annotations") or {})
    patch = {"metadata": {"annotations": annotations}, "spec": {"selector": selector}}
    shop.cluster.api.patch(shop.service_path, patch)


def _reached(shop: Shop) -> set[str]:
    """Return the Pods that clients may reach."""
    slices = shop.cluster.api.get(
        f"/apis/discovery.k8s.io/v1/namespaces/{shop.namespace}/endpointslices"
        "?labelSelector=kubernetes.io%2Fservice-name%3Dshop"
    )
    return {
        endpoint["targetRef"]["name"]
        for each in slices["items"]
        for endpoint in each.get("endpoints") or ()
        if endpoint["conditions"].get("ready")
    }


def _delete(shop: Shop, name: str) -> None:
    """Delete a Deployment, and wait until its Pods are gone."""
    path = f"/apis/apps/v1/namespaces/{shop.namespace}/deployments/{name}"
    wanted = shop.cluster.api.get(path)["spec"]["selector"]["matchLabels"]
    shop.cluster.api.delete(path)
    until(lambda: wanted not in _selected(shop), seconds=60)


def _selected(shop: Shop) -> list[dict[str, str]]:
    """Return of each Pod the labels that a Deployment of these tests selects."""
    found = shop.cluster.api.get(f"/api/v1/namespaces/{shop.namespace}/pods")
    labels = [each["metadata"]["labels"] for each in found["items"]]
    return [{key: each[key] for key in ("app", "color") if key in each} for each in labels]


def _single_deployment(shop: Shop) -> dict[str, Any]:
    """Leave 1.4 as one Deployment `shop` behind a Service without a colour; return what it was made like."""
    shop.serve("1.4")
    blue = shop.cluster.api.get(shop.deployment_path("blue"))
    _made_by_team(shop, "shop", None, blue)
    _selector(shop, {"app": "shop", "color": None})
    _delete(shop, "shop-blue")
    return blue


def test_two_deployments_of_the_team_are_patched_and_change_places(shop: Shop, load, figure):
    like = _single_deployment(shop)
    for colour in ("blue", "green"):
        _made_by_team(shop, f"shop-{colour}", colour, like)
    _selector(shop, {"app": "shop", "color": "blue"})
    _delete(shop, "shop")
    patched = {"platform": {"kubernetes": {"deployment": None}}}
    clients = load(shop.url, ORDERS)
    clients.wait_for(20, version="1.4")

    shop.release("1.5", **patched)
    clients.wait_for(20, version="1.5")
    first = (shop.serves(), shop.version("green"), shop.size("blue"))
    shop.release("1.6", **patched)
    clients.wait_for(20, version="1.6")
    answers = clients.stop()

    figure("answers", answers.told())
    assert first == ("green", "1.5", 0)
    assert (shop.serves(), shop.version("blue"), shop.size("green")) == ("blue", "1.6", 0)
    green = shop.cluster.api.get(shop.deployment_path("green"))
    assert green["spec"]["selector"]["matchLabels"] == {"app": "shop", "color": "green"}
    assert not answers.failed(), answers.told()


def test_a_single_deployment_becomes_blue_and_is_released_with_no_failed_request(shop: Shop, load, figure):
    like = _single_deployment(shop)
    clients = load(shop.url, ORDERS)
    clients.wait_for(20, version="1.4")

    _made_by_team(shop, "shop-blue", "blue", like)
    _selector(shop, {"app": "shop", "color": "blue"})
    until(lambda: _reached(shop) == set(shop.pods("blue")))
    _delete(shop, "shop")
    shop.release("1.5")
    clients.wait_for(20, version="1.5")
    answers = clients.stop()

    figure("answers", answers.told())
    assert (shop.serves(), shop.version("green"), shop.size("blue")) == ("green", "1.5", 0)
    assert not answers.failed(), answers.told()


def test_a_single_deployment_without_a_colour_is_refused_with_the_way_out(shop: Shop):
    _single_deployment(shop)
    shop.lay_out("1.5")

    ran = shop.call("doctor", version="1.5")

    assert ran.code == 1, str(ran)
    assert "names no `color`" in ran.out, str(ran)
