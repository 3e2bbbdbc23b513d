"""Which tables a statement locks without naming them, because a foreign key ties them to the one it names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from fixtures.mariadb import ENGINE
from fixtures.mysql_rehearsal import watched
from fixtures.sqlite_rehearsal import apply
from pymysql import OperationalError
from pymysql.cursors import Cursor

from coordinator import discovery
from coordinator.adapters.mysql_url import connect as connected
from coordinator.evidence import FOREIGN_KEY_COPY, FOREIGN_KEY_MOMENT, Hazard
from coordinator.model import Engine
from coordinator.rehearsal_ports import RehearsalDatabase, RehearsalServer
from coordinator.report.locks import waiting
from coordinator.rules import NEXT, find_hazards
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
TIMED_OUT = 1205
"""ER_LOCK_WAIT_TIMEOUT."""
IS_MYSQL = ENGINE is Engine.MYSQL
SCHEMA = (
    "CREATE TABLE p (id int PRIMARY KEY, w int, KEY kw (w))",
    "CREATE TABLE followed (id int PRIMARY KEY)",
    """CREATE TABLE ch (id int PRIMARY KEY AUTO_INCREMENT, pid int, fid int, q int, KEY kq (q),
    CONSTRAINT f FOREIGN KEY (pid) REFERENCES p (id),
    CONSTRAINT c FOREIGN KEY (fid) REFERENCES followed (id) ON DELETE CASCADE)""",
    "CREATE TABLE alone (id int PRIMARY KEY, a int)",
)
MAKES_CHILD = "CREATE TABLE made (pid int, CONSTRAINT m FOREIGN KEY (pid) REFERENCES p (id))"
ADDS_KEY = "ALTER TABLE ch ADD CONSTRAINT g FOREIGN KEY (q) REFERENCES p (id)"
OF_PARENTS = (
    (MAKES_CHILD, {"p"}),
    (ADDS_KEY, {"p"}),
    ("ALTER TABLE ch DROP FOREIGN KEY f", {"p"}),
    ("ALTER TABLE ch DROP FOREIGN KEY f, DROP FOREIGN KEY c", {"p", "followed"}),
    ("DROP TABLE ch", {"p", "followed"}),
    ("RENAME TABLE ch TO moved", {"p", "followed"}),
    ("ALTER TABLE ch RENAME TO moved", {"p", "followed"}),
)
OF_CHILDREN = (
    "ALTER TABLE p ADD COLUMN z int",
    "CREATE INDEX i ON p (w)",
    "DROP INDEX kw ON p",
    "RENAME TABLE p TO moved",
)
OF_NOBODY = ("ALTER TABLE ch ADD COLUMN z int", "TRUNCATE ch", "ALTER TABLE alone ADD COLUMN z int")


@pytest.fixture(scope="module")
def server() -> Iterator[RehearsalServer]:
    with discovery.rehearsal(ENGINE).server(url=None, live_version=None) as server:
        yield server


@pytest.fixture
def database(server: RehearsalServer) -> Iterator[RehearsalDatabase]:
    with watched(server, *SCHEMA) as database:
        yield database


def seen(database: RehearsalDatabase, sql: str) -> set[tuple[str, str]]:
    """Return the locks that a foreign key brings, as tables and modes."""
    apply(database, sql)
    [statement] = database.take_statements()
    modes = (FOREIGN_KEY_COPY, FOREIGN_KEY_MOMENT)
    return {(each.relation, each.mode) for each in statement.locks if each.mode in modes}


def hazards(
    database: RehearsalDatabase,
    *files: str,
    sizes: dict[str, int] | None = None,
    lock_timeout: timedelta | None = None,
) -> list[Hazard]:
    found: list[Hazard] = []
    for text in files:
        apply(database, text)
        statements = database.take_statements()
        found += find_hazards(statements, engine=f"{ENGINE} 0", sizes=sizes, lock_timeout=lock_timeout)
    return found


# -- what the server does ---------------------------------------------------------------------------------


@pytest.fixture
def live(mariadb_url: str) -> Iterator[tuple[Cursor, Cursor]]:
    """Yield the cursors of a service and of a migration, which waits for a second."""
    with (
        closing(connected(Secret(mariadb_url), label="a")) as one,
        closing(connected(Secret(mariadb_url), label="b")) as two,
        one.cursor() as service,
        two.cursor() as migration,
    ):
        for each in (*SCHEMA, "INSERT INTO p VALUES (1, 1)", "INSERT INTO followed VALUES (1)"):
            migration.execute(each)
        migration.execute("SET lock_wait_timeout = 1")
        yield service, migration


def waits(live: tuple[Cursor, Cursor], sql: str, *behind: str) -> bool:
    """Tell whether a statement waits for somebody who has read these tables in a transaction."""
    service, migration = live
    service.execute("BEGIN")
    for table in behind:
        service.execute(f"SELECT * FROM {table}")
    try:
        migration.execute(sql)
    except OperationalError as error:
        if error.args[0] != TIMED_OUT:
            raise
        return True
    else:
        return False
    finally:
        service.execute("ROLLBACK")


@pytest.mark.parametrize(("sql", "parents"), OF_PARENTS)
def test_the_server_waits_for_who_reads_a_parent_on_mysql(
    live: tuple[Cursor, Cursor], sql: str, parents: set[str]
):
    if IS_MYSQL:  # for each one; while it waits nothing has happened
        assert [each for each in sorted(parents) if not waits(live, sql, each)] == []
    else:
        assert not waits(live, sql, *parents)


@pytest.mark.parametrize("sql", OF_CHILDREN)
def test_the_server_waits_for_who_reads_a_child_of_what_it_changes(live: tuple[Cursor, Cursor], sql: str):
    assert waits(live, sql, "ch") is IS_MYSQL


@pytest.mark.parametrize("sql", OF_NOBODY)
def test_the_server_waits_for_no_reader_of_the_parent(live: tuple[Cursor, Cursor], sql: str):
    assert not waits(live, sql, "p")


# -- what is said of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sql", "parents"), OF_PARENTS)
def test_the_evidence_has_the_parent_where_the_server_waits_for_it(
    database: RehearsalDatabase, sql: str, parents: set[str]
):
    found = {table for table, mode in seen(database, sql) if mode == FOREIGN_KEY_MOMENT}

    assert found == (parents if IS_MYSQL else set())


@pytest.mark.parametrize("sql", OF_CHILDREN)
def test_the_evidence_has_the_children_where_the_server_waits_for_them(database: RehearsalDatabase, sql: str):
    assert seen(database, sql) == ({("ch", FOREIGN_KEY_MOMENT)} if IS_MYSQL else set())


@pytest.mark.parametrize("sql", OF_NOBODY)
def test_the_evidence_has_no_other_table_where_no_foreign_key_matters(database: RehearsalDatabase, sql: str):
    assert seen(database, sql) == set()


@pytest.mark.parametrize(("sql", "parents"), [each for each in OF_PARENTS if each[0] != ADDS_KEY])
def test_a_foreign_key_that_is_made_or_dropped_is_a_hazard_on_mysql_until_its_wait_is_short(
    server: RehearsalServer, sql: str, parents: set[str]
):
    with server.database() as database:
        apply(database, *SCHEMA)
        database.take_statements()
        found = hazards(database, sql)

    assert [each.code for each in found] == ["foreign-key-locks-parent"] * (len(parents) if IS_MYSQL else 0)
    assert all(any(f"needs {parent}" in each.what for each in found) for parent in parents) is IS_MYSQL
    for each in found:
        with server.database() as database:
            apply(database, *SCHEMA)
            database.take_statements()
            assert hazards(database, each.rewrite) == []


@pytest.mark.parametrize("sql", OF_CHILDREN)
def test_a_change_of_a_parent_that_may_wait_long_is_a_hazard_on_mysql(server: RehearsalServer, sql: str):
    found = {}
    for wait in (None, timedelta(seconds=30), timedelta(milliseconds=500)):
        with watched(server, *SCHEMA) as database:
            found[wait] = hazards(database, sql, lock_timeout=wait)

    assert found[timedelta(milliseconds=500)] == []
    for wait in (None, timedelta(seconds=30)):
        assert [each.code for each in found[wait]] == ["parent-change-locks-children"] * IS_MYSQL
        assert all("wait long for ch, whose foreign keys" in each.what for each in found[wait])
    for each in found[None]:
        with watched(server, *SCHEMA) as database:
            assert hazards(database, each.rewrite) == []


def test_a_change_of_a_new_parent_is_no_hazard(database: RehearsalDatabase):
    apply(
        database,
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (x int, FOREIGN KEY (x) REFERENCES a (id))",
    )

    assert hazards(database, "ALTER TABLE a ADD COLUMN z int") == []


def test_a_key_between_new_tables_is_no_hazard(database: RehearsalDatabase):
    new = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (x int, FOREIGN KEY (x) REFERENCES a (id))"

    assert hazards(database, new) == []


@pytest.mark.parametrize(
    ("sql", "parent", "other"),
    [(ADDS_KEY, "p, followed", "alone"), ("ALTER TABLE ch MODIFY q bigint", "followed", "p")],
)
def test_who_copies_a_child_is_told_of_the_writers_of_its_parent(
    database: RehearsalDatabase, sql: str, parent: str, other: str
):
    apply(database, sql)
    statements = database.take_statements()
    [hazard] = find_hazards(statements, engine=f"{ENGINE} 0", sizes=None, lock_timeout=None)

    assert hazard.code == "table-copy-blocks-writes"
    told = {each.strip() for each in hazard.why.partition("writers of ")[2].partition(" wait")[0].split(",")}
    assert told == set(parent.split(", "))
    assert {("writes", each) for each in (*told, "ch")} == set(waiting(statements))
    assert other not in told


def test_a_copy_of_a_small_child_keeps_the_parent_for_a_moment_alone(database: RehearsalDatabase):
    found = hazards(database, ADDS_KEY, sizes={"ch": 50_000, "p": 90_000_000})

    assert [each.code for each in found] == ["foreign-key-locks-parent"] * IS_MYSQL


def test_the_sql_that_is_offered_for_a_new_key_locks_neither_table_for_long(database: RehearsalDatabase):
    [hazard] = hazards(database, ADDS_KEY)
    apply(database, "ALTER TABLE ch DROP FOREIGN KEY g")
    database.take_statements()

    assert hazards(database, *hazard.rewrite.split(NEXT)) == []
