"""Whole releases under load: every phase, the colours change places, and no request fails."""

from __future__ import annotations

import pytest
from fixtures.cluster_clients import Stream
from fixtures.cluster_release import Shop

pytestmark = pytest.mark.cluster

ORDERS = Stream(rate=40, path="/orders")
NEW_ORDERS = Stream(rate=10, path="/orders", body='{"customer": "load", "total": "12.50"}')


def test_two_releases_under_load_fail_no_request_and_change_the_colours(shop: Shop, load, figure):
    shop.serve("1.4")
    assert (shop.serves(), shop.applied()) == ("blue", 1)

    clients = load(shop.url, ORDERS, NEW_ORDERS)
    clients.wait_for(20, version="1.4")
    first = shop.release("1.5")
    clients.wait_for(20, version="1.5")
    assert (shop.serves(), shop.version("green"), shop.size("blue")) == ("green", "1.5", 0)
    assert shop.applied() == 4
    second = shop.release("1.6")
    clients.wait_for(20, version="1.6")
    answers = clients.stop()

    figure("answers", answers.told())
    figure("1.4 to 1.5 took", f"{first.took:.1f} s")
    figure("1.5 to 1.6 took", f"{second.took:.1f} s")
    figure(
        "latency", f"p50 {answers.percentile(50) * 1000:.0f} ms, p99 {answers.percentile(99) * 1000:.0f} ms"
    )
    assert (shop.serves(), shop.version("blue"), shop.size("green")) == ("blue", "1.6", 0)
    assert shop.applied() == 6
    assert not answers.failed(), answers.told()
