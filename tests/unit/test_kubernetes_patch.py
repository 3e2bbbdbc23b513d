"""The patch of a Deployment that the team made: what it sets, and what it rests on."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fakes.small_objects import Refusal
from fakes.small_objects import json_patched as patched
from fixtures.manifests import SPEC

from coordinator.adapters.platforms._kubernetes.manifest import patch_for
from coordinator.errors import StepFailed
from coordinator.model import Colour, Version


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

    with pytest.raises(Refusal):
        patched(now, patch_for(seen, **PATCH))


def test_a_patch_fails_where_the_containers_have_another_order():
    seen = live(image="web:1.4")
    now = copy.deepcopy(seen)
    now["spec"]["template"]["spec"]["containers"].reverse()

    with pytest.raises(Refusal):
        patched(now, patch_for(seen, **PATCH))


def test_no_patch_is_made_without_knowing_the_container():
    with pytest.raises(StepFailed, match="proxy, main"):
        patch_for(live(), **{**PATCH, "spec": SPEC})
