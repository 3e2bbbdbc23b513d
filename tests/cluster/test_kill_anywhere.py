"""A coordinator that is killed around each of its changes of the cluster, and is simply run again.

The releases follow each other in one namespace, so that each begins where a killed one was brought to its
end; three namespaces side by side, for a release waits more than it works.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
from fixtures.cluster import Cluster
from fixtures.cluster_clients import Stream
from fixtures.cluster_echo import EchoRelease
from fixtures.cluster_release import kill, running
from fixtures.cluster_world import Echo
from fixtures.local import until

pytestmark = pytest.mark.cluster

ASKING = Stream(rate=20, path="/version")
KILLED = -9
SIDE_BY_SIDE = 3
Instant = tuple[int, str]


@pytest.fixture
def lanes(cluster: Cluster, tmp_path: Path) -> Iterator[list[EchoRelease]]:
    """Yield services that serve 1.0 from one Pod, each in a namespace of its own."""
    names = [f"test-{secrets.token_hex(4)}" for _ in range(SIDE_BY_SIDE)]

    def begin(name: str) -> EchoRelease:
        cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        cluster.api.wait(f"/api/v1/namespaces/{name}/serviceaccounts", lambda found: bool(found["items"]))
        (tmp_path / name).mkdir()
        echo = Echo(cluster, name, tmp_path / name)
        echo.set_up(replicas=1)
        release = EchoRelease(echo)
        release.serve("1.0")
        return release

    with ThreadPoolExecutor() as side_by_side:
        yield list(side_by_side.map(begin, names))
    for name in names:
        cluster.api.delete(f"/api/v1/namespaces/{name}")


def cut(release: EchoRelease, at: Instant, *arguments: str, version: str) -> tuple[int, list[str]]:
    """Run a command that dies at an instant; return how it ended and the changes that it had begun."""
    file = release.folder / "changes"
    file.unlink(missing_ok=True)
    program = ("-m", "fixtures.cut_release", str(file), str(at[0]), at[1])
    ran = release.call(*arguments, version=version, program=program)
    assert ran.code in (0, KILLED), str(ran)
    return ran.code, file.read_text().splitlines() if file.exists() else []


def in_lanes(lanes: list[EchoRelease], changes: int, do: Callable[[EchoRelease, int, Instant], None]) -> None:
    """Do something for every instant, in each lane one after the other."""
    instants: list[Instant] = list(product(range(1, changes + 1), ("before", "after")))

    def run(lane: int) -> None:
        for number, at in enumerate(instants[lane :: len(lanes)], 2):
            do(lanes[lane], number, at)

    with ThreadPoolExecutor() as side_by_side:
        list(side_by_side.map(run, range(len(lanes))))


def assert_alone(release: EchoRelease, serving: str, version: str) -> None:
    """Assert that one colour serves that version, that the other is gone, and that nothing is there twice."""
    other = {"blue": "green", "green": "blue"}[serving]
    assert (release.serves(), release.version(serving), release.size(serving)) == (serving, version, 1)
    assert release.size(other) == 0
    until(lambda: (len(release.pods(serving)), release.pods(other)) == (1, []))
    assert set(release.all_of()) == {"echo-blue", "echo-green"}
    assert set(release.all_of("services")) == {"echo", "echo-preview"}


def test_a_release_that_is_killed_around_any_change_comes_to_the_same_end(
    lanes: list[EchoRelease], load, figure
):
    clients = [load(lane.url, ASKING) for lane in lanes]
    for lane in lanes:
        _, changes = cut(lane, (0, "never"), "run", version="1.1")
        assert_alone(lane, "green", "1.1")

    def release(lane: EchoRelease, number: int, at: Instant) -> None:
        version, serving = f"1.{number}", "blue" if number % 2 == 0 else "green"
        code, begun = cut(lane, at, "run", version=version)
        assert (code, len(begun)) == (KILLED, at[0])

        ran = lane.call("run", version=version)

        assert ran.code == 0, f"killed {at[1]} change {at[0]} ({begun[-1]})\n{ran}"
        assert_alone(lane, serving, version)

    in_lanes(lanes, len(changes), release)
    answers = [each.stop() for each in clients]

    figure("changes of a release", len(changes))
    figure("kills", 2 * len(changes))
    for each in answers:
        figure("answers", f"{len(each)} requests, {len(each.failed())} failed")
        assert not each.failed(), each.told()


def test_a_rollback_that_is_killed_around_any_change_comes_to_the_same_end(
    lanes: list[EchoRelease], load, figure
):
    clients = [load(lane.url, ASKING) for lane in lanes]

    def come_to_monitor(lane: EchoRelease, version: str) -> None:
        lane.lay_out(monitor=lane.watched("90s"))
        with running(lane.start("run", version=version)) as release:
            lane.wait_for_step("monitor:echo")
            kill(release)
        assert lane.serves() == "green"

    come_to_monitor(lanes[0], "1.1")
    _, changes = cut(lanes[0], (0, "never"), "rollback", version="1.1")
    assert_alone(lanes[0], "blue", "1.0")

    def go_back(lane: EchoRelease, number: int, at: Instant) -> None:
        version = f"1.{number}"
        come_to_monitor(lane, version)
        code, begun = cut(lane, at, "rollback", version=version)
        assert (code, len(begun)) == (KILLED, at[0])

        ran = lane.call("rollback", version=version)

        assert ran.code == 0, f"killed {at[1]} change {at[0]} ({begun[-1]})\n{ran}"
        assert_alone(lane, "blue", "1.0")

    in_lanes(lanes, len(changes), go_back)
    answers = [each.stop() for each in clients]

    figure("changes of a rollback", len(changes))
    for each in answers:
        assert not each.failed(), each.told()


def test_a_change_that_is_lost_is_seen_by_these_tests(lanes: list[EchoRelease]):
    """The control: a release that is killed and not run again is not at its end."""
    lane = lanes[0]
    _, changes = cut(lane, (0, "never"), "run", version="1.1")

    cut(lane, (len(changes), "before"), "run", version="1.2")

    with pytest.raises(AssertionError):
        assert_alone(lane, "blue", "1.2")
