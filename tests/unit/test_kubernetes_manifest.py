"""The team's manifest: what it may hold, and what each colour is made of."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import Service

from coordinator.adapters.platforms._kubernetes.manifest import (
    Objects,
    objects_for,
    patch_for,
    read_manifest,
)
from coordinator.adapters.platforms._kubernetes.objects import at
from coordinator.adapters.platforms._kubernetes.reading import Manifest, manifest_from, read
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.diagnostics import Place
from coordinator.errors import StepFailed
from coordinator.model import Colour, Version

SHOP = Path(__file__).parents[2] / "plans" / "shop" / "deploy" / "shop.yaml"
SPEC = KubernetesSpec(context="prod", namespace="shop", service="shop", image="registry.example/shop:1.5")
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: main
          image: web:0
"""
AUTOSCALER = """\
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 4
"""
BUDGET = """\
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, labels: {team: shop}}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app: web}}
"""


def problems_of(text: str, spec: KubernetesSpec = SPEC) -> list[tuple[str, int]]:
    """Return the code and the line of each problem of a manifest."""
    reading = manifest_from(text.encode(), file="web.yaml", spec=spec)
    assert (reading.manifest is None) is bool(reading.diagnostics)
    assert all(each.next_step for each in reading.diagnostics)
    return [(each.code, each.place.line) for each in reading.diagnostics]


def manifest_of(text: str, spec: KubernetesSpec = SPEC) -> Manifest:
    reading = manifest_from(text.encode(), file="web.yaml", spec=spec)
    assert reading.manifest is not None, reading.diagnostics
    return reading.manifest


def made(text: str = DEPLOYMENT, spec: KubernetesSpec = SPEC, **settings: Any) -> Objects:
    """Return the objects of green 1.5 from a manifest."""
    values: dict[str, Any] = {
        "name": "web-green",
        "app": "plan-name",
        "colour": Colour.GREEN,
        "version": Version("1.5"),
        "release": "web-1.5",
        "replicas": 0,
        "annotations": {"coordinator/epoch": "7"},
    }
    return objects_for(manifest_of(text, spec), spec=spec, **{**values, **settings})


# -- reading -------------------------------------------------------------------------------------------------


def test_reads_the_example():
    reading = read(SHOP, spec=SPEC, place=Place("plan.yaml", 3))

    assert reading.diagnostics == ()
    assert reading.manifest is not None
    assert at(reading.manifest.deployment, "metadata", "name") == "shop"
    assert reading.manifest.budget is not None
    assert reading.manifest.autoscaler is None


def test_says_in_the_plan_that_there_is_no_file(tmp_path: Path):
    reading = read(tmp_path / "none.yaml", spec=SPEC, place=Place("plan.yaml", 3, 5))

    assert [(each.code, each.place) for each in reading.diagnostics] == [
        ("file-missing", Place("plan.yaml", 3, 5))
    ]


def test_takes_what_belongs_to_a_deployment_and_nothing_else():
    assert problems_of(DEPLOYMENT + AUTOSCALER + BUDGET) == []
    service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: web}\n"
    lines = DEPLOYMENT.count("\n")
    assert problems_of(DEPLOYMENT + service + secret) == [
        ("manifest-other-object", lines + 3),
        ("manifest-other-object", lines + 7),
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n", AUTOSCALER])
def test_refuses_a_file_without_a_deployment(text: str):
    assert ("bad-manifest", 0) in problems_of(text)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("apiVersion: apps/v1", "apiVersion: extensions/v1beta1", 1),
        ("kind: Deployment", "kind: ''", 1),
        ("metadata: {name: web}", "metadata: {generateName: web-}", 3),
        ("metadata: {name: web}", "metadata: {name: web, namespace: staging}", 3),
        ("metadata: {name: web}", "metadata: {name: web, labels: [a]}", 3),
        ("  selector: {matchLabels: {app: web}}\n", "", 4),
        ("matchLabels: {app: web}", "matchLabels: {app: other}", 5),
        ("matchLabels: {app: web}", "matchLabels: [app]", 5),
        ("spec:\n  selector", "spec:\n  replicas: 0\n  selector", 5),
        ("spec:\n  selector", "spec:\n  replicas: two\n  selector", 5),
        ("        - name: main\n          image: web:0\n", "        []\n", 9),
        ("        - name: main\n          image: web:0\n", "        - image: web:0\n", 10),
        ("image: web:0", "image: web:0\n          env: {A: b}", 12),
        ("image: web:0", "image: web:0\n          ports: 80", 12),
        (
            "image: web:0",
            "env:\n            - {name: A}\n            - {name: B}\n            - {name: A}",
            14,
        ),
        ("      containers:", "      initContainers: none\n      containers:", 9),
    ],
)
def test_refuses_a_deployment_that_could_not_be_applied(old: str, new: str, line: int):
    assert old in DEPLOYMENT

    assert problems_of(DEPLOYMENT.replace(old, new)) == [("bad-manifest", line)]


@pytest.mark.parametrize("text", ["kind: {{ .Values.kind }}\n", "- a\n", "a: [1", "just a text", "\0"])
def test_refuses_what_is_no_manifest(text: str):
    assert [code for code, _ in problems_of(text)] == ["bad-manifest"]


def test_knows_a_template_when_it_sees_one():
    reading = manifest_from(b"metadata: {{ .Values.name }}", file="f", spec=SPEC)

    assert "helm template" in reading.diagnostics[0].next_step


@pytest.mark.parametrize(
    "field",
    [
        "uid: 1-2",
        "resourceVersion: '7'",
        "ownerReferences: [{name: a}]",
        "creationTimestamp: 2026-01-01T00:00:00Z",
    ],
)
def test_refuses_what_was_exported_from_a_cluster(field: str):
    text = DEPLOYMENT.replace("{name: web}", f"{{name: web, {field}}}", 1)

    assert problems_of(text) == [("manifest-exported", 3)]


def test_passes_over_what_kubectl_prints_and_nobody_means():
    text = DEPLOYMENT.replace("{name: web}", "{name: web, creationTimestamp: null}", 1) + "status: {}\n"

    deployment = made(text).deployment

    assert "status" not in deployment
    assert "creationTimestamp" not in deployment["metadata"]


def test_wants_to_know_which_container_is_the_service():
    two = DEPLOYMENT + "        - name: proxy\n          image: proxy:1\n"

    assert problems_of(two) == [("container-unknown", 9)]
    assert problems_of(two, SPEC.model_copy(update={"container": "prox"})) == [("container-unknown", 9)]
    assert problems_of(two, SPEC.model_copy(update={"container": "proxy"})) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: Deployment, name: web", "kind: Deployment, name: other"),
        ("kind: Deployment, name: web", "kind: StatefulSet, name: web"),
        ("maxReplicas: 4", "maxReplicas: 1"),
        ("maxReplicas: 4", "maxReplicas: many"),
        ("  maxReplicas: 4\n", ""),
        ("minReplicas: 2", "minReplicas: 0"),
    ],
)
def test_refuses_an_autoscaler_that_could_not_be_one_of_a_colour(old: str, new: str):
    assert old in AUTOSCALER

    assert [code for code, _ in problems_of(DEPLOYMENT + AUTOSCALER.replace(old, new))] == ["bad-manifest"]


@pytest.mark.parametrize(
    "selector",
    [
        "{matchLabels: {app: other}}",
        "{matchLabels: {}}",
        "{}",
        "{matchExpressions: [{key: app, operator: Exists}], matchLabels: {app: web}}",
    ],
)
def test_refuses_a_budget_of_other_pods(selector: str):
    text = DEPLOYMENT + BUDGET.replace("{matchLabels: {app: web}}", selector)

    assert [code for code, _ in problems_of(text)] == ["bad-manifest"]


def test_refuses_a_second_object_of_a_kind():
    assert [code for code, _ in problems_of(DEPLOYMENT + "---\n" + DEPLOYMENT)] == ["bad-manifest"]
    assert [code for code, _ in problems_of(DEPLOYMENT + BUDGET + BUDGET)] == ["bad-manifest"]


def test_fails_a_step_with_the_first_problem_and_its_line(tmp_path: Path):
    service = replace(Service().spec("web"), platform_spec=SPEC)
    path = tmp_path / "web.yaml"
    path.write_text(DEPLOYMENT.replace("app: web}}", "app: other}}", 1))

    with pytest.raises(StepFailed) as caught:
        read_manifest(path, service=service)

    assert caught.value.code == "bad-manifest"
    assert f"{path}:5:3" in caught.value.what


# -- the objects of a colour ---------------------------------------------------------------------------------


def test_a_colour_has_its_name_its_labels_and_its_image():
    deployment = made().deployment

    labels = {"app": "web", "color": "green", "version": "1.5", "release": "web-1.5"}
    assert deployment["metadata"] == {
        "name": "web-green",
        "namespace": "shop",
        "labels": labels,
        "annotations": {"coordinator/epoch": "7"},
    }
    assert deployment["spec"]["template"]["metadata"]["labels"] == labels
    assert deployment["spec"]["template"]["spec"]["containers"] == [
        {
            "name": "main",
            "image": "registry.example/shop:1.5",
            "env": [
                {"name": "COLOR", "value": "green"},
                {"name": "VERSION", "value": "1.5"},
                {"name": "RELEASE", "value": "web-1.5"},
            ],
        }
    ]


def test_a_selector_has_the_colour_and_never_the_version():
    assert made().deployment["spec"]["selector"] == {"matchLabels": {"app": "web", "color": "green"}}


def test_the_app_is_the_manifests_and_else_the_plans():
    text = DEPLOYMENT.replace("app: web", "tier: front")

    assert made(text).deployment["spec"]["selector"]["matchLabels"] == {
        "tier": "front",
        "app": "plan-name",
        "color": "green",
    }
    assert made(text).deployment["spec"]["template"]["metadata"]["labels"]["app"] == "plan-name"


def test_a_colour_in_the_manifest_is_replaced():
    text = DEPLOYMENT.replace("{app: web}", "{app: web, color: blue}")

    assert made(text).deployment["spec"]["selector"]["matchLabels"]["color"] == "green"


def test_a_version_that_is_no_label_is_one_in_part_and_whole_in_the_environment():
    deployment = made(version=Version("1.5+exp/7")).deployment

    assert deployment["metadata"]["labels"]["version"].startswith("1.5-exp-7-")
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "VERSION", "value": "1.5+exp/7"} in environment


def test_the_plans_environment_wins_and_the_order_is_the_same_every_time():
    text = DEPLOYMENT.replace(
        "image: web:0",
        "env:\n"
        "            - {name: ATTRIBUTES, value: version=$(VERSION)}\n"
        "            - {name: GREETING, value: old}\n"
        "            - {name: RELEASE, value: none}\n"
        "            - {name: URL, valueFrom: {secretKeyRef: {name: web, key: url}}}",
    )
    spec = SPEC.model_copy(update={"env": {"MORE": "x", "GREETING": "hello"}})

    environment = made(text, spec).deployment["spec"]["template"]["spec"]["containers"][0]["env"]

    assert [each["name"] for each in environment] == [
        *("COLOR", "VERSION", "RELEASE"),
        *("ATTRIBUTES", "GREETING", "URL", "MORE"),
    ]
    assert environment[2:5] == [
        {"name": "RELEASE", "value": "web-1.5"},
        {"name": "ATTRIBUTES", "value": "version=$(VERSION)"},
        {"name": "GREETING", "value": "hello"},
    ]
    assert environment[5]["valueFrom"] == {"secretKeyRef": {"name": "web", "key": "url"}}


def test_only_the_service_gets_the_image():
    text = DEPLOYMENT + "        - name: proxy\n          image: proxy:1\n"

    containers = made(text, SPEC.model_copy(update={"container": "main"})).deployment["spec"]["template"][
        "spec"
    ]["containers"]

    assert [each["image"] for each in containers] == ["registry.example/shop:1.5", "proxy:1"]
    assert "env" not in containers[1]


@pytest.mark.parametrize(
    ("written", "least", "size"), [(None, 0, 1), (3, 0, 3), (3, 5, 5), (3, 2, 3), (None, 4, 4)]
)
def test_is_as_large_as_the_manifest_says_and_as_what_it_replaces(written: int | None, least: int, size: int):
    text = DEPLOYMENT if written is None else DEPLOYMENT.replace("spec:", f"spec:\n  replicas: {written}", 1)

    assert made(text, replicas=least).deployment["spec"]["replicas"] == size


@pytest.mark.parametrize(("least", "size", "bounds"), [(0, 2, (2, 4)), (3, 3, (3, 4)), (6, 6, (6, 6))])
def test_an_autoscaler_never_makes_a_colour_smaller_than_what_it_replaces(
    least: int, size: int, bounds: tuple[int, int]
):
    objects = made(DEPLOYMENT + AUTOSCALER, replicas=least)

    assert objects.autoscaler is not None
    scaler = objects.autoscaler["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == bounds
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-green"}
    assert objects.autoscaler["metadata"] == {
        "name": "web-green",
        "namespace": "shop",
        "labels": {"app": "web", "color": "green"},
    }
    assert objects.deployment["spec"]["replicas"] == size


def test_a_budget_keeps_its_colours_pods_alone():
    budget = made(DEPLOYMENT + BUDGET).budget

    assert budget is not None
    assert budget["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"app": "web", "color": "green"}},
    }
    assert budget["metadata"]["labels"] == {"team": "shop", "app": "web", "color": "green"}


def test_what_the_manifest_has_not_is_not_made():
    assert (made().autoscaler, made().budget) == (None, None)


def test_leaves_the_manifest_as_it_was_read():
    manifest = manifest_of(DEPLOYMENT + AUTOSCALER + BUDGET)
    before = copy.deepcopy((manifest.deployment, manifest.autoscaler, manifest.budget))

    for colour in Colour:
        objects_for(
            manifest,
            spec=SPEC,
            name="web",
            app="web",
            colour=colour,
            version=Version("1.5"),
            release="r",
            replicas=9,
            annotations={},
        )

    assert (manifest.deployment, manifest.autoscaler, manifest.budget) == before


# -- a Deployment of the team --------------------------------------------------------------------------------


def patched(deployment: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Do what RFC 6902 says of `test` and `add`, for members of mappings and positions of lists."""
    result = copy.deepcopy(deployment)
    for each in operations:
        *above, last = each["path"].split("/")[1:]
        place: Any = result
        for step in above:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if each["op"] == "test":
            assert place[last] == each["value"]
        else:
            assert each["op"] == "add"
            place[last] = copy.deepcopy(each["value"])
    return result


def live(**container: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-blue"},
        "spec": {
            "selector": {"matchLabels": {"app": "web", "color": "blue"}},
            "template": {
                "metadata": {"labels": {"app": "web", "color": "blue"}},
                "spec": {
                    "containers": [{"name": "proxy", "image": "proxy:1"}, {"name": "main", **container}]
                },
            },
        },
    }


PATCH = {
    "spec": SPEC.model_copy(update={"container": "main", "env": {"A": "new"}}),
    "colour": Colour.BLUE,
    "version": Version("1.5"),
    "release": "web-1.5",
}


def test_a_patch_sets_image_environment_and_labels_and_nothing_else():
    deployment = live(image="web:1.4", env=[{"name": "A", "value": "old"}, {"name": "B", "value": "b"}])

    result = patched(deployment, patch_for(deployment, **PATCH))

    assert result["metadata"]["labels"] == {"version": "1.5", "release": "web-1.5"}
    assert result["spec"]["selector"] == deployment["spec"]["selector"]
    assert result["spec"]["template"]["metadata"]["labels"] == {
        "app": "web",
        "color": "blue",
        "version": "1.5",
        "release": "web-1.5",
    }
    proxy, main = result["spec"]["template"]["spec"]["containers"]
    assert proxy == {"name": "proxy", "image": "proxy:1"}
    assert main["image"] == "registry.example/shop:1.5"
    assert {each["name"]: each["value"] for each in main["env"]} == {
        "COLOR": "blue",
        "VERSION": "1.5",
        "RELEASE": "web-1.5",
        "A": "new",
        "B": "b",
    }


def test_a_patch_that_was_applied_changes_nothing_when_it_is_made_again():
    deployment = live(image="web:1.4")
    once = patched(deployment, patch_for(deployment, **PATCH))

    assert patched(once, patch_for(once, **PATCH)) == once


@pytest.mark.parametrize(
    "now", [live(image="web:1.4", env=[{"name": "A", "value": "by hand"}]), {**live(image="web:1.4")}]
)
def test_a_patch_fails_where_somebody_changed_what_it_rests_on(now: dict[str, Any]):
    seen = live(image="web:1.4", env=[{"name": "A", "value": "old"}])
    now["spec"]["template"]["spec"]["containers"][1].setdefault("env", [])

    with pytest.raises(AssertionError):
        patched(now, patch_for(seen, **PATCH))


def test_a_patch_fails_where_the_containers_have_another_order():
    seen = live(image="web:1.4")
    now = copy.deepcopy(seen)
    now["spec"]["template"]["spec"]["containers"].reverse()

    with pytest.raises(AssertionError):
        patched(now, patch_for(seen, **PATCH))


def test_no_patch_is_made_without_knowing_the_container():
    with pytest.raises(StepFailed, match="proxy, main"):
        patch_for(live(), **{**PATCH, "spec": SPEC})
