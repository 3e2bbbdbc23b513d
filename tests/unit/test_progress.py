from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import Release, Service

from coordinator.graph import Graph, StepId
from coordinator.journal import events
from coordinator.journal.events import TYPES, Event, Outcome, RunStarted
from coordinator.journal.fold import RunState, Status, fold
from coordinator.journal.steps_on_wire import wire_from
from coordinator.model import Worker
from coordinator.report.progress import (
    accepted,
    as_json,
    closing_lines,
    doubts,
    line_of,
    spoken,
    summary,
    table_of,
)
from coordinator.world import Seen

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = AT + timedelta(seconds=12)
GRAPH = Release({"app": Service(("db",))}, {"db": "expand contract"}, approve=("ann", "bob")).graph()
GATE = StepId("approve:contract")


def run_of(*past: Event, graph: Graph = GRAPH) -> RunState:
    start = RunStarted(AT, "shop-2", "plan.yaml", {}, wire_from(graph), False, "0.1.0")
    return fold("shop-2@1", [start, *past])


def began(step: str) -> Event:
    return events.StepStarted(AT, StepId(step))


def done(step: str, detail: str = "") -> tuple[Event, Event]:
    return began(step), events.StepFinished(LATER, StepId(step), detail)


def up_to(last: str, graph: Graph = GRAPH) -> list[Event]:
    steps = [step.id for step in graph]
    return [event for step in steps[: steps.index(StepId(last)) + 1] for event in done(step)]


def closing(*past: Event, stuck: str = "") -> str:
    return "\n".join(closing_lines(run_of(*past), tuple(map(StepId, stuck.split()))))


def test_a_step_that_could_not_be_looked_at_is_looked_at_again_before_anybody_settles_it() -> None:
    told = closing(began("deploy:app"), stuck="deploy:app")

    assert "When that is mended: `coordinator run` looks again." in told
    assert "nobody knows" not in told


def test_a_run_that_goes_back_asks_for_no_approval() -> None:
    back = events.RollbackStarted(LATER, "asked for by ann", automatic=False)
    past = up_to("drain:app")

    assert "waits for ann, bob" in "\n".join(" ".join(row) for row in table_of(run_of(*past), now=LATER))
    assert "waits for" not in "\n".join(" ".join(row) for row in table_of(run_of(*past, back), now=LATER))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (12.4, "12 s"),
        (59.9, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_says_a_duration_as_a_person_does(seconds: float, text: str):
    assert spoken(timedelta(seconds=seconds)) == text


STEP = StepId("acquire-lease")
EVENTS: list[Event] = [
    began("acquire-lease"),
    events.StepProgressed(LATER, STEP, 500, 1_000, 10.0),
    events.StepFinished(LATER, STEP, "db"),
    events.StepFailed(LATER, STEP, "broken", "it broke"),
    events.StepObserved(LATER, STEP, Seen.NOT_DONE, "nobody has it"),
    events.StepSettled(LATER, STEP, Seen.DONE, "ann"),
    events.UndoStarted(LATER, STEP),
    events.UndoFinished(LATER, STEP, "released"),
    events.UndoFailed(LATER, STEP, "broken", "it broke"),
    events.Approved(LATER, GATE, "ann"),
    events.RollbackStarted(LATER, "asked for by ann", automatic=False),
    events.AbortRequested(LATER, "ann"),
    events.RunFinished(LATER, Outcome.RELEASED),
    run_of().started,
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_is_one_line(event: Event):
    line = line_of(event, run_of(began("acquire-lease")))

    assert line
    assert "\n" not in line


def test_no_event_is_left_without_a_line():
    assert {type(event) for event in EVENTS} == set(TYPES.values())


def test_a_finished_step_says_how_long_it_took():
    past = done("acquire-lease", "db")

    assert line_of(past[1], run_of(*past)) == "✔ acquire-lease  12 s  db"


def test_sums_up_where_a_run_is():
    assert summary(run_of(*done("acquire-lease")), now=LATER) == (
        f"shop-2@1: under way for 12 s, 1 of {len(GRAPH)} steps done"
    )
    assert summary(run_of(events.RunFinished(AT, Outcome.RELEASED)), now=LATER) == "shop-2@1: released"


def test_a_step_that_waits_says_for_whom_and_what_to_type():
    rows = {step: detail for _, step, _, detail in table_of(run_of(), now=LATER)}

    assert rows[GATE] == "waits for ann, bob: coordinator approve approve:contract --as NAME"


def test_the_clock_of_a_step_under_way_goes_on():
    rows = {step: took for _, step, took, _ in table_of(run_of(began("acquire-lease")), now=LATER)}

    assert rows[STEP] == "12 s"
    assert rows[GATE] == ""


def test_a_step_that_takes_long_says_how_far_it_is_and_how_long_ago_that_was():
    run = run_of(began("acquire-lease"), events.StepProgressed(AT, STEP, 250, 1_000, 50.0))

    def detail(now: datetime) -> str:
        return next(detail for _, step, _, detail in table_of(run, now=now) if step == STEP)

    assert detail(LATER) == "250 rows of about 1,000 (25 %), 50 rows/s, about 15 s left"
    assert detail(AT + timedelta(minutes=5)).endswith("left (5 min 00 s ago)")


def test_json_says_how_far_a_step_is_until_it_is_done():
    progressed = (began("acquire-lease"), events.StepProgressed(AT, STEP, 250, 1_000, 50.0))

    def step(*past: Event) -> dict[str, object]:
        return as_json(run_of(*past))["steps"][0]  # type: ignore[index, no-any-return]

    assert step(*progressed)["progress"] == {
        "passed": 250,
        "total": 1_000,
        "per_second": 50.0,
        "seconds_left": 15,
        "at": AT.isoformat(),
    }
    assert "progress" not in step(*progressed, events.StepFinished(LATER, STEP, "db"))
    assert "progress" not in step(began("acquire-lease"))


def test_closing_says_who_serves_and_how_far_the_schema_is():
    text = closing(*up_to("switch:app"))

    assert "service app: 2 on green serves" in text
    assert "database db: 1 of 2 migrations applied" in text


HALF = events.StepFailed(LATER, StepId("expand:db:00001_m1"), "half-applied", "Committed before it: line 3.")
DOUBT = events.StepObserved(
    LATER, StepId("expand:db:00001_m1"), Seen.UNKNOWN, "It may have stopped half-way."
)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (HALF, "database db: 0 of 2 migrations applied, and a part of expand:db:00001_m1"),
        (DOUBT, "database db: 0 of 2 migrations applied, and nobody knows how much of expand:db:00001_m1"),
    ],
)
def test_closing_says_of_which_migration_a_part_is_there(event: Event, said: str):
    past = (*up_to("acquire-lease"), began("expand:db:00001_m1"), event)

    assert said in closing(*past, stuck="expand:db:00001_m1").splitlines()[-2]
    assert said in closing(*past, *ABORTED)


def test_what_is_there_of_a_migration_is_said_when_a_run_is_given_up_too():
    text = closing(*up_to("acquire-lease"), began("expand:db:00001_m1"), HALF, *ABORTED)

    assert text.endswith("✘ expand:db:00001_m1: Committed before it: line 3.")


CANARY = Release({"app": Service(canary=(10, 50))}).graph()
HANDOVER = Release({"app": Service(worker=Worker.HANDOVER)}).graph()


ABORTED = (events.AbortRequested(LATER, "ann"), events.RunFinished(LATER, Outcome.ABORTED))


def undone(step: str) -> tuple[Event, Event]:
    return events.UndoStarted(LATER, StepId(step)), events.UndoFinished(LATER, StepId(step), "")


@pytest.mark.parametrize(
    ("graph", "past", "wanted"),
    [
        (CANARY, up_to("verify:app", CANARY), "1 on blue serves, as before"),
        (
            CANARY,
            [*up_to("canary-10:app", CANARY), began("canary-50:app")],
            "1 on blue serves, and 2 on green beside it with a share of about 50 %",
        ),
        (
            CANARY,
            [*up_to("canary-10:app", CANARY), *undone("canary-10:app")],
            "1 on blue serves, as before",
        ),
        (CANARY, up_to("switch:app", CANARY), "2 on green serves"),
        (HANDOVER, up_to("acquire-lease", HANDOVER), "1 on blue works, as before"),
        (
            HANDOVER,
            [*up_to("stop:app", HANDOVER), began("deploy:app")],
            "1 on blue was stopped, and 2 on green is not known to work: perhaps nobody does the work",
        ),
        (
            HANDOVER,
            [*up_to("acquire-lease", HANDOVER), began("stop:app")],
            "1 on blue may be stopped, and 2 on green was not started: perhaps nobody does the work",
        ),
        (
            HANDOVER,
            up_to("stop:app", HANDOVER),
            "1 on blue was stopped, and 2 on green was not started: nobody does the work",
        ),
        (
            HANDOVER,
            [*up_to("stop:app", HANDOVER), *ABORTED],
            (
                "1 on blue was stopped, and 2 on green was not started: nobody does the work until the next"
                " release"
            ),
        ),
        (
            HANDOVER,
            [*up_to("stop:app", HANDOVER), began("deploy:app"), *ABORTED],
            (
                "1 on blue was stopped, and 2 on green is not known to work: perhaps nobody does the work"
                " until the next release"
            ),
        ),
        (HANDOVER, up_to("deploy:app", HANDOVER), "2 on green works"),
        (
            HANDOVER,
            [*up_to("deploy:app", HANDOVER), *undone("deploy:app"), *undone("stop:app")],
            "1 on blue works again",
        ),
    ],
)
def test_closing_says_who_serves_or_works_half_way(graph: Graph, past: list[Event], wanted: str):
    lines = list(closing_lines(run_of(*past, graph=graph), ()))

    assert f"  service app: {wanted}" in lines


def test_who_served_nobody_before_is_not_said_to_be_where_it_was():
    graph = Release({"app": Service(), "first": Service(live=None)}, {}).graph()
    back = events.RunFinished(LATER, Outcome.ROLLED_BACK)
    over = [*up_to("deploy:app", graph), back]
    wanted = "rolled back: traffic is where it was before the release"

    assert line_of(back, run_of(*over, graph=graph)) == f"■ shop-2 {wanted}"

    over = [*done("deploy:first"), *done("switch:first"), *undone("switch:first"), back]
    state = run_of(*over, graph=graph)

    assert line_of(back, state) == f"■ shop-2 {wanted}, but for first, which nobody served before"
    assert "  service first: 2 on blue serves" in list(closing_lines(state, ()))


@pytest.mark.parametrize(
    ("past", "stuck", "wanted"),
    [
        (up_to("drain:app"), GATE, "coordinator approve approve:contract --as NAME"),
        ([began("acquire-lease")], STEP, "coordinator settle acquire-lease --as done"),
        (
            [began("acquire-lease"), events.StepObserved(AT, STEP, Seen.UNKNOWN, "who knows")],
            STEP,
            "who knows",
        ),
        ([began("acquire-lease"), events.StepFailed(AT, STEP, "broken", "it broke")], STEP, "it broke"),
        (
            [
                *done("acquire-lease"),
                events.UndoStarted(AT, STEP),
                events.UndoFailed(AT, STEP, "broken", "it holds"),
            ],
            STEP,
            "could not be taken back. it holds",
        ),
    ],
)
def test_closing_says_what_to_do_about_what_is_stuck(past: list[Event], stuck: str, wanted: str):
    assert wanted in closing(*past, stuck=stuck)


def test_says_what_was_accepted_in_one_line_wherever_a_run_is_shown():
    start = replace(run_of().started, accepted=("Nobody knows a.", "Nobody knows b."))
    state = fold("shop-2@1", [start])

    [line] = accepted(state)
    assert line == "  accepted unproven: Nobody knows a. (and 1 more: --output json)"
    assert line in list(closing_lines(state, ()))
    assert line_of(start, state).endswith("steps, accepted unproven: 2")
    assert as_json(state)["accepted"] == ["Nobody knows a.", "Nobody knows b."]
    assert list(accepted(run_of())) == []


def test_json_of_no_run_has_the_fields_of_a_run():
    assert as_json(None).keys() == as_json(run_of()).keys()


def test_the_page_has_each_field_of_a_run_and_of_its_steps():
    page = Path(__file__).parents[2] / "docs" / "reference" / "json-output.md"
    _, _, section = page.read_text("utf-8").partition("## A run")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", section, re.MULTILINE))
    graph = Release({"app": Service(("db",), canary=(10,))}, {"db": "expand"}).graph()
    found = as_json(run_of(graph=graph))

    within = {name for step in found["steps"] for name in step}

    assert rows.keys() == found.keys()
    assert {name for name in within if f"`{name}`" not in rows["steps"]} == set()
    assert "percent" in within
    assert {each.value for each in Status} == set(
        re.findall(r"`([a-z-]+)`", section.rpartition("\n\n`status`")[2])
    )


def failed(step: str, why: str) -> tuple[Event, Event]:
    return began(step), events.StepFailed(LATER, StepId(step), "half-applied", why)


def test_names_no_way_back_behind_the_point_of_no_return():
    contract = next(step.id for step in GRAPH if step.no_return)

    before = closing(*failed("deploy:app", "it is not ready."), stuck="deploy:app")
    behind = closing(*failed(contract, "line 3 was refused."), stuck=contract)

    assert "to go back: `coordinator rollback`." in before
    assert "`coordinator rollback`" not in behind
    assert "When that is mended: `coordinator run`; there is no way back any more." in behind


def test_says_of_a_step_in_doubt_how_it_failed_when_it_was_tried_last_until_somebody_has_looked():
    step = next(step.id for step in GRAPH if step.no_return)
    doubtful = (
        *failed(step, "Line 3 was refused, line 2 is committed."),
        began(step),
        events.StepObserved(LATER, step, Seen.UNKNOWN, "It stopped half-way."),
    )
    settled = events.StepSettled(LATER, step, Seen.NOT_DONE, "ann")
    unknown_again = (began(step), events.StepObserved(LATER, step, Seen.UNKNOWN, "It stopped half-way."))

    told = closing(*doubtful, stuck=step)

    assert (
        "It stopped half-way. When it was tried last: Line 3 was refused, line 2 is committed. Look" in told
    )
    assert list(doubts(run_of(*doubtful))) == [told.splitlines()[-1]]
    assert "Line 3" not in closing(*doubtful, settled, *unknown_again, stuck=step)
    assert list(doubts(run_of(*doubtful, settled))) == []
