"""How many rows a batch of a backfill has, how long it rests, and what it says about the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures.backfilling import COUNT_UP

from coordinator.backfills.pace import FIRST, Pace
from coordinator.backfills.progress import Progress
from coordinator.model import Engine


def pace_of(engine: Engine = Engine.POSTGRESQL, **settings: object) -> Pace:
    return Pace.of(replace(COUNT_UP, **settings), engine)


def test_a_batch_grows_until_it_takes_as_long_as_it_should() -> None:
    pace, speed = pace_of(), 50_000.0

    for _ in range(5):
        pace = pace.after(pace.rows, pace.rows / speed)

    assert pace.rows / speed == pytest.approx(pace.seconds, rel=0.01)
    assert pace.rows > FIRST


def test_a_batch_does_not_grow_beyond_four_times_the_last() -> None:
    assert pace_of().after(FIRST, 0.0001).rows == 4 * FIRST


@pytest.mark.parametrize("engine", Engine)
def test_a_slowed_backfill_works_in_pieces_that_are_smallest_where_a_commit_waits_for_nothing(
    engine: Engine,
) -> None:
    whole, half, tenth = (pace_of(engine, percent=each).seconds for each in (100, 50, 10))

    assert whole > half >= tenth
    assert (half < 0.01) is (engine is Engine.POSTGRESQL)


def test_a_batch_whose_rows_are_held_is_halved_until_it_has_one_row() -> None:
    pace = pace_of()

    assert pace.after_busy().rows == FIRST // 2
    assert replace(pace, rows=1).after_busy().rows == 1


def test_others_get_longer_and_longer_to_pass_up_to_some_seconds() -> None:
    pace = pace_of()
    pauses = []
    for _ in range(12):
        pace = pace.after_busy()
        pauses.append(pace.pause.total_seconds())

    assert pauses == sorted(pauses)
    assert pauses[0] < 0.2
    assert pauses[-1] == 5


def test_at_half_of_the_time_it_rests_as_long_as_it_works() -> None:
    assert pace_of(percent=50).rest(1000, 0.2).total_seconds() == pytest.approx(0.2)
    assert pace_of(percent=20).rest(1000, 0.2).total_seconds() == pytest.approx(0.8)
    assert pace_of().rest(1000, 0.2).total_seconds() == 0


def test_at_a_rate_of_rows_it_rests_until_the_rate_holds_and_no_batch_is_larger_than_a_second_of_it() -> None:
    pace = pace_of(rows_per_second=500)

    assert pace.rows == 500
    assert pace.rest(500, 0.3).total_seconds() == pytest.approx(0.7)
    assert pace.after(500, 0.001).rows == 500


def test_a_sole_writer_lets_others_write_in_between() -> None:
    assert pace_of(Engine.SQLITE).rest(1000, 0.1).total_seconds() > 0


def test_progress_says_about_how_much_time_is_left_and_never_that_it_is_done() -> None:
    assert Progress(250_000, 1_000_000, 25_000).told == (
        "250,000 rows of about 1,000,000 (25 %), 25,000 rows/s, about 30 s left"
    )
    assert "about 2.1 h left" in Progress(0, 7_500, 1).told
    assert "(99 %)" in Progress(1_200_000, 1_000_000, 10).told
    assert "left" not in Progress(1_200_000, 1_000_000, 10).told
    assert Progress(10, 0, 0).told == "10 rows"
