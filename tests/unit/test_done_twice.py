"""What a range that comes twice leaves otherwise: what is certain, and what nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from fixtures.backfilling import COUNT_UP

from coordinator.rehearse.rows import Rows
from coordinator.rehearse.twice import Content, Repeated, done_twice

COLUMNS = ("id", "n", "at")


def content(items: Sequence[tuple[str, ...]], *others: str, table: str = "public.items") -> Content:
    return {table: Rows(COLUMNS, items), "public.others": Rows(("id",), [(each,) for each in others])}


ONCE = content([("1", "1", "10:00"), ("2", "1", "10:00")], "1")


def seen(twice: Content, other: Content = ONCE) -> Repeated | None:
    return done_twice(COUNT_UP, once=ONCE, twice=twice, anew=lambda: other)


def test_the_same_rows_in_another_order_are_the_same_and_nobody_is_asked_again() -> None:
    twice = content([("2", "1", "10:00"), ("1", "1", "10:00")], "1")

    def anew() -> Content:
        raise AssertionError("it is not asked")

    assert done_twice(COUNT_UP, once=ONCE, twice=twice, anew=anew) is None


def test_a_value_that_a_first_time_leaves_always_the_same_is_certain() -> None:
    found = seen(content([("1", "2", "10:00"), ("2", "2", "10:00")], "1"))

    assert found == Repeated("`public.items.n` is not what the first time left", is_certain=True)


def test_a_value_that_a_trigger_may_have_written_is_not_certain() -> None:
    twice = content([("1", "2", "10:00"), ("2", "2", "10:00")], "1")
    once = {name: replace(rows, has_trigger=True) for name, rows in ONCE.items()}

    found = done_twice(COUNT_UP, once=once, twice=twice, anew=lambda: once)

    assert found == Repeated("`public.items.n` is not what the first time left", is_certain=False)


def test_a_value_that_each_first_time_leaves_otherwise_tells_nothing() -> None:
    later = content([("1", "1", "10:02"), ("2", "1", "10:02")], "1")

    found = seen(content([("1", "1", "10:01"), ("2", "1", "10:01")], "1"), later)

    assert found == Repeated("nobody can tell: it writes `public.items.at` anew each time", is_certain=False)


def test_a_time_beside_it_does_not_hide_a_value_that_changes() -> None:
    later = content([("1", "1", "10:02"), ("2", "1", "10:02")], "1")

    found = seen(content([("1", "2", "10:01"), ("2", "2", "10:01")], "1"), later)

    assert found == Repeated("`public.items.n` is not what the first time left", is_certain=True)


def test_values_that_change_their_rows_each_time_tell_nothing() -> None:
    swapped = content([("1", "1", "10:00"), ("2", "2", "10:00")], "1")
    once = content([("1", "2", "10:00"), ("2", "1", "10:00")], "1")

    found = done_twice(COUNT_UP, once=once, twice=swapped, anew=lambda: swapped)

    assert found == Repeated("nobody can tell: `public.items` has other rows each time", is_certain=False)


def test_other_rows_in_another_table_may_be_meant() -> None:
    found = seen(content(ONCE["public.items"].rows, "1", "2", "3"))

    assert found == Repeated("`public.others` has 2 rows more than after the first time", is_certain=False)


def test_what_is_certain_is_said_first() -> None:
    found = seen(content([("1", "1", "10:00")]))

    assert found == Repeated("`public.items` has 1 row fewer than after the first time", is_certain=True)


@pytest.mark.parametrize(
    ("meant", "is_certain"), [("public.items", True), ("items", False), ("more.items", False)]
)
def test_nothing_is_certain_where_two_tables_may_be_meant(meant: str, is_certain: bool) -> None:
    once = {**ONCE, "more.items": Rows(COLUMNS, [])}
    twice = {**once, "public.items": Rows(COLUMNS, [])}

    found = done_twice(replace(COUNT_UP, table=meant), once=once, twice=twice, anew=lambda: once)

    assert found is not None
    assert found.is_certain is is_certain
