"""Two runs of one query: the same, or a sentence about what is different."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.rehearsal_ports import VOLATILE, Column, Ran
from coordinator.sameness import difference

ID, TOTAL, BODY = Column("id", "integer"), Column("total", "numeric"), Column("body", "jsonb")


def ran(*rows: tuple[str | None, ...], columns: tuple[Column, ...] = (ID, TOTAL)) -> Ran:
    return Ran(rows, len(rows), columns)


def test_finds_nothing_where_the_rows_are_the_same() -> None:
    assert difference(ran(("1", "12.50")), ran(("1", "12.50"))) is None


def test_names_the_column_that_changed_and_both_values() -> None:
    said = difference(ran(("1", "12.50"), ("2", "3")), ran(("1", "1250"), ("2", "3")))

    assert said == "returned `total` as `12.50`, now `1250`"


def test_counts_the_rows_that_are_gone() -> None:
    said = difference(ran(("1", "1"), ("2", "2"), ("3", "3")), ran(("1", "1")))

    assert said == "returned 3 rows, of which 2 are gone"


def test_says_that_there_are_more_rows() -> None:
    assert difference(ran(("1", "1")), ran(("1", "1"), ("2", "2"))) == "returned 1 row, now 2"


def test_compares_columns_by_name_and_leaves_new_ones_out() -> None:
    here = ran((None, "1", "5"), columns=(Column("note", "text"), ID, TOTAL))

    assert difference(ran(("1", "5")), here) is None


def test_leaves_a_column_out_whose_type_writes_the_same_value_otherwise() -> None:
    at, at_zone = Column("at", "timestamp without time zone"), Column("at", "timestamp with time zone")

    assert (
        difference(
            ran(("2001-01-01 01:01:01",), columns=(at,)), ran(("2001-01-01 01:01:01+00",), columns=(at_zone,))
        )
        is None
    )


def test_compares_a_column_whose_type_became_a_wider_one() -> None:
    own, here = ran(("1",), columns=(ID,)), ran(("2",), columns=(Column("id", "bigint"),))

    assert difference(own, here) == "returned `id` as `1`, now `2`"


def test_leaves_a_column_out_that_is_volatile_in_either_run() -> None:
    assert difference(ran(("1", "5")), ran((VOLATILE, "5"))) is None
    assert difference(ran(("1", "5")), ran((VOLATILE, "6"))) == "returned `total` as `5`, now `6`"


def test_tells_null_from_a_volatile_value() -> None:
    assert difference(ran(("1", "5")), ran(("1", None))) == "returned `total` as `5`, now NULL"


def test_says_nothing_of_runs_that_cannot_be_compared() -> None:
    assert difference(Ran((), None), ran(("1", "5"))) is None


def test_takes_json_with_more_keys_for_the_same() -> None:
    own = ran(("1", "1 id"), columns=(ID, BODY))

    assert difference(own, ran(("1", "1 2 id new"), columns=(ID, BODY))) is None
    assert difference(own, ran(("1", "2 id"), columns=(ID, BODY))) is not None


def test_sees_that_another_value_is_written() -> None:
    own = Ran((), 1, (), written=ran(("1", "5")))

    assert difference(own, Ran((), 1, (), written=ran(("1", None)))) == "wrote `total` as `5`, now NULL"


def test_leaves_a_written_column_out_whose_type_changed() -> None:
    own = Ran((), 1, (), written=ran(("1", "5")))
    here = Ran((), 1, (), written=ran(("1", "5.0"), columns=(ID, Column("total", "double precision"))))

    assert difference(own, here) is None


@pytest.mark.parametrize(
    ("was", "became", "value", "now"),
    [
        ("datetime", "date", "2001-02-03 03:04:05", "2001-02-03"),
        ("decimal", "int", "1.50", "2"),
        ("TEXT", "INTEGER", "'007'", "7"),
    ],
)
def test_sees_that_a_value_is_turned_into_another_type_with_a_loss(was, became, value, now):
    own = Ran((), 1, (), written=ran((value,), columns=(Column("v", was),)))
    here = Ran((), 1, (), written=ran((now,), columns=(Column("v", became),)))

    assert difference(own, here) is not None


@pytest.mark.parametrize(
    ("was", "became", "value", "now"),
    [
        ("datetime", "timestamp", "2001-02-03 03:04:05", "2001-02-03 03:04:05"),
        ("int", "decimal", "5", "5.00"),
        ("INTEGER", "TEXT", "5", "'5'"),
        ("INTEGER", "REAL", "5", "5.0"),
    ],
)
def test_says_nothing_of_a_value_that_only_another_type_writes_otherwise(was, became, value, now):
    own = Ran((), 1, (), written=ran((value,), columns=(Column("v", was),)))
    here = Ran((), 1, (), written=ran((now,), columns=(Column("v", became),)))

    assert difference(own, here) is None


def test_counts_rows_that_were_written_as_they_were_only_where_both_can_tell():
    touched = replace(ran(("1", "5"), ("2", "6")), present=(("1", "4"), ("2", "6")))
    changed = replace(ran(("1", "5")), only_changed=True, present=(("1", "4"), ("2", "6")))

    assert difference(Ran((), 1, (), touched), Ran((), 1, (), changed)) is None
    assert difference(Ran((), 1, (), touched), Ran((), 1, (), ran(("1", "5")))) is not None


def test_compares_columns_by_place_where_no_names_are_known() -> None:
    assert difference(Ran((("1",),), 1), Ran((("2",),), 1)) == "returned `column 1` as `1`, now `2`"
