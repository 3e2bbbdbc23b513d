"""The clock of every command, which nobody can set while it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from fixtures.engine_bench import Bench, Made, a_step

from coordinator.adapters import clock as machine
from coordinator.adapters.clock import SystemClock
from coordinator.adapters.journals.sqlite import SqliteJournal
from coordinator.graph import Graph, StepId
from coordinator.journal import events
from coordinator.journal.events import to_wire

NOW = datetime(2026, 11, 29, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_it_tells_utc():
    assert SystemClock().now().utcoffset() == timedelta(0)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_machine_whose_clock_is_set_moves_no_deadline(jump: timedelta, monkeypatch: pytest.MonkeyPatch):
    passed, told = [7.0], [NOW]
    monkeypatch.setattr(machine, "time", SimpleNamespace(monotonic=lambda: passed[-1]))
    monkeypatch.setattr(machine, "datetime", SimpleNamespace(now=lambda _: told[-1]))
    clock = SystemClock()

    told.append(NOW + jump)
    passed.append(9.0)

    assert clock.now() == NOW + timedelta(seconds=2)


def test_a_step_that_began_later_than_now_begins_now(tmp_path):
    begun: list[timedelta] = []
    kind = Made(do=lambda _, context: str(begun.append(context.since - context.ports.clock.now())))
    made = Bench(SqliteJournal(tmp_path / "journal"), Graph([a_step("a")]), {"work": kind})
    made.begin()
    later = SystemClock().now() + HOUR
    made.journal.append("r@1", 2, to_wire(events.StepStarted(later, StepId("a"))))

    made.engine().run()

    assert begun[0] <= timedelta()
