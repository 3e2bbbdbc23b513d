"""What a release does to traffic, on a platform in a file: canaries, fences, changes by hand, questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fakes.platform import FilePlatform

from coordinator.app.connected import ConnectedPorts, step_kinds
from coordinator.app.place import Place
from coordinator.app.running import Ended, Runner
from coordinator.graph import StepId
from coordinator.journal import events
from coordinator.journal.events import Event, Outcome
from coordinator.journal.fold import RunState
from coordinator.load import load_plan
from coordinator.model import CheckSpec, Colour, ServiceName, Version
from coordinator.ports import Answer, Platform, Subject

BLUE, GREEN = Colour
API = ServiceName("api")
PLAN = """
version: 1
release: api-VERSION
services:
  api:
    version: "VERSION"
    platform: {local: {command: [none]}}
    canary: {percent: [10, 50], for: 1ms}
    monitor: {for: 1ms, every: 1ms, checks: [{http: /ready}]}
    drain: {deadline: 50ms}
"""


class Ports(ConnectedPorts):
    """One platform object for the life of a command, as the real ones have it."""

    ill: str = ""
    """The address at which the checks get a bad answer."""

    def __init__(self, plan_file: Path) -> None:
        super().__init__(load_plan(plan_file, settings={}, environment={}), environment={})
        self.file = FilePlatform(plan_file.parent / "api.json")
        self.asked: list[tuple[str, object]] = []

    def platform(self, service: ServiceName) -> Platform:
        del service
        return self.file

    def ask(self, check: CheckSpec, subject: Subject) -> Answer:
        del check
        self.asked.append((subject.address, self.file.canary_out()))
        return Answer(ok=subject.address != self.ill, detail=f"{subject.address} was asked")


@dataclass
class Audience:
    """Keeps what it sees, and does something once a step begins."""

    at: str = ""
    act: object = None
    notes: list[str] = field(default_factory=list)
    failed: list[events.StepFailed] = field(default_factory=list)

    def saw(self, event: Event, state: RunState) -> None:
        del state
        if isinstance(event, events.StepStarted) and event.step == self.at:
            self.act()  # type: ignore[operator]
        if isinstance(event, events.StepFailed):
            self.failed.append(event)

    def noted(self, step: StepId, text: str) -> None:
        self.notes.append(f"{step}: {text}")

    def ticked(self, state: RunState, *, now: datetime) -> None: ...


@pytest.fixture(autouse=True)
def _local_platform_allows_a_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the plan name the platform that the file stands for: its own lint would refuse the canary."""
    monkeypatch.setattr("coordinator.app.planning.lint_services", lambda _: ())


def checkout(folder: Path, version: str = "2") -> Ports:
    folder.mkdir(exist_ok=True)
    (folder / "plan.yaml").write_text(PLAN.replace("VERSION", version))
    return Ports(folder / "plan.yaml")


def serving(folder: Path) -> FilePlatform:
    """Let version 1 serve from blue."""
    folder.mkdir(exist_ok=True)
    platform = FilePlatform(folder / "api.json")
    platform.deploy(BLUE, Version("1"), deadline=timedelta())
    platform.switch(expected=None, to=BLUE)
    return platform


def release(ports: Ports, audience: Audience) -> Ended:
    runner = Runner(
        place=Place(ports.plan.file),
        ports=ports,
        settings={},
        kinds=step_kinds(),
        audience=audience,
        is_stopping=lambda: False,
    )
    return runner.run_release(supersede=False, accept_unproven=True, show=lambda *_: None)


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
    audience = Audience("verify:api", lambda: shared.append(ports.file.canary_out()))

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
    audience = Audience("switch:api", lambda: ports.file.kill(GREEN))
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
    audience = Audience("switch:api", lambda: ports.file.move_by_hand(GREEN))

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
    audience = Audience("monitor:api", lambda: other.fence("api-2@7"))

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
