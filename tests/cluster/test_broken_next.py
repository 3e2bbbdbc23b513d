"""A next version that is broken: traffic stays with, or goes back to, the version that serves."""

from __future__ import annotations

import re
import time

import pytest
from fixtures.cluster_clients import Stream
from fixtures.cluster_release import Shop, running
from fixtures.local import until

pytestmark = pytest.mark.cluster

ORDERS = Stream(rate=40, path="/orders")


@pytest.mark.parametrize(
    ("fault", "told"),
    [("crash", "exit code 3"), ("unready", "not ready in time"), ("errors", "does not pass")],
)
def test_a_version_that_does_not_pass_never_gets_a_request(shop: Shop, load, figure, fault, told):
    shop.serve("1.4")
    clients = load(shop.url, ORDERS)
    clients.wait_for(20, version="1.4")

    shop.lay_out("1.5", fault=fault, deploy={"deadline": "12s"})
    ran = shop.call("run", version="1.5")
    clients.wait_for(20, version="1.4")
    answers = clients.stop()

    figure("answers", answers.told())
    assert ran.code == 1, str(ran)
    assert told in ran.out, str(ran)
    assert (shop.serves(), shop.size("green"), shop.pods("green")) == ("blue", 0, [])
    assert answers.versions().keys() == {"1.4"}
    assert not answers.failed(), answers.told()


def test_a_version_that_falls_ill_when_it_serves_loses_the_traffic_again(shop: Shop, load, figure):
    shop.serve("1.4")
    clients = load(shop.url, ORDERS)
    clients.wait_for(20, version="1.4")

    shop.lay_out("1.5", fault="errors-after=8s", monitor={"for": "60s", "failures": 1})
    ran = shop.call("run", version="1.5")
    clients.wait_for(20, version="1.4")
    answers = clients.stop()

    figure("answers", answers.told())
    ill = answers.failed()
    assert ran.code == 1, str(ran)
    assert shop.serves() == "blue"
    assert answers.versions()["1.5"] > 0
    assert all(each.version == "1.5" and each.status == 500 for each in ill), answers.told()
    first_ill = min(each.sent for each in ill)
    figure("from its first bad answer to the last", f"{max(each.done for each in ill) - first_ill:.1f} s")
    last_good = answers.of("1.4").last("1.4")
    assert last_good is not None
    assert last_good.sent > max(each.sent for each in ill)


def test_a_first_version_that_does_not_start_leaves_nobody_served_and_nothing_running(shop: Shop):
    shop.lay_out("1.4", fault="crash")

    ran = shop.call("run", version="1.4")

    assert ran.code == 1, str(ran)
    assert shop.pods("blue") == []


def test_a_secret_that_comes_late_is_waited_for_and_one_that_never_comes_is_named(shop: Shop):
    path = f"/api/v1/namespaces/{shop.namespace}/secrets"
    secret = shop.cluster.api.get(f"{path}/shop-database")
    shop.cluster.api.delete(f"{path}/shop-database")
    shop.lay_out("1.4")
    never = shop.call("run", version="1.4")

    with running(shop.start("run", version="1.4")) as late:
        until(lambda: shop.pods("blue"))
        time.sleep(2)  # the kubelet has told by then that there is none
        shop.cluster.api.create(path, {"metadata": {"name": "shop-database"}, "data": secret["data"]})
        out, _ = late.communicate(timeout=120)

    assert never.code == 1, str(never)
    assert re.search(
        r'CreateContainerConfigError: secrets? "shop-database" not found', " ".join(never.out.split())
    )
    assert late.returncode == 0, out
