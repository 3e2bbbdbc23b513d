"""Situations and what is to be done in them. The run is this one; `c` is the point of no return:

a ─┬─ b1 ── b2 ─┬─ gate ── c
   └─ d ────────┘
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.engine.decide import (
    Command,
    Finish,
    Observe,
    Rest,
    Situation,
    Start,
    TurnBack,
    Undo,
    decide,
    missing_approvals,
)
from coordinator.graph import Graph, Step, StepId
from coordinator.journal import events
from coordinator.journal.events import Event, Outcome, RunStarted
from coordinator.journal.fold import RunState, fold
from coordinator.journal.steps_on_wire import wire_from
from coordinator.model import OnFailure
from coordinator.world import Seen

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _step(name: str, *after: str, kind: str = "deploy", **rest: object) -> Step:
    return Step(StepId(name), kind, tuple(map(StepId, after)), **rest)  # type: ignore[arg-type]


GRAPH = Graph(
    (
        _step("a", kind="acquire-lease"),
        _step("b1", "a"),
        _step("b2", "b1", kind="switch"),
        _step("d", "a"),
        _step("gate", "b2", "d", kind="approve", approvers=("ann", "bob")),
        _step("c", "gate", kind="apply", no_return=True),
    )
)
UNDOABLE = {"acquire-lease", "deploy", "switch"}


def state_of(story: str) -> RunState:
    """Return the run after a story: `a+` was done, `a-` failed, `a~` was begun, `a?` is unknown, `a??` is
    there beside what a person is asked about, `a/` was
    begun and seen not to be done, `a<` is being undone, `a<<` is undone; `ann!` and `bob!` approved, `back`
    and `abort` were asked for.
    """
    past: list[Event] = [RunStarted(AT, "shop-2", "plan.yaml", {}, wire_from(GRAPH), False, "0.1.0")]
    for word in story.split():
        past.extend(_events(word))
    return fold("shop-2@1", past)


def _events(word: str) -> list[Event]:
    if word == "back":
        return [events.RollbackStarted(AT, "asked for", automatic=False)]
    if word == "abort":
        return [events.AbortRequested(AT, "ann")]
    step = StepId(word.rstrip("+-~?/<!"))
    began = events.StepStarted(AT, step)
    return {
        "!": [events.Approved(AT, StepId("gate"), step)],
        "~": [began],
        "+": [began, events.StepFinished(AT, step, "")],
        "-": [began, events.StepFailed(AT, step, "broken", "it broke")],
        "?": [began, events.StepObserved(AT, step, Seen.UNKNOWN, "")],
        "??": [began, events.StepObserved(AT, step, Seen.UNKNOWN, "", "migration-ran-further")],
        "/": [began, events.StepObserved(AT, step, Seen.NOT_DONE, "")],
        "<": [events.UndoStarted(AT, step)],
        "<<": [events.UndoStarted(AT, step), events.UndoFinished(AT, step, "")],
    }[word.removeprefix(step)]


def decided(
    story: str,
    *,
    busy: str = "",
    tried: str = "",
    looked: str = "",
    on_failure: OnFailure = OnFailure.ROLLBACK,
) -> tuple[Command, ...]:
    at_work, given_up, seen = (set(map(StepId, each.split())) for each in (busy, tried, looked))
    return decide(state_of(story), Situation(at_work, given_up, UNDOABLE, on_failure, seen))


def start(*steps: str) -> tuple[Command, ...]:
    return tuple(Start(GRAPH.step(StepId(step))) for step in steps)


def undo(*steps: str) -> tuple[Command, ...]:
    return tuple(Undo(GRAPH.step(StepId(step))) for step in steps)


def observe(*steps: str) -> tuple[Command, ...]:
    return tuple(Observe(GRAPH.step(StepId(step))) for step in steps)


def rest(*steps: str) -> tuple[Command, ...]:
    return (Rest(tuple(map(StepId, steps))),)


TO_THE_GATE = "a+ b1+ b2+ d+ "
WAY_ON = {
    "the first step": ("", {}, start("a")),
    "nothing while it is busy": ("a~", {"busy": "a"}, ()),
    "branches start together": ("a+", {}, start("b1", "d")),
    "one branch goes on while the other is busy": ("a+ b1+ d~", {"busy": "d"}, start("b2")),
    "what is in doubt is observed first": ("a+ b1~", {}, observe("b1")),
    "all that is in doubt, at once": ("a+ b1~ d~", {}, observe("b1", "d")),
    "a step in doubt beside a busy one": ("a+ b1~ d~", {"busy": "d"}, observe("b1")),
    "what was seen not to be done begins again": ("a+ b1/ d+", {}, start("b1")),
    "no new step beside one whose doubt was not settled": ("a+ b1~", {"tried": "b1"}, rest("b1")),
    "an unknown step of an earlier command is looked at once more": ("a+ b1?", {}, observe("b1")),
    "also beside a busy one": ("a+ b1? d~", {"busy": "d"}, observe("b1")),
    "nothing begins meanwhile": ("a+ b1?", {"busy": "b1"}, ()),
    "then it waits for a person": ("a+ b1?", {"looked": "b1"}, rest("b1")),
    "as it does where the doubt is about more than the step": ("a+ b1??", {}, rest("b1")),
    "what a person settles while it is looked at begins when the look is over": (
        "a+ b1/ d+",
        {"busy": "b1"},
        (),
    ),
    "but not before the busy one is done": ("a+ b1? d~", {"busy": "d", "looked": "b1"}, ()),
    "a gate waits for all": (TO_THE_GATE, {}, rest("gate")),
    "one of two is not enough": (TO_THE_GATE + "ann!", {}, rest("gate")),
    "all have approved": (TO_THE_GATE + "bob! ann!", {}, start("gate")),
    "approved before its turn": ("a+ ann! bob! b1+ b2+ d~", {"busy": "d"}, ()),
    "what waited is not tried again by this command": ("a+ b1+ b2+ d/", {"tried": "d"}, rest("d")),
    "the other branch goes on beside one that waits": ("a+ b1+ d/", {"tried": "d"}, start("b2")),
    "the end": (TO_THE_GATE + "ann! bob! gate+ c+", {}, (Finish(Outcome.RELEASED),)),
}
FAILURES = {
    "a failure turns back": ("a+ b1-", {"tried": "b1"}, (TurnBack("b1 failed: it broke"),)),
    "at once, also while something is busy": (
        "a+ b1- d~",
        {"tried": "b1", "busy": "d"},
        (TurnBack("b1 failed: it broke"),),
    ),
    "also under a later command": ("a+ b1-", {}, (TurnBack("b1 failed: it broke"),)),
    "not before doubts are settled": ("a+ b1- d~", {"tried": "b1"}, observe("d")),
    "beyond return it rests": (TO_THE_GATE + "ann! bob! gate+ c-", {"tried": "c"}, rest("c")),
    "beyond return the next command tries again": (TO_THE_GATE + "ann! bob! gate+ c-", {}, start("c")),
    "beyond return in doubt": (TO_THE_GATE + "ann! bob! gate+ c?", {"looked": "c"}, rest("c")),
}
STOPS = {
    "policy stop: it rests": ("a+ b1-", {"tried": "b1"}, rest("b1")),
    "policy stop: it rests when the busy one is done": ("a+ b1- d~", {"tried": "b1", "busy": "d"}, ()),
    "policy stop: nothing new beside a failure": ("a+ b1+ b2- d+", {"tried": "b2"}, rest("b2")),
    "policy stop: the next command tries again": ("a+ b1- d+", {}, start("b1")),
}
WAY_BACK = {
    "the last is undone first": ("a+ b1+ b2+ back", {}, undo("b2")),
    "branches go back together": ("a+ b1+ d+ back", {}, undo("d", "b1")),
    "each branch at its own pace": ("a+ b1+ b2+ d+ back b2<<", {}, undo("d", "b1")),
    "what is still busy is undone when it ends": ("a+ b1+ d~ back", {"busy": "d"}, undo("b1")),
    "the lease goes last": ("a+ b1+ d+ back b1<< d<", {"busy": "d"}, ()),
    "then it goes": ("a+ b1+ d+ back b1<< d<<", {}, undo("a")),
    "what cannot be undone is passed over": (TO_THE_GATE + "ann! bob! gate+ back", {}, undo("d", "b2")),
    "a failed step is undone too": ("a+ b1- back", {"tried": ""}, undo("b1")),
    "what was begun and seen not to be done may be half there": ("a+ b1/ back", {}, undo("b1")),
    "what never began is not": ("a+ back", {}, undo("a")),
    "a step in doubt is observed before it is undone": ("a+ b1~ back", {}, observe("b1")),
    "an unknown one is undone": ("a+ b1? back", {}, undo("b1")),
    "nothing is undone before what follows it and is busy": ("a+ b1+ b2~ back", {"busy": "b2"}, ()),
    "an undo that was cut off is repeated": ("a+ b1+ back b1<", {}, undo("b1")),
    "an undo that failed rests": ("a+ b1+ back b1<", {"tried": "b1"}, rest("b1")),
    "the other branch is undone beside it": ("a+ b1+ d+ back b1<", {"tried": "b1"}, undo("d")),
    "nothing starts any more": ("a+ back a<<", {}, (Finish(Outcome.ROLLED_BACK),)),
    "at once if nothing was begun": ("back", {}, (Finish(Outcome.ROLLED_BACK),)),
}
GIVING_UP = {
    "only the lease is given back": ("a+ b1+ abort", {}, undo("a")),
    "a lease that is half taken too": ("a/ abort", {}, undo("a")),
    "when the busy one is done": ("a+ b1~ abort", {"busy": "b1"}, ()),
    "doubts first": ("a+ b1~ abort", {}, observe("b1")),
    "also where a doubt cannot be settled": ("a+ b1~ abort", {"tried": "b1"}, undo("a")),
    "a lease that cannot be given back rests": ("a+ abort a<", {"tried": "a"}, rest("a")),
    "also out of a rollback": ("a+ b1+ back b1< abort", {"tried": "b1"}, undo("a")),
    "then it is over": ("a+ abort a<<", {}, (Finish(Outcome.ABORTED),)),
    "at once where nothing was begun": ("abort", {}, (Finish(Outcome.ABORTED),)),
}
ALWAYS = WAY_ON | WAY_BACK | GIVING_UP
TABLE = [
    *((OnFailure.ROLLBACK, name, row) for name, row in (ALWAYS | FAILURES).items()),
    *((OnFailure.STOP, name, row) for name, row in (ALWAYS | STOPS).items()),
]


@pytest.mark.parametrize(
    ("on_failure", "row"),
    [(policy, row) for policy, _, row in TABLE],
    ids=[f"{policy}: {name}" for policy, name, _ in TABLE],
)
def test_decides(on_failure: OnFailure, row: tuple[str, dict[str, str], tuple[Command, ...]]):
    story, situation, commands = row

    assert decided(story, **situation, on_failure=on_failure) == commands


def test_does_nothing_about_a_run_that_has_ended():
    state = state_of("a+").with_event(events.RunFinished(AT, Outcome.ABORTED))

    assert decide(state, Situation(set(), set(), UNDOABLE, OnFailure.ROLLBACK)) == ()


def test_tells_who_is_missing_in_the_order_of_the_plan():
    gate = GRAPH.step(StepId("gate"))

    assert missing_approvals(gate, state_of("a+")) == ("ann", "bob")
    assert missing_approvals(gate, state_of("a+ ann!")) == ("bob",)
    assert missing_approvals(gate, state_of("a+ bob! ann!")) == ()


def test_what_an_earlier_run_handed_over_and_fails_leads_nowhere_back():
    """To give the lease back would be to call it verified: the next run asks the lease and nothing else."""
    graph = Graph(
        (
            _step("lease", kind="acquire-lease"),
            _step("verify", "lease", kind="verify", service="app"),
            _step("other", "verify", service="web"),
            _step("other-verify", "other", kind="verify", service="web"),
        )
    )
    begun = RunStarted(AT, "shop-2", "plan.yaml", {}, wire_from(graph), False, "0.1.0")
    failed = fold("shop-2@1", [begun, *_events("lease+"), *_events("verify-")])
    later = fold(
        "shop-2@1",
        [begun, *_events("lease+"), *_events("verify+"), *_events("other+"), *_events("other-verify-")],
    )

    def told(state: RunState, *tried: str) -> tuple[Command, ...]:
        return decide(state, Situation(set(), set(map(StepId, tried)), UNDOABLE, OnFailure.ROLLBACK))

    assert told(failed, "verify") == rest("verify")
    assert told(failed) == (Start(graph.step(StepId("verify"))),), "the next command asks again"
    assert told(later) == (TurnBack("other-verify failed: it broke"),), "what this run deployed goes back"


def test_a_lease_that_cannot_be_given_back_takes_no_release_back():
    graph = Graph(
        (
            _step("lease", kind="acquire-lease"),
            _step("next", "lease", kind="switch"),
            _step("end", "next", kind="release-lease"),
        )
    )
    begun = RunStarted(AT, "shop-2", "plan.yaml", {}, wire_from(graph), False, "0.1.0")
    state = fold("shop-2@1", [begun, *_events("lease+"), *_events("next+"), *_events("end-")])

    def told(*tried: str) -> tuple[Command, ...]:
        return decide(state, Situation(set(), set(map(StepId, tried)), UNDOABLE, OnFailure.ROLLBACK))

    assert told("end") == rest("end")
    assert told() == (Start(graph.step(StepId("end"))),), "the next command gives it back"
