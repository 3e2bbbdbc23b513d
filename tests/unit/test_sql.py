"""The lexer: where statements end, which words are code, and what that says about transactions."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.diagnostics import Place
from coordinator.migration_files import declared_phase, decode, unsafe_statements
from coordinator.model import Engine
from coordinator.sql import (
    controls_transaction,
    ends_transaction,
    is_client_copy,
    literal,
    may_refuse_transaction,
    refuses_transaction,
    sets_transaction,
    split_statements,
)


def texts(sql: str) -> list[str]:
    return [each.text for each in split_statements(sql)]


def one(sql: str):
    [statement] = split_statements(sql)
    return statement


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a;b';",
        "SELECT 'it''s;';",
        "SELECT E'it\\'s;';",
        "SELECT e'\\\\';",
        'SELECT "a;""b";',
        "SELECT $$a;b$$;",
        "SELECT $tag$a;$$;b$tag$;",
        "SELECT 1 /* a; /* b; */ c; */;",
        "SELECT 1 -- a;\n;",
        "SELECT a$1$b;",
        "CREATE RULE r AS ON DELETE TO a DO (SELECT 1; SELECT 2);",
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM b; END;",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;",
        "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END;",
    ],
)
def test_a_semicolon_that_is_no_end_is_passed_over(sql: str):
    assert texts(f"{sql}\nSELECT 2") == [sql, "SELECT 2"]


def test_comments_and_semicolons_alone_are_no_statement():
    assert texts(";; -- a\n/* b; */ ;") == []


def test_a_statement_keeps_its_comments_and_knows_its_line():
    first, second = split_statements("\n-- one\nSELECT 1;\n\n/* two\n */ SELECT\n2;")

    assert (first.text, first.line) == ("-- one\nSELECT 1;", 3)
    assert (second.text, second.line) == ("/* two\n */ SELECT\n2;", 6)


def test_words_come_from_code_alone():
    statement = one("SELECT 'COMMIT', \"COMMIT\", $$COMMIT$$, x FROM t /* COMMIT */ -- COMMIT\n")

    assert statement.words == ("SELECT", "X", "FROM", "T")


@pytest.mark.parametrize(
    "sql", ["SELECT 'a", "SELECT E'a\\'", 'SELECT "a', "SELECT $$a", "SELECT $a$ $$", "/* a", "SELECT 'a''"]
)
def test_an_open_quote_is_seen(sql: str):
    assert not one(sql).is_closed


@pytest.mark.parametrize(
    "sql",
    ["COMMIT", "commit work;", "END", "ABORT;", "ROLLBACK", "ROLLBACK WORK;", "PREPARE TRANSACTION 'a'"],
)
def test_knows_what_ends_a_transaction(sql: str):
    assert ends_transaction(one(sql))
    assert controls_transaction(one(sql))


@pytest.mark.parametrize(
    "sql",
    ["SAVEPOINT s", "ROLLBACK TO s", "ROLLBACK WORK TO SAVEPOINT s", "RELEASE s", "PREPARE p AS SELECT 1"],
)
def test_a_savepoint_ends_no_transaction(sql: str):
    assert not ends_transaction(one(sql))


def test_knows_what_begins_and_what_sets_a_transaction():
    assert controls_transaction(one("BEGIN"))
    assert controls_transaction(one("START TRANSACTION"))
    assert sets_transaction(one("SET TRANSACTION READ ONLY"))
    assert not sets_transaction(one("SET search_path = a"))


@pytest.mark.parametrize(
    "sql",
    [
        "VACUUM",
        "vacuum full a",
        "CREATE DATABASE a",
        "DROP TABLESPACE a",
        "ALTER SYSTEM SET fsync = off",
        "CREATE INDEX CONCURRENTLY i ON a (x)",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON a (x)",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX TABLE CONCURRENTLY a",
        "REINDEX (VERBOSE) INDEX CONCURRENTLY i",
        "REINDEX DATABASE a",
        "ALTER TABLE a DETACH PARTITION b CONCURRENTLY",
    ],
)
def test_knows_what_refuses_a_transaction(sql: str):
    assert refuses_transaction(one(sql))
    assert may_refuse_transaction(one(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX i ON a (x)",
        "CREATE TABLE concurrently_done (x int)",
        "CREATE TABLE vacuum_log (x int)",
        "INSERT INTO a VALUES ('CREATE DATABASE')",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        "ALTER TABLE a DETACH PARTITION b",
        "ALTER TYPE e ADD VALUE 'x'",
        "DO $$ BEGIN PERFORM 1; END $$",
    ],
)
def test_knows_what_lives_in_a_transaction(sql: str):
    assert not may_refuse_transaction(one(sql))


@pytest.mark.parametrize("sql", ["CALL p()", "CLUSTER", "DO $$ BEGIN COMMIT; END $$", "DROP SUBSCRIPTION s"])
def test_knows_what_may_refuse_a_transaction(sql: str):
    assert may_refuse_transaction(one(sql))
    assert not refuses_transaction(one(sql))


def test_knows_a_copy_that_needs_the_client():
    assert is_client_copy(one("COPY a (x, y) FROM stdin WITH (FORMAT csv)"))
    assert is_client_copy(one("copy (SELECT 1) to STDOUT"))
    assert not is_client_copy(one("COPY a FROM '/srv/stdin'"))


def test_says_where_an_unsafe_statement_stands():
    sql = "SELECT 1;\nCOPY a FROM stdin;\nVACUUM;\nCOMMIT;"

    problems = unsafe_statements(sql, Place("a.sql", 10), transaction=True)

    assert [(each.code, each.place.line) for each in problems] == [
        ("copy-from-stdin", 11),
        ("statement-refuses-transaction", 12),
        ("transaction-control", 13),
    ]


def test_a_statement_that_refuses_a_transaction_is_fine_alone():
    assert unsafe_statements("VACUUM;", Place("a.sql", 1), transaction=False) == ()


def test_several_statements_in_one_text_are_a_transaction():
    [problem] = unsafe_statements("SELECT 1; VACUUM;", Place("a.sql", 1), transaction=False)

    assert problem.code == "statement-refuses-transaction"


def test_a_file_without_a_declaration_has_no_phase():
    assert declared_phase("SELECT '-- coordinator: x';\n-- the coordinator: is asked", "a.sql") == (None, ())


def test_reads_crlf_and_refuses_a_lone_carriage_return():
    assert decode(b"-- a\r\nSELECT 1;\r\n", "a.sql")[1] == ()

    [problem] = decode(b"SELECT 1;\n-- a\rSELECT 2;", "a.sql")[1]
    assert "Line 2" in problem.what


SQL_PIECES = st.sampled_from(
    [
        "'",
        '"',
        "$$",
        "$a$",
        "/*",
        "*/",
        "--",
        "\n",
        ";",
        "(",
        ")",
        "E'",
        "\\",
        " ",
        "a",
        "CREATE TRIGGER ",
        "BEGIN ",
        "END",
    ]
)


@settings(max_examples=200)
@given(st.lists(SQL_PIECES | st.characters(), max_size=40).map("".join))
def test_no_text_is_lost_whatever_it_is(sql: str):
    statements = split_statements(sql)

    position = 0
    for each in statements:
        position = sql.index(each.text, position) + len(each.text)
        assert each.text
        assert 1 <= each.line <= sql.count("\n") + 1


def test_a_long_text_is_read_to_its_end():
    statements = split_statements("INSERT INTO a VALUES (1, 'x;');\n" * 20_000)

    assert len(statements) == 20_000
    assert statements[-1].line == 20_000


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_text_that_becomes_a_literal_is_read_as_it_was(text: str):
    with closing(sqlite3.connect(":memory:")) as connection:
        [(read,)] = connection.execute(f"SELECT {literal(text, Engine.SQLITE)}")

    assert read == text


@given(SQL_PIECES | st.text())
def test_no_text_leaves_its_literal(text: str):
    statements = split_statements(f"SELECT {literal(text)}; SELECT 2")

    assert [each.text for each in statements][1:] == ["SELECT 2"]


def test_a_literal_has_no_byte_that_engines_refuse():
    assert literal("a\0'b") == "'a''b'"
