from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from builders import one_service

from coordinator.errors import InDoubt
from coordinator.graph import Graph, Step, StepId
from coordinator.journal import events
from coordinator.journal.events import Event, Outcome, RunStarted
from coordinator.journal.fold import RunState, Status, fold
from coordinator.journal.steps_on_wire import graph_from, wire_from
from coordinator.world import Seen

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STEP = StepId("one")
CHAIN = Graph((Step(STEP, "deploy"), Step(StepId("two"), "apply", (STEP,), no_return=True)))


def begun(graph: Graph = CHAIN) -> RunStarted:
    return RunStarted(AT, "shop-2", "plan.yaml", {"plan": "digest"}, wire_from(graph), False, "0.1.0")


def run_of(*past: Event, graph: Graph = CHAIN) -> RunState:
    return fold("shop-2@1", [begun(graph), *past])


STARTED = events.StepStarted(AT, STEP)
FINISHED = events.StepFinished(AT, STEP, "")
FAILED = events.StepFailed(AT, STEP, "not-ready", "it is not ready")
UNDO_STARTED = events.UndoStarted(AT, STEP)
UNDO_FINISHED = events.UndoFinished(AT, STEP, "")
UNDO_FAILED = events.UndoFailed(AT, STEP, "rollback-blocked", "it is not ready")


def seen(what: Seen) -> Event:
    return events.StepObserved(AT, STEP, what, "")


def settled(what: Seen) -> Event:
    return events.StepSettled(AT, STEP, what, "ann")


WAYS = {
    "never begun": (),
    "begun": (STARTED,),
    "begun and seen not to be done": (STARTED, seen(Seen.NOT_DONE)),
    "done": (STARTED, FINISHED),
    "failed": (STARTED, FAILED),
    "unknown": (STARTED, seen(Seen.UNKNOWN)),
    "undoing": (STARTED, FINISHED, UNDO_STARTED),
    "undone": (STARTED, FINISHED, UNDO_STARTED, UNDO_FINISHED),
}
STEP_EVENTS = {
    "started": STARTED,
    "finished": FINISHED,
    "failed": FAILED,
    "seen done": seen(Seen.DONE),
    "seen not done": seen(Seen.NOT_DONE),
    "seen unknown": seen(Seen.UNKNOWN),
    "settled done": settled(Seen.DONE),
    "settled not done": settled(Seen.NOT_DONE),
    "undo started": UNDO_STARTED,
    "undo finished": UNDO_FINISHED,
    "undo failed": UNDO_FAILED,
}
POSSIBLE = {
    ("never begun", "started"): Status.STARTED,
    ("begun", "finished"): Status.DONE,
    ("begun", "failed"): Status.FAILED,
    ("begun", "seen done"): Status.DONE,
    ("begun", "seen not done"): Status.PENDING,
    ("begun", "seen unknown"): Status.UNKNOWN,
    ("begun", "settled done"): Status.DONE,
    ("begun", "settled not done"): Status.PENDING,
    ("begun and seen not to be done", "started"): Status.STARTED,
    ("begun and seen not to be done", "undo started"): Status.UNDOING,
    ("done", "undo started"): Status.UNDOING,
    ("failed", "started"): Status.STARTED,
    ("failed", "undo started"): Status.UNDOING,
    ("unknown", "seen done"): Status.DONE,
    ("unknown", "seen not done"): Status.PENDING,
    ("unknown", "seen unknown"): Status.UNKNOWN,
    ("unknown", "settled done"): Status.DONE,
    ("unknown", "settled not done"): Status.PENDING,
    ("unknown", "undo started"): Status.UNDOING,
    ("undoing", "undo started"): Status.UNDOING,
    ("undoing", "undo finished"): Status.UNDONE,
    ("undoing", "undo failed"): Status.UNDOING,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", STEP_EVENTS)
def test_a_step_takes_what_can_follow_and_refuses_the_rest(way: str, name: str):
    state = run_of(*WAYS[way])
    wanted = POSSIBLE.get((way, name))

    if wanted is None:
        with pytest.raises(InDoubt) as caught:
            state.with_event(STEP_EVENTS[name])
        assert caught.value.code == "journal-contradicts"
        assert "move it away" in caught.value.next_step, "no command can read it, `abort` neither"
    else:
        assert state.with_event(STEP_EVENTS[name]).status(STEP) is wanted


@pytest.mark.parametrize("name", STEP_EVENTS)
def test_refuses_an_event_of_a_step_that_the_run_does_not_have(name: str):
    other = Graph((Step(StepId("another"), "deploy"),))

    with pytest.raises(InDoubt, match="has no step one"):
        run_of(STEP_EVENTS[name], graph=other)


@pytest.mark.parametrize("late", [STARTED, events.RunFinished(AT, Outcome.ABORTED), begun()])
def test_nothing_follows_the_end(late: Event):
    with pytest.raises(InDoubt, match="the run has ended"):
        run_of(events.RunFinished(AT, Outcome.RELEASED), late)


def test_a_run_starts_once():
    with pytest.raises(InDoubt, match="has started before"):
        run_of(begun())


@pytest.mark.parametrize("past", [[], [STARTED]])
def test_refuses_a_journal_that_does_not_begin_with_its_start(past: list[Event]):
    with pytest.raises(InDoubt, match="does not begin with its start"):
        fold("shop-2@1", past)


@pytest.mark.parametrize(
    "wire",
    [
        ({"id": "one", "kind": "deploy", "mood": "good"},),
        ({"id": "one", "kind": "deploy"}, {"id": "one", "kind": "deploy"}),
        ({"id": "one", "kind": "deploy", "after": ["two"]},),
        ({"id": "one", "kind": "deploy", "phase": "regret"},),
    ],
)
def test_refuses_a_start_whose_steps_are_no_graph(wire: tuple[dict[str, object], ...]):
    start = RunStarted(AT, "shop-2", "plan.yaml", {}, wire, False, "0.1.0")

    with pytest.raises(InDoubt, match="no graph"):
        fold("shop-2@1", [start])


def test_a_graph_survives_the_journal():
    graph = one_service("expand migrate contract").graph()

    assert graph_from(wire_from(graph)) == graph


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ((), False),
        ((events.StepStarted(AT, StepId("two")),), True),
        ((events.StepStarted(AT, StepId("two")), events.StepFailed(AT, StepId("two"), "x", "y")), True),
        (
            (
                events.StepStarted(AT, StepId("two")),
                events.StepObserved(AT, StepId("two"), Seen.UNKNOWN, ""),
            ),
            True,
        ),
        (
            (
                events.StepStarted(AT, StepId("two")),
                events.StepObserved(AT, StepId("two"), Seen.NOT_DONE, ""),
            ),
            False,
        ),
    ],
)
def test_the_way_back_is_closed_from_the_start_of_a_step_of_no_return(
    past: tuple[Event, ...],
    expected: bool,
):
    assert run_of(STARTED, FINISHED, *past).is_beyond_return() is expected


def test_remembers_when_a_step_was_first_begun_over_all_its_attempts():
    later = AT + timedelta(minutes=5)

    state = run_of(STARTED, seen(Seen.NOT_DONE), events.StepStarted(later, STEP))

    assert state.steps[STEP].first == AT
    assert state.steps[STEP].since == later


def test_folds_to_the_same_state_as_event_by_event_and_leaves_earlier_states_alone():
    past = [STARTED, FAILED, STARTED, FINISHED, events.Approved(AT, StepId("two"), "ann")]
    one_by_one = [run_of()]
    for event in past:
        one_by_one.append(one_by_one[-1].with_event(event))

    assert run_of(*past) == one_by_one[-1]
    assert [state.status(STEP) for state in one_by_one] == [
        Status.PENDING,
        Status.STARTED,
        Status.FAILED,
        Status.STARTED,
        Status.DONE,
        Status.DONE,
    ]
    assert [state.sequence for state in one_by_one] == [1, 2, 3, 4, 5, 6]


def test_collects_approvals_rollback_abort_and_outcome():
    turned = events.RollbackStarted(AT, "asked for", automatic=False)
    abort = events.AbortRequested(AT, "ann")

    state = run_of(
        events.Approved(AT, STEP, "ann"),
        events.Approved(AT, STEP, "bob"),
        turned,
        abort,
        events.RunFinished(AT, Outcome.ABORTED),
    )

    assert state.approvals == {(STEP, "ann"), (STEP, "bob")}
    assert (state.rollback, state.abort, state.outcome) == (turned, abort, Outcome.ABORTED)


@pytest.mark.parametrize(
    ("past", "command"),
    [
        ((), "run"),
        ((events.RollbackStarted(AT, "a check failed", automatic=True),), "run"),
        ((events.RollbackStarted(AT, "asked for", automatic=False),), "rollback"),
        ((events.AbortRequested(AT, "ann"),), "abort"),
    ],
)
def test_a_run_is_gone_on_with_by_the_command_that_asked_for_where_it_goes(past, command) -> None:
    assert run_of(*past).command == f"coordinator {command}"
