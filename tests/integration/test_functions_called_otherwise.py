"""A function of PostgreSQL whose result has another type, or that finds its tables elsewhere."""

from __future__ import annotations

import pytest
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
BASE = """CREATE TABLE t (id integer PRIMARY KEY, a integer);
CREATE FUNCTION half(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x / 2';
"""


@pytest.mark.parametrize(
    ("returns", "query", "expected"),
    [
        ("numeric", "SELECT id FROM t WHERE half(id) / 2 = 777", "pu"),
        ("text", "SELECT id FROM t WHERE half(id) > '777'", "pu"),
        ("bigint", "SELECT id FROM t WHERE half(id) > 777", "pp"),
        ("numeric", "SELECT id FROM t WHERE a > 777", "pp"),
    ],
)
def test_who_calls_it_in_a_condition_is_unproven(servers: Servers, returns: str, query: str, expected: str):
    pending = f"""DROP FUNCTION half(integer);
    CREATE FUNCTION half(x integer) RETURNS {returns} LANGUAGE sql AS 'SELECT x / 2';"""

    assert verdict(servers, Engine.POSTGRESQL, BASE, pending, query) == expected


@pytest.mark.parametrize(
    ("path", "other", "expected"),
    [("other, public", "t", "pu"), ("other, public", "u", "pp"), ("public", "u", "pp")],
)
def test_who_calls_one_that_looks_for_its_tables_elsewhere_is_unproven(
    servers: Servers, path: str, other: str, expected: str
):
    base = f"""{BASE} CREATE SCHEMA other; CREATE TABLE other.{other} (id integer PRIMARY KEY, a integer);
    CREATE FUNCTION counted(x integer) RETURNS bigint LANGUAGE sql
    AS 'SELECT count(*) FROM t WHERE a = x + 7777';"""
    pending = f"ALTER FUNCTION counted(integer) SET search_path = {path};"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, "SELECT counted(id) FROM t") == expected
