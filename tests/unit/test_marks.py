"""Of which files marks are kept, where a file goes on, and what a person is told; without any database."""

from __future__ import annotations

import pytest

from coordinator.marks import by_statement, can_be_marked, rest_of
from coordinator.model import Engine, Migration, Script, Statement

CREATE = "CREATE TABLE a (x int);"
ROW = "INSERT INTO a VALUES (1);"


def script(*texts: str) -> Script:
    return Script(tuple(Statement(text, line) for line, text in enumerate(texts, start=1)), transaction=False)


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        ("BEGIN;", Engine.POSTGRESQL),
        ("SET ROLE owner;", Engine.POSTGRESQL),
        ("DO $$ BEGIN SET ROLE owner; END $$;", Engine.POSTGRESQL),
        ("CREATE TEMP TABLE t (x int);", Engine.POSTGRESQL),
        ("SELECT set_config('role', 'owner', false);", Engine.POSTGRESQL),
        ("LOCK TABLES a WRITE;", Engine.MARIADB),
        ("SET autocommit = 0;", Engine.MARIADB),
        ("SET @last = 1;", Engine.MARIADB),
        ("INSERT INTO a VALUES (@last);", Engine.MARIADB),
        ("CALL fill();", Engine.MARIADB),
        ("DROP TABLE b; DROP TABLE c;", Engine.MARIADB),
    ],
)
def test_keeps_no_marks_of_a_file_in_which_they_could_be_wrong(text: str, engine: Engine):
    assert can_be_marked(script(CREATE, ROW), engine)
    assert not can_be_marked(script(CREATE, text, ROW), engine)


def test_keeps_no_marks_of_a_single_statement():
    assert not can_be_marked(script(CREATE), Engine.POSTGRESQL)


def test_sends_the_settings_that_stood_before_once_more():
    timeout = "SET lock_timeout = '1s';"

    rest, settings = rest_of(script(timeout, CREATE, ROW), 2, Engine.POSTGRESQL)

    assert rest is not None
    assert ([each.text for each in rest.statements], settings) == ([timeout, ROW], 1)


def golang_migrate(text: str) -> Migration:
    return Migration(1, "1_a", up=Script((Statement(text, 1),), transaction=False), down=None, files=())


def test_cuts_a_file_of_golang_migrate_where_that_is_sure():
    cut = by_statement(golang_migrate(f"-- why\n{CREATE}\n\n{ROW}\n"), Engine.MARIADB).up

    assert cut is not None
    assert cut.statements == (Statement(f"-- why\n{CREATE}", 1), Statement(ROW, 4))


@pytest.mark.parametrize(
    "text",
    [
        f"{CREATE}\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET @a = 1; SET @b = 2; END;",
        f"{CREATE}\nINSERT INTO b VALUES ('it\\'s; so');",
        f"{CREATE}\n/*!40101 SET NAMES utf8 */;",
        f"SET sql_mode = 'ANSI_QUOTES';\n{CREATE}",
        f"{CREATE}\nBEGIN NOT ATOMIC SELECT 1; SELECT 2; END;",
    ],
)
def test_sends_a_file_of_golang_migrate_whole_where_a_cut_is_not_sure(text: str):
    migration = golang_migrate(text)

    assert by_statement(migration, Engine.MARIADB) == migration
