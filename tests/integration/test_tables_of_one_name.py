"""Tables of one name in several schemas of PostgreSQL: what is done to one says nothing of another."""

from __future__ import annotations

import pytest
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
COLUMNS = "(id integer PRIMARY KEY, a integer NOT NULL, b integer, UNIQUE (a, b))"
BASE = "".join(
    f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE {schema}.t {COLUMNS};"
    f"CREATE VIEW {schema}.v AS SELECT id FROM {schema}.t WHERE a > 7000000;"
    for schema in ("o", "public", "z")
)
NARROWER = "ALTER TABLE {}.t ALTER b TYPE smallint;"
UPDATES = "UPDATE {}t SET b = b + 1 WHERE id = $1"


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (NARROWER.format("public"), UPDATES.format(""), "pu"),
        (NARROWER.format("public"), UPDATES.format("z."), "pp"),
        (NARROWER.format("z"), UPDATES.format(""), "pp"),
        (NARROWER.format("z"), UPDATES.format("z."), "pu"),
        (
            "ALTER TABLE public.t DROP CONSTRAINT t_a_b_key;",
            "INSERT INTO t (id, a, b) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            "pu",
        ),
        (
            "ALTER TABLE o.t ADD CONSTRAINT c CHECK (a + b < 5000000000);",
            "INSERT INTO t (id, a, b) VALUES ($1, $2, $3)",
            "pp",
        ),
        (
            "CREATE OR REPLACE VIEW public.v AS SELECT id FROM public.t WHERE a > 8000000;",
            "SELECT id FROM v",
            "pu",
        ),
        (
            "CREATE OR REPLACE VIEW z.v AS SELECT id FROM public.t WHERE a > 8000000;",
            "SELECT id FROM v",
            "pp",
        ),
        (
            "ALTER TABLE public.t ALTER a DROP NOT NULL;",
            "SELECT b FROM o.t WHERE b NOT IN (SELECT a FROM t)",
            "pu",
        ),
    ],
)
def test_the_one_that_a_query_is_about_counts(servers: Servers, pending: str, query: str, expected: str):
    assert verdict(servers, Engine.POSTGRESQL, BASE, pending, query) == expected


def test_one_that_comes_with_the_release_is_another_one(servers: Servers):
    base = "CREATE TABLE t (id integer PRIMARY KEY, a integer);"
    pending = "CREATE SCHEMA z; CREATE TABLE z.t (id integer, a integer CHECK (a < 1000000), UNIQUE (id, a));"
    query = "INSERT INTO t (id, a) VALUES ($1, $2)"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == "pp"
