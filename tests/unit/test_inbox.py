"""What people ask of a run counts once, and for that which they looked at; on a real journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.adapters.journals.sqlite import SqliteJournal
from coordinator.app.requests import Inbox, leave
from coordinator.graph import Graph, Step, StepId
from coordinator.journal import events
from coordinator.journal.events import Event, from_wire, to_wire
from coordinator.journal.fold import RunState, Status, fold
from coordinator.journal.steps_on_wire import wire_from
from coordinator.world import Seen

RUN = "shop-2@1"
STEP = StepId("expand:shop:2_totals")
GRAPH = Graph((Step(STEP, "apply"),))
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Past:
    """A run's journal, in which a step is in doubt."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self._now = AT
        digests = {"plan": "digest"}
        self.append(events.RunStarted(AT, "shop-2", "plan.yaml", digests, wire_from(GRAPH), False, "0.1.0"))
        self.begin()
        self.append(events.StepObserved(self.later(), STEP, Seen.UNKNOWN, "stopped half-way"))

    def later(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def begin(self) -> None:
        self.append(events.StepStarted(self.later(), STEP))

    def append(self, event: Event) -> None:
        self.journal.append(RUN, len(self.journal.records(RUN)) + 1, to_wire(event))

    def state(self) -> RunState:
        return fold(RUN, map(from_wire, self.journal.records(RUN)))

    def settle(self, seen: Seen, line: int = 0, *, at: datetime | None = None) -> None:
        settled = events.StepSettled(at or self.later(), STEP, seen, "ann", line)
        leave(self.journal, self.state(), settled, holder=None)

    def take(self) -> list[Event]:
        """Do as the engine of a command does that begins: take what may count, and write it down."""
        taken = list(Inbox(self.journal, RUN).take(self.state()))
        for event in taken:
            self.append(event)
        return taken


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(SqliteJournal(tmp_path / "journal.db"))


def test_who_settles_a_step_again_before_the_next_run_is_taken_at_the_last_word(past: Past):
    past.settle(Seen.NOT_DONE, 9)
    past.settle(Seen.NOT_DONE, 3)

    past.take()

    assert past.state().steps[STEP].from_line == 3


def test_what_was_said_of_one_doubt_does_not_answer_the_next(past: Past):
    past.settle(Seen.NOT_DONE, 9)
    past.settle(Seen.NOT_DONE, 3)
    past.take()
    past.begin()  # and then it is killed

    assert past.take() == []
    assert past.state().status(STEP) is Status.STARTED


def test_a_settlement_that_came_when_another_had_been_taken_does_not_answer_the_next_doubt(past: Past):
    past.settle(Seen.NOT_DONE)
    before = past.state()
    past.take()
    leave(past.journal, before, events.StepSettled(past.later(), STEP, Seen.DONE, "bob"), holder=None)
    past.begin()

    assert past.take() == []


def test_who_has_another_clock_than_the_run_is_heard_all_the_same(past: Past):
    past.settle(Seen.DONE, at=AT - timedelta(hours=1))

    past.take()

    assert past.state().status(STEP) is Status.DONE
