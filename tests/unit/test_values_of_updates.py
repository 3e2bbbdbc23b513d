"""What an UPDATE sets, and what must be NULL for it to be NULL."""

from __future__ import annotations

import pytest

from coordinator.rehearse.written import made_by, set_by


@pytest.mark.parametrize(
    ("value", "needed"),
    [
        ("c", {"b": {"c"}}),
        ("7", {}),
        ("coalesce(c, b)", {"b": {"b"}}),
        ("coalesce(c, o.b)", {"b": {"coalesce", "c", "o", "b"}}),
        ("coalesce(c, 7)", {}),
        ("coalesce(c, NULL)", {"b": {"coalesce", "c", "null"}}),
    ],
)
def test_what_makes_a_value_null(value: str, needed: dict[str, set[str]]):
    assert made_by(f"UPDATE t SET b = {value} WHERE id = 1") == needed


def test_each_column_that_is_set():
    assert set(set_by('UPDATE t SET (a, "b") = (SELECT 1, 2), t.c = coalesce(c, 7) WHERE d = 1')) == {*"abc"}
