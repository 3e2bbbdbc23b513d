"""The team's manifest: what it may hold, and where a problem of it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders import Service
from fixtures.manifests import AUTOSCALER, BUDGET, DEPLOYMENT, SPEC, made

from coordinator.adapters.platforms._kubernetes.manifest import read_manifest
from coordinator.adapters.platforms._kubernetes.objects import at
from coordinator.adapters.platforms._kubernetes.reading import manifest_from, read
from coordinator.adapters.platforms._kubernetes.spec import KubernetesSpec
from coordinator.diagnostics import Place
from coordinator.errors import StepFailed

SHOP = Path(__file__).parents[2] / "plans" / "shop" / "deploy" / "shop.yaml"


def problems_of(text: str, spec: KubernetesSpec = SPEC) -> list[tuple[str, int]]:
    """Return the code and the line of each problem of a manifest."""
    reading = manifest_from(text.encode(), file="web.yaml", spec=spec)
    assert (reading.manifest is None) is bool(reading.diagnostics)
    assert all(each.next_step for each in reading.diagnostics)
    return [(each.code, each.place.line) for each in reading.diagnostics]


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


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("kind: Deployment\nspec: {}\nkind: Deployment\n", Place("f", 3, 1)),
        ("kind: Deployment\nspec: [\n", Place("f", 3, 1)),
        ("kind: !Ref x\n", Place("f", 1, 7)),
    ],
)
def test_says_where_it_stopped_reading(text: str, place: Place):
    [problem] = manifest_from(text.encode(), file="f", spec=SPEC).diagnostics

    assert (problem.code, problem.place) == ("bad-manifest", place)


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
