"""The command dies of SIGKILL around each of its changes of a cluster, and is simply run again.

The cluster is the small one of tests/fakes; tests/cluster does the same on a real one, with clients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes.small_cluster import SmallCluster
from fakes.small_objects import deployment_path, service_path
from fixtures.cut_release import Commands, commands
from fixtures.small_release import lay_out
from fixtures.small_release import web as service

KILLED = -9
PATCH = f"json_patch {service_path('web')}"


@pytest.fixture
def cluster() -> Iterator[SmallCluster]:
    with SmallCluster() as cluster:
        yield cluster


@dataclass
class Web:
    """The service with a canary, at 1.4 on blue after 1.5 on green, and what runs commands there."""

    cluster: SmallCluster
    commands: Commands
    changes: list[str] = field(default_factory=list)
    """What a release from here on does, in order."""

    @property
    def switch(self) -> int:
        """Return which change moves the traffic, counted from 1."""
        return len(self.changes) - self.changes[::-1].index(PATCH)

    def run(self, version: str) -> list[str]:
        """Release a version, whole; return the changes that it made."""
        ran, changes = self.commands.call("run", "--accept-unproven", version=version)
        assert ran.code == 0, str(ran)
        return changes

    def kill(self, version: str, number: int, instant: str) -> None:
        at = (number, instant)
        ran, changes = self.commands.call("run", "--accept-unproven", version=version, at=at)
        assert (ran.code, len(changes)) == (KILLED, number), f"{changes}\n{ran}"

    def size(self, colour: str) -> int:
        return int(self.cluster.objects[deployment_path(f"web-{colour}")]["spec"]["replicas"])

    def assert_end(self, serving: str, other: str) -> None:
        assert self.cluster.selected[-1] == serving
        assert (self.size(serving), self.size(other)) == (2, 0)
        kinds = Counter(path.split("/")[-2] for path in self.cluster.objects)
        assert kinds == {"namespaces": 1, "services": 2, "deployments": 2, "poddisruptionbudgets": 2}


@pytest.fixture
def web(cluster: SmallCluster, tmp_path: Path) -> Iterator[Web]:
    tried = service() | {"canary": {"percent": [50], "for": "1ms"}}
    with commands(tmp_path, lay_out(tmp_path, port=cluster.port, web=tried)) as commands_of_web:
        web = Web(cluster, commands_of_web)
        for version in ("1.4", "1.5"):
            web.run(version)
        web.changes = web.run("1.4")
        assert web.changes.count(PATCH) == 3  # the fence, the canary, the switch
        web.assert_end("blue", "green")
        yield web


@pytest.mark.parametrize("instant", ["before", "after"])
def test_a_release_that_is_killed_around_any_change_is_finished_by_the_next_run(web: Web, instant: str):
    colours = ["green", "blue"]
    for number, change in enumerate(web.changes, start=1):
        version = f"2.{number}"

        web.kill(version, number, instant)
        between = web.cluster.selected[-1]
        web.run(version)

        assert between in {*colours, "both"}, change
        web.assert_end(*colours)
        colours.reverse()


@pytest.mark.parametrize(
    ("instant", "then", "moves"), [("before", "both", ["green"]), ("after", "green", [])]
)
def test_a_killed_switch_is_made_once(web: Web, instant: str, then: str, moves: list[str]):
    web.kill("1.5", web.switch, instant)
    assert web.cluster.selected[-1] == then
    before = len(web.cluster.selected)

    web.run("1.5")

    assert web.cluster.selected[before:] == moves
    web.assert_end("green", "blue")


def test_a_killed_switch_can_be_taken_back(web: Web):
    web.kill("1.5", web.switch, "after")
    assert web.cluster.selected[-1] == "green"

    ran, _ = web.commands.call("rollback", version="1.5")

    assert ran.code == 0, str(ran)
    web.assert_end("blue", "green")
