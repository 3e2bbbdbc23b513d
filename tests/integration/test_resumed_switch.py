"""A switch that was cut off between the traffic's move and its confirmation, and the `run` that follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.platform import FilePlatform
from fixtures.audience import Audience
from fixtures.file_release import BLUE, GREEN, Ports, checkout, release, serving

from coordinator.app.place import Place
from coordinator.app.running import Ended
from coordinator.engine import jobs
from coordinator.engine import run as loop
from coordinator.errors import StepFailed
from coordinator.graph import StepId
from coordinator.journal.events import Outcome, from_wire, name_of
from coordinator.model import Colour
from coordinator.ports.checks import Answer

SWITCH = StepId("switch:api")
PLAN = """
version: 1
release: api-VERSION
services:
  api:
    version: "VERSION"
    platform: {local: {command: [none]}}
    drain: {deadline: 1ms}
    keep_blue: 0s
"""


class Killed(BaseException):
    """The end of a process, as far as one process can have it: nothing of it is written down."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_TICK", 0.01)
    monkeypatch.setattr(jobs, "_PAUSES", ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a plan whose version 1 serves from blue."""
    serving(tmp_path / "api")
    return tmp_path / "api"


def killed(folder: Path, name: str, *, after: bool, version: str = "2") -> None:
    """Release, and die before or after a call of the platform, the first one during the switch."""
    ports = checkout(folder, version, plan=PLAN)
    call: Callable[..., Any] = getattr(ports.file, name)

    def cut(*args: Any, **kwargs: Any) -> Any:
        if after:
            call(*args, **kwargs)
        raise Killed

    audience = Audience({SWITCH: lambda: setattr(ports.file, name, cut)})
    with pytest.raises(Killed):
        release(ports, audience)


def resumed(folder: Path, version: str = "2", **changes: Any) -> tuple[Ended, list[Colour]]:
    """Run again; return how that ended, and to which colours the traffic was moved."""
    ports = checkout(folder, version, plan=PLAN)
    moves: list[Colour] = []
    for name, change in changes.items():
        setattr(ports.file, name, change)
    switch = ports.file.switch

    def counted(*, expected: Colour | None, to: Colour) -> None:
        moves.append(to)
        switch(expected=expected, to=to)

    ports.file.switch = counted  # type: ignore[method-assign]
    return release(ports, Audience()), moves


def outcome_of(ended: Ended) -> Outcome | None:
    assert ended.state is not None
    return ended.state.outcome


def past(folder: Path) -> list[str]:
    """Return what the journal says of the switch."""
    journal = Place(folder / "plan.yaml").journal
    found = [from_wire(record) for record in journal.records(journal.runs()[-1])]
    return [name_of(each) for each in found if getattr(each, "step", "") == SWITCH]


def live(folder: Path) -> Colour | None:
    return FilePlatform(folder / "api.json").survey().live


def test_a_switch_that_was_made_and_not_confirmed_is_confirmed_and_not_made_again(folder: Path):
    killed(folder, "switch", after=True)
    assert (live(folder), past(folder)) == (GREEN, ["step-started"])

    ended, moves = resumed(folder)

    assert (outcome_of(ended), moves, live(folder)) == (Outcome.RELEASED, [], GREEN)
    assert past(folder) == ["step-started", "step-observed"]


def test_a_switch_whose_confirmation_was_cut_off_is_confirmed(folder: Path):
    killed(folder, "after_switch", after=False)
    assert live(folder) is GREEN

    ended, moves = resumed(folder)

    assert (outcome_of(ended), moves) == (Outcome.RELEASED, [])


def test_a_switch_that_was_not_made_is_made(folder: Path):
    killed(folder, "switch", after=False)
    assert (live(folder), past(folder)) == (BLUE, ["step-started"])

    ended, moves = resumed(folder)

    assert (outcome_of(ended), moves) == (Outcome.RELEASED, [GREEN])


def test_a_switch_that_was_asked_about_and_not_made_is_asked_about_again(folder: Path):
    killed(folder, "before_switch", after=True)
    asked: list[Colour] = []

    def no(to: Colour) -> tuple[Answer, ...]:
        asked.append(to)
        return (Answer(ok=False, detail="green has restarted"),)

    ended, moves = resumed(folder, before_switch=no)

    assert (outcome_of(ended), moves, asked) == (Outcome.ROLLED_BACK, [], [GREEN])
    assert live(folder) is BLUE


def test_a_switch_that_is_seen_only_after_a_while_is_waited_for_and_not_made_again(folder: Path):
    killed(folder, "switch", after=True)
    patience: list[timedelta] = []

    def slowly(to: Colour, *, deadline: timedelta) -> tuple[Answer, ...]:
        patience.append(deadline)
        return (Answer(ok=bool(deadline), detail=f"EndpointSlices send to {to}"),)

    ended, moves = resumed(folder, after_switch=slowly)

    assert (outcome_of(ended), moves) == (Outcome.RELEASED, [])
    assert patience[0] == timedelta()
    assert patience[-1] > timedelta()
    assert past(folder) == ["step-started", "step-observed", "step-started", "step-finished"]


def test_a_switch_that_stays_unconfirmed_goes_back(folder: Path):
    killed(folder, "switch", after=True, version="2-unconfirmed")

    ended, moves = resumed(folder, "2-unconfirmed")

    assert (outcome_of(ended), moves, live(folder)) == (Outcome.ROLLED_BACK, [BLUE], BLUE)
    assert ended.state is not None
    assert "step-failed" in past(folder)


def test_a_switch_that_nobody_can_ask_about_stays_in_doubt_and_where_it_is(folder: Path):
    killed(folder, "switch", after=True)

    def away(to: Colour, *, deadline: timedelta) -> tuple[Answer, ...]:
        del to, deadline
        raise StepFailed("cluster-unreachable", "The API server does not answer.")

    ended, moves = resumed(folder, after_switch=away)
    again, more = resumed(folder)

    assert ended.exit_code(wanted=Outcome.RELEASED) == 5
    assert [problem.code for problem in ended.problems] == ["cluster-unreachable"]
    assert (outcome_of(ended), moves) == (None, [])
    assert (outcome_of(again), more) == (Outcome.RELEASED, [])


def test_traffic_that_was_moved_by_hand_meanwhile_is_told_and_left_alone(folder: Path):
    killed(folder, "switch", after=True)
    FilePlatform(folder / "api.json").move_by_hand(BLUE)

    ended, moves = resumed(folder)

    assert ended.exit_code(wanted=Outcome.RELEASED) == 5  # the step stays in doubt until it is put back
    assert [problem.code for problem in ended.problems] == ["changed-by-hand"]
    assert (moves, live(folder)) == ([], BLUE)


def test_a_way_back_that_was_cut_off_is_confirmed_and_not_made_again(folder: Path):
    ports: Ports = checkout(folder, "2-unconfirmed", plan=PLAN)
    switch = ports.file.switch

    def die_on_the_way_back(*, expected: Colour | None, to: Colour) -> None:
        switch(expected=expected, to=to)
        if to is BLUE:
            raise Killed

    ports.file.switch = die_on_the_way_back  # type: ignore[method-assign]
    with pytest.raises(Killed):
        release(ports, Audience())
    assert live(folder) is BLUE

    ended, moves = resumed(folder, "2-unconfirmed")

    assert (outcome_of(ended), moves, live(folder)) == (Outcome.ROLLED_BACK, [], BLUE)
