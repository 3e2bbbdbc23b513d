"""A colour is asked only when the preview Service reaches it and nobody else: the controllers lag behind."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from fakes.small_cluster import SmallCluster
from fixtures.any_version import AnyVersion
from fixtures.local import ask
from fixtures.small_release import lay_out, platform_of
from fixtures.worlds import SOON

from coordinator.adapters.platforms._kubernetes import service
from coordinator.errors import StepFailed
from coordinator.model import Colour, Version

PREVIEW = "web-preview"
BLUE, GREEN = Colour


@pytest.fixture
def cluster():
    with SmallCluster() as cluster:
        yield cluster


@pytest.fixture
def platform(tmp_path: Path, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch) -> AnyVersion:
    """Return a service whose 1.4 serves from blue, and whose preview reaches 1.5 in green."""
    monkeypatch.setattr(service, "_PATIENCE", timedelta(seconds=1))
    for name, value in lay_out(tmp_path, port=cluster.port).items():
        monkeypatch.setenv(name, value)
    platform = AnyVersion(partial(platform_of, tmp_path))
    platform.deploy(BLUE, Version("1.4"), deadline=SOON)
    platform.switch(expected=None, to=BLUE)
    platform.deploy(GREEN, Version("1.5"), deadline=SOON)
    assert ask(platform.address(GREEN)).split() == ["1.5", "green"]
    return platform


def test_a_colour_is_asked_when_the_endpoints_have_followed_the_selector(cluster, platform):
    cluster.behind[PREVIEW] = 3

    address = platform.address(BLUE)

    assert ask(address).split() == ["1.4", "blue"]


def test_a_colour_whose_endpoints_never_follow_is_not_asked(cluster, platform):
    cluster.behind[PREVIEW] = 1000

    with pytest.raises(StepFailed) as caught:
        platform.address(BLUE)

    assert caught.value.code == "preview-behind"
    assert "Service `web-preview` selects blue, and its Endpoints still have web-green-" in str(caught.value)


def test_a_colour_without_a_ready_pod_is_left_to_the_check(cluster, platform):
    platform.stop(GREEN, grace=timedelta())
    cluster.behind[PREVIEW] = 2

    assert ask(platform.address(GREEN)).startswith("no endpoints available")
