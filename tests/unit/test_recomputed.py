"""Which USING of an ALTER TABLE gives a column other values, and which the same in another type."""

from __future__ import annotations

import pytest

from coordinator.rehearse.recomputed import Recomputed, recomputed_by


@pytest.mark.parametrize(
    "expression",
    [
        "price",
        '"price"',
        "t.price",
        "price::integer",
        "(price)::text::integer",
        "((price::numeric(10, 2)))",
        "CAST(price AS integer)",
        "CAST(price::text AS numeric(10,2))",
        "CAST(CAST(price AS text) AS shop.money)",
        "price::double precision",
        "price::text[]",
        "price AT TIME ZONE 'UTC'",
        "price::timestamp AT TIME ZONE 'utc'",
        'price::text COLLATE "C"',
        "price /* as it is */ ::integer",
    ],
)
def test_a_cast_writes_the_values_that_were_there(expression: str):
    assert list(recomputed_by(f"ALTER TABLE t ALTER price TYPE integer USING {expression};")) == []


@pytest.mark.parametrize(
    "expression",
    [
        "price * 100",
        "(price * 100)::integer",
        "price::integer * 100",
        "price::boolean AND true",
        "price::integer IN (1, 2)",
        "lower(price)",
        "CAST(price * 100 AS integer)",
        "CAST(lower(price) AS text)",
        "other",
        "other::integer",
        "price AT TIME ZONE 'Europe/Berlin'",
        "CASE WHEN price > 0 THEN 1 ELSE 0 END",
        "nullif(price, '')::integer",
        "(price)::integer + (price)",
        "(price) + (price)",
        "price + (1)",
        "NOT price",
        "5",
    ],
)
def test_whatever_is_no_cast_gives_other_values(expression: str):
    [found] = recomputed_by(f"ALTER TABLE t ALTER price TYPE integer USING {expression};")

    assert found == Recomputed("t", "price")


def test_each_column_of_each_statement_is_told_with_its_table():
    text = """-- a comment, with a comma and USING
CREATE INDEX i ON t USING btree (a);
ALTER TABLE IF EXISTS ONLY shop."T x" ALTER COLUMN "A" SET DATA TYPE text USING coalesce("A", 'x, y'),
    ALTER b TYPE numeric(10, 2), ALTER c TYPE integer USING (c * 2), ADD d text;
ALTER TABLE u * ALTER e TYPE text USING upper(e)
"""

    assert list(recomputed_by(text)) == [Recomputed("t x", "a"), Recomputed("t x", "c"), Recomputed("u", "e")]
