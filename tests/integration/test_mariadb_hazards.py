"""What the server says that a statement of a migration does to the live service, and what is said of that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from fixtures.mariadb import ENGINE, version
from fixtures.mysql_rehearsal import watched
from fixtures.sqlite_rehearsal import apply
from pymysql import OperationalError

from coordinator import discovery
from coordinator.adapters.mysql_url import connect as connected
from coordinator.errors import DatabaseError
from coordinator.evidence import Hazard, StatementEvidence
from coordinator.model import Engine
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import RehearsalDatabase, RehearsalServer
from coordinator.report.locks import waiting
from coordinator.rules import NEXT, find_hazards
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
CODE = "table-copy-blocks-writes"
ZONE = "timestamp-depends-on-zone"
SCHEMA = (
    "CREATE TABLE p (id int PRIMARY KEY)",
    """CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, a int, v varchar(20) NOT NULL DEFAULT 'x',
    n int NOT NULL, words text, pid int, KEY k (v), CONSTRAINT f FOREIGN KEY (pid) REFERENCES p (id))""",
    "CREATE TABLE m (id int PRIMARY KEY) ENGINE=MyISAM",
    """CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id)
    (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)""",
    "CREATE TABLE hashed (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3",
)

WITHOUT_A_COPY = {Engine.MARIADB: "NOCOPY", Engine.MYSQL: "INPLACE"}[ENGINE]
MOVING = {Engine.MARIADB: "ALGORITHM=COPY", Engine.MYSQL: "ALGORITHM=INPLACE"}[ENGINE]
HAS_PLACES = ENGINE is Engine.MARIADB or version() >= (8, 0, 29)
"""A column may be added anywhere without writing the rows anew."""
MORE_THAN_ANY = 300
"""INSTANT changes: MySQL 8.0.29 takes 64 of a table, 9.7 takes 255."""
LONGER = f"ALGORITHM={'INSTANT' if ENGINE is Engine.MARIADB else 'INPLACE'} LOCK=NONE on t"


@pytest.fixture(scope="module")
def server() -> Iterator[RehearsalServer]:
    with discovery.rehearsal(ENGINE).server(url=None, live_version=None) as server:
        yield server


@pytest.fixture
def database(server: RehearsalServer) -> Iterator[RehearsalDatabase]:
    with watched(server, *SCHEMA) as database:
        yield database


def modes(seen: StatementEvidence) -> list[str]:
    return [f"{lock.mode} on {lock.relation}" for lock in seen.locks]


def hazards(
    database: RehearsalDatabase, *files: str, sizes: dict[str, int] | None = None
) -> tuple[Hazard, ...]:
    """Apply each file as a migration and return the hazards of the release."""
    seen: list[StatementEvidence] = []
    for number, text in enumerate(files):
        apply(database, text)
        seen += [replace(each, migration=str(number)) for each in database.take_statements()]
    return find_hazards(seen, engine=f"{ENGINE} 0", sizes=sizes, lock_timeout=None)


@pytest.mark.parametrize(
    ("sql", "mode", "rewritten"),
    [
        ("ALTER TABLE t ADD COLUMN z int FIRST -- at the front;",
         f"ALGORITHM={'INSTANT' if HAS_PLACES else 'INPLACE'} LOCK=NONE on t", () if HAS_PLACES else ("t",)),
        ("ALTER TABLE `t` MODIFY v varchar(60) NOT NULL DEFAULT 'x'", LONGER, ()),
        ("CREATE INDEX i ON t (n)", f"ALGORITHM={WITHOUT_A_COPY} LOCK=NONE on t", ()),
        ("ALTER TABLE t ADD UNIQUE u (n)", f"ALGORITHM={WITHOUT_A_COPY} LOCK=NONE on t", ()),
        ("ALTER TABLE t ENGINE=InnoDB", "ALGORITHM=INPLACE LOCK=NONE on t", ("t",)),
        ("ALTER TABLE t ADD FULLTEXT w (words)", "ALGORITHM=INPLACE LOCK=SHARED on t", ("t",)),
        ("ALTER TABLE t MODIFY n bigint NOT NULL", "ALGORITHM=COPY LOCK=SHARED on t", ("t",)),
        ("ALTER TABLE m ADD COLUMN z int", "ALGORITHM=COPY LOCK=SHARED on m", ("m",)),
        ("ALTER TABLE t ADD COLUMN z int, ALGORITHM=COPY", "ALGORITHM=COPY LOCK=SHARED on t", ("t",)),
        ("ALTER TABLE t ADD COLUMN z int, LOCK=SHARED", "ALGORITHM=DEFAULT LOCK=SHARED on t", ()),
        ("ALTER TABLE parted TRUNCATE PARTITION p0", "metadata lock (by the manual) on parted", ()),
        ("RENAME TABLE m TO o", "metadata lock (by the manual) on m", ()),
        ("DROP INDEX k ON t", "metadata lock (by the manual) on t", ()),
        ("ALTER TABLE parted REORGANIZE PARTITION p1 INTO (PARTITION p2 VALUES LESS THAN MAXVALUE)",
         f"{MOVING} LOCK=SHARED on parted", ("parted",)),
        ("ALTER TABLE `parted` REBUILD PARTITION ALL;", f"{MOVING} LOCK=SHARED on parted", ("parted",)),
        ("ALTER TABLE hashed COALESCE PARTITION 1", f"{MOVING} LOCK=SHARED on hashed", ("hashed",)),
        ("ALTER TABLE hashed ADD PARTITION PARTITIONS 2", f"{MOVING} LOCK=SHARED on hashed", ("hashed",)),
        ("ALTER TABLE hashed REMOVE PARTITIONING", "ALGORITHM=COPY LOCK=SHARED on hashed", ("hashed",)),
        ("ALTER TABLE hashed PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN MAXVALUE)",
         "ALGORITHM=COPY LOCK=SHARED on hashed", ("hashed",)),
        ("ALTER TABLE hashed ADD COLUMN z int, ALGORITHM=COPY PARTITION BY HASH (id) PARTITIONS 5",
         "ALGORITHM=COPY LOCK=SHARED on hashed", ("hashed",)),
        ("ALTER TABLE hashed ADD COLUMN z int PARTITION BY HASH (id) PARTITIONS 5",
         "ALGORITHM=COPY LOCK=SHARED on hashed", ("hashed",)),
    ],
)  # fmt: skip
def test_tells_the_cheapest_way_that_the_server_accepts(
    database: RehearsalDatabase, sql: str, mode: str | None, rewritten: tuple[str, ...]
):
    apply(database, sql)

    [seen] = database.take_statements()

    assert modes(seen) == ([] if mode is None else [mode])
    assert seen.rewritten == rewritten


def test_a_table_that_had_its_last_instant_change_is_written_anew(server: RehearsalServer):
    """MySQL counts them since 8.0.29; the files that a rehearsal replays may have used them up."""
    is_refused = False
    with server.database() as database:
        apply(database, "CREATE TABLE many (id int PRIMARY KEY)")
        with database.session() as session:
            for number in range(MORE_THAN_ANY):
                try:
                    add = f"ALTER TABLE many ADD COLUMN c{number} int, ALGORITHM=INSTANT"
                    session.execute(Batch((add,), transaction=False))
                except DatabaseError:
                    is_refused = True
                    break
        database.take_statements()
        apply(database, "ALTER TABLE many ADD COLUMN last int")
        [seen] = database.take_statements()

    assert is_refused is (ENGINE is Engine.MYSQL and HAS_PLACES)
    assert modes(seen) == [f"ALGORITHM={'INPLACE' if is_refused else 'INSTANT'} LOCK=NONE on many"]
    assert seen.rewritten == (("many",) if is_refused else ())


def test_a_statement_that_names_its_algorithm_alone_is_a_hazard_by_the_lock_that_it_takes(
    database: RehearsalDatabase,
):
    [hazard] = hazards(database, "ALTER TABLE t ADD FULLTEXT w (words), ALGORITHM=INPLACE")

    assert hazard.code == CODE
    assert "ALGORITHM=INPLACE LOCK=SHARED" in hazard.what


@pytest.mark.parametrize("clause", ["DROP PARTITION p0", "TRUNCATE PARTITION p0"])
def test_a_partition_that_goes_needs_its_table_for_a_moment(database: RehearsalDatabase, clause: str):
    apply(database, f"ALTER TABLE parted {clause}")

    [seen] = database.take_statements()

    assert "metadata lock (by the manual) on parted" in modes(seen)
    assert not [mode for mode in modes(seen) if "SHARED" in mode or "COPY" in mode]


BECOMES_A_PARTITION = [
    ("ALTER TABLE parted EXCHANGE PARTITION p0 WITH TABLE single", "writes"),
    *([("ALTER TABLE ranged CONVERT TABLE `single` TO PARTITION r1 VALUES LESS THAN (20)", "reads or writes")]
      if ENGINE is Engine.MARIADB else []),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "who"), BECOMES_A_PARTITION)
def test_a_table_that_becomes_a_partition_is_a_hazard_by_its_own_size(
    database: RehearsalDatabase, sql: str, who: str
):
    apply(database, "CREATE TABLE single (id int PRIMARY KEY)")
    apply(
        database,
        "CREATE TABLE ranged (id int PRIMARY KEY)"
        " PARTITION BY RANGE (id) (PARTITION r0 VALUES LESS THAN (5))",
    )
    database.take_statements()

    [hazard] = hazards(database, sql, sizes={"single": 10**9, "parted": 1, "ranged": 1})

    assert hazard.code == "attach-partition-scans-table"
    assert "Each row of single (1000 MB live) is read" in hazard.what
    assert re.search(rf"^Nobody {who} single or (parted|ranged) meanwhile\.$", hazard.why)


@pytest.mark.parametrize(
    ("sizes", "files"),
    [
        ({"single": 1, "parted": 10**9},
         ("ALTER TABLE parted EXCHANGE PARTITION p0 WITH TABLE single",)),
        ({"parted": 10**9},
         ("CREATE TABLE one (id int PRIMARY KEY); ALTER TABLE parted EXCHANGE PARTITION p0 WITH TABLE one",)),
    ],
)  # fmt: skip
def test_a_small_or_a_new_table_becomes_a_partition_without_a_hazard(
    database: RehearsalDatabase, sizes: dict[str, int], files: tuple[str, ...]
):
    apply(database, "CREATE TABLE single (id int PRIMARY KEY)")
    database.take_statements()

    assert not hazards(database, *files, sizes=sizes)


def test_a_partition_with_its_own_bounds_is_added_without_a_hazard(database: RehearsalDatabase):
    apply(database, "ALTER TABLE parted DROP PARTITION p1")
    database.take_statements()

    assert not hazards(database, "ALTER TABLE parted ADD PARTITION (PARTITION p1 VALUES LESS THAN MAXVALUE)")


@pytest.mark.parametrize(
    "clause",
    [
        "COALESCE PARTITION 1",
        "REBUILD PARTITION ALL",
        "ADD PARTITION PARTITIONS 2",
        "REMOVE PARTITIONING",
        "PARTITION BY HASH (id) PARTITIONS 7",
    ],
)
def test_rows_that_move_between_partitions_are_a_hazard(database: RehearsalDatabase, clause: str):
    [hazard] = hazards(database, f"ALTER TABLE hashed {clause}")

    assert hazard.code == CODE


def test_the_schema_ends_as_it_would_without_watching(server: RehearsalServer):
    changes = (
        "ALTER TABLE t MODIFY n bigint NOT NULL, ADD COLUMN z int DEFAULT 7 AFTER a",
        "CREATE UNIQUE INDEX i ON t (n); ALTER TABLE t DROP FOREIGN KEY f",
    )
    ends = []
    for is_watched in (True, False):
        with server.database() as database:
            apply(database, *SCHEMA)
            database.fill()
            if is_watched:
                database.take_statements()
            apply(database, *changes)
            with database.session() as session:
                ends.append((dict(database.catalogue()), session.query("SELECT * FROM t")))

    assert ends[0] == ends[1]


def test_what_a_migration_asks_of_its_last_statement_is_answered_as_it_would_be_without_watching(
    database: RehearsalDatabase,
):
    apply(
        database,
        "UPDATE t SET a = 70 WHERE id > 0; INSERT INTO m VALUES (100 + ROW_COUNT());"
        " UPDATE t SET a = 71 WHERE id > 0; SET @n = ROW_COUNT(); INSERT INTO m VALUES (200 + @n)",
    )

    with database.session() as session:
        [[rows]] = session.query("SELECT count(*) FROM t")
        assert rows == 3
        assert session.query("SELECT id FROM m WHERE id >= 99 ORDER BY id") == [(103,), (203,)]


def test_a_statement_that_fails_fails_with_its_own_words(database: RehearsalDatabase):
    with pytest.raises(DatabaseError, match="Duplicate column name 'a'"):
        apply(database, "ALTER TABLE t ADD COLUMN a int")

    assert database.take_statements() == ()


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE t MODIFY n bigint NOT NULL",
        "ALTER TABLE t MODIFY v varchar(10) NOT NULL DEFAULT 'y'",
        "ALTER TABLE t ADD CONSTRAINT g FOREIGN KEY (n) REFERENCES p (id)",
        "ALTER TABLE t CONVERT TO CHARACTER SET utf16",
    ],
)
def test_what_copies_a_table_is_a_hazard_and_the_sql_offered_is_none(server: RehearsalServer, sql: str):
    with server.database() as database:
        apply(database, *SCHEMA)
        apply(database, "INSERT INTO p VALUES (1)", "INSERT INTO t (a, n, pid) VALUES (1, 1, 1)")
        database.take_statements()
        [hazard] = hazards(database, sql)

    with server.database() as database:
        apply(database, *SCHEMA)
        database.take_statements()
        assert hazards(database, *hazard.rewrite.split(NEXT)) == ()

    assert hazard.code == CODE
    assert "ALGORITHM=COPY LOCK=SHARED" in hazard.what


@pytest.mark.parametrize(
    ("sql", "codes"),
    [
        ("UPDATE t SET a = 1", ["scan-locks-rows"]),
        ("UPDATE t AS u SET a = 1 WHERE u.n = 4", ["scan-locks-rows"]),
        ("UPDATE t SET a = 1 WHERE n = 4 LIMIT 10", ["scan-locks-rows"]),
        ("DELETE FROM t", ["scan-locks-rows"]),
        ("INSERT INTO m (id) SELECT n FROM t WHERE words LIKE '%x'", ["scan-locks-rows"]),
        ("REPLACE INTO m SELECT u.n FROM t u", ["scan-locks-rows"]),
        ("UPDATE t SET a = 1 WHERE id = 4", []),
        ("UPDATE t SET a = 1 WHERE v = 'x'", []),
        ("DELETE FROM t WHERE id BETWEEN 1 AND 1000", []),
        ("DELETE FROM t LIMIT 1000", []),
        ("INSERT INTO m VALUES (9)", []),
        ("TRUNCATE m", ["truncate-locks-table"]),
        ("LOCK TABLES m WRITE; UPDATE m SET id = 9 WHERE id = 4; UNLOCK TABLES", ["explicit-lock"]),
        ("LOCK TABLES t READ, m AS o READ", ["explicit-lock", "explicit-lock"]),
        ("CREATE TABLE fresh (a int); LOCK TABLES fresh WRITE", []),
        ("ALTER TABLE t ADD moment datetime; ALTER TABLE t MODIFY moment timestamp", [CODE, ZONE]),
        ("ALTER TABLE t ADD moment timestamp NULL; ALTER TABLE t MODIFY moment datetime(3)", [CODE, ZONE]),
        (
            "ALTER TABLE t ADD m timestamp NULL; SET time_zone = '+01:00'; ALTER TABLE t MODIFY m datetime",
            [CODE],
        ),
    ],
)
def test_tells_what_else_disturbs_the_live_service(server: RehearsalServer, sql: str, codes: list[str]):
    with server.database() as database:
        apply(database, *SCHEMA)
        database.fill()
        database.take_statements()
        found = hazards(database, sql)

    assert [each.code for each in found] == codes


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("ALTER TABLE t MODIFY v varchar(2) NOT NULL DEFAULT 'x'", "Data truncated for column 'v'"),
        ("UPDATE t SET n = 99999999999 WHERE id = 1", "Out of range value for column 'n'"),
        ("INSERT INTO t (id, a) VALUES (77, 1)", "Field 'n' doesn't have a default value"),
    ],
)
def test_tells_of_values_that_the_server_changes_where_its_mode_is_not_strict(
    server: RehearsalServer, sql: str, said: str
):
    found = {}
    for is_strict in (True, False):
        with server.database() as database:
            apply(database, *SCHEMA)
            apply(database, "INSERT INTO t (id, a, v, n) VALUES (1, 1, 'longer than two', 4)")
            database.take_statements()
            mode = "" if not is_strict else "STRICT_ALL_TABLES"
            try:
                found[is_strict] = hazards(database, f"SET sql_mode = '{mode}'; {sql}")
            except DatabaseError as refused:
                found[is_strict] = refused

    assert isinstance(found[True], DatabaseError)
    hazard = next(each for each in found[False] if each.code == "values-cut")
    assert said in hazard.what


@pytest.mark.parametrize("sql", ["UPDATE t SET a = 1", "DELETE FROM t", "TRUNCATE m", "LOCK TABLES t READ"])
def test_the_sql_that_is_offered_disturbs_nobody(server: RehearsalServer, sql: str):
    with server.database() as database:
        apply(database, *SCHEMA)
        database.fill()
        database.take_statements()
        [hazard] = hazards(database, sql)

        assert hazards(database, *hazard.rewrite.split(NEXT)) == ()


def test_the_server_locks_the_rows_that_a_statement_reads_and_does_not_write(mariadb_url: str):
    with closing(connected(Secret(mariadb_url), label="a")) as one, one.cursor() as migration:
        migration.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
        migration.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
        with closing(connected(Secret(mariadb_url), label="b")) as two, two.cursor() as service:
            service.execute("SET innodb_lock_wait_timeout = 1")
            migration.execute("BEGIN")
            migration.execute("UPDATE t SET a = 9 WHERE a = 1")

            with pytest.raises(OperationalError, match="Lock wait timeout"):
                service.execute("UPDATE t SET a = 3 WHERE id = 2")

            migration.execute("ROLLBACK")
            migration.execute("BEGIN")
            migration.execute("UPDATE t SET a = 9 WHERE id = 1")
            service.execute("UPDATE t SET a = 3 WHERE id = 2")


def test_a_small_table_a_new_one_and_an_instant_change_are_none(database: RehearsalDatabase):
    copy = "ALTER TABLE t MODIFY n bigint NOT NULL"
    new = "CREATE TABLE fresh (a int); ALTER TABLE fresh MODIFY a varchar(9)"

    assert hazards(database, copy, sizes={"t": 50_000}) == ()
    assert hazards(database, new, "ALTER TABLE t ADD COLUMN z int") == ()


def test_the_story_tells_who_waits(database: RehearsalDatabase):
    apply(database, "ALTER TABLE t MODIFY n bigint NOT NULL")

    assert list(waiting(database.take_statements())) == [("writes", "t")]

    apply(database, "LOCK TABLES m READ")

    assert list(waiting(database.take_statements())) == [("writes", "m")]
