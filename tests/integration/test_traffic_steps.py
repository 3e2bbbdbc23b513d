"""What a release does to traffic, on a platform in a file: canaries, fences, changes by hand, questions."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from fakes.platform import FilePlatform
from fixtures.audience import Audience
from fixtures.file_release import BLUE, GREEN, checkout, release, serving

from coordinator.graph import StepId
from coordinator.journal.events import Outcome
from coordinator.model import Colour, Version


@pytest.fixture(autouse=True)
def _local_platform_allows_a_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the plan name the platform that the file stands for: its own lint would refuse the canary."""
    monkeypatch.setattr("coordinator.app.planning.lint_services", lambda _: ())


def test_a_canary_is_watched_at_each_share_by_itself_and_at_the_address_of_clients(tmp_path: Path):
    serving(tmp_path / "api")
    ports, audience = checkout(tmp_path / "api"), Audience()

    ended = release(ports, audience)

    assert ended.exit_code(wanted=Outcome.RELEASED) == 0
    own, public = ports.file.address(GREEN), ports.file.public_address()
    for percent in (10, 50):
        assert {(own, (GREEN, percent)), (public, (GREEN, percent))} <= set(ports.asked)
    assert ports.file.canary_out() is None
    assert "canary-10:api: 2 has 10 % of the traffic" in audience.notes
    assert ports.file.survey().live is GREEN


def test_a_bad_answer_during_a_canary_gives_live_all_traffic_again(tmp_path: Path):
    serving(tmp_path / "api")
    ports, audience = checkout(tmp_path / "api"), Audience()
    ports.ill = ports.file.address(BLUE).replace("blue", "green")

    ended = release(ports, audience)

    assert ended.state is not None
    assert ended.state.outcome is Outcome.ROLLED_BACK
    assert [each.code for each in audience.failed] == ["monitoring-failed"]
    assert (ports.file.survey().live, ports.file.canary_out()) == (BLUE, None)
    assert not ports.file.survey().sides[GREEN].running


def test_a_canary_that_another_run_left_out_does_not_reach_a_version_that_nobody_verified(tmp_path: Path):
    left = serving(tmp_path / "api")
    left.deploy(GREEN, Version("2"), deadline=timedelta())
    left.canary(GREEN, 50, deadline=timedelta())
    ports, shared = checkout(tmp_path / "api", "3"), []
    audience = Audience({"verify:api": lambda: shared.append(ports.file.canary_out())})

    ended = release(ports, audience)

    assert shared == [None]
    assert ended.exit_code(wanted=Outcome.RELEASED) == 0


def test_a_switch_that_nobody_confirms_goes_back(tmp_path: Path):
    serving(tmp_path / "api")
    ports, audience = checkout(tmp_path / "api", "2-unconfirmed"), Audience()

    ended = release(ports, audience)

    assert ended.state is not None
    assert ended.state.outcome is Outcome.ROLLED_BACK
    assert [each.code for each in audience.failed] == ["switch-unconfirmed"]
    assert ports.file.survey().live is BLUE


def test_a_switch_is_refused_where_next_is_not_ready_any_more(tmp_path: Path):
    serving(tmp_path / "api")
    ports = checkout(tmp_path / "api")
    audience = Audience({"switch:api": lambda: ports.file.kill(GREEN)})
    ports.file.deploy = keep_dead(ports.file)  # type: ignore[method-assign]

    ended = release(ports, audience)

    assert ended.state is not None
    assert ended.state.outcome is Outcome.ROLLED_BACK
    assert [each.code for each in audience.failed] == ["switch-refused"]
    assert "green is not ready" in audience.failed[0].reason
    assert ports.file.survey().live is BLUE


def keep_dead(platform: FilePlatform):
    """Return a deploy that brings nothing back that died."""
    deploy = platform.deploy

    def once(colour: Colour, version: Version, *, deadline: timedelta) -> None:
        if platform.survey().sides[colour].version != version:
            deploy(colour, version, deadline=deadline)

    return once


def test_a_change_by_hand_makes_the_release_wait_and_nothing_is_overwritten(tmp_path: Path):
    serving(tmp_path / "api")
    ports = checkout(tmp_path / "api")
    audience = Audience({"switch:api": lambda: ports.file.move_by_hand(GREEN)})

    waiting = release(ports, audience)

    assert waiting.exit_code(wanted=Outcome.RELEASED) == 4
    assert [problem.code for problem in waiting.problems] == ["changed-by-hand"]
    ports.file.move_by_hand(BLUE)
    ended = release(checkout(tmp_path / "api"), Audience())
    assert ended.exit_code(wanted=Outcome.RELEASED) == 0
    assert FilePlatform(tmp_path / "api" / "api.json").survey().live is GREEN


def test_a_coordinator_that_was_replaced_changes_nothing_more(tmp_path: Path):
    serving(tmp_path / "api")
    ports = checkout(tmp_path / "api")
    other = FilePlatform(tmp_path / "api" / "api.json")
    audience = Audience({"monitor:api": lambda: other.fence("api-2@7")})

    waiting = release(ports, audience)

    assert waiting.exit_code(wanted=Outcome.RELEASED) == 4
    assert "fenced-off" in {problem.code for problem in waiting.problems}
    assert other.survey().sides[BLUE].running


def test_a_drain_that_nobody_can_count_takes_the_whole_deadline_and_says_so(tmp_path: Path):
    serving(tmp_path / "api")
    ports = checkout(tmp_path / "api")
    ports.file.open_connections = lambda colour: None  # type: ignore[method-assign,return-value]  # noqa: ARG005

    ended = release(ports, Audience())

    assert ended.state is not None
    assert ended.exit_code(wanted=Outcome.RELEASED) == 0
    assert "nobody can count" in ended.state.steps[StepId("drain:api")].detail
