"""A coordinator that is killed around each of its changes of the cluster, and is simply run again.

The releases follow each other in one namespace, so that each begins where a killed one was brought to its
end; three namespaces side by side, for a release waits more than it works.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from fixtures.cluster import Cluster
from fixtures.cluster_clients import Stream
from fixtures.cluster_echo import EchoRelease
from fixtures.cluster_world import Echo
from fixtures.cut_release import Commands, Instant, commands
from fixtures.local import until

pytestmark = pytest.mark.cluster

ASKING = Stream(rate=20, path="/version")
KILLED = -9
SIDE_BY_SIDE = 3
WAITS = [{"command": ["sh", "-c", "kill -9 $PPID"]}]
"""A check that kills who asks it: the release has come to its watch, and no further."""


@dataclass
class Lane:
    """A service in a namespace of its own, and the commands that release it."""

    release: EchoRelease
    commands: Commands

    def run(self, version: str) -> list[str]:
        """Release a version, whole; return the changes that it made."""
        ran, changes = self.commands.call("run", version=version)
        assert ran.code == 0, str(ran)
        return changes

    def assert_end(self, serving: str, version: str) -> None:
        """Assert that one colour serves that version, the other is gone, and nothing is there twice."""
        it, other = self.release, {"blue": "green", "green": "blue"}[serving]
        assert (it.serves(), it.version(serving), it.size(serving)) == (serving, version, 1)
        assert it.size(other) == 0
        until(lambda: (len(it.pods(serving)), it.pods(other)) == (1, []))
        assert set(it.all_of()) == {"echo-blue", "echo-green"}
        assert set(it.all_of("services")) == {"echo", "echo-preview"}


@pytest.fixture
def lanes(cluster: Cluster, tmp_path: Path) -> Iterator[list[Lane]]:
    """Yield services that serve 1.1 on green, after 1.0 on blue: both colours have been deployed."""
    names = [f"test-{secrets.token_hex(4)}" for _ in range(SIDE_BY_SIDE)]
    with ExitStack() as stack, ThreadPoolExecutor() as side_by_side:
        for name in names:
            stack.callback(cluster.api.delete, f"/api/v1/namespaces/{name}")

        def begin(name: str) -> Lane:
            cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
            accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
            cluster.api.wait(accounts, lambda found: bool(found["items"]))
            (tmp_path / name).mkdir()
            echo = Echo(cluster, name, tmp_path / name)
            echo.set_up(replicas=1)
            release = EchoRelease(echo)
            release.lay_out()
            lane = Lane(release, stack.enter_context(commands(release.folder, release.known)))
            lane.run("1.0")
            lane.run("1.1")
            return lane

        yield list(side_by_side.map(begin, names))


def in_lanes(lanes: list[Lane], changes: list[str], do: Callable[[Lane, int, Instant], None]) -> None:
    """Do something for every instant, in each lane one after the other, and number it there from 3."""
    instants = list(product(range(1, len(changes) + 1), ("before", "after")))

    def run(lane: int) -> None:
        for number, at in enumerate(instants[lane :: len(lanes)], 3):
            do(lanes[lane], number, at)

    with ThreadPoolExecutor() as side_by_side:
        list(side_by_side.map(run, range(len(lanes))))


def test_a_release_that_is_killed_around_any_change_comes_to_the_same_end(lanes: list[Lane], load, figure):
    clients = [load(lane.release.url, ASKING) for lane in lanes]
    with ThreadPoolExecutor() as side_by_side:
        changes = next(iter(list(side_by_side.map(lambda lane: lane.run("1.2"), lanes))))

    def release(lane: Lane, number: int, at: Instant) -> None:
        version, serving = f"1.{number}", "blue" if number % 2 == 0 else "green"
        killed, begun = lane.commands.call("run", version=version, at=at)
        assert (killed.code, len(begun)) == (KILLED, at[0]), str(killed)

        ran, _ = lane.commands.call("run", version=version)

        assert ran.code == 0, f"killed {at[1]} change {at[0]} ({begun[-1]})\n{ran}"
        lane.assert_end(serving, version)

    in_lanes(lanes, changes, release)
    answers = [each.stop() for each in clients]

    figure("kills", f"{2 * len(changes)}, before and after each of {len(changes)} changes")
    for each in answers:
        figure("answers", f"{len(each)} requests, {len(each.failed())} failed")
        assert not each.failed(), each.told()


def test_a_rollback_that_is_killed_around_any_change_comes_to_the_same_end(lanes: list[Lane], load, figure):
    clients = [load(lane.release.url, ASKING) for lane in lanes]

    def come_to_watch(lane: Lane, version: str) -> None:
        lane.release.lay_out(monitor=lane.release.watched("90s") | {"checks": WAITS})
        killed, _ = lane.commands.call("run", version=version)
        assert (killed.code, lane.release.serves()) == (KILLED, "blue"), str(killed)

    come_to_watch(lanes[0], "1.2")
    ran, changes = lanes[0].commands.call("rollback", version="1.2")
    assert ran.code == 0, str(ran)
    lanes[0].assert_end("green", "1.1")

    def go_back(lane: Lane, number: int, at: Instant) -> None:
        version = f"1.{number}"
        come_to_watch(lane, version)
        killed, begun = lane.commands.call("rollback", version=version, at=at)
        assert (killed.code, len(begun)) == (KILLED, at[0]), str(killed)

        ran, _ = lane.commands.call("rollback", version=version)

        assert ran.code == 0, f"killed {at[1]} change {at[0]} ({begun[-1]})\n{ran}"
        lane.assert_end("green", "1.1")

    in_lanes(lanes, changes, go_back)
    answers = [each.stop() for each in clients]

    figure("kills", f"{2 * len(changes)}, before and after each of {len(changes)} changes")
    for each in answers:
        figure("answers", f"{len(each)} requests, {len(each.failed())} failed")
        assert not each.failed(), each.told()


def test_a_release_that_is_killed_and_not_run_again_is_not_at_its_end(lanes: list[Lane]):
    """The control: what the tests above assert does not hold of a release that lacks its last change."""
    lane = lanes[0]
    changes = lane.run("1.2")
    lane.assert_end("blue", "1.2")

    lane.commands.call("run", version="1.3", at=(len(changes), "before"))

    with pytest.raises(AssertionError):
        lane.assert_end("green", "1.3")
