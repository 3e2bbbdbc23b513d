"""Which rows a query looks for, as its text tells."""

from __future__ import annotations

import pytest

from coordinator.model import Engine
from coordinator.wanted import Some, is_met, is_wanted, link, read_as_one, wanted_by, wanted_rows

ANY = Some.VALUE


def _values(text: str, table: str = "t", engine: Engine = Engine.POSTGRESQL) -> list[dict[str, object]]:
    return [dict(row.values) for row in wanted_rows(text, engine).get(table, ())]


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("state = 'paid' AND gone_at IS NULL", [{"state": "paid", "gone_at": None}]),
        ("state IN ('new', 'it''s')", [{"state": "new"}, {"state": "it's"}]),
        ("state = 'a' OR state = 'b'", [{"state": "a"}, {"state": "b"}]),
        ("active AND NOT (banned) AND done IS NOT TRUE", [{"active": True, "banned": False, "done": False}]),
        ("n > 3 AND m < -1 AND k >= 2.5 AND j <> 7", [{"n": 4, "m": -2, "k": 2.5, "j": 8}]),
        ("state = ANY('{a,\"b\"}'::text[])", [{"state": "a"}, {"state": "b"}]),
        ("state = ANY (ARRAY['a'::text, 'b'])", [{"state": "a"}, {"state": "b"}]),
        ("name LIKE 'ab_d%' AND lower(mail) = 'x@y'", [{"name": "abad", "mail": "x@y"}]),
        ("since <= now()", [{"since": "2001-01-01 01:01:01"}]),
        ("until > now() - interval '1 day'", [{"until": "2093-03-03 03:03:03"}]),
        ("id = $1 AND note IS NOT NULL AND kind::text = 'x'", [{"id": ANY, "note": ANY, "kind": "x"}]),
        ("\"State\" = 'x' -- and kind = 'y'", [{"state": "x"}]),
        ("state <> 'gone'", [{"state": ANY}]),
        ("meta @> '{\"a\": 1}'::jsonb", [{"meta": '{"a": 1}'}]),
        ("n BETWEEN 3 AND 5", [{"n": 3}]),
        ("id = $1", [{"id": ANY}]),
        ("true", []),
    ],
)  # fmt: skip
def test_what_a_condition_wants(condition: str, wanted: list[dict[str, object]]) -> None:
    assert _values(f"SELECT x FROM t WHERE {condition}") == wanted


def test_what_is_set_is_not_wanted() -> None:
    assert _values("UPDATE t SET state = 'b', n = 3 WHERE state = 'a'") == [{"state": "a"}]
    assert _values("INSERT INTO t (a) VALUES ('x') ON CONFLICT (a) DO UPDATE SET a = 'y'") == []


def test_what_an_expression_tells_apart_is_not_wanted() -> None:
    assert _values("SELECT CASE WHEN n < 0 THEN 'x' WHEN n = 7 THEN 'y' END FROM t WHERE a = 1") == [{"a": 1}]


def test_the_table_that_is_filled_gets_no_row_like_those_that_are_read() -> None:
    text = "INSERT INTO t (id) SELECT id FROM s WHERE id > 7"
    assert (_values(text), _values(text, "s")) == ([], [{"id": 8}])
    text = "INSERT INTO t (id) SELECT id + 1 FROM t WHERE id > 7"
    assert _values(text) == [{"id": 8}]


def test_columns_go_to_the_tables_of_their_aliases() -> None:
    text = (
        "SELECT o.id FROM public.orders AS o JOIN users u ON u.id = o.user_id, `kinds` k"
        " WHERE o.state = 'paid' AND u.gone_at IS NULL AND k.code = 7"
    )
    found = wanted_rows(text, Engine.MYSQL)
    assert {table: [dict(row.values) for row in rows] for table, rows in found.items()} == {
        "orders": [{"state": "paid"}],
        "users": [{"id": ANY, "gone_at": None}],
        "kinds": [{"code": 7}],
    }
    assert found["orders"][0].beside["users"] == {"id": ANY, "gone_at": None}


def test_a_column_without_an_owner_may_be_of_any_table_that_is_named() -> None:
    text = "SELECT 1 FROM a JOIN b USING (id) WHERE kind = 'x'"
    assert _values(text, "a") == _values(text, "b") == [{"kind": "x"}]


def test_most_is_said_first_and_nothing_twice() -> None:
    texts = [
        "SELECT 1 FROM t WHERE id = $1",
        "SELECT 1 FROM t WHERE a = 1",
        "SELECT 2 FROM t WHERE a = 1",
        "SELECT 1 FROM t WHERE a = 1 AND b = 2",
    ]
    rows = wanted_by(texts, Engine.POSTGRESQL)["t"]
    assert [dict(row.values) for row in rows] == [{"a": 1, "b": 2}, {"a": 1}]


def test_a_row_is_wanted_for_what_it_has() -> None:
    assert is_wanted({"State": "paid", "gone_at": None, "n": 3}, {"state": "paid", "gone_at": None, "x": 1})
    assert is_wanted({"a": "true", "b": 0}, {"a": True, "b": False})
    assert not is_wanted({"a": None}, {"a": ANY})
    assert not is_wanted({"a": "x"}, {"a": None})
    assert not is_wanted({"a": "f"}, {"a": True})


def test_a_row_that_refers_to_another_parent_does_not_meet_what_is_wanted() -> None:
    text = "SELECT 1 FROM o JOIN u ON u.id = o.u_id WHERE o.state = 'x' AND u.gone IS NULL"
    [wanted] = wanted_rows(text, Engine.SQLITE)["o"]
    parents = [{"id": 1, "gone": "then"}, {"id": 2, "gone": None}]
    to_parent = link(["u_id"], ["ID"], parents, wanted.beside["u"])
    assert to_parent is not None
    assert to_parent.values == [(2,)]
    assert not is_met({"u_id": 1, "state": "x"}, wanted, [to_parent])
    assert is_met({"u_id": 2, "state": "x"}, wanted, [to_parent])
    assert link(["u_id"], ["id"], parents[:1], wanted.beside["u"]) is None


def test_columns_of_a_foreign_key_may_have_capitals() -> None:
    wanted = wanted_rows("""SELECT 1 FROM t JOIN u ON t."uId" = u.id WHERE u.kind = 'b'""", Engine.POSTGRESQL)
    to_parent = link(["uId"], ["id"], [{"id": 2, "kind": "b"}], {"kind": "b"})

    assert to_parent is not None
    [row] = wanted["t"]
    assert is_met({"uid": 2}, row, [to_parent])
    assert is_met({"uId": 2}, row, [to_parent])
    assert not is_met({"uId": 1}, row, [to_parent])


@pytest.mark.parametrize("number", ["9" * 20, "9" * 5_000, "1." + "9" * 30])
def test_a_number_that_no_driver_takes_is_not_wanted(number: str) -> None:
    assert _values(f"SELECT x FROM t WHERE n = {number} AND state = 'paid'") == [{"state": "paid"}]


@pytest.mark.parametrize(
    "condition",
    ["state" + " " * 50_000 + "x", "(" * 50_000 + "1", "a" + "::text" * 20_000, "NOT (" * 20_000],
    ids=["blanks", "parentheses", "casts", "negations"],
)
def test_a_text_of_any_length_is_read_once(condition: str) -> None:
    """A pattern that goes back over these takes hours."""
    assert _values(f"SELECT x FROM t WHERE b = 'x' AND {condition}") == [{"b": "x"}]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("SELECT 100 / n FROM t", []),
        ("SELECT 100 % t.n FROM t", []),
        ("SELECT mod(100, n) FROM t", []),
        ("SELECT 100 / nullif(n, 0) FROM t", [{"n": 0}]),
        ("SELECT CASE WHEN n = 0 THEN 0 ELSE 100 / n END FROM t", [{"n": 0}]),
        ("SELECT 100 / m FROM t", [{"n": 0}]),
        ("SELECT 1 FROM t WHERE name LIKE 'x/n'", [{"name": "x/n"}, {"n": 0}]),
    ],
)
def test_no_row_is_wanted_that_keeps_another_query_from_running(
    other: str, expected: list[dict[str, object]]
) -> None:
    rows = wanted_by([other, "SELECT 1 FROM t WHERE n = 0"], Engine.POSTGRESQL).get("t", [])
    assert [dict(row.values) for row in rows] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INSERT INTO p (id, r) VALUES ($1, (SELECT id FROM role))", {"role"}),
        ("SELECT 1 FROM p WHERE r = (SELECT r.id FROM app.role AS r)", {"role"}),
        ("SELECT coalesce((SELECT id FROM role), 1)", {"role"}),
        ("SELECT 1 FROM p WHERE r IN (SELECT id FROM role)", set()),
        ("SELECT 1 FROM p WHERE r =ANY(SELECT id FROM role)", set()),
        ("SELECT 1 FROM p WHERE EXISTS (SELECT id FROM role)", set()),
        ("SELECT x.id FROM (SELECT id FROM role) AS x", set()),
        ("WITH x AS (SELECT id FROM role) SELECT 1", set()),
        ("INSERT INTO p (SELECT id FROM role)", set()),
        ("SELECT 1 FROM p WHERE r = (SELECT id FROM role WHERE name = $1)", set()),
        ("SELECT 1 FROM p WHERE r = (SELECT max(id) FROM role)", set()),
    ],
)
def test_a_table_is_read_as_one_where_its_only_row_is_a_value(text: str, expected: set[str]) -> None:
    assert read_as_one([text], Engine.POSTGRESQL) == expected
