"""A person edits the selector: before a release it is the world, during one it is told and never
overwritten.
"""

from __future__ import annotations

import pytest
from fixtures.cluster_release import Shop, kill, running
from fixtures.local import until

pytestmark = pytest.mark.cluster


def _both_run(shop: Shop) -> None:
    """Leave 1.4 on blue serving and 1.4 on green beside it, as a person would who copied the Deployment."""
    blue = shop.cluster.api.get(shop.deployment_path("blue"))
    for labels in (
        blue["metadata"]["labels"],
        blue["spec"]["selector"]["matchLabels"],
        blue["spec"]["template"]["metadata"]["labels"],
    ):
        labels["color"] = "green"
    green = {"metadata": {"name": "shop-green", "labels": blue["metadata"]["labels"]}, "spec": blue["spec"]}
    shop.cluster.api.create(f"/apis/apps/v1/namespaces/{shop.namespace}/deployments", green)
    shop.cluster.api.wait(
        shop.deployment_path("green"), lambda found: found["status"].get("availableReplicas") == 2
    )


def test_what_was_edited_before_a_release_is_where_it_begins(shop: Shop):
    shop.serve("1.4")
    _both_run(shop)
    shop.selects("green")

    shop.release("1.5")

    assert (shop.serves(), shop.version("blue"), shop.size("green")) == ("blue", "1.5", 0)


@pytest.mark.parametrize(
    ("step", "settings", "moved_to"),
    [
        ("verify:shop", {"verify": [{"command": ["sleep", "6"]}]}, "green"),
        ("monitor:shop", {"monitor": {"for": "6s"}}, "blue"),
    ],
    ids=["before the switch", "after the switch"],
)
def test_what_is_edited_during_a_release_is_told_and_not_overwritten(
    shop: Shop, step: str, settings: dict, moved_to: str
):
    shop.serve("1.4")
    shop.lay_out("1.5", drain={"deadline": "8s"}, **settings)
    with running(shop.start("run", version="1.5")) as release:
        shop.wait_for_step(step)
        before = shop.serves()
        shop.selects(moved_to)
        out, _ = release.communicate(timeout=120)

    assert release.returncode == 4, out
    assert "The selector of Service `shop`" in out, out
    assert shop.serves() == moved_to
    assert shop.applied() == 3

    shop.selects(before)
    ran = shop.call("run", version="1.5")

    assert ran.code == 0, str(ran)
    assert (shop.serves(), shop.applied(), shop.size("blue")) == ("green", 4, 0)


def test_what_was_edited_after_a_release_is_where_the_next_one_begins(shop: Shop):
    shop.serve("1.4")
    shop.release("1.5")
    shop.cluster.api.patch(shop.deployment_path("blue"), {"spec": {"replicas": 2}})
    until(lambda: len(shop.pods("blue")) == 2)
    shop.selects("blue")

    ran = shop.call("plan", version="1.5")

    assert ran.code in (0, 3), str(ran)
    assert "1.4 on blue" in ran.out, str(ran)


def test_a_selector_that_names_no_colour_is_an_error_that_says_what_to_do(shop: Shop):
    shop.serve("1.4")
    shop.cluster.api.patch(shop.service_path, {"spec": {"selector": {"color": None}}})

    shop.lay_out("1.5")
    ran = shop.call("run", version="1.5")

    assert ran.code == 1, str(ran)
    assert "names no `color`" in ran.out, str(ran)
    assert shop.applied() == 1


def test_the_release_goes_on_where_a_killed_one_left_it_after_an_edit_was_taken_back(shop: Shop):
    shop.serve("1.4")
    shop.lay_out("1.5", verify=[{"command": ["sleep", "5"]}])
    with running(shop.start("run", version="1.5")) as release:
        shop.wait_for_step("verify:shop")
        kill(release)
    shop.selects("green")

    stopped = shop.call("run", version="1.5")
    shop.selects("blue")
    ran = shop.call("run", version="1.5")

    assert stopped.code == 4, str(stopped)
    assert ran.code == 0, str(ran)
    assert shop.serves() == "green"
