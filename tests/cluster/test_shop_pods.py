"""The Pods of plans/shop keep the rules that it shows: they leave under load, and no client notices."""

from __future__ import annotations

import runpy

import pytest
from fixtures.cluster_release import Shop
from fixtures.local import until
from fixtures.shop_image import SHOP

pytestmark = pytest.mark.cluster


def test_pods_that_leave_under_load_fail_no_request_of_clients_that_keep_their_connection(shop: Shop, figure):
    shop.replicas = 4
    shop.serve("1.5")

    with runpy.run_path(str(SHOP / "load.py"))["Load"](shop.url, clients=12) as tally:
        until(lambda: tally.served["1.5"] > 200)
        shop.cluster.api.patch(shop.deployment_path("blue"), {"spec": {"replicas": 1}})
        until(lambda: len(shop.pods("blue")) == 1)
        served = tally.served["1.5"]
        until(lambda: tally.served["1.5"] > served + 200)

    figure("requests", f"{tally.served['1.5']}, {len(tally.failures)} failed, while 3 of 4 Pods left")
    assert tally.failures == []
