"""Every promise of ports.Platform, kept by each platform and by the fake that other tests stand on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.local import until
from fixtures.small_world import small_world
from fixtures.worlds import SOON, World, file_world, kubernetes_world, local_world

from coordinator import discovery
from coordinator.errors import StepFailed, Waiting
from coordinator.model import Colour, Version

BLUE, GREEN = Colour
V14, V15 = Version("1.4"), Version("1.5")
GRACE = timedelta(seconds=5)


WORLDS = {
    "file": file_world,
    "local": local_world,
    "small-kubernetes": small_world,
    "kubernetes": kubernetes_world,
}
OF_WORKERS = [name for name in WORLDS if name != "local"]
"""The platforms that have workers and canaries: of the local one a lint says so."""


def each_of(names: Iterable[str]) -> list[object]:
    return [
        pytest.param(name, marks=pytest.mark.cluster) if name == "kubernetes" else pytest.param(name)
        for name in names
    ]


@pytest.fixture(scope="session")
def cluster() -> Iterator[object]:
    from fixtures.cluster import obtained  # noqa: PLC0415 - only tests that want a cluster pay for it

    with obtained() as cluster:
        yield cluster


@contextmanager
def world_of(request: pytest.FixtureRequest, folder: Path, **settings: bool) -> Iterator[World]:
    given = (request.getfixturevalue("cluster"),) if request.param == "kubernetes" else ()
    with WORLDS[request.param](folder, *given, **settings) as world:
        yield world


@pytest.fixture(params=each_of(WORLDS))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world_of(request, tmp_path) as world:
        yield world


@pytest.fixture(params=each_of(OF_WORKERS))
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Yield a platform that other people and other coordinators can change at the same time."""
    with world_of(request, tmp_path) as world:
        yield world


@pytest.fixture(params=each_of(OF_WORKERS))
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world_of(request, tmp_path, is_worker=True) as world:
        yield world


def test_every_platform_that_a_plan_may_name_is_held_to_this_contract():
    assert set(discovery.names(discovery.PLATFORMS)) <= WORLDS.keys()


def test_a_service_that_was_never_deployed_runs_nowhere_and_serves_nobody(world: World):
    serving = world.platform.survey()

    assert serving.live is None
    assert not any(side.running or side.ready or side.version for side in serving.sides.values())
    assert set(serving.sides) == {BLUE, GREEN}


def test_a_place_keeps_its_name_and_shares_it_with_no_other(world: World):
    assert world.connect().identity() == world.platform.identity()
    assert world.connect_elsewhere().identity() != world.platform.identity()


def test_each_colour_has_a_log_that_is_named(world: World):
    assert world.platform.log_of(BLUE).replace(BLUE, GREEN) == world.platform.log_of(GREEN)
    assert world.platform.log_of(BLUE) != world.platform.log_of(GREEN)


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
    address, idle = world.platform.address(BLUE), world.idle(BLUE)

    with world.client():
        world.platform.deploy(BLUE, V14, deadline=SOON)
        until(lambda: world.platform.open_connections(BLUE) == idle + 1)

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
    assert all(answer.ok for answer in world.platform.after_switch(GREEN, deadline=SOON))
    idle = {colour: world.idle(colour) for colour in Colour}
    with world.client():
        until(lambda: world.platform.open_connections(GREEN) == idle[GREEN] + 1)
        assert world.idle(BLUE) == idle[BLUE]


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

    idle = world.idle(BLUE)

    with world.client():
        world.platform.switch(expected=BLUE, to=GREEN)
        during = world.idle(BLUE)

    assert during == idle + 1
    until(lambda: world.platform.open_connections(BLUE) == idle)


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
    assert [world.version_at(found.address(colour)) for colour in Colour] == [V14, V15]


def test_each_colour_answers_for_itself_however_soon_it_is_asked_after_the_other(world: World):
    world.serve(BLUE, V14)
    world.platform.deploy(GREEN, V15, deadline=SOON)

    asked = [world.version_at(world.platform.address(colour)) for _ in range(5) for colour in Colour]

    assert asked == [V14, V15] * 5


def test_addresses_have_no_trailing_slash(world: World):
    world.serve(BLUE, V14)

    assert not world.platform.address(BLUE).endswith("/")
    assert not world.platform.public_address().endswith("/")


def test_before_a_switch_it_says_of_next_whether_it_is_ready(world: World):
    world.serve(BLUE, V14)
    world.platform.deploy(GREEN, V15, deadline=SOON)
    ready = world.platform.before_switch(GREEN)
    world.kill(GREEN)

    dead = world.platform.before_switch(GREEN)

    assert ready
    assert all(answer.ok for answer in ready), ready
    assert not all(answer.ok for answer in dead)
    assert all(answer.detail and "\n" not in answer.detail for answer in (*ready, *dead))
    assert world.platform.survey().live is BLUE


def test_after_a_switch_it_says_whether_it_is_seen(world: World):
    world.serve(BLUE, V14)
    world.platform.deploy(GREEN, V15, deadline=SOON)
    world.platform.switch(expected=BLUE, to=GREEN)

    seen = world.platform.after_switch(GREEN, deadline=SOON)
    denied = world.platform.after_switch(BLUE, deadline=timedelta())

    assert seen
    assert all(answer.ok for answer in seen), seen
    assert not all(answer.ok for answer in denied)


def test_taking_the_fence_twice_is_harmless_and_changes_nothing_that_serves(world: World):
    world.serve(BLUE, V14)
    before = world.platform.survey()

    world.platform.fence("shop@1")
    world.platform.fence("shop@1")

    assert world.platform.survey() == before
    world.platform.deploy(GREEN, V15, deadline=SOON)
    world.platform.switch(expected=BLUE, to=GREEN)
    assert world.platform.survey().live is GREEN


def test_nobody_has_to_grant_anything_more_to_the_user_of_these_tests(world: World):
    assert world.platform.missing_rights() == ()


def test_a_canary_serves_beside_live_and_leaves_it_as_it_is(shared: World):
    shared.serve(BLUE, V14)
    shared.platform.deploy(GREEN, V15, deadline=SOON)

    share = shared.platform.canary(GREEN, 50, deadline=SOON)
    again = shared.platform.canary(GREEN, 50, deadline=SOON)

    serving = shared.platform.survey()
    assert share == again == 50.0
    assert (serving.live, serving.sides[BLUE].ready, serving.sides[GREEN].ready) == (BLUE, True, True)


def test_a_canary_ends_with_all_traffic_at_live(shared: World):
    shared.serve(BLUE, V14)
    shared.platform.deploy(GREEN, V15, deadline=SOON)
    shared.platform.canary(GREEN, 50, deadline=SOON)

    shared.platform.end_canary()
    shared.platform.end_canary()

    assert shared.platform.survey().live is BLUE
    assert all(answer.ok for answer in shared.platform.after_switch(BLUE, deadline=SOON))
    shared.platform.stop(GREEN, grace=GRACE)


def test_a_switch_ends_a_canary_that_is_out(shared: World):
    shared.serve(BLUE, V14)
    shared.platform.deploy(GREEN, V15, deadline=SOON)
    shared.platform.canary(GREEN, 50, deadline=SOON)
    shared.platform.deploy(GREEN, V15, deadline=SOON)

    shared.platform.switch(expected=BLUE, to=GREEN)

    assert shared.platform.survey().live is GREEN
    assert all(answer.ok for answer in shared.platform.after_switch(GREEN, deadline=SOON))
    shared.platform.stop(BLUE, grace=GRACE)


def test_whoever_takes_the_fence_last_changes_the_service_and_nobody_else(world: World):
    world.serve(BLUE, V14)
    world.platform.deploy(GREEN, V15, deadline=SOON)
    world.platform.fence("shop@1")
    other = world.connect()
    other.fence("shop@1")

    for change in (
        lambda: world.platform.switch(expected=BLUE, to=GREEN),
        lambda: world.platform.deploy(GREEN, V15, deadline=SOON),
        lambda: world.platform.stop(GREEN, grace=GRACE),
    ):
        with pytest.raises(Waiting) as refused:
            change()
        assert refused.value.code == "fenced-off"

    assert other.survey().sides[GREEN].version == V15
    assert other.survey().live is BLUE
    other.switch(expected=BLUE, to=GREEN)
    assert other.survey().live is GREEN


def test_traffic_that_was_moved_by_hand_is_told_and_left_alone(shared: World):
    shared.serve(BLUE, V14)
    shared.platform.deploy(GREEN, V15, deadline=SOON)
    shared.platform.fence("shop@1")
    assert shared.move_by_hand is not None
    shared.move_by_hand(GREEN)

    for ask in (shared.platform.survey, lambda: shared.platform.switch(expected=GREEN, to=BLUE)):
        with pytest.raises(Waiting) as told:
            ask()
        assert told.value.code == "changed-by-hand"

    assert shared.connect().survey().live is GREEN


def test_a_worker_that_runs_alone_is_the_one_that_works_and_may_be_stopped(worker: World):
    worker.platform.deploy(BLUE, V14, deadline=SOON)
    first = worker.platform.survey().live

    worker.platform.stop(BLUE, grace=GRACE)
    stopped = worker.platform.survey()
    worker.platform.deploy(GREEN, V15, deadline=SOON)

    assert first is BLUE
    assert (stopped.live, stopped.sides[BLUE].running) == (BLUE, False)
    serving = worker.platform.survey()
    assert (serving.live, serving.sides[GREEN].ready) == (GREEN, True)


def test_a_worker_that_was_handed_over_can_be_handed_back(worker: World):
    worker.platform.deploy(BLUE, V14, deadline=SOON)
    worker.platform.stop(BLUE, grace=GRACE)
    worker.platform.deploy(GREEN, V15, deadline=SOON)

    worker.platform.stop(GREEN, grace=GRACE)
    worker.platform.restore(BLUE, deadline=SOON)

    serving = worker.platform.survey()
    assert (serving.live, serving.sides[BLUE].version, serving.sides[BLUE].ready) == (BLUE, V14, True)
    assert not serving.sides[GREEN].running


def test_a_switch_marks_which_of_two_workers_does_the_work(worker: World):
    worker.platform.deploy(BLUE, V14, deadline=SOON)
    worker.platform.deploy(GREEN, V15, deadline=SOON)
    before = worker.platform.survey().live

    worker.platform.switch(expected=BLUE, to=GREEN)

    assert before is BLUE
    assert worker.platform.survey().live is GREEN
    assert all(answer.ok for answer in worker.platform.after_switch(GREEN, deadline=SOON))
