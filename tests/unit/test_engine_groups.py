"""Migrations that are begun together, and performed in one go where their kind of step can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.engine_bench import Bench, Made

from coordinator.adapters.journals.sqlite import SqliteJournal
from coordinator.engine import ahead, jobs
from coordinator.engine import run as loop
from coordinator.engine.ahead import NOT_BEGUN
from coordinator.engine.run import Engine
from coordinator.errors import CoordinatorError, DatabaseError, StepFailed
from coordinator.graph import Graph, Step, StepId
from coordinator.journal.fold import Status
from coordinator.model import DatabaseName
from coordinator.steps import Context
from coordinator.world import Seen

SHOP = DatabaseName("shop")


@dataclass
class Together(Made):
    """A kind of step of which several may be performed in one go."""

    do_all: Callable[[Sequence[Step], Sequence[Context]], Sequence[str]] = lambda *_: ()
    asked: list[list[str]] = field(default_factory=list)

    def perform_all(self, steps: Sequence[Step], contexts: Sequence[Context]) -> Sequence[str]:
        self.asked.append([each.id for each in steps])
        return self.do_all(steps, contexts)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """Return what runs seven migrations, in groups of one, two and four, and returns what came of it."""
    monkeypatch.setattr(loop, "_TICK", 0.01)
    monkeypatch.setattr(jobs, "_PAUSES", (0.0,))
    monkeypatch.setattr(ahead, "_QUICK", timedelta(minutes=1))
    monkeypatch.setattr(Engine, "_is_whole", lambda *_: True)

    def run(kind: Together) -> Bench:
        names = [f"m{number}" for number in range(1, 8)]
        before = [(), *((StepId(each),) for each in names)]
        steps = (
            Step(StepId(name), "apply", after, database=SHOP)
            for name, after in zip(names, before, strict=False)
        )
        made = Bench(SqliteJournal(tmp_path / "journal"), Graph(tuple(steps)), {"apply": kind})
        made.begin()
        made.engine().run()
        return made

    return run


def statuses(bench: Bench) -> dict[str, Status]:
    state = bench.engine().state
    return {each.id: state.status(each.id) for each in bench.graph}


def test_several_are_performed_in_one_go_and_each_is_done(run: Callable[..., Bench]) -> None:
    alone: list[str] = []
    kind = Together(do=lambda step, _: alone.append(step.id) or "alone")
    kind.do_all = lambda steps, _: [f"with {len(steps)}" for _ in steps]

    made = run(kind)

    assert kind.asked == [["m2", "m3"], ["m4", "m5", "m6", "m7"]]
    assert alone == ["m1"], "one is not several"
    assert set(statuses(made).values()) == {Status.DONE}
    assert made.engine().state.steps[StepId("m5")].detail == "with 4"


def test_what_was_not_done_in_one_go_is_done_alone_and_the_rest_is_tried_together_again(
    run: Callable[..., Bench],
) -> None:
    alone: list[str] = []
    kind = Together(do=lambda step, _: alone.append(step.id) or "")
    kind.do_all = lambda steps, _: ["" for each in steps if each.id not in ("m5", "m6", "m7")]

    made = run(kind)

    assert kind.asked[1:] == [["m4", "m5", "m6", "m7"], ["m5", "m6", "m7"], ["m6", "m7"]]
    assert alone == ["m1", "m5", "m6", "m7"]
    assert set(statuses(made).values()) == {Status.DONE}


def test_one_that_fails_alone_behind_them_stops_the_rest(run: Callable[..., Bench]) -> None:
    def fail(step: Step, _: Context) -> str:
        if step.id == "m5":
            raise StepFailed("statement-failed", "no")
        return ""

    made = run(Together(do=fail, do_all=lambda steps, _: ["" for each in steps if each.id < "m5"]))

    assert list(statuses(made).values())[3:] == [Status.DONE, Status.FAILED, Status.PENDING, Status.PENDING]
    assert made.engine().state.steps[StepId("m6")].detail == NOT_BEGUN


def test_a_connection_that_is_lost_leaves_each_of_them_in_doubt_until_it_is_looked_at(
    run: Callable[..., Bench],
) -> None:
    looked: list[str] = []

    def look(step: Step, context: Context) -> Seen:
        if not context.in_doubt:
            return Seen.NOT_DONE
        looked.append(step.id)
        return Seen.DONE if step.id < "m6" else Seen.NOT_DONE

    def lose_once(steps: Sequence[Step], _: Sequence[Context]) -> Sequence[str]:
        if steps[0].id == "m4":
            raise DatabaseError("connection-lost", "gone", ambiguous=True)
        return ["" for _ in steps]

    made = run(Together(look=look, do_all=lose_once))

    assert looked == ["m4", "m5", "m6", "m7"]
    assert set(statuses(made).values()) == {Status.DONE}


@pytest.mark.parametrize("error", [StepFailed("bad-file", "no"), DatabaseError("statement-failed", "no")])
def test_an_error_with_nothing_done_is_met_again_by_each_alone(
    error: CoordinatorError, run: Callable[..., Bench]
) -> None:
    def refuse(*_: object) -> Sequence[str]:
        raise error

    made = run(Together(do_all=refuse))

    assert set(statuses(made).values()) == {Status.DONE}


def test_a_bug_is_raised_as_it_is(run: Callable[..., Bench]) -> None:
    def stumble(*_: object) -> Sequence[str]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Together(do_all=stumble))
