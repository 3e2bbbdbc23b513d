"""A function of PostgreSQL whose result has another type, in a query that shows nothing of it."""

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
