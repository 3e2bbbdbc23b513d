"""Where a service on Kubernetes answers: an address is handed out only where its checks may ask there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
from builders import Service
from fixtures.api_stub import Answer, ApiStub, answer

from coordinator.adapters.platforms._kubernetes.api import Api
from coordinator.adapters.platforms._kubernetes.service import Kubernetes
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.adapters.platforms._kubernetes.wire import Door
from coordinator.diagnostics import Place
from coordinator.errors import StepFailed
from coordinator.model import CheckSpec, Colour, MonitorSpec

SETTINGS = {"context": "tests", "namespace": "shop", "service": "web", "image": "registry.example/web:1.5"}
CHECKS = (CheckSpec("http", None, Place("plan.yaml")),)
LABELS = {"app": "web", "color": "green"}
SERVICE = answer(
    {
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web", "color": "blue"}, "ports": [{"port": 80, "targetPort": "http"}]},
    }
)
DEPLOYMENT = answer(
    {"metadata": {"name": "web-green"}, "spec": {"selector": {"matchLabels": LABELS}}},
)
PREVIEW = answer(
    {
        "metadata": {"name": "web-preview", "annotations": {"coordinator/release": "web-1.5"}},
        "spec": {"selector": LABELS, "ports": [{"port": 80, "targetPort": "http"}]},
    }
)
PREVIEWED = (DEPLOYMENT, DEPLOYMENT, SERVICE, PREVIEW)
"""What is read until the preview Service is known to reach green."""
REVIEW = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def may(*, allowed: bool) -> Answer:
    return answer({"status": {"allowed": allowed}})


def platform(stub: ApiStub, *, watched: bool = False, verified: bool = False, **settings: Any) -> Kubernetes:
    pool = urllib3.PoolManager(retries=False)
    api = Api(lambda: Door(stub.address, pool=pool, credentials=dict), context="tests", patience=0.2)
    second = timedelta(seconds=1)
    service = replace(
        Service().spec("web"),
        platform="kubernetes",
        platform_spec=KubernetesSpec.model_validate({**SETTINGS, **settings}),
        verify=CHECKS if verified else (),
        monitor=MonitorSpec(second, second, 1, CHECKS if watched else ()),
    )
    return Kubernetes(api, service=service, release="web-1.5", folder=Path())


def reviewed(stub: ApiStub) -> list[tuple[str, str]]:
    """Return the subresources and names of which the API server was asked whether we may."""
    asked = [each.value["spec"]["resourceAttributes"] for each in stub.received if each.method == "POST"]
    return [(f"{each['resource']}/{each['subresource']}", each["name"]) for each in asked]


def test_a_right_that_is_missing_at_the_clients_service_is_told_before_anything_asks_there():
    with ApiStub(SERVICE, may(allowed=False)) as stub, pytest.raises(StepFailed) as caught:
        platform(stub, watched=True).public_address()

    assert caught.value.code == "cluster-forbidden"
    assert "does not let us `get` `services/web:80/proxy` in namespace `shop`" in str(caught.value)
    assert reviewed(stub) == [("services/proxy", "web:80")]


def test_a_right_that_is_missing_at_the_preview_is_told_before_anything_asks_there():
    with ApiStub(*PREVIEWED, may(allowed=False)) as stub, pytest.raises(StepFailed) as caught:
        platform(stub, verified=True).address(Colour.GREEN)

    assert caught.value.code == "cluster-forbidden"
    assert reviewed(stub) == [("services/proxy", "web-preview")]


def test_a_right_that_is_missing_for_confirm_keeps_traffic_where_it_is():
    confirm = {"path": "/version", "contains": "{version}"}
    turns = (*PREVIEWED, SERVICE, may(allowed=False))
    with ApiStub(*turns) as stub, pytest.raises(StepFailed) as caught:
        platform(stub, confirm=confirm).before_switch(Colour.GREEN)

    assert caught.value.code == "cluster-forbidden"
    assert reviewed(stub) == [("services/proxy", "web:80")]


def test_a_right_is_asked_for_once_and_again_only_where_it_was_missing():
    turns = (SERVICE, may(allowed=False), SERVICE, may(allowed=True), SERVICE)
    with ApiStub(*turns) as stub:
        found = platform(stub, watched=True)
        with pytest.raises(StepFailed):
            found.public_address()

        first, second = found.public_address(), found.public_address()

    assert (urlsplit(first).hostname, second) == ("127.0.0.1", first)
    assert stub.asked().count(REVIEW) == 2


def test_where_the_plan_asks_nothing_no_right_is_needed():
    with ApiStub(SERVICE, *PREVIEWED) as stub:
        found = platform(stub)
        found.public_address()
        found.address(Colour.GREEN)

    assert (reviewed(stub), stub.left) == ([], 0)


def test_an_address_of_the_plan_needs_no_right():
    with ApiStub() as stub:
        found = platform(stub, watched=True, url="https://web.example/")

        assert found.public_address() == "https://web.example"
        assert stub.received == []
