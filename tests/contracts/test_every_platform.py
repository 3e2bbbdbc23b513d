"""Every promise of ports.Platform, kept by each platform and by the fake that other tests stand on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.platform import FilePlatform
from fixtures.local import client_of, local_platform, taken_down, until

from coordinator import discovery
from coordinator.errors import StepFailed
from coordinator.model import Colour, Version
from coordinator.ports import Platform

BLUE, GREEN = Colour
V14, V15 = Version("1.4"), Version("1.5")
SOON = timedelta(seconds=30)
GRACE = timedelta(seconds=5)


@dataclass
class World:
    """A platform, and what a test does to the world around it."""

    connect: Callable[[], Platform]
    """A new object for the same service, as the next command would make it."""
    client: Callable[[], AbstractContextManager[None]]
    """A client that keeps its connection to whoever serves."""
    kill: Callable[[Colour], None]

    def __post_init__(self) -> None:
        self.platform = self.connect()

    def serve(self, colour: Colour, version: Version) -> None:
        self.platform.deploy(colour, version, deadline=SOON)
        self.platform.switch(expected=self.platform.survey().live, to=colour)


@contextmanager
def file_world(folder: Path) -> Iterator[World]:
    platform = FilePlatform(folder / "world.json")
    yield World(lambda: FilePlatform(folder / "world.json"), platform.client, platform.kill)


@contextmanager
def local_world(folder: Path) -> Iterator[World]:
    with taken_down(local_platform(folder), folder) as platform:

        @contextmanager
        def client() -> Iterator[None]:
            with client_of(platform.public_address()) as ask:
                ask()
                yield

        def kill(colour: Colour) -> None:
            os.kill(platform.state.side(colour).pid, signal.SIGKILL)
            until(lambda: not platform.state.side(colour).is_alive)

        yield World(lambda: local_platform(folder), client, kill)


WORLDS = {"file": file_world, "local": local_world}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with WORLDS[request.param](tmp_path) as world:
        yield world


def test_every_platform_that_a_plan_may_name_is_held_to_this_contract():
    assert set(discovery.names(discovery.PLATFORMS)) <= WORLDS.keys()


def test_a_service_that_was_never_deployed_runs_nowhere_and_serves_nobody(world: World):
    serving = world.platform.survey()

    assert serving.live is None
    assert not any(side.running or side.ready or side.version for side in serving.sides.values())
    assert set(serving.sides) == {BLUE, GREEN}


def test_a_place_keeps_its_name_and_shares_it_with_no_other(world: World, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    elsewhere = (
        FilePlatform(other / "world.json")
        if isinstance(world.platform, FilePlatform)
        else local_platform(other)
    )

    assert world.connect().identity() == world.platform.identity()
    assert elsewhere.identity() != world.platform.identity()


def test_deploy_returns_when_the_version_is_ready_and_leaves_traffic_alone(world: World):
    world.platform.deploy(BLUE, V14, deadline=SOON)

    serving = world.platform.survey()
    assert serving.live is None
    assert (serving.sides[BLUE].version, serving.sides[BLUE].running, serving.sides[BLUE].ready) == (
        V14,
        True,
        True,
    )
    assert not serving.sides[GREEN].running


def test_deploy_leaves_alone_what_already_runs_that_version(world: World):
    world.serve(BLUE, V14)
    address = world.platform.address(BLUE)

    with world.client():
        world.platform.deploy(BLUE, V14, deadline=SOON)
        assert world.platform.open_connections(BLUE) == 1

    assert world.platform.address(BLUE) == address


def test_deploy_replaces_another_version_of_the_colour_that_does_not_serve(world: World):
    world.serve(BLUE, V14)
    world.platform.deploy(GREEN, Version("1.4.9"), deadline=SOON)

    world.platform.deploy(GREEN, V15, deadline=SOON)

    serving = world.platform.survey()
    assert (serving.sides[GREEN].version, serving.sides[GREEN].ready) == (V15, True)
    assert (serving.live, serving.sides[BLUE].version, serving.sides[BLUE].ready) == (BLUE, V14, True)


def test_deploy_refuses_to_replace_the_colour_that_serves(world: World):
    world.serve(BLUE, V14)

    with pytest.raises(StepFailed) as failure:
        world.platform.deploy(BLUE, V15, deadline=SOON)

    assert failure.value.code == "colour-serves"
    side = world.platform.survey().sides[BLUE]
    assert (side.version, side.ready) == (V14, True)


def test_deploy_starts_the_serving_version_again_when_it_died(world: World):
    world.serve(BLUE, V14)
    world.kill(BLUE)

    world.platform.deploy(BLUE, V14, deadline=SOON)

    assert world.platform.survey().sides[BLUE].ready


def test_deploy_says_that_a_version_ended_at_its_start(world: World):
    with pytest.raises(StepFailed) as failure:
        world.platform.deploy(GREEN, Version("1.5-dies"), deadline=SOON)

    assert failure.value.code == "start-failed"
    assert "exit code 3" in str(failure.value)
    assert not world.platform.survey().sides[GREEN].running


def test_a_version_that_never_gets_ready_fails_at_the_deadline_and_can_be_stopped(world: World):
    with pytest.raises(StepFailed) as failure:
        world.platform.deploy(GREEN, Version("1.5-unready"), deadline=timedelta(milliseconds=500))
    seen = world.platform.survey().sides[GREEN]
    world.platform.stop(GREEN, grace=GRACE)

    assert failure.value.code == "not-ready"
    assert (seen.running, seen.ready) == (True, False)
    assert not world.platform.survey().sides[GREEN].running


def test_a_colour_can_be_deployed_after_a_start_that_failed(world: World):
    with pytest.raises(StepFailed):
        world.platform.deploy(GREEN, Version("1.5-dies"), deadline=SOON)

    world.platform.deploy(GREEN, V15, deadline=SOON)

    assert world.platform.survey().sides[GREEN].ready


def test_switch_moves_new_connections_if_they_go_where_the_caller_believes(world: World):
    world.serve(BLUE, V14)
    world.platform.deploy(GREEN, V15, deadline=SOON)

    world.platform.switch(expected=BLUE, to=GREEN)

    assert world.platform.survey().live is GREEN
    with world.client():
        assert (world.platform.open_connections(BLUE), world.platform.open_connections(GREEN)) == (0, 1)


@pytest.mark.parametrize("believed", [None, GREEN])
def test_switch_refuses_when_traffic_goes_elsewhere(world: World, believed: Colour | None):
    world.serve(BLUE, V14)

    with pytest.raises(StepFailed) as failure:
        world.platform.switch(expected=believed, to=GREEN)

    assert failure.value.code == "switch-conflict"
    assert world.platform.survey().live is BLUE


def test_a_connection_stays_where_it_was_opened_until_its_client_leaves(world: World):
    world.serve(BLUE, V14)
    world.platform.deploy(GREEN, V15, deadline=SOON)

    with world.client():
        world.platform.switch(expected=BLUE, to=GREEN)
        during = world.platform.open_connections(BLUE)

    assert during == 1
    until(lambda: world.platform.open_connections(BLUE) == 0)


def test_stop_ends_a_colour_and_remembers_its_version(world: World):
    world.platform.deploy(BLUE, V14, deadline=SOON)

    world.platform.stop(BLUE, grace=GRACE)
    world.platform.stop(BLUE, grace=GRACE)

    side = world.platform.survey().sides[BLUE]
    assert (side.version, side.running, side.ready) == (V14, False, False)


def test_stop_of_a_colour_that_never_ran_is_harmless(world: World):
    world.platform.stop(GREEN, grace=GRACE)

    assert not world.platform.survey().sides[GREEN].running


def test_stop_refuses_the_colour_that_serves(world: World):
    world.serve(BLUE, V14)

    with pytest.raises(StepFailed) as failure:
        world.platform.stop(BLUE, grace=GRACE)

    assert failure.value.code == "colour-serves"
    assert world.platform.survey().sides[BLUE].ready


def test_restore_starts_what_was_deployed_last(world: World):
    world.serve(BLUE, V14)
    world.serve(GREEN, V15)
    world.platform.stop(BLUE, grace=GRACE)

    world.platform.restore(BLUE, deadline=SOON)
    world.platform.restore(BLUE, deadline=SOON)

    serving = world.platform.survey()
    assert (serving.live, serving.sides[BLUE].version, serving.sides[BLUE].ready) == (GREEN, V14, True)


@pytest.mark.parametrize("ask", [lambda it: it.restore(GREEN, deadline=SOON), lambda it: it.address(GREEN)])
def test_a_colour_that_was_never_deployed_has_nothing_to_restore_and_no_address(world: World, ask):
    with pytest.raises(StepFailed) as failure:
        ask(world.platform)

    assert failure.value.code == "never-deployed"


def test_a_dead_colour_is_seen_as_not_running(world: World):
    world.serve(BLUE, V14)

    world.kill(BLUE)

    serving = world.platform.survey()
    assert (serving.live, serving.sides[BLUE].version, serving.sides[BLUE].running) == (BLUE, V14, False)


def test_the_next_command_finds_the_service_as_the_last_one_left_it(world: World):
    world.serve(BLUE, V14)
    world.platform.deploy(GREEN, V15, deadline=SOON)

    found = world.connect()

    assert found.survey() == world.platform.survey()
    assert found.public_address() == world.platform.public_address()
    assert found.address(GREEN) == world.platform.address(GREEN)


def test_addresses_have_no_trailing_slash(world: World):
    world.serve(BLUE, V14)

    assert not world.platform.address(BLUE).endswith("/")
    assert not world.platform.public_address().endswith("/")
