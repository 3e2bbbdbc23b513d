"""A canary with nothing but a Service: the share that clients meet is the share that is told."""

from __future__ import annotations

import math
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fixtures.cluster import Cluster
from fixtures.cluster_clients import Stream
from fixtures.cluster_echo import EchoRelease
from fixtures.cluster_load import Answers
from fixtures.cluster_release import kill, running
from fixtures.cluster_world import Echo
from fixtures.local import until

pytestmark = pytest.mark.cluster

NEW_CONNECTIONS = Stream(rate=120, path="/version")
WATCHED = timedelta(seconds=8)
SETTLED = timedelta(seconds=1)
"""In which the node's rules follow the EndpointSlices (kube-proxy's minSyncPeriod)."""


@pytest.fixture
def make(cluster: Cluster, namespace: str, tmp_path: Path):
    def make(replicas: int, **plan: object) -> EchoRelease:
        echo = Echo(cluster, namespace, tmp_path)
        echo.set_up(replicas=replicas)
        release = EchoRelease(echo, plan=plan)
        release.serve("1.4")
        return release

    return make


def while_watched(release: EchoRelease, percent: int, answers: Answers) -> Answers:
    """Return what was asked while a canary of that share was out and every node knew it."""
    end = next(
        datetime.fromisoformat(each["at"])
        for each in release.events()
        if each["type"] == "step-finished" and each["step"] == f"canary-{percent}:echo"
    )
    return answers.between((end - WATCHED + SETTLED).timestamp(), end.timestamp())


def test_a_canary_gets_the_share_that_is_told(make, load, figure):
    release = make(9, canary={"percent": [10, 25, 50], "for": "8s"})
    clients = load(release.url, NEW_CONNECTIONS)

    release.lay_out()
    ran = release.call("run", version="1.5")
    clients.wait_for(50, version="1.5")
    answers = clients.stop()

    figure("answers", answers.told())
    assert ran.code == 0, str(ran)
    for percent in (10, 25, 50):
        asked = while_watched(release, percent, answers)
        told, measured = percent / 100, asked.share("1.5")
        # Each new connection is a draw: four standard deviations, which one run in 15,000 exceeds by chance.
        tolerance = 4 * math.sqrt(told * (1 - told) / len(asked))
        figure(
            f"told {percent} %",
            f"measured {100 * measured:.1f} % of {len(asked)} connections, ± {100 * tolerance:.1f}",
        )
        assert f"has {percent} % of the traffic" in ran.out, str(ran)
        assert abs(measured - told) <= tolerance
    assert (release.serves(), release.size("green"), release.size("blue")) == ("green", 9, 0)
    assert not answers.failed(), answers.told()


def test_a_share_that_whole_pods_cannot_make_is_told_as_it_is(make):
    release = make(1, canary={"percent": 10, "for": "100ms"})

    ran = release.release("1.5")

    assert "50 % of the traffic, asked for 10 %" in ran.out, str(ran)


def test_rollback_from_a_canary_gives_all_traffic_back_to_live(make, load, figure):
    release = make(2, canary={"percent": 50, "for": "60s"})
    clients = load(release.url, Stream(rate=40, path="/version"))
    release.lay_out()
    with running(release.start("run", version="1.5")) as canary:
        clients.wait_for(20, version="1.5")
        kill(canary)

    ran = release.call("rollback", version="1.5")
    clients.wait_for(40, version="1.4")
    answers = clients.stop()

    figure("answers", answers.told())
    assert ran.code == 0, str(ran)
    assert (release.serves(), release.size("green"), release.size("blue")) == ("blue", 0, 2)
    assert answers.each[-1].version == "1.4"
    assert not answers.failed(), answers.told()


@pytest.mark.parametrize("journal", ["kept", "lost"])
def test_a_canary_that_was_killed_half_way_is_taken_to_its_end(make, load, figure, journal: str):
    release = make(2, canary={"percent": 50, "for": "8s"})
    clients = load(release.url, Stream(rate=40, path="/version"))
    release.lay_out()
    with running(release.start("run", version="1.5")) as canary:
        clients.wait_for(20, version="1.5")
        kill(canary)
    assert release.serves() is None
    if journal == "lost":
        shutil.rmtree(release.folder / ".coordinator")

    ran = release.call("run", version="1.5")
    clients.wait_for(40, version="1.5")
    answers = clients.stop()

    figure("answers", answers.told())
    assert ran.code == 0, str(ran)
    assert (release.serves(), release.size("green"), release.size("blue")) == ("green", 2, 0)
    assert not answers.failed(), answers.told()


def test_a_canary_does_not_begin_where_its_selector_would_reach_others_too(make):
    release = make(1, canary={"percent": 50, "for": "100ms"})
    stranger = {
        "metadata": {"name": "stranger", "labels": {"app": "echo"}},
        "spec": {"containers": [{"name": "echo", "image": release.echo.image("cut")}]},
    }
    release.echo.cluster.api.create(f"/api/v1/namespaces/{release.echo.namespace}/pods", stranger)
    until(lambda: "stranger" in release.all_of("pods"))

    release.lay_out()
    ran = release.call("run", version="1.5")

    assert ran.code == 1, str(ran)
    assert "would select other Pods too: stranger" in ran.out, str(ran)
    assert (release.serves(), release.size("green")) == ("blue", 0)
    until(lambda: release.pods("green") == [])
