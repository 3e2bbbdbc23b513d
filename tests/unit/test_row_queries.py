"""Parts of a definition as they stand between parentheses and commas, and what is not understood."""

from __future__ import annotations

import pytest

from coordinator.adapters.rehearsals._scratch.row_queries import inside, orphaned, terms_of


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("UNIQUE (a, b) INCLUDE (c)", ["a", "b"]),
        ("UNIQUE (lower((b)::text), a)", ["lower((b)::text)", "a"]),
        ("""UNIQUE ("x), y", a)""", ['"x), y"', "a"]),
        ("UNIQUE (coalesce(a, ')'))", ["coalesce(a, ')')"]),
        ("UNIQUE (a", ["a"]),
    ],
)
def test_a_list_ends_where_its_parenthesis_is_closed(text: str, listed: list[str]):
    assert list(terms_of(inside(text, text.index("(")))) == listed


def test_nothing_is_asked_of_a_foreign_key_whose_columns_are_not_understood():
    assert orphaned("t", ["a", "b"], "p", ["x"]) is None
