"""The objects of one colour, made from the team's manifest."""

from __future__ import annotations

import copy

import pytest
from fixtures.manifests import AUTOSCALER, BUDGET, DEPLOYMENT, SPEC, made, manifest_of

from coordinator.adapters.platforms._kubernetes.manifest import objects_for
from coordinator.model import Colour, Version


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
