from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import InDoubt
from coordinator.journal import events
from coordinator.journal.events import TYPES, Event, Outcome, from_wire, name_of, to_wire
from coordinator.world import Seen

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_TIMES = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
_STEPS = st.lists(st.dictionaries(_TEXT, _TEXT | st.integers() | st.booleans(), max_size=3), max_size=3)
_FIELDS = {
    "at": _TIMES,
    "seen": st.sampled_from(Seen),
    "outcome": st.sampled_from(Outcome),
    "inputs": st.dictionaries(_TEXT, _TEXT, max_size=3),
    "graph": _STEPS.map(tuple),
    "supersedes": st.booleans(),
    "passed": st.integers(),
    "total": st.integers(),
    "per_second": st.floats(allow_nan=False, allow_infinity=False),
    "automatic": st.booleans(),
    "accepted": st.lists(_TEXT, max_size=3).map(tuple),
}


def any_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    return st.builds(kind, **{each.name: _FIELDS.get(each.name, _TEXT) for each in fields(kind)})


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_every_event_survives_the_wire(kind: type[Event]):
    @given(any_of(kind))
    def survives(event: Event) -> None:
        wire = to_wire(event)

        assert "\n" not in wire
        assert from_wire(wire) == event

    survives()


def test_the_wire_names_its_version_the_type_and_the_time():
    event = events.UndoStarted(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "switch:app")

    assert json.loads(to_wire(event)) == {
        "v": 1,
        "type": "undo-started",
        "at": "2026-01-02T03:04:05+00:00",
        "step": "switch:app",
    }


@pytest.mark.parametrize(
    "record",
    [
        '{"v": 2, "type": "step-started", "at": "2026-01-02T03:04:05+00:00", "step": "a"}',
        '{"v": 1, "type": "step-dreamt", "at": "2026-01-02T03:04:05+00:00", "step": "a"}',
        '{"v": 1, "type": "step-started", "at": "2026-01-02T03:04:05+00:00"}',
        '{"v": 1, "type": "step-started", "at": "2026-01-02T03:04:05+00:00", "step": "a", "mood": "good"}',
        '{"v": 1, "type": "step-started", "at": "yesterday", "step": "a"}',
        '{"v": 1, "type": "run-finished", "at": "2026-01-02T03:04:05+00:00", "outcome": "perhaps"}',
        '{"v": 1, "type": "step-observed", "at": "2026-01-02T03:04:05+00:00", "step": "a", "seen": "?"}',
        '{"v": [], "type": "step-started"}',
        '{"type": "step-started"}',
        "[]",
        '"a text"',
        "7",
        "null",
        "{",
        "",
    ],
)
def test_what_cannot_be_read_is_in_doubt_and_not_guessed(record: str):
    with pytest.raises(InDoubt) as caught:
        from_wire(record)

    assert caught.value.code == "journal-unreadable"
    assert "move it away" in caught.value.next_step


def test_every_event_has_one_name():
    assert sorted(TYPES) == sorted({name_of(kind.__new__(kind)) for kind in TYPES.values()})
