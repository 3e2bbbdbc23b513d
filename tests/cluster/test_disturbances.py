"""Bad luck in the middle of a release: Pods that go, an API server that goes, a journal that goes, a second
one.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from fixtures.cluster_clients import Stream
from fixtures.cluster_release import Shop, kill, running

pytestmark = pytest.mark.cluster

ORDERS = Stream(rate=40, path="/orders")


def test_blue_pods_that_are_deleted_during_the_switch_fail_no_request(shop: Shop, load, figure):
    shop.serve("1.4")
    clients = load(shop.url, ORDERS)
    clients.wait_for(20, version="1.4")
    shop.lay_out("1.5")

    with running(shop.start("run", version="1.5")) as release:
        shop.wait_for_step("switch:shop")
        for pod in shop.pods("blue"):
            shop.cluster.api.delete(f"/api/v1/namespaces/{shop.namespace}/pods/{pod}")
        out, _ = release.communicate(timeout=180)
    clients.wait_for(20, version="1.5")
    answers = clients.stop()

    figure("answers", answers.told())
    assert release.returncode == 0, out
    assert not answers.failed(), answers.told()


def test_an_api_server_that_is_away_for_20_seconds_delays_the_release(shop: Shop, load, figure):
    shop.serve("1.4")
    clients = load(shop.url, ORDERS)
    clients.wait_for(20, version="1.4")
    shop.lay_out("1.5")

    with running(shop.start("run", version="1.5")) as release:
        shop.wait_for_step("deploy:shop")
        with shop.cluster.without_api_server():
            time.sleep(20)
        out, _ = release.communicate(timeout=240)
    assert release.returncode == 0, out
    clients.wait_for(20, version="1.5")
    answers = clients.stop()

    figure("answers", answers.told())
    assert (shop.serves(), shop.applied()) == ("green", 4)
    assert not answers.failed(), answers.told()


@pytest.mark.parametrize("step", ["deploy:shop", "verify:shop", "switch:shop", "monitor:shop", "stop:shop"])
def test_a_run_without_its_journal_comes_to_the_same_end(shop: Shop, load, figure, step: str):
    shop.serve("1.4")
    clients = load(shop.url, ORDERS)
    clients.wait_for(20, version="1.4")
    shop.lay_out("1.5")
    with running(shop.start("run", version="1.5")) as release:
        shop.wait_for_step(step)
        kill(release)
    shutil.rmtree(shop.folder / ".coordinator")

    ran = shop.call("run", version="1.5")
    clients.wait_for(20, version="1.5")
    answers = clients.stop()

    figure("answers", answers.told())
    assert ran.code == 0, str(ran)
    assert (shop.serves(), shop.version("green"), shop.size("blue")) == ("green", "1.5", 0)
    assert shop.applied() == 4
    assert not answers.failed(), answers.told()


def test_a_journal_from_before_contract_sends_nobody_back_to_a_version_that_would_break(shop: Shop, load):
    shop.serve("1.4")
    shop.lay_out("1.5")
    journal, old = shop.folder / ".coordinator", shop.folder / "old"
    with running(shop.start("run", version="1.5")) as release:
        shop.wait_for_step("monitor:shop")
        kill(release)
    shutil.copytree(journal, old)
    done = shop.call("run", version="1.5")
    shutil.rmtree(journal)
    shutil.move(old, journal)
    clients = load(shop.url, ORDERS)

    ran = shop.call("rollback", version="1.5")
    given_up = shop.call("abort", version="1.5")
    again = shop.call("run", version="1.5")
    clients.wait_for(20, version="1.5")
    answers = clients.stop()

    assert (done.code, ran.code, given_up.code, again.code) == (0, 1, 0, 0), f"{ran}\n{given_up}\n{again}"
    assert "journal-behind" in ran.out, str(ran)
    assert (shop.serves(), shop.applied()) == ("green", 4)
    assert not answers.failed(), answers.told()


def test_a_second_coordinator_is_turned_away_and_changes_nothing(shop: Shop, tmp_path: Path):
    shop.serve("1.4")
    shop.lay_out("1.5", monitor={"for": "15s"})
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(shop.folder, elsewhere, ignore=shutil.ignore_patterns(".coordinator"))
    other = Shop(shop.cluster, shop.namespace, shop.database, elsewhere, shop.account)

    with running(shop.start("run", version="1.5")) as release:
        shop.wait_for_step("monitor:shop")
        beside = shop.call("run", version="1.5")
        from_elsewhere = other.call("run", version="1.5")
        out, _ = release.communicate(timeout=120)

    assert (beside.code, from_elsewhere.code) == (4, 4), f"{beside}\n{from_elsewhere}"
    assert "pid" in beside.out
    assert "Another coordinator" in from_elsewhere.out
    assert release.returncode == 0, out
    assert (shop.serves(), shop.applied()) == ("green", 4)


def test_kept_connections_and_slow_requests_come_through_switch_and_drain(shop: Shop, load, figure):
    shop.serve("1.4")
    kept = Stream(rate=20, path="/orders", kept=4)
    slow = Stream(rate=2, path="/orders?slow", body='{"customer": "load", "total": "12.50"}', pause=2)
    clients = load(shop.url, ORDERS, kept, slow)
    clients.wait_for(30, version="1.4")

    ran = shop.release("1.5", drain={"deadline": "60s"})
    clients.wait_for(30, version="1.5")
    answers = clients.stop()

    figure("answers", answers.told())
    slow_ones = answers.where(lambda answer: answer.path == slow.path)
    figure("slow requests", slow_ones.told())
    assert {"1.4", "1.5"} <= slow_ones.versions().keys()
    assert "no connection left" in ran.out, str(ran)
    assert not answers.failed(), answers.told()
