"""The plain form's heartbeat, and which rows a small terminal shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coordinator.cli.watching import Plain, that_fit
from coordinator.engine.ahead import NOT_BEGUN
from coordinator.graph import Graph, Step, StepId
from coordinator.journal import events
from coordinator.journal.fold import RunState, fold
from coordinator.journal.steps_on_wire import wire_from
from coordinator.world import Seen

START = datetime(2026, 1, 1, tzinfo=UTC)
MONITOR = StepId("monitor:shop")


def monitoring() -> RunState:
    graph = Graph((Step(MONITOR, "monitor"),))
    started = events.RunStarted(
        START, "shop-1.5", "plan.yaml", {}, wire_from(graph), supersedes=False, coordinator="1"
    )
    return fold("shop-1.5@2", [started, events.StepStarted(START, MONITOR)])


def seconds(count: int) -> datetime:
    return START + timedelta(seconds=count)


def test_a_heartbeat_breaks_a_long_silence_and_not_a_short_one(capsys):
    plain = Plain(is_coloured=False, heartbeat=timedelta(seconds=30))
    plain.saw(events.StepStarted(START, MONITOR), monitoring())
    capsys.readouterr()

    plain.ticked(monitoring(), now=seconds(29))
    assert capsys.readouterr().err == ""

    plain.ticked(monitoring(), now=seconds(30))
    assert "shop-1.5@2: under way for 30 s, 0 of 1 steps done; now monitor:shop" in capsys.readouterr().err

    plain.ticked(monitoring(), now=seconds(59))
    assert capsys.readouterr().err == ""

    plain.ticked(monitoring(), now=seconds(60))
    assert "under way for 1 min 00 s" in capsys.readouterr().err


def test_a_heartbeat_comes_also_where_no_event_was_seen(capsys):
    plain = Plain(is_coloured=False, heartbeat=timedelta(seconds=30))

    plain.ticked(monitoring(), now=START)
    plain.ticked(monitoring(), now=seconds(31))

    assert "under way" in capsys.readouterr().err


def test_what_was_not_begun_with_its_group_is_no_line(capsys):
    plain = Plain(is_coloured=False, heartbeat=timedelta(seconds=30))

    plain.saw(events.StepObserved(START, MONITOR, Seen.NOT_DONE, NOT_BEGUN), monitoring())
    assert capsys.readouterr().err == ""

    plain.saw(events.StepObserved(START, MONITOR, Seen.NOT_DONE, "nobody watched"), monitoring())
    assert "monitor:shop was in doubt; the world says" in capsys.readouterr().err


def test_later_lines_of_a_message_stand_under_its_first(capsys):
    plain = Plain(is_coloured=False, heartbeat=timedelta(seconds=30))

    plain.noted(MONITOR, "first\nsecond")

    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("  monitor:shop: first")
    assert second == "         second"


def test_what_others_wrote_cannot_steer_the_terminal(capsys):
    plain = Plain(is_coloured=True, heartbeat=timedelta(seconds=30))

    plain.noted(MONITOR, "cleared\x1b[2J\rgone")

    assert capsys.readouterr().err.endswith("monitor:shop: cleared\\x1b[2J\\x0dgone\n")


def rows(done: int, pending: int) -> tuple[tuple[str, str, str, str], ...]:
    signs = ["✔"] * done + ["▶"] + ["·"] * pending
    return tuple((sign, f"step-{at}", "", "") for at, sign in enumerate(signs))


def test_all_rows_are_shown_where_they_fit():
    assert that_fit(rows(3, 3), 24) == rows(3, 3)


def test_a_small_terminal_shows_what_is_going_on_and_counts_the_rest():
    shown = that_fit(rows(50, 50), 24)

    assert len(shown) <= 24 - 6
    assert "▶" in [sign for sign, *_ in shown]
    assert [name for _, name, *_ in (shown[0], shown[-1])] == ["45 more before", "40 more after"]


def test_the_smallest_terminal_shows_the_busy_step():
    assert "▶" in [sign for sign, *_ in that_fit(rows(50, 50), 1)]
