"""What a query did to other tables at its own state, and does not do here: a sentence, or no loss."""

from __future__ import annotations

import pytest

from coordinator.rehearsal_ports import Effect, Ran
from coordinator.sameness import difference, loss

AUDITED, DELETED, CHANGED = Effect("audit", 0, 2), Effect("item", 3, 0), Effect("item", 3, 3)


def done(*effects: Effect) -> Ran:
    return Ran((), 1, beside=effects)


@pytest.mark.parametrize(
    ("own", "here", "expected"),
    [
        (AUDITED, None, "added 2 rows to `audit`, now 0"),
        (AUDITED, Effect("audit", 0, 1), "added 2 rows to `audit`, now 1"),
        (DELETED, CHANGED, "took 3 rows away from `item`, now 0"),
        (CHANGED, DELETED, "changed 3 rows of `item`, now 0"),
        (AUDITED, AUDITED, None),
        (AUDITED, Effect("audit", 0, 4), None),
        (AUDITED, Effect("log", 0, 2), None),
        (None, AUDITED, None),
    ],
)
def test_says_what_is_done_no_more(own: Effect | None, here: Effect | None, expected: str | None) -> None:
    runs = [done(*([] if each is None else [each])) for each in (own, here)]

    assert loss(*runs, missing=()) == expected


def test_what_would_be_gone_from_a_missing_table_is_no_loss() -> None:
    assert loss(done(DELETED), done(), missing={"item"}) is None
    assert loss(done(CHANGED), done(), missing={"item"}) is None
    assert loss(done(AUDITED), done(), missing={"audit"}) == "added 2 rows to `audit`, now 0"


def test_one_table_stands_in_for_one_other_alone() -> None:
    own = done(AUDITED, Effect("events", 0, 2))

    assert loss(own, done(Effect("log", 0, 2)), missing=()) == "added 2 rows to `events`, now 0"


def test_what_is_drawn_by_lot_is_no_loss() -> None:
    assert loss(done(AUDITED), Ran((), None), missing=()) is None


def test_a_table_that_grows_by_fewer_rows_is_a_difference() -> None:
    said = difference(Ran((), 1, growth=1), Ran((), 1, growth=0))

    assert said == "changed the number of rows in its table by +1, now by +0"
    assert difference(Ran((), 1, growth=1), Ran((), 1)) is None
