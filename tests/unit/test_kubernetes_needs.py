"""The rights that a plan needs: all that a release does, and nothing that it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import Service

from coordinator.adapters.platforms._kubernetes.needs import needs_of
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.adapters.platforms.kubernetes import PLATFORM
from coordinator.diagnostics import Place
from coordinator.model import CanarySpec, CheckSpec, MonitorSpec, ServiceSpec, Worker

SPEC = KubernetesSpec(
    context="prod",
    namespace="shop",
    service="web",
    image="registry.example/web:1.5",
    url="http://web.example",
)
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main}]}
"""
AUTOSCALER = """\
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {kind: Deployment, name: web}, maxReplicas: 9}
"""
BUDGET = """\
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
"""


def check(kind: str) -> CheckSpec:
    return CheckSpec(kind, None, Place("plan.yaml"))


def service(*, verify: tuple[str, ...] = (), monitor: tuple[str, ...] = (), **settings: Any) -> ServiceSpec:
    return replace(
        Service().spec("web"),
        platform_spec=SPEC.model_copy(update=settings),
        verify=tuple(map(check, verify)),
        monitor=MonitorSpec(timedelta(seconds=1), timedelta(seconds=1), 1, tuple(map(check, monitor))),
    )


def needed(spec: ServiceSpec, folder: Path = Path()) -> set[tuple[str, str, str]]:
    """Return each verb with its resource and the name that it is bound to, `*` for any."""
    return {
        (verb, right.resource, name)
        for right in needs_of(spec, folder=folder)
        for verb in right.verbs
        for name in right.names or ("*",)
    }


LEAST = {
    ("get", "namespaces", "kube-system"),
    *((verb, "deployments", name) for verb in ("get", "patch") for name in ("web-blue", "web-green")),
    *((verb, "services", "web") for verb in ("get", "patch")),
    *((verb, "services", "web-preview") for verb in ("get", "create", "patch")),
    ("list", "endpointslices", "*"),
    ("list", "pods", "*"),
    ("get", "pods/log", "*"),
}
READ_AT_PREVIEW = {("get", "services/proxy", "web-preview"), ("get", "endpoints", "web-preview")}
READ_AT_SERVICE = {("get", "services/proxy", "*"), ("get", "endpoints", "web")}
ASKED_AT_PREVIEW = READ_AT_PREVIEW | {
    (verb, "services/proxy", "web-preview") for verb in ("create", "update", "patch", "delete")
}


def test_the_least_is_what_every_switch_needs():
    assert needed(service()) == LEAST


def test_a_worker_has_no_traffic_to_see():
    worker = replace(service(service=None, url=None), worker=Worker.OVERLAP)

    assert needed(worker) == {each for each in LEAST if each[1] != "endpointslices" and each[2] != "web"}


def test_deployments_are_made_only_from_a_manifest(tmp_path: Path):
    (tmp_path / "web.yaml").write_text(DEPLOYMENT)

    more = needed(service(deployment="web.yaml"), tmp_path) - LEAST

    assert more == {("create", "deployments", "web-blue"), ("create", "deployments", "web-green")}


@pytest.mark.parametrize(
    ("text", "resource", "verbs"),
    [
        (AUTOSCALER, "horizontalpodautoscalers", ("get", "create", "patch")),
        (BUDGET, "poddisruptionbudgets", ("create", "patch")),
    ],
)
def test_what_belongs_to_a_colour_is_needed_only_where_the_manifest_has_it(
    text: str, resource: str, verbs: tuple[str, ...], tmp_path: Path
):
    (tmp_path / "web.yaml").write_text(DEPLOYMENT)
    (tmp_path / "more.yaml").write_text(DEPLOYMENT + text)

    more = needed(service(deployment="more.yaml"), tmp_path) - needed(
        service(deployment="web.yaml"), tmp_path
    )

    assert more == {(verb, resource, name) for verb in verbs for name in ("web-blue", "web-green")}


def test_a_manifest_that_cannot_be_read_counts_as_whole(tmp_path: Path):
    resources = {resource for _, resource, _ in needed(service(deployment="none.yaml"), tmp_path)}

    assert {"horizontalpodautoscalers", "poddisruptionbudgets"} <= resources


def test_checks_only_read_and_commands_may_do_what_they_want():
    assert needed(service(verify=("http",))) - LEAST == READ_AT_PREVIEW
    assert needed(service(verify=("http", "command"))) - LEAST == ASKED_AT_PREVIEW


def test_the_service_is_asked_through_the_api_server_only_without_an_address_of_its_own():
    watched = {"monitor": ("http",)}

    assert needed(service(**watched)) == LEAST
    assert needed(service(url=None, **watched)) - LEAST == READ_AT_SERVICE
    assert needed(service(url=None)) == LEAST


def test_a_canary_and_a_worker_are_watched_at_the_preview():
    watched = service(monitor=("http", "command"))
    tried = replace(watched, canary=CanarySpec((10,), timedelta(seconds=1)))
    worker = replace(service(service=None, url=None, monitor=("http",)), worker=Worker.OVERLAP)

    assert {right for right in needed(watched) - LEAST if right[1] == "services/proxy"} == set()
    assert needed(tried) - LEAST == ASKED_AT_PREVIEW
    assert needed(worker) - LEAST == READ_AT_PREVIEW


def test_what_confirms_a_switch_is_asked_through_the_api_server_without_an_address():
    confirm = {"confirm": {"path": "/version", "contains": "{version}"}}
    spec = KubernetesSpec.model_validate({**SPEC.model_dump(), "url": None, **confirm})

    assert needed(replace(service(), platform_spec=spec)) - LEAST == READ_AT_SERVICE


def test_metrics_are_read_only_where_the_plan_counts_connections():
    counted = KubernetesSpec.model_validate(
        {**SPEC.model_dump(), "connections": {"port": 9090, "gauge": "open"}}
    )

    more = needed(replace(service(), platform_spec=counted)) - LEAST

    assert more == {("get", "pods/proxy", "*")}


def test_names_of_the_plan_are_the_names_of_the_rights():
    spec = KubernetesSpec.model_validate(
        {**SPEC.model_dump(), "names": {"blue": "a", "green": "b"}, "preview": "tried"}
    )

    names = {name for _, _, name in needed(replace(service(), platform_spec=spec))}

    assert names == {"kube-system", "a", "b", "web", "tried", "*"}


def test_no_right_deletes_or_reads_a_secret(tmp_path: Path):
    (tmp_path / "web.yaml").write_text(DEPLOYMENT + AUTOSCALER + BUDGET)
    found = needed(
        service(deployment="web.yaml", verify=("command",), url=None, monitor=("command",)), tmp_path
    )

    assert {verb for verb, resource, _ in found if "/" not in resource} == {"get", "list", "create", "patch"}
    assert not [resource for _, resource, _ in found if "secret" in resource]


def test_the_document_has_a_role_for_each_namespace_and_a_part_for_each_cluster():
    two = (
        service(),
        replace(service(namespace="other"), name="api"),
        replace(service(context="second"), name="far"),
    )

    text = PLATFORM.rights(two, folder=Path())

    first, second = text.split("# For the cluster of the context `second`")
    assert first.startswith("# For the cluster of the context `prod`")
    found = [(each["kind"], each["metadata"].get("namespace")) for each in yaml.safe_load_all(first) if each]
    assert found == [
        ("ClusterRole", None),
        ("ClusterRoleBinding", None),
        ("Role", "other"),
        ("RoleBinding", "other"),
        ("Role", "shop"),
        ("RoleBinding", "shop"),
    ]
    names = {
        each["metadata"]["name"]
        for part in (first, "#" + second)
        for each in yaml.safe_load_all(part)
        if each
    }
    assert names == {"coordinator-other-api", "coordinator-shop-far"}


def test_without_a_service_there_is_nothing_to_grant():
    assert PLATFORM.rights((), folder=Path()) == ""
