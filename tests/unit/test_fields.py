from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from coordinator.fields import Duration, PositiveDuration, text_from

DURATION = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "duration", "written"),
    [
        ("0s", timedelta(), "0s"),
        ("0ms", timedelta(), "0s"),
        ("1ms", timedelta(milliseconds=1), "1ms"),
        ("1500ms", timedelta(milliseconds=1500), "1500ms"),
        ("60s", timedelta(minutes=1), "1m"),
        ("90s", timedelta(seconds=90), "90s"),
        ("24h", timedelta(days=1), "1d"),
        ("366d", timedelta(days=366), "366d"),
    ],
)
def test_reads_a_duration_and_writes_it_in_its_largest_unit(text, duration, written):
    assert DURATION.validate_python(text) == duration
    assert text_from(duration) == written


@pytest.mark.parametrize(
    "text", ["", "1", "s", "1.5s", "-1s", "1 s", "1S", "1w", "367d", "999999999d", "٣s", 5, None]
)
def test_refuses_what_is_no_duration(text):
    with pytest.raises(ValidationError) as refused:
        DURATION.validate_python(text)

    assert [each["type"] for each in refused.value.errors()] == ["bad-duration"]


def test_nothing_is_no_positive_duration():
    with pytest.raises(ValidationError):
        TypeAdapter(PositiveDuration).validate_python("0s")
