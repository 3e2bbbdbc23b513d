"""Row security that a migration changes, asked about by a service whose plan names its role."""

from __future__ import annotations

import pytest
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.model import Engine

__all__ = ["servers"]
BASE = """CREATE TABLE t (id integer PRIMARY KEY, tenant integer, a integer); GRANT ALL ON t TO pg_monitor;
CREATE TABLE s (id integer PRIMARY KEY, a integer); GRANT ALL ON s TO pg_monitor;
CREATE VIEW v WITH (security_invoker) AS SELECT id, a FROM t; GRANT SELECT ON v TO pg_monitor;
"""
ENABLE = "ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
FEW = "CREATE POLICY few ON t {}USING (tenant < {});"
ALL = "CREATE POLICY every ON t USING (true);"
READS = "SELECT id FROM t WHERE a = abs(7777)"
WRITES = "INSERT INTO t (id, tenant) VALUES ($1, 7)"


@pytest.mark.parametrize(
    ("base", "pending", "query", "expected"),
    [
        ("", ENABLE, READS, "pu"),
        ("", ENABLE + FEW.format("", 100), READS, "pu"),
        ("", ENABLE + FEW.format("", 100), "SELECT id FROM v WHERE a = abs(7777)", "pu"),
        ("", ENABLE + FEW.format("", 100), "SELECT id FROM s", "pp"),
        ("", ENABLE + ALL, READS, "pp"),
        ("", ENABLE + ALL, WRITES, "pp"),
        ("", FEW.format("", 100), READS, "pp"),
        (ENABLE + FEW.format("", 100), "ALTER POLICY few ON t USING (tenant < 90);", READS, "pu"),
        (ENABLE + FEW.format("", 100), "ALTER POLICY few ON t USING (tenant < 90);", WRITES, "pu"),
        (ENABLE + FEW.format("", 100), "ALTER POLICY few ON t RENAME TO fewer;", READS, "pp"),
        (ENABLE + FEW.format("", 100), "ALTER TABLE t ADD b integer;", READS, "pp"),
        (ENABLE + FEW.format("", 100), FEW.format("FOR DELETE ", 50).replace("few", "gone"), READS, "pp"),
    ],
)
def test_a_policy_that_no_sample_row_tells(
    servers: Servers, base: str, pending: str, query: str, expected: str
):
    server, base, pending = servers[Engine.POSTGRESQL], BASE + base, TOGETHER + pending

    _, [found, _] = rehearsed(
        server, Engine.POSTGRESQL, base, pending, live=query, next_="SELECT 1", role="pg_monitor"
    )

    assert found == expected


def test_who_runs_as_the_owner_is_not_asked_about_it(servers: Servers):
    server, pending = servers[Engine.POSTGRESQL], TOGETHER + ENABLE

    _, [found, _] = rehearsed(server, Engine.POSTGRESQL, BASE, pending, live=READS, next_="SELECT 1")

    assert found == "pp"
