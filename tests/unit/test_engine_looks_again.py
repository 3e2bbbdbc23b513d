"""A step that nobody could tell of: the next command looks once more, and asks a person only then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fixtures.engine_bench import NOW, Bench, Made, a_step

from coordinator.adapters.journals.sqlite import SqliteJournal
from coordinator.engine import jobs
from coordinator.engine import run as loop
from coordinator.errors import InDoubt, Waiting
from coordinator.graph import Graph, Step, StepId
from coordinator.journal import events
from coordinator.journal.events import Outcome
from coordinator.journal.fold import Status, fold
from coordinator.steps import Context
from coordinator.world import Seen

A = StepId("a")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    monkeypatch.setattr(loop, "_TICK", 0.01)
    monkeypatch.setattr(jobs, "_PAUSES", (0.0,))

    def make(code: str = "half-applied", **more: Any) -> Bench:
        def doubt(*_: object) -> str:
            raise InDoubt(code, "Nobody knows.")

        steps = Graph((a_step("a"), a_step("b", "a", kind="next")))
        made = Bench(
            SqliteJournal(tmp_path / "journal"), steps, {"work": Made(do=doubt), "next": Made()}, **more
        )
        made.begin()
        assert made.engine().run() == (A,)
        return made

    return make


def status(made: Bench) -> Status:
    return fold("r@1", made.past()).status(A)


def never(*_: object) -> str:
    raise AssertionError("it is not done twice")


def test_what_the_world_has_by_then_is_done_and_not_done_again(bench) -> None:
    made = bench()
    contexts: list[Context] = []

    def look(_: Step, context: Context) -> Seen:
        contexts.append(context)
        return Seen.DONE

    made.kinds["work"] = Made(do=never, look=look)
    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.RELEASED
    assert made.names().count("step-started a") == 1
    assert contexts[0].in_doubt, "it is looked at under the tool's locks"


@pytest.mark.parametrize("seen", [Seen.NOT_DONE, Seen.UNKNOWN])
def test_what_the_world_does_not_have_is_asked_of_a_person_still(seen: Seen, bench) -> None:
    made = bench()
    before, looks = made.past(), []
    made.kinds["work"] = Made(do=never, look=lambda *_: looks.append(1) or seen)

    assert made.engine().run() == (A,)

    assert len(looks) == 1
    assert made.past() == before, "what it was in doubt about stays to be read"


def test_a_doubt_about_more_than_the_step_is_left_to_a_person(bench) -> None:
    made = bench("migration-ran-further")
    made.kinds["work"] = Made(do=never, look=never)

    assert made.engine().run() == (A,)
    assert status(made) is Status.UNKNOWN


def test_a_look_that_is_in_vain_is_named_and_changes_nothing(bench) -> None:
    def hold(*_: object) -> Seen:
        raise Waiting("migration-lock-held", "Somebody has it.")

    made = bench()
    made.kinds["work"] = Made(do=never, look=hold)
    engine = made.engine()

    assert engine.run() == (A,)

    assert [each.code for each in engine.problems] == ["migration-lock-held"]
    assert status(made) is Status.UNKNOWN


def test_a_bug_of_the_look_is_raised(bench) -> None:
    made = bench()
    made.kinds["work"] = Made(do=never, look=lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        made.engine().run()


@pytest.mark.parametrize("found", [Seen.DONE, Seen.NOT_DONE])
def test_what_a_person_says_while_it_is_looked_at_counts_and_the_look_does_not(found: Seen, bench) -> None:
    made = bench()
    began: list[str] = []

    def ask_meanwhile(_: Step, context: Context) -> Seen:
        if context.in_doubt:
            made.requests.append(events.StepSettled(NOW, A, Seen.NOT_DONE, "me"))
            while made.requests:
                context.wait(timedelta(milliseconds=1))
            return found
        return Seen.NOT_DONE

    made.kinds["work"] = Made(do=lambda *_: began.append("a") or "", look=ask_meanwhile)
    made.engine().run()

    assert began == ["a"]
    assert fold("r@1", made.past()).outcome is Outcome.RELEASED


def test_a_run_that_turned_back_does_not_look_again(bench) -> None:
    made = bench()
    made.kinds["work"] = Made(do=never, look=never)
    made.requests.append(events.RollbackStarted(NOW, "asked for", False))

    made.engine().run()

    assert fold("r@1", made.past()).outcome is Outcome.ROLLED_BACK
