"""A release whose connections to the API server are cut all the time, some before it did what was asked and
some after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.small_cluster import SmallCluster
from fakes.small_objects import deployment_path, service_path
from fixtures.audience import Audience
from fixtures.cutting_proxy import CuttingProxy
from fixtures.small_release import lay_out, platform_of, release, web

from coordinator.adapters.platforms._kubernetes import api, deployments
from coordinator.adapters.platforms._kubernetes import service as platform_service
from coordinator.engine import run as loop
from coordinator.journal.events import Outcome
from coordinator.model import Colour, Version

BLUE, GREEN = Colour
SOON = timedelta(seconds=20)
GRACE = timedelta(seconds=5)
EACH = (2, 3, 5)
"""One request in so many is cut; where it is every second one, hardly a change comes through undisturbed."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_TICK", 0.01)
    monkeypatch.setattr(api, "_PAUSES", (0.01,))
    monkeypatch.setattr(deployments, "_PAUSE", 0.01)
    monkeypatch.setattr(platform_service, "_PATIENCE", timedelta(seconds=1))


@pytest.fixture
def cluster() -> Iterator[SmallCluster]:
    with SmallCluster() as cluster:
        yield cluster


@pytest.fixture(params=EACH)
def proxy(request: pytest.FixtureRequest, cluster: SmallCluster) -> Iterator[CuttingProxy]:
    with CuttingProxy(to=cluster.port, each=request.param) as proxy:
        yield proxy


@pytest.fixture
def folder(tmp_path: Path, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch) -> Path:
    content = [{"command": ["true"]}]  # one that asks would take a cut connection for the service's answer
    checks = {"verify": content, "monitor": {"for": "1ms", "every": "1ms", "checks": content}}
    service = web() | checks | {"canary": {"percent": [50], "for": "1ms"}}
    for name, value in lay_out(tmp_path, port=proxy.port, web=service).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def size(cluster: SmallCluster, colour: Colour) -> int:
    return int(cluster.objects[deployment_path(f"web-{colour}")]["spec"]["replicas"])


def image(cluster: SmallCluster, colour: Colour) -> str:
    [container] = cluster.objects[deployment_path(f"web-{colour}")]["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


def test_each_call_of_the_platform_does_its_work_once_however_often_its_connection_is_cut(
    cluster, proxy, folder
):
    first = platform_of(folder, "1.4")
    first.fence("web-1.4@1")
    first.deploy(BLUE, Version("1.4"), deadline=SOON)
    first.switch(expected=None, to=BLUE)
    platform = platform_of(folder, "1.5")
    platform.fence("web-1.5@2")

    platform.deploy(GREEN, Version("1.5"), deadline=SOON)
    before = platform.before_switch(GREEN)
    platform.switch(expected=BLUE, to=GREEN)
    after = platform.after_switch(GREEN, deadline=SOON)
    platform.stop(BLUE, grace=GRACE)

    assert [answer.detail for answer in (*before, *after) if not answer.ok] == []
    assert cluster.selected == ["none", "blue", "green"]
    assert (size(cluster, BLUE), size(cluster, GREEN)) == (0, 2)
    assert image(cluster, GREEN).endswith(":1.5")
    assert {"half-asked", "unanswered"} == set(proxy.cuts)


def test_a_whole_release_comes_to_its_end_over_connections_that_are_cut(cluster, proxy, folder):
    ends = [release(folder, version, Audience()) for version in ("1.4", "1.5", "1.6")]

    assert [each.state and each.state.outcome for each in ends] == [Outcome.RELEASED] * 3
    assert cluster.selected == ["none", "blue", "both", "green", "both", "blue"]
    assert (image(cluster, BLUE)[-3:], size(cluster, GREEN)) == ("1.6", 0)
    kinds = Counter(path.split("/")[-2] for path in cluster.objects)
    assert kinds == {"namespaces": 1, "services": 2, "deployments": 2, "poddisruptionbudgets": 2}
    assert len(proxy.cuts) > 10


def test_a_way_back_comes_to_its_end_over_connections_that_are_cut(cluster, proxy, folder):
    platform = platform_of(folder, "1.4")
    platform.deploy(BLUE, Version("1.4"), deadline=SOON)
    platform.switch(expected=None, to=BLUE)

    def refuse() -> None:
        cluster.objects[service_path("web")]["spec"]["ports"][0]["targetPort"] = "nowhere"

    ended = release(folder, "1.5", Audience({"switch:web": refuse}))

    assert ended.state is not None
    assert ended.state.outcome is Outcome.ROLLED_BACK
    assert cluster.selected == ["none", "blue", "both", "blue"]
    assert (size(cluster, BLUE), size(cluster, GREEN)) == (2, 0)
