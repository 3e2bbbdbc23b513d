"""Which column a parameter stands for, as the text and the planner tell it."""

from __future__ import annotations

import pytest

from coordinator.adapters.rehearsals._postgresql.bindings import (
    Binding,
    compared,
    highest_parameter,
    limits,
    written,
)
from coordinator.adapters.rehearsals._postgresql.hints import literals


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("INSERT INTO a (x, y) VALUES ($1, lower($2))", {1: "x", 2: "y"}),
        ("INSERT INTO a (x, y) VALUES ($1, 'b, $9'), ($3, $4)", {1: "x", 3: "x", 4: "y"}),
        ("INSERT INTO a VALUES (coalesce($1, 1), $2)", {1: "first", 2: "second"}),
        ("insert into a (x) select unnest($1::int[]) from b where c = $2", {1: "x"}),
        ("INSERT INTO a (x) VALUES ($1) ON CONFLICT (x) DO UPDATE SET y = $2, z = now()", {1: "x", 2: "y"}),
        (
            "INSERT INTO a (x, y) VALUES (coalesce((SELECT id FROM b WHERE (c) = $1), $2), (select $3))",
            {2: "x"},
        ),
        ("UPDATE a SET x = $1, y = greatest(y, $2) WHERE z = $3", {1: "x", 2: "y"}),
        ("UPDATE a AS t SET x = $1 -- $2\nRETURNING *", {1: "x"}),
        ("SELECT 1 FROM a WHERE x = $1 FOR UPDATE", {}),
    ],
)
def test_reads_from_the_text_what_is_written(text: str, columns: dict[int, str]) -> None:
    found = written(text, {"a": ("first", "second")})

    assert found == {number: Binding("a", column, is_written=True) for number, column in columns.items()}


def test_reads_from_the_plan_what_is_compared() -> None:
    plan = {
        "Node Type": "Nested Loop",
        "Plans": [
            {
                "Relation Name": "orders",
                "Schema": "public",
                "Alias": "o",
                "Filter": "((o.total > $2) AND (o.state = ANY ($3)))",
            },
            {
                "Relation Name": "Odd",
                "Schema": "public",
                "Alias": "Odd",
                "Index Cond": '(lower(("Odd"."E mail")::text) = lower($1))',
            },
        ],
    }

    assert compared(plan) == {
        1: Binding('"public"."Odd"', "E mail", is_written=False),
        2: Binding('"public"."orders"', "total", is_written=False),
        3: Binding('"public"."orders"', "state", is_written=False),
    }


def test_knows_the_parameters_of_limit_and_offset() -> None:
    assert limits("SELECT 1 LIMIT $2 OFFSET $1") == {1: "0", 2: "10"}


def test_counts_parameters_outside_of_strings_and_as_far_as_the_protocol_goes() -> None:
    assert highest_parameter("SELECT $2, '$7', $70000 -- $8") == 2


@pytest.mark.parametrize(
    ("check", "value"),
    [
        ("(state = ANY (ARRAY['new'::text, 'paid'::text]))", "paid"),
        ("(total > (100)::numeric)", "101"),
        ("(ratio < 0.5)", "0.25"),
        ("(length(code) = 6)", "sssss1"),
        ("(url ~~ 'https://%'::text)", "https://sample"),
        ("(tags <@ '{red,green}'::text[])", "green"),
        ("(name <> 'it''s'::text)", "it's"),
    ],
)
def test_takes_candidates_from_the_text_of_a_check(check: str, value: str) -> None:
    assert value in literals(check)
