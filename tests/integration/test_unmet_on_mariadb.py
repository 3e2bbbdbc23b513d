"""What may refuse a write that no sample value meets, and is MySQL's or MariaDB's own."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE, enforces_checks
from fixtures.two_versions import TOGETHER, Servers, rehearsed, servers

from coordinator.model import Engine

__all__ = ["servers"]
pytestmark = pytest.mark.mariadb
BASE = "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b varchar(9) NOT NULL, c int{})"
INSERT = "INSERT INTO t (id, a, b) VALUES (?, ?, ?)"
SETS_A = "UPDATE t SET a = ? WHERE id = ?"
SETS_C = "UPDATE t SET c = ? WHERE id = ?"
SETS_D = "UPDATE t SET d = ? WHERE id = ?"
TEXT = "d varchar(9) CHARACTER SET utf8mb4 COLLATE {} NOT NULL"
BY_CASE = f", {TEXT.format('utf8mb4_bin')}, UNIQUE KEY once (d)"
RANGE = "PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (1000), PARTITION p1 VALUES LESS THAN {})"
NO_PAD = "utf8mb4_0900_ai_ci" if ENGINE is Engine.MYSQL else "utf8mb4_general_nopad_ci"
BOTH = {
    "a coarser collation": (
        BY_CASE,
        f"ALTER TABLE t MODIFY {TEXT.format('utf8mb4_general_ci')};",
        SETS_D,
        "pu",
    ),
    "a finer collation": (
        f", {TEXT.format('utf8mb4_general_ci')}, UNIQUE KEY once (d)",
        f"ALTER TABLE t MODIFY {TEXT.format('utf8mb4_bin')};",
        SETS_D,
        "pp",
    ),
    "blanks that count": (
        f", {TEXT.format(NO_PAD)}, UNIQUE KEY once (d)",
        f"ALTER TABLE t MODIFY {TEXT.format('utf8mb4_bin')};",
        SETS_D,
        "pu",
    ),
    "a generated column with less room": (
        ", e bigint, CONSTRAINT few CHECK (e < 100)",
        "ALTER TABLE t ADD COLUMN g numeric GENERATED ALWAYS AS (e * 2) STORED;",
        "INSERT INTO t (id, a, b, e) VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE a = VALUES(a)",
        "pb",
    ),
    "another column": (BY_CASE, f"ALTER TABLE t MODIFY {TEXT.format('utf8mb4_general_ci')};", SETS_A, "pp"),
    "not unique": (f", {TEXT.format('utf8mb4_bin')}", "CREATE INDEX of_d ON t (d);", SETS_D, "pp"),
    "partitioned": ("", f"ALTER TABLE t {RANGE.format('(2147483648)')};", INSERT, "pu"),
    "with a rest": ("", f"ALTER TABLE t {RANGE.format('MAXVALUE')};", INSERT, "pp"),
    "one goes": (f") {RANGE.format('(2000000000)')}"[:-1], "ALTER TABLE t DROP PARTITION p1;", INSERT, "pu"),
    "the lowest goes": (
        f") {RANGE.format('(2000000000)')}"[:-1],
        "ALTER TABLE t DROP PARTITION p0;",
        INSERT,
        "pp",
    ),
    "not partitioned any more": (
        f") {RANGE.format('(2000000000)')}"[:-1],
        "ALTER TABLE t REMOVE PARTITIONING;",
        INSERT,
        "pp",
    ),
    "one comes": (
        f") {RANGE.format('(2000000000)')}"[:-1],
        "ALTER TABLE t ADD PARTITION (PARTITION p2 VALUES LESS THAN (2100000000));",
        INSERT,
        "pp",
    ),
}
UNLESS = ", CONSTRAINT k CHECK (a <> 77 OR c <> 88)"
TAGS = "CREATE UNIQUE INDEX tags ON t ((CAST(j -> '$.tags' AS UNSIGNED ARRAY)));"
MYSQL_ALONE = {
    "an expression": ("", "CREATE UNIQUE INDEX once ON t ((c * 7 + a));", SETS_C, "pu"),
    "of other columns": ("", "CREATE UNIQUE INDEX once ON t ((c * 7 + a));", "UPDATE t SET b = ?", "pp"),
    "elements": (", j json", TAGS, "UPDATE t SET j = ? WHERE id = ?", "pu"),
    "enforced": (f"{UNLESS} NOT ENFORCED", "ALTER TABLE t ALTER CHECK k ENFORCED;", SETS_A, "pu"),
    "enforced no more": (UNLESS, "ALTER TABLE t ALTER CHECK k NOT ENFORCED;", SETS_A, "pp"),
    "never enforced": ("", f"ALTER TABLE t ADD{UNLESS[1:]} NOT ENFORCED;", SETS_A, "pp"),
}
CASES = BOTH | (MYSQL_ALONE if ENGINE is Engine.MYSQL and enforces_checks() else {})


@pytest.mark.parametrize(("more", "pending", "query", "expected"), CASES.values(), ids=CASES.keys())
def test_what_comes_with_a_migration_and_is_not_met(
    servers: Servers, more: str, pending: str, query: str, expected: str
):
    _, [live, _] = rehearsed(
        servers[ENGINE],
        ENGINE,
        f"{BASE.format(more)};\n",
        TOGETHER + pending,
        live=query,
        next_="SELECT id FROM t",
    )

    assert live == expected


JOINED = """CREATE TABLE s (id int PRIMARY KEY, d int);
CREATE VIEW v AS SELECT t.id, t.a AS one, t.b, s.d FROM t JOIN s ON s.id = t.id;
"""
DOUBLES = """-- +goose StatementBegin
CREATE TRIGGER doubles BEFORE UPDATE ON {} FOR EACH ROW SET NEW.{} = 2 * NEW.{};
-- +goose StatementEnd
"""


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (DOUBLES.format("t", "a", "a"), "UPDATE v SET one = ? WHERE id = ?", "pb"),
        (DOUBLES.format("s", "d", "d"), "UPDATE v SET d = ? WHERE id = ?", "pb"),
        (DOUBLES.format("t", "a", "a"), "UPDATE v SET d = ? WHERE id = ?", "pp"),
        ("CREATE UNIQUE INDEX once ON t (a, b);", "UPDATE v SET one = ? WHERE id = ?", "pu"),
        ("ALTER TABLE s ADD c int;", "UPDATE v SET d = ? WHERE id = ?", "pp"),
    ],
)
def test_what_is_written_through_a_view_of_two_tables(
    servers: Servers, pending: str, query: str, expected: str
):
    base = f"{BASE.format('')};\n{JOINED}"

    _, [live, _] = rehearsed(
        servers[ENGINE], ENGINE, base, TOGETHER + pending, live=query, next_="SELECT id FROM t"
    )

    assert live == expected


RARELY = """-- +goose StatementBegin
CREATE TRIGGER rarely BEFORE UPDATE ON t FOR EACH ROW SET NEW.b = IF(NEW.b > 'zzzz', 'many', NEW.b);
-- +goose StatementEnd
"""


@pytest.mark.parametrize("query", ["v SET one = ?", "w SET two = ?"])
def test_what_a_trigger_does_behind_a_view_of_a_view(servers: Servers, query: str):
    views = (
        "CREATE VIEW v AS SELECT id, a AS one, b FROM t;\nCREATE VIEW w AS SELECT id, one AS two, b FROM v;\n"
    )

    _, [live, _] = rehearsed(
        servers[ENGINE],
        ENGINE,
        f"{BASE.format('')};\n{views}",
        TOGETHER + RARELY,
        live=f"UPDATE {query} WHERE id = ?",
        next_="SELECT id FROM t",
    )

    assert live == "pu"
