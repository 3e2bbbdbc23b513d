"""The loop that performs effects, over a real journal and steps that the test makes up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixtures.engine_bench import NOW, Bench, Made, a_step

from coordinator.adapters.journals.sqlite import SqliteJournal
from coordinator.backfills.progress import Progress
from coordinator.engine import jobs
from coordinator.engine import run as loop
from coordinator.engine.run import Engine
from coordinator.errors import DatabaseError, InDoubt, Interrupted, JournalConflict, StepFailed, Waiting
from coordinator.graph import Graph, Step, StepId
from coordinator.journal import events
from coordinator.journal.events import Outcome, from_wire, name_of, to_wire
from coordinator.journal.fold import Status, fold
from coordinator.model import OnFailure, ServiceName
from coordinator.steps import Context
from coordinator.world import Seen


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_TICK", 0.01)
    monkeypatch.setattr(jobs, "_PAUSES", (0.0, 0.0))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    def make(*steps: Step, kinds: dict[str, Made], **more: Any) -> Bench:
        made = Bench(SqliteJournal(tmp_path / "journal"), Graph(steps), kinds, **more)
        made.begin()
        return made

    return make


def test_the_journal_knows_how_far_a_step_was_that_ends_or_is_interrupted(bench) -> None:
    def work(_: Step, context: Context) -> str:
        for at in range(1, 4):
            context.report(Progress(at, 4, 1.0))
        if not stopping:
            return ""
        raise Interrupted("interrupted", "stop")

    stopping = [True]
    made = bench(a_step("a"), kinds={"work": Made(do=work)}, is_stopping=lambda: made.names()[2:] != [])
    with pytest.raises(Interrupted):
        made.engine().run()
    interrupted = made.past()

    stopping.clear()
    made.is_stopping = lambda: False
    made.engine().run()

    assert [event.passed for event in interrupted if isinstance(event, events.StepProgressed)][-1] == 3
    assert fold("r@1", interrupted).steps["a"].progress.passed == 3
    assert made.names()[-3:] == ["step-progressed a", "step-finished a", "run-finished"]


def test_writes_the_intent_before_the_effect_and_the_outcome_after_it(bench) -> None:
    made: Bench
    during: list[list[str]] = []
    made = bench(a_step("a"), kinds={"work": Made(do=lambda *_: during.append(made.names()) or "")})

    made.engine().run()

    assert during == [["run-started", "step-started a"]]
    assert made.names() == ["run-started", "step-started a", "step-finished a", "run-finished"]


def test_when_the_outcome_is_there_no_result_is_waited_for(bench) -> None:
    made = bench(a_step("a"), kinds={"work": Made()})
    engine = made.engine()
    results, outcomes = engine._results, []

    def get(**timeout: float) -> object:
        outcomes.append(engine.state.outcome)
        return results.get(**timeout)

    engine._results = SimpleNamespace(get=get, get_nowait=results.get_nowait, put=results.put)
    engine.run()

    assert set(outcomes) == {None}
    assert engine.state.outcome is not None


def test_an_outcome_and_the_next_intent_are_made_durable_together(bench) -> None:
    class Counted(SqliteJournal):
        groups: list[list[str]] = []  # noqa: RUF012 - of this test alone

        def append(self, run: str, sequence: int, *records: str) -> None:
            self.groups.append([name_of(from_wire(record)) for record in records])
            super().append(run, sequence, *records)

    made = bench(a_step("a"), a_step("b", "a"), kinds={"work": Made()})
    made.journal = Counted(made.journal._file)

    made.engine().run()

    assert Counted.groups == [
        ["step-started"],
        ["step-finished", "step-started"],
        ["step-finished", "run-finished"],
    ]


def test_steps_that_do_not_depend_on_each_other_run_side_by_side(bench) -> None:
    both_are_there = threading.Barrier(2, timeout=60)
    made = bench(a_step("a"), a_step("b"), kinds={"work": Made(do=lambda *_: str(both_are_there.wait()))})

    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.RELEASED


def test_what_the_world_has_already_is_not_done_again(bench) -> None:
    made = bench(a_step("a"), kinds={"work": Made(do=fail, look=lambda *_: Seen.DONE)})

    made.engine().run()

    assert "step-finished a" in made.names()


def fail(*_: object) -> str:
    raise StepFailed("broken", "It broke.")


def fail_to_connect() -> Seen:
    raise DatabaseError("database-unreachable", "It is not there.")


def find_locked() -> Seen:
    raise DatabaseError("lock-timeout", "Somebody has it locked.")


def test_a_failure_takes_back_what_can_be_taken_back_in_the_opposite_order(bench) -> None:
    undone: list[str] = []
    work = Made(undo=lambda step, _: undone.append(step.id) or "")
    made = bench(
        a_step("a"),
        a_step("b", "a"),
        a_step("c", "b", kind="bad"),
        kinds={"work": work, "bad": Made(do=fail)},
    )

    made.engine().run()

    assert undone == ["b", "a"]
    assert fold("r@1", made.past()).outcome is Outcome.ROLLED_BACK


def test_a_failure_does_not_wait_for_a_branch_that_waits(bench) -> None:
    def wait(_: Step, context: Context) -> str:
        context.wait(timedelta(seconds=60))
        return "nobody came"

    made = bench(a_step("a", kind="bad"), a_step("b"), kinds={"work": Made(do=wait), "bad": Made(do=fail)})

    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.ROLLED_BACK
    assert "step-finished b" not in made.names()


def test_a_failure_beyond_the_point_of_no_return_stops_and_is_tried_again_by_the_next_run(bench) -> None:
    made = bench(
        a_step("a"),
        a_step("c", "a", kind="bad", no_return=True),
        kinds={"work": Made(undo=fail), "bad": Made(do=fail)},
    )

    assert made.engine().run() == ("c",)
    made.kinds["bad"] = Made()
    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.RELEASED


@pytest.fixture
def behind(bench) -> Callable[..., Bench]:
    """Return a maker of runs that fail after a switch, with a contract that has not begun as they know."""

    def make(contract: Made) -> Bench:
        return bench(
            a_step("lease"),
            a_step("switch", "lease", service="shop"),
            a_step("monitor", "switch", kind="bad", service="shop"),
            a_step("contract", "monitor", kind="contract", no_return=True),
            kinds={"work": Made(undo=lambda *_: ""), "bad": Made(do=fail), "contract": contract},
        )

    return make


@pytest.mark.parametrize("seen", [Seen.DONE, Seen.UNKNOWN])
def test_a_journal_that_is_older_than_the_world_takes_no_traffic_back(behind, seen: Seen) -> None:
    made = behind(Made(look=lambda *_: seen))

    assert made.engine().run() == ("switch",)

    state = fold("r@1", made.past())
    assert (state.outcome, state.steps[StepId("switch")].code) == (None, "journal-behind")
    made.requests.append(events.AbortRequested(NOW, "me"))
    made.engine().run()
    assert fold("r@1", made.past()).outcome is Outcome.ABORTED


@pytest.mark.parametrize("look", [lambda *_: Seen.NOT_DONE, fail])
def test_a_way_back_is_taken_where_the_world_does_not_contradict_it(behind, look) -> None:
    made = behind(Made(look=look))

    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.ROLLED_BACK
    assert any("contract" in note for note in made.watcher.notes) is (look is fail)


def test_where_the_plan_says_stop_nothing_is_taken_back(bench) -> None:
    made = bench(
        a_step("a"),
        a_step("b", "a", kind="bad"),
        kinds={"work": Made(undo=fail), "bad": Made(do=fail)},
        on_failure=OnFailure.STOP,
    )

    assert made.engine().run() == ("b",)
    assert fold("r@1", made.past()).status(StepId("a")) is Status.DONE


def test_waiting_is_no_failure(bench) -> None:
    def wait(*_: object) -> str:
        raise Waiting("lock-held", "Somebody has it.")

    made = bench(a_step("a"), kinds={"work": Made(do=wait)})
    engine = made.engine()

    assert engine.run() == ("a",)
    assert engine.state.status(StepId("a")) is Status.PENDING
    assert [problem.code for problem in engine.problems] == ["lock-held"]


def test_a_step_that_says_it_is_in_doubt_stops_the_run_until_it_is_settled(bench) -> None:
    def doubt(*_: object) -> str:
        raise InDoubt("half-way", "Nobody knows.")

    made = bench(a_step("a"), a_step("b", "a"), kinds={"work": Made(do=doubt)})
    assert made.engine().run() == ("a",)
    assert made.engine().run() == ("a",)

    made.kinds["work"] = Made()
    made.requests.append(events.StepSettled(NOW, StepId("a"), Seen.DONE, "me"))
    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.RELEASED
    assert made.names().count("step-started a") == 1


def test_a_commit_that_was_cut_off_is_observed_and_not_repeated(bench) -> None:
    committed: list[str] = []

    def commit(step: Step, _: Context) -> str:
        committed.append(step.id)
        raise DatabaseError("connection-lost", "The connection is gone.", ambiguous=True)

    look = Made(do=commit, look=lambda step, _: Seen.DONE if step.id in committed else Seen.NOT_DONE)
    made = bench(a_step("a"), kinds={"work": look})

    made.engine().run()

    assert committed == ["a"]
    assert "step-observed a" in made.names()
    assert fold("r@1", made.past()).outcome is Outcome.RELEASED


def test_a_step_whose_commit_is_cut_off_each_time_is_given_up_at_last(bench) -> None:
    begun: list[str] = []

    def commit(step: Step, _: Context) -> str:
        begun.append(step.id)
        if len(begun) > 100:
            raise AssertionError("it would go on for ever")
        raise DatabaseError("connection-lost", "The connection is gone.", ambiguous=True)

    made = bench(a_step("a"), kinds={"work": Made(do=commit)}, on_failure=OnFailure.STOP)
    engine = made.engine()

    assert engine.run() == ("a",)
    assert engine.state.status(StepId("a")) is Status.FAILED
    assert f"{len(begun)} times" in engine.state.steps[StepId("a")].detail

    made.kinds["work"] = Made()
    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.RELEASED


def test_a_step_waits_for_a_server_that_is_out_of_reach_when_it_begins(bench) -> None:
    answers = iter([fail_to_connect, lambda: Seen.NOT_DONE])
    made = bench(a_step("a"), kinds={"work": Made(look=lambda *_: next(answers)())})

    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.RELEASED
    assert "Asking again" in made.watcher.notes[0]


def test_a_step_waits_for_a_table_that_is_locked_when_it_begins(bench) -> None:
    answers = iter([find_locked, lambda: Seen.NOT_DONE])
    made = bench(a_step("a"), kinds={"work": Made(look=lambda *_: next(answers)())})

    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.RELEASED
    assert "Asking again" in made.watcher.notes[0]


def test_a_step_in_doubt_is_not_looked_at_again_where_the_look_itself_was_kept_waiting_for_long(
    bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[datetime] = []

    def look_for_a_minute(*_: object) -> Seen:
        assert not looked
        looked.append(NOW + timedelta(minutes=1))
        raise Waiting("local-busy", "Another command has been changing `shop` for 60 s.")

    made = bench(a_step("a"), kinds={"work": Made(look=look_for_a_minute)}, on_failure=OnFailure.STOP)
    made.journal.append("r@1", 2, to_wire(events.StepStarted(NOW, StepId("a"))))
    engine = made.engine()
    monkeypatch.setattr(engine.ports.clock, "now", lambda: [NOW, *looked][-1])

    assert engine.run() == ("a",)

    assert [problem.code for problem in engine.problems] == ["local-busy"]


def test_a_step_whose_table_stays_locked_when_it_begins_waits_for_the_next_run_and_fails_no_release(
    bench,
) -> None:
    made = bench(a_step("a"), kinds={"work": Made(look=lambda *_: find_locked())})
    engine = made.engine()

    assert engine.run() == ("a",)
    assert engine.state.status(StepId("a")) is Status.PENDING
    assert [(type(each), each.code) for each in engine.problems] == [(Waiting, "lock-timeout")]


def test_a_doubt_that_cannot_be_observed_is_left_in_doubt(bench) -> None:
    made = bench(a_step("a"), kinds={"work": Made(look=lambda *_: fail())})
    made.journal.append("r@1", 2, to_wire(events.StepStarted(NOW, StepId("a"))))
    engine = made.engine()

    assert engine.run() == ("a",)
    assert engine.state.status(StepId("a")) is Status.STARTED
    assert [problem.code for problem in engine.problems] == ["broken"]


def test_a_world_that_answers_again_settles_the_doubt(bench) -> None:
    answers = iter([fail, fail, lambda: Seen.DONE])
    made = bench(a_step("a"), kinds={"work": Made(do=fail, look=lambda *_: next(answers)())})
    made.journal.append("r@1", 2, to_wire(events.StepStarted(NOW, StepId("a"))))

    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.RELEASED
    assert len(made.watcher.notes) == 2


def test_a_bug_in_a_step_is_raised_and_leaves_the_step_in_doubt(bench) -> None:
    made = bench(a_step("a"), kinds={"work": Made(do=lambda *_: 1 / 0)})

    with pytest.raises(ZeroDivisionError):
        made.engine().run()

    assert made.names() == ["run-started", "step-started a"]


def test_a_request_to_stop_lets_the_effect_at_hand_finish_and_starts_nothing(bench) -> None:
    stop = threading.Event()
    made = bench(
        a_step("a"),
        a_step("b", "a"),
        kinds={"work": Made(do=lambda *_: stop.set() or "")},
        is_stopping=stop.is_set,
    )

    with pytest.raises(Interrupted):
        made.engine().run()

    assert made.names() == ["run-started", "step-started a", "step-finished a"]


def test_a_rollback_that_is_asked_for_ends_the_waiting_of_a_step(bench) -> None:
    made: Bench

    def ask_and_wait(_: Step, context: Context) -> str:
        made.requests.append(events.RollbackStarted(NOW, "asked for", False))
        context.wait(timedelta(seconds=60))
        return "nobody came"

    made = bench(a_step("a"), kinds={"work": Made(do=ask_and_wait)})

    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.ROLLED_BACK
    assert "step-finished a" not in made.names()


def test_a_step_that_is_being_done_is_not_settled_by_anybody_else(bench) -> None:
    made: Bench

    def ask_and_go_on(_: Step, context: Context) -> str:
        made.requests.append(events.StepSettled(NOW, StepId("a"), Seen.NOT_DONE, "me"))
        while made.requests:
            context.wait(timedelta(milliseconds=1))
        return ""

    made = bench(a_step("a"), kinds={"work": Made(do=ask_and_go_on)})

    made.engine().run()

    assert made.names() == ["run-started", "step-started a", "step-finished a", "run-finished"]


def test_stops_before_the_effect_when_another_coordinator_has_written(bench) -> None:
    made = bench(a_step("a"), kinds={"work": Made(do=fail)})
    engine = made.engine()
    made.journal.append("r@1", 2, to_wire(events.StepStarted(NOW, StepId("a"))))

    with pytest.raises(JournalConflict):
        engine.run()

    assert made.names() == ["run-started", "step-started a"]


def test_starts_nothing_when_another_coordinator_took_the_database_over(bench) -> None:
    def taken() -> None:
        raise Waiting("lease-held", "Another one works.")

    made = bench(a_step("a"), kinds={"work": Made(do=fail)}, demand_alone=taken)

    with pytest.raises(Waiting):
        made.engine().run()

    assert made.names() == ["run-started"]


def test_a_journal_that_fails_ends_the_waiting_of_the_other_steps(bench) -> None:
    class Full(SqliteJournal):
        def append(self, run: str, sequence: int, *records: str) -> None:
            if any('"step-finished"' in record for record in records):
                raise StepFailed("journal-unusable", "The disk is full.")
            super().append(run, sequence, *records)

    def wait(step: Step, context: Context) -> str:
        if step.id == "b":
            context.wait(timedelta(seconds=60))
        return ""

    made = bench(a_step("a"), a_step("b"), kinds={"work": Made(do=wait)})
    made.journal = Full(made.journal._file)
    began = datetime.now(UTC)

    with pytest.raises(StepFailed, match="disk is full"):
        made.engine().run()

    assert datetime.now(UTC) - began < timedelta(seconds=50)
    assert sorted(made.names()[1:]) == ["step-started a", "step-started b"]


@dataclass
class Fences:
    """A platform of which only the fence is asked, in the order of what else happens."""

    log: list[str]
    errors: list[Exception] = field(default_factory=list)

    def fence(self, run: str) -> None:
        self.log.append(f"fence {run}")
        if self.errors:
            raise self.errors.pop(0)


def fenced(made: Bench, platform: Fences) -> Engine:
    engine = made.engine()
    engine.ports.platform = lambda _: platform  # type: ignore[attr-defined]
    return engine


def of_service(name: str, *after: str, kind: str = "work") -> Step:
    return Step(StepId(name), kind, tuple(map(StepId, after)), service=ServiceName("shop"))


def test_takes_the_service_before_it_looks_at_it_and_before_it_takes_something_back(bench) -> None:
    log: list[str] = []
    work = Made(
        do=lambda step, _: log.append(f"do {step.id}") or "",
        look=lambda step, _: log.append(f"look {step.id}") or Seen.NOT_DONE,
        undo=lambda step, _: log.append(f"undo {step.id}") or "",
    )
    steps = (of_service("a"), a_step("b", "a", kind="bad"))
    made = bench(*steps, kinds={"work": work, "bad": Made(do=fail)})

    fenced(made, Fences(log)).run()

    assert log == ["fence r@1", "look a", "do a", "fence r@1", "undo a"]


def test_does_nothing_to_a_service_that_another_coordinator_took(bench) -> None:
    made = bench(of_service("a"), kinds={"work": Made(do=fail, look=lambda *_: fail())})
    engine = fenced(made, Fences([], [Waiting("fenced-off", "Another one took it.")]))

    assert engine.run() == ("a",)
    assert engine.state.status(StepId("a")) is Status.PENDING
    assert [problem.code for problem in engine.problems] == ["fenced-off"]


def test_a_way_back_that_may_not_touch_a_service_stays_open(bench) -> None:
    steps = (of_service("a"), a_step("b", "a", kind="bad"))
    made = bench(*steps, kinds={"work": Made(undo=fail), "bad": Made(do=fail)})
    platform = Fences([])
    made.kinds["work"].do = lambda *_: platform.errors.append(Waiting("fenced-off", "Another one.")) or ""

    engine = fenced(made, platform)

    assert engine.run() == ("a",)
    assert engine.state.status(StepId("a")) is Status.UNDOING
    assert engine.state.steps[StepId("a")].code == "fenced-off"
    assert engine.state.outcome is None


def test_a_platform_that_answers_the_fence_again_settles_a_doubt(bench) -> None:
    made = bench(of_service("a"), kinds={"work": Made(do=fail, look=lambda *_: Seen.DONE)})
    made.journal.append("r@1", 2, to_wire(events.StepStarted(NOW, StepId("a"))))
    platform = Fences([], [StepFailed("cluster-unreachable", "It does not answer.")])

    fenced(made, platform).run()

    assert fold("r@1", made.past()).outcome is Outcome.RELEASED
    assert len(made.watcher.notes) == 1


# -- an earlier command's clock -----------------------------------------------------------------------------


def _since_of(made: Bench, *, first: datetime, leap: timedelta = timedelta()) -> tuple[datetime, datetime]:
    """Return since when a step counts that an earlier command began, and when that was asked."""
    made.journal.append(
        "r@1",
        2,
        to_wire(events.StepStarted(first, StepId("a"))),
        to_wire(events.StepObserved(first, StepId("a"), Seen.NOT_DONE, "")),
    )
    found: list[datetime] = []
    made.kinds["work"].do = lambda _, context: found.append(context.since) or ""
    engine = made.engine()
    engine.clock_leap = leap
    engine.run()
    return found[0], datetime.now(UTC)


def test_a_window_counts_from_the_first_start_whichever_command_that_was(bench) -> None:
    made = bench(a_step("a"), kinds={"work": Made()})

    since, _ = _since_of(made, first=NOW)

    assert since == NOW
    assert made.watcher.notes == []


def test_a_window_is_not_cut_short_by_a_clock_that_was_set_forward(bench) -> None:
    made = bench(a_step("a"), kinds={"work": Made()})

    since, _ = _since_of(made, first=NOW, leap=timedelta(minutes=90))

    assert since == NOW + timedelta(minutes=90)
    assert made.watcher.notes == ["The clock was set forward by 90m since: that does not count."]


def test_a_window_that_began_in_the_future_counts_from_now_and_says_so(bench) -> None:
    made = bench(a_step("a"), kinds={"work": Made()})

    since, now = _since_of(made, first=NOW + timedelta(days=36_500))

    assert since <= now
    assert made.watcher.notes == ["The clock was set back since this began: its time counts from now."]
