"""SQL as MySQL and MariaDB read it: quotes, comments, bodies, and what commits by itself."""

from __future__ import annotations

import pytest

from coordinator import discovery
from coordinator.diagnostics import Place
from coordinator.errors import DatabaseError
from coordinator.halfway import Ways, half_applied, may_remain, remains_of
from coordinator.migration_files import unsafe_statements
from coordinator.model import Engine, Script, SourceFile, Statement
from coordinator.ports.databases import Batch
from coordinator.sql import split_statements, stays_in_transaction

MARIADB = Engine.MARIADB
DIGEST = "0" * 64


def cut(text: str) -> list[str]:
    return [each.text for each in split_statements(text, MARIADB)]


@pytest.mark.parametrize(
    "text",
    [
        r"SELECT 'it\'s; here';",
        r'SELECT "say \"no;\" here";',
        "SELECT `a;b``c;` FROM t;",
        "SELECT 1 # one; two\n;",
        "SELECT 1 -- one; two\n;",
        "SELECT 1 /* one; /* two; */;",
        "SELECT 'doubled ''; quote';",
        "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END;",
        "CREATE DEFINER=`root`@`%` PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; SELECT 2; END;",
        "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN WHILE 0 DO SET @x = 1; END WHILE; END;",
        "CREATE PROCEDURE p() BEGIN CASE 1 WHEN 1 THEN SELECT 1; END CASE; SELECT 2; END;",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN SELECT 1; LOOP SELECT 2; END LOOP; END;",
    ],
)
def test_a_semicolon_inside_of_something_ends_no_statement(text: str):
    assert cut(f"{text} SELECT 'next';") == [text, "SELECT 'next';"]


def test_two_dashes_without_a_blank_are_no_comment():
    assert cut("SELECT 2--1; SELECT 3;") == ["SELECT 2--1;", "SELECT 3;"]
    assert cut("SELECT 2 --\n; SELECT 3;") == ["SELECT 2 --\n;", "SELECT 3;"]


def test_a_conditional_comment_is_a_statement_and_a_plain_one_is_none():
    assert cut("/*!40101 SET NAMES utf8 */; /* nothing */; # nothing\n;") == ["/*!40101 SET NAMES utf8 */;"]


def test_an_open_quote_is_told():
    [statement] = split_statements(r"SELECT 'never \'; SELECT 1;", MARIADB)

    assert not statement.is_closed


def test_says_where_each_statement_begins():
    text = "-- first\nSELECT 1;\n\n# second\n SELECT 2;"

    assert [(each.line, text[each.offset :][:8]) for each in split_statements(text, MARIADB)] == [
        (2, "SELECT 1"),
        (5, "SELECT 2"),
    ]


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("INSERT INTO a VALUES (1)", True),
        ("update a set x = 1", True),
        ("WITH c AS (SELECT 1) SELECT * FROM c", True),
        ("ALTER TABLE a ADD x int", False),
        ("CREATE TEMPORARY TABLE a (x int)", False),
        ("LOCK TABLES a WRITE", False),
        ("CALL p()", False),
        ("/*!40101 SET NAMES utf8 */", False),
        ("INSERT INTO a VALUES ('never", False),
        ("SET autocommit = 0", False),
    ],
)
def test_tells_what_certainly_stays_in_its_transaction(text: str, stays: bool):
    [statement] = split_statements(text, MARIADB)

    assert stays_in_transaction(statement) is stays


def test_knows_no_refusals_of_postgresql():
    text = "CREATE DATABASE a; SELECT 1; COPY b FROM STDIN;"

    assert unsafe_statements(text, Place("a.sql", 1), transaction=True, engine=MARIADB) == ()
    assert len(unsafe_statements(text, Place("a.sql", 1), transaction=True)) == 2


@pytest.mark.parametrize("tool", ["goose", "golang-migrate"])
def test_a_quote_that_mysql_escapes_hides_no_statement_from_the_guess(tool: str):
    sql = "ALTER TABLE t ADD a varchar(9) DEFAULT 'it\\'s', DROP COLUMN b;\n"
    name, text = ("1_a.sql", f"-- +goose Up\n{sql}") if tool == "goose" else ("1_a.up.sql", sql)
    file = SourceFile(name, text.encode(), DIGEST)

    read = discovery.migration_tool(tool).read([file], MARIADB)

    assert [each.code for each in read.diagnostics] == []
    [up] = [each.up for each in read.migrations]
    assert up is not None
    assert cut(up.statements[0].text) == [sql.strip()]


# -- half-way -------------------------------------------------------------------------------------------


def script(*texts: str, transaction: bool = True) -> Script:
    return Script(tuple(Statement(text, 10 * n) for n, text in enumerate(texts, start=1)), transaction)


def failed(statement: int | None = None, *, position: int | None = None, committed: int = 0) -> DatabaseError:
    return DatabaseError(
        "statement-failed", "No.", statement=statement, position=position, committed=committed
    )


def lines(remains) -> tuple[list[int], list[int]]:
    return [each.line for each in remains.committed], [each.line for each in remains.rest]


@pytest.mark.parametrize("committed", [0, 1, 2])
def test_counts_what_the_session_says_is_committed(committed: int):
    file = script("CREATE TABLE a (x int)", "CREATE TABLE b (x int)", "SELECT nothing")
    batch = Batch((*(each.text for each in file.statements), "INSERT"), transaction=True)

    remains = remains_of(failed(2, committed=committed), batch, file, MARIADB, is_sent=False)

    assert lines(remains) == ([10, 20][:committed], [10, 20, 30][committed:])


@pytest.mark.parametrize(
    ("engine", "committed"),
    [(MARIADB, [10, 20, 21]), (Engine.SQLITE, [10, 20, 21]), (Engine.POSTGRESQL, [10])],
)
def test_counts_inside_of_a_text_but_where_the_engine_takes_the_text_back(
    engine: Engine, committed: list[int]
):
    text = "CREATE TABLE b (x int);\nCREATE TABLE c (x int);\nSELECT nothing;"
    file = script("CREATE TABLE a (x int);", text, transaction=False)
    batch = Batch(tuple(each.text for each in file.statements), transaction=False)
    error = failed(1, position=text.index("SELECT") + 1)

    remains = remains_of(error, batch, file, engine, is_sent=False)

    assert lines(remains) == (committed, [line for line in (10, 20, 21, 22) if line not in committed])


def test_counts_nothing_where_a_file_has_transactions_of_its_own():
    file = script("BEGIN; INSERT INTO a VALUES (1); COMMIT; SELECT nothing", transaction=False)
    batch = Batch((file.statements[0].text,), transaction=False)

    assert remains_of(failed(0, position=42), batch, file, MARIADB, is_sent=False) is None
    assert remains_of(failed(0), batch, script("CALL p(); SELECT 1"), MARIADB, is_sent=False) is None


def test_all_of_a_file_is_there_where_its_record_failed():
    file = script("CREATE TABLE a (x int)", transaction=False)

    remains = remains_of(failed(0), Batch(("INSERT",), transaction=True), file, MARIADB, is_sent=True)
    error = half_applied(failed(0), remains, what="x", ways=Ways(("INSERT 1", "INSERT 2"), ()))

    assert lines(remains) == ([10], [])
    assert "Forward: Then record it: `INSERT 1; INSERT 2`." in error.next_step


@pytest.mark.parametrize(
    ("file", "engine", "remains"),
    [
        (script("ALTER TABLE a ADD x int"), MARIADB, True),
        (script("ALTER TABLE a ADD x int"), Engine.POSTGRESQL, False),
        (script("INSERT INTO a VALUES (1)"), MARIADB, False),
        (script("INSERT INTO a VALUES (1)", transaction=False), Engine.POSTGRESQL, True),
        (script(), MARIADB, False),
        (None, MARIADB, False),
    ],
)
def test_tells_which_file_may_leave_a_part_of_itself(file: Script | None, engine: Engine, remains: bool):
    assert may_remain(file, engine) is remains
