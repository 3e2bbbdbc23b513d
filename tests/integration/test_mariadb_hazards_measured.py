"""Statements of which the server's answer or plan misleads: what it really does, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

import pytest
from fixtures.mariadb import ENGINE
from fixtures.mysql_rehearsal import version_with, watched
from fixtures.sqlite_rehearsal import apply
from pymysql import OperationalError
from pymysql.cursors import Cursor

from coordinator import discovery
from coordinator.adapters.mysql_url import connect as connected
from coordinator.evidence import Hazard, StatementEvidence
from coordinator.model import Engine
from coordinator.rehearsal_ports import RehearsalDatabase, RehearsalServer
from coordinator.rules import find_hazards
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
LOCK_REFUSED = 1846
"""ER_ALTER_OPERATION_NOT_SUPPORTED_REASON."""
COPY, SCAN = "table-copy-blocks-writes", "scan-locks-rows"
IS_MARIADB = ENGINE is Engine.MARIADB
SCHEMA = (
    """CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, a int NOT NULL DEFAULT 1, n int NOT NULL DEFAULT 1,
    KEY k (n))""",
    "CREATE TABLE m (id int PRIMARY KEY AUTO_INCREMENT, n int NOT NULL DEFAULT 1) ENGINE=MyISAM",
    "CREATE TABLE small (id int PRIMARY KEY AUTO_INCREMENT, n int NOT NULL DEFAULT 1)",
)
LAST = 9
"""The id of the last row."""


@pytest.fixture(scope="module")
def server() -> Iterator[RehearsalServer]:
    with discovery.rehearsal(ENGINE).server(url=None, live_version=None) as server:
        yield server


@pytest.fixture
def live(mariadb_url: str) -> Iterator[tuple[Cursor, Cursor]]:
    """Yield the cursors of a migration and of a service, which waits for a row no longer than a second."""
    with (
        closing(connected(Secret(mariadb_url), label="a")) as one,
        closing(connected(Secret(mariadb_url), label="b")) as two,
        one.cursor() as migration,
        two.cursor() as service,
    ):
        for each in SCHEMA:
            migration.execute(each)
        migration.execute("INSERT INTO t (a) VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9)")
        service.execute("SET innodb_lock_wait_timeout = 1")
        yield migration, service


def told(server: RehearsalServer, sql: str) -> tuple[list[StatementEvidence], list[Hazard]]:
    """Return the evidence and the hazards of a migration of one file."""
    with watched(server, *SCHEMA) as database:
        return told_of(database, sql)


def told_of(database: RehearsalDatabase, sql: str) -> tuple[list[StatementEvidence], list[Hazard]]:
    apply(database, sql)
    seen = database.take_statements()
    return list(seen), list(find_hazards(seen, engine=f"{ENGINE} 0", sizes=None, lock_timeout=None))


def needs_a_lock(cursor: Cursor, sql: str) -> bool:
    """Tell whether the server refuses to run a statement while writers go on."""
    try:
        cursor.execute(sql)
    except OperationalError as error:
        if error.args[0] != LOCK_REFUSED:
            raise
        return True
    return False


# -- the server accepts INSTANT and copies, or takes no word behind the statement -------------------------

COPIES = [
    ("t", "ENGINE=MyISAM"),
    ("t", "ENGINE = `MyISAM`"),
    ("m", "ENGINE InnoDB"),
    ("t", "ORDER BY a, id"),
    ("t", "ADD COLUMN z int, ORDER BY a"),
    ("t", "ADD COLUMN algorithm int, MODIFY n bigint"),
    ("t", "CHANGE a algorithm int NOT NULL, MODIFY n bigint NOT NULL"),
    *([("t", "ADD COLUMN z int, DISABLE KEYS"), ("t", "ENGINE=MyISAM, ALGORITHM=INSTANT")] * IS_MARIADB),
]


@pytest.mark.parametrize(("table", "change"), COPIES)
def test_a_copy_that_lets_writers_wait_is_a_hazard(
    server: RehearsalServer, live: tuple[Cursor, Cursor], table: str, change: str
):
    migration, _ = live
    bare = change.removesuffix(", ALGORITHM=INSTANT")
    assert needs_a_lock(migration, f"ALTER TABLE {table} LOCK=NONE, {bare}")

    [seen], [hazard] = told(server, f"ALTER TABLE {table} {change}")

    assert [(each.relation, each.mode) for each in seen.locks] == [(table, "ALGORITHM=COPY LOCK=SHARED")]
    assert seen.rewritten == (table,)
    assert hazard.code == COPY


@pytest.mark.parametrize(
    "sql", ["ALTER TABLE t ENGINE=InnoDB", "ALTER TABLE t ADD COLUMN z int, ENGINE InnoDB"]
)
def test_the_same_words_that_copy_nothing_while_writers_wait_are_none(
    server: RehearsalServer, live: tuple[Cursor, Cursor], sql: str
):
    migration, _ = live
    assert not needs_a_lock(migration, f"{sql}, LOCK=NONE")

    _, found = told(server, sql)

    assert found == []


SETTING = "alter_algorithm = 'COPY'" if IS_MARIADB else "old_alter_table = 1"


def test_a_setting_of_the_session_that_copies_is_followed(
    server: RehearsalServer, live: tuple[Cursor, Cursor]
):
    migration, _ = live
    migration.execute(f"SET SESSION {SETTING}")
    assert needs_a_lock(migration, "ALTER TABLE t ADD COLUMN z int, LOCK=NONE")

    seen, [hazard] = told(server, f"SET SESSION {SETTING}; ALTER TABLE t ADD COLUMN z int")

    assert hazard.code == COPY
    assert seen[-1].rewritten == ("t",)


def test_a_setting_of_the_live_server_that_copies_is_taken_over():
    name = "alter_algorithm" if IS_MARIADB else "old_alter_table"
    live_version = version_with(**{name: "COPY" if IS_MARIADB else "ON"})
    with discovery.rehearsal(ENGINE).server(url=None, live_version=live_version) as server:
        _, [hazard] = told(server, "ALTER TABLE t ADD COLUMN z int")

    assert hazard.code == COPY


# -- rows that a statement locks --------------------------------------------------------------------------


@contextmanager
def within(cursor: Cursor, sql: str) -> Iterator[None]:
    """Run a statement and keep its transaction open."""
    cursor.execute("BEGIN")
    cursor.execute(sql)
    yield
    cursor.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("sql", "is_told"),
    [
        ("CREATE TEMPORARY TABLE c AS SELECT * FROM t", True),
        ("CREATE TEMPORARY TABLE c (SELECT u.* FROM t u)", True),
        ("CREATE TEMPORARY TABLE c AS SELECT n FROM t WHERE id < 3", False),
        ("CREATE TEMPORARY TABLE c LIKE t", False),
        ("INSERT INTO small (n) SELECT n FROM t LIMIT 2", False),
        ("INSERT INTO small (n) SELECT n FROM t ORDER BY id LIMIT 2", False),
        ("INSERT INTO small (n) SELECT n FROM t ORDER BY a DESC LIMIT 2", True),
        ("INSERT INTO small (n) SELECT max(n) + max(a) FROM t LIMIT 2", True),
        ("INSERT INTO small (n) SELECT n FROM t WHERE a > 8 LIMIT 2", True),
        ("UPDATE t SET a = 5 ORDER BY id LIMIT 2", False),
        ("UPDATE t SET a = 5 LIMIT 2", False),
        ("UPDATE t SET a = 5 ORDER BY a LIMIT 2", True),
        ("DELETE FROM t ORDER BY id LIMIT 2", False),
        ("DELETE FROM t ORDER BY a LIMIT 2", True),
        ("WITH q AS (SELECT a FROM t) SELECT count(*) FROM q", False),
    ],
)
def test_what_locks_rows_that_it_only_reads_is_a_hazard(
    server: RehearsalServer, live: tuple[Cursor, Cursor], sql: str, is_told: bool
):
    migration, service = live
    waits = pytest.raises(OperationalError, match="Lock wait timeout") if is_told else nullcontext()
    with within(migration, sql), waits:
        service.execute(f"UPDATE t SET a = 70 WHERE id = {LAST}")

    _, found = told(server, sql)

    assert [each.code for each in found] == [SCAN] * is_told


def test_a_table_made_of_a_query_is_a_hazard_for_the_one_that_is_read(server: RehearsalServer):
    [seen], [hazard] = told(server, "CREATE TABLE c AS SELECT id, a FROM t")

    assert seen.scanned == ("t",)
    assert "reads t from end to end" in hazard.what
    assert hazard.rewrite.startswith("-- the table by its columns first")
