"""Which casts PostgreSQL's text of a view may lack, and mean the same."""

from __future__ import annotations

import pytest

from coordinator.rehearse.bodies import without_casts


def test_a_cast_of_a_text_says_nothing():
    view = " SELECT t.id FROM t WHERE ((t.name)::text = 'x'::text) AND (lower((\"Name\")::text) = (n)::text);"
    left = " SELECT t.id FROM t WHERE (t.name = 'x'::text) AND (lower(\"Name\") = (n)::text);"

    assert without_casts(view, {"name"}) == left


@pytest.mark.parametrize(
    "view",
    [
        " SELECT (t.name)::text[] AS a FROM t;",
        " SELECT (t.name)::integer AS a FROM t;",
        " SELECT x.id FROM ( SELECT t.n AS name FROM t) x ORDER BY (x.name)::text;",
        " WITH x AS ( TABLE t) TABLE x ORDER BY (x.name)::text;",
        " SELECT (name.name)::text AS a FROM generate_series(1, 3) name(name);",
        " SELECT (v.name)::text AS a FROM (VALUES (1)) v(name);",
    ],
)
def test_another_cast_and_one_of_what_no_table_has_is_left(view: str):
    assert without_casts(view, {"name"}) == view
