"""The way back by command: it needs a side that serves, and nothing of the one that it leaves."""

from __future__ import annotations

import psycopg
import pytest
from fixtures.cluster_clients import Stream
from fixtures.cluster_release import Shop, kill, running
from fixtures.local import until

pytestmark = pytest.mark.cluster

ORDERS = Stream(rate=40, path="/orders")


def _sicken(shop: Shop, colour: str) -> None:
    """Let a colour crash-loop: its Deployment gets an image whose program ends at once."""
    crash = shop.cluster.import_image("shop-crash:1.5", _program(), env={"SHOP_FAULT": "crash"})
    container = {"name": "shop", "image": crash}
    patch = {
        "spec": {
            "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}},
            "template": {"spec": {"containers": [container]}},
        }
    }
    shop.cluster.api.patch(shop.deployment_path(colour), patch, kind="strategic")


def _program():
    from fixtures.shop_image import build_shop  # noqa: PLC0415

    return build_shop("1.5")


def _is_down(shop: Shop, colour: str) -> bool:
    status = shop.cluster.api.get(shop.deployment_path(colour))["status"]
    return not status.get("availableReplicas")


def _kill_while_next_is_watched(shop: Shop) -> None:
    """Release 1.5, and leave it with the traffic and nobody who works on it."""
    shop.serve("1.4")
    shop.lay_out("1.5", monitor={"for": "5m", "failures": 1000}, drain={"deadline": "1s"})
    with running(shop.start("run", version="1.5")) as release:
        shop.wait_for_step("monitor:shop")
        kill(release)


def test_rollback_while_next_crash_loops_needs_only_blue(shop: Shop, load, figure):
    _kill_while_next_is_watched(shop)
    _sicken(shop, "green")
    until(lambda: _is_down(shop, "green"))

    clients = load(shop.url, ORDERS)
    ran = shop.call("rollback", version="1.5")
    clients.wait_for(30, version="1.4")
    answers = clients.stop()

    first = answers.first("1.4")
    assert first is not None
    figure("from the command to the first answer of 1.4", f"{first.done - answers.each[0].sent:.1f} s")
    assert ran.code == 0, str(ran)
    assert (shop.serves(), shop.pods("green")) == ("blue", [])
    assert not answers.between(first.done + 1).failed(), answers.told()


def test_rollback_brings_back_a_blue_that_somebody_scaled_to_nothing(shop: Shop, load, figure):
    _kill_while_next_is_watched(shop)
    shop.cluster.api.patch(shop.deployment_path("blue"), {"spec": {"replicas": 0}})
    until(lambda: shop.pods("blue") == [])

    clients = load(shop.url, ORDERS)
    ran = shop.call("rollback", version="1.5")
    clients.wait_for(30, version="1.4")
    answers = clients.stop()

    figure("answers", answers.told())
    assert ran.code == 0, str(ran)
    assert (shop.serves(), shop.size("blue"), shop.pods("green")) == ("blue", 2, [])
    assert not answers.failed(), answers.told()


def test_rollback_stays_and_says_so_where_blue_is_sick_too(shop: Shop):
    _kill_while_next_is_watched(shop)
    _sicken(shop, "blue")
    until(lambda: _is_down(shop, "blue"))

    ran = shop.call("rollback", version="1.5")

    assert ran.code == 1, str(ran)
    assert "stays on green" in ran.out, str(ran)
    assert shop.serves() == "green"


def test_rollback_after_scale_down_inside_the_window_starts_blue_again(shop: Shop, load, figure):
    shop.serve("1.4")
    clients = load(shop.url, ORDERS)
    clients.wait_for(30, version="1.4")
    shop.lay_out("1.5", drain={"deadline": "8s"})
    with psycopg.connect(shop.database.url, application_name="shop-1.4"):
        waiting = shop.call("run", version="1.5")  # 1.4 is gone, and contract waits for what it left behind
    assert waiting.code == 4, str(waiting)
    assert (shop.serves(), shop.pods("blue"), shop.applied()) == ("green", [], 3)

    ran = shop.call("rollback", version="1.5")
    assert ran.code == 0, str(ran)
    clients.wait_for(30, version="1.4")
    answers = clients.stop()

    figure("answers", answers.told())
    figure("the way back took", f"{ran.took:.1f} s")
    assert "sessions-left" in waiting.out or "sessions of `shop-1.4`" in waiting.out, str(waiting)
    assert (shop.serves(), shop.size("blue"), shop.pods("green"), shop.applied()) == ("blue", 2, [], 3)
    assert not answers.failed(), answers.told()
