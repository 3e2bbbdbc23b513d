"""A migration that redefines what every query means by the same words, and that no sample row shows."""

from __future__ import annotations

import pytest
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
BASE = """CREATE TABLE t (id integer PRIMARY KEY, a integer, b text);
CREATE FUNCTION less(x integer, y text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT x < 7 $$;
CREATE FUNCTION more(x integer, y text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT x < 700 $$;
CREATE OPERATOR <~~ (FUNCTION = less, LEFTARG = integer, RIGHTARG = text);
CREATE TYPE pair AS (one integer, other integer);
"""
ANEW = """DROP OPERATOR <~~ (integer, text);
CREATE OPERATOR <~~ (FUNCTION = more, LEFTARG = integer, RIGHTARG = text);"""
FINDS = "SELECT id FROM t WHERE a <~~ b"
PLAIN = "SELECT id FROM t WHERE a = 7"


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (ANEW, FINDS, "pu"),
        (ANEW, PLAIN, "pp"),
        ("CREATE CAST (text AS pair) WITH INOUT AS IMPLICIT;", PLAIN, "pu"),
        (
            "ALTER ROLE CURRENT_USER SET datestyle = 'SQL, DMY'; ALTER ROLE CURRENT_USER RESET ALL;",
            PLAIN,
            "pu",
        ),
        (
            "ALTER ROLE CURRENT_USER SET statement_timeout = '50s'; ALTER ROLE CURRENT_USER RESET ALL;",
            PLAIN,
            "pp",
        ),
    ],
)
def test_what_is_redefined_makes_who_may_mean_it_unproven(
    servers: Servers, pending: str, query: str, expected: str
):
    assert verdict(servers, Engine.POSTGRESQL, BASE, pending, query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT id FROM t WHERE (t.*) = (7777, 8888, 'x'::text)", "pu"),
        ("SELECT id FROM t WHERE ROW(t.*) = ROW(7777, 8888, 'x'::text)", "pu"),
        ("SELECT id FROM t WHERE id < 7777 ORDER BY t", "pu"),
        ("SELECT id FROM t AS o WHERE id < 7777 ORDER BY a, o LIMIT 1", "pu"),
        ("SELECT id FROM t x WHERE id = 7777 AND x > (SELECT y FROM t y WHERE y.id = 7778)", "pu"),
        ("SELECT id FROM t WHERE t::text LIKE $1", "pu"),
        ("SELECT id FROM t WHERE CAST(t.* AS text) LIKE '(7777,%'", "pu"),
        ("SELECT count(t.id) FROM t", "pp"),
        ("SELECT o.id FROM t AS o WHERE o.id < 7777 ORDER BY o.id", "pp"),
    ],
)
def test_rows_that_are_compared_column_by_column(servers: Servers, query: str, expected: str):
    base = "CREATE TABLE t (id integer PRIMARY KEY, a integer, b text);"
    pending = """ALTER TABLE t RENAME TO o; CREATE TABLE t (a integer, id integer PRIMARY KEY, b text);
    INSERT INTO t (id, a, b) SELECT id, a, b FROM o; DROP TABLE o;"""

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected
