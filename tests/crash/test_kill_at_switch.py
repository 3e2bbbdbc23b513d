"""The command dies of SIGKILL at the patch that moves the traffic of a Service, and is simply run again.

The cluster is the small one of tests/fakes; tests/cluster kills around every change, on a real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.small_cluster import SmallCluster
from fakes.small_objects import deployment_path, service_path
from fixtures.cut_release import Commands, commands
from fixtures.small_release import lay_out

KILLED = -9
PATCH = f"json_patch {service_path('web')}"


@pytest.fixture
def cluster() -> Iterator[SmallCluster]:
    with SmallCluster() as cluster:
        yield cluster


@dataclass
class Web:
    """The service, at 1.4 on blue after 1.5 on green, and what runs commands there."""

    cluster: SmallCluster
    commands: Commands
    switch: int = 0
    """Which change of a release moves the traffic, counted from 1."""

    def run(self, version: str) -> list[str]:
        """Release a version, whole; return the changes that it made."""
        ran, changes = self.commands.call("run", "--accept-unproven", version=version)
        assert ran.code == 0, str(ran)
        return changes

    def kill_at_switch(self, version: str, instant: str) -> None:
        at = (self.switch, instant)
        ran, changes = self.commands.call("run", "--accept-unproven", version=version, at=at)
        assert (ran.code, changes[-1]) == (KILLED, PATCH), str(ran)

    def size(self, colour: str) -> int:
        return int(self.cluster.objects[deployment_path(f"web-{colour}")]["spec"]["replicas"])


@pytest.fixture
def web(cluster: SmallCluster, tmp_path: Path) -> Iterator[Web]:
    with commands(tmp_path, lay_out(tmp_path, port=cluster.port)) as commands_of_web:
        web = Web(cluster, commands_of_web)
        for version in ("1.4", "1.5"):
            web.run(version)
        changes = web.run("1.4")
        assert changes.count(PATCH) == 2  # the fence, then the switch
        web.switch = len(changes) - changes[::-1].index(PATCH)
        assert cluster.selected[-1] == "blue"
        yield web


@pytest.mark.parametrize(
    ("instant", "then", "moves"), [("before", "blue", ["green"]), ("after", "green", [])]
)
def test_a_killed_switch_is_seen_and_finished_by_the_next_run(web: Web, instant, then, moves):
    web.kill_at_switch("1.5", instant)
    assert web.cluster.selected[-1] == then
    before = len(web.cluster.selected)

    web.run("1.5")

    assert web.cluster.selected[before:] == moves
    assert (web.size("green"), web.size("blue")) == (2, 0)


def test_a_killed_switch_can_be_taken_back(web: Web):
    web.kill_at_switch("1.5", "after")
    assert web.cluster.selected[-1] == "green"

    ran, _ = web.commands.call("rollback", version="1.5")

    assert ran.code == 0, str(ran)
    assert web.cluster.selected[-1] == "blue"
    assert (web.size("green"), web.size("blue")) == (0, 2)
