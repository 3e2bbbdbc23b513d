"""The same folders through the real tools and through the hooks on MariaDB: what is left must be the same.

Where it is not, the row says so, and docs/reference/migration-tools.md says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.mariadb import ENGINE
from peers import golang_migrate_cases, goose_cases
from peers.goose_cases import BEGIN, END, NO_TX, UP, A, B
from peers.real_tools import World, make_ledger, run_ours, run_real, write_files

from coordinator.model import Engine

pytestmark = [pytest.mark.peers, pytest.mark.mariadb]
NewWorld = Callable[[Engine], World]
MARIADB = ENGINE
FAILS = "INSERT INTO nowhere VALUES (1);\n"

PROCEDURE = (
    "CREATE PROCEDURE p()\nBEGIN\n  DECLARE i int DEFAULT 0;\n  WHILE i < 3 DO\n    SET i = i + 1;\n"
    "    IF i = 2 THEN\n      INSERT INTO a VALUES (i);\n    END IF;\n  END WHILE;\nEND;\n"
)
TRIGGER = "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW\nBEGIN\n  SET NEW.x = NEW.x + 1;\nEND;\n"
SEVERAL_IN_A_TEXT = {
    "semicolon glued to a comment",
    "semicolon before a block comment",
    "two statements on one line",
    "block with two statements",
}
"""What goose sends as one text, and the server refuses without `multiStatements=true`."""
GOOSE_FILES = {
    **{name: text for name, text in goose_cases.FILES.items() if name not in SEVERAL_IN_A_TEXT},
    "procedure": UP + A + BEGIN + PROCEDURE + END + "CALL p();\n",
    "trigger": UP + A + BEGIN + TRIGGER + END + "INSERT INTO a VALUES (1);\n",
    "names in backticks": UP + "CREATE TABLE `order;` (`select` integer);\n",
    "comments with a hash": UP + "# it's a comment\n" + A,
    "backslashes in strings": UP + A + "INSERT INTO a VALUES (length('it\\'s; \\\\'));\n",
    "conditional comment": UP + "/*!40101 SET NAMES utf8 */;\n" + A,
    "delimiter": UP + A + BEGIN + "DELIMITER //\nCREATE PROCEDURE p() SELECT 1 //\n" + END,
    "rows after a change of the schema": UP + A + "INSERT INTO a VALUES (1);\nALTER TABLE a ADD y int;\n",
    "another database is used": UP + A + "USE information_schema;\n",
    "no transaction": NO_TX + UP + A + "INSERT INTO a VALUES (1);\n",
    "fails at once": UP + FAILS + A,
    "fails after rows": UP + "CREATE TABLE IF NOT EXISTS a (x int);\n" + FAILS,
    "fails after a change of the schema": UP + A + "ALTER TABLE a ADD y int;\n" + FAILS + B,
    "fails after rows without a transaction": NO_TX + UP + A + "INSERT INTO a VALUES (1);\n" + FAILS,
}
MIGRATE_FILES = {
    **golang_migrate_cases.SAME_FILES,
    "procedure": A + PROCEDURE + "CALL p();\n" + B,
    "trigger": A + TRIGGER + "INSERT INTO a VALUES (1);\n",
    "names in backticks": "CREATE TABLE `order;` (`select` integer);\n",
    "comments with a hash": "# it's a comment;\n" + A,
    "backslashes in strings": A + "INSERT INTO a VALUES (length('it\\'s; \\\\'));\n" + B,
    "conditional comment": "/*!40101 SET NAMES utf8 */;\n" + A,
    "delimiter": "DELIMITER //\nCREATE PROCEDURE p() SELECT 1 //\n",
    "own transaction": "START TRANSACTION;\nCREATE TABLE a (x int);\nCOMMIT;\n",
    "rows between results": A + "SELECT 1;\nINSERT INTO a VALUES (1);\nSELECT x FROM a;\n" + B,
    "fails at once": "DROP TABLE nowhere;\n" + A,
    "fails at the third statement": A + "INSERT INTO a VALUES (1);\n" + FAILS + B,
    "fails after a result": A + "SELECT 1;\nSELECT nothing_of_this_name;\n" + B,
}
WITHOUT_A_STATEMENT = ("blank lines only", "empty file", "semicolon only", "semicolons and comments")
REFUSED_AT_ONCE = {
    "alter": "ALTER TABLE nowhere ADD y int;\n" + B,
    **{name: MIGRATE_FILES.pop(name) for name in ("semicolon in a quoted name", "letters beyond ascii")},
}
"""The names stand in quotation marks, which are a string's."""


@pytest.mark.parametrize("name", GOOSE_FILES)
def test_a_file_ends_as_it_does_with_goose(name: str, new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", {"00001_case.sql": GOOSE_FILES[name]})

    assert_same_end("goose", new_world, folder)


@pytest.mark.parametrize("name", [each for each in MIGRATE_FILES if each not in WITHOUT_A_STATEMENT])
def test_a_file_ends_as_it_does_with_golang_migrate(name: str, new_world: NewWorld, tmp_path: Path):
    folder = write_files(tmp_path / "migrations", {"1_case.up.sql": MIGRATE_FILES[name]})

    assert_same_end("golang-migrate", new_world, folder)


def assert_same_end(tool: str, new_world: NewWorld, folder: Path) -> None:
    real, ours = new_world(MARIADB), new_world(MARIADB)

    code = run_real(tool, real, folder, "up")
    outcome = run_ours(tool, ours, folder)

    assert outcome.is_done == (code == 0), outcome
    if real.ledger(tool) is not None:
        make_ledger(tool, ours)  # goose makes its table before it reads a file; a refusal comes earlier
    assert ours.snapshot(tool) == real.snapshot(tool)


@pytest.mark.parametrize("name", sorted(SEVERAL_IN_A_TEXT))
def test_several_statements_in_a_text_run_as_with_the_parameter_that_goose_needs_for_them(
    name: str, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"00001_case.sql": goose_cases.FILES[name]})
    real, ours = new_world(MARIADB), new_world(MARIADB)
    assert run_real("goose", real, folder, "up") == 1
    allowing = replace(real, url=f"{real.url}?multiStatements=true")

    assert run_real("goose", allowing, folder, "up") == 0
    assert run_ours("goose", ours, folder).is_done
    assert ours.snapshot("goose") == real.snapshot("goose")


@pytest.mark.parametrize("name", WITHOUT_A_STATEMENT)
def test_a_file_without_a_statement_leaves_no_dirty_version_as_with_golang_migrate(
    name: str, new_world: NewWorld, tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_case.up.sql": MIGRATE_FILES[name]})
    real, ours = new_world(MARIADB), new_world(MARIADB)

    code = run_real("golang-migrate", real, folder, "up")
    outcome = run_ours("golang-migrate", ours, folder)

    assert (code, real.ledger("golang-migrate")) == (1, ((1, True),))
    assert ours.ledger("golang-migrate") == (((1, False),) if outcome.is_done else ())
    assert outcome.is_done == (";" not in MIGRATE_FILES[name])


def where_ours_is_clean(second: str, new_world: NewWorld, folder: Path) -> tuple[World, World]:
    """Return golang-migrate's database, dirty at its second file, and ours, which has the first alone."""
    files = write_files(folder / "migrations", {"1_a.up.sql": A, "2_b.up.sql": second})
    real, ours = new_world(MARIADB), new_world(MARIADB)

    code = run_real("golang-migrate", real, files, "up")
    outcome = run_ours("golang-migrate", ours, files)

    assert (code, real.ledger("golang-migrate")) == (1, ((2, True),))
    assert outcome.error is not None
    assert ours.ledger("golang-migrate") == ((1, False),)
    return real, ours


def test_rows_that_alone_make_a_file_are_taken_back_where_golang_migrate_leaves_a_dirty_version(
    new_world: NewWorld, tmp_path: Path
):
    real, ours = where_ours_is_clean("INSERT INTO a VALUES (1);\n" + FAILS, new_world, tmp_path)

    assert "(1,)" in real.snapshot("golang-migrate")[0]
    assert "(1,)" not in ours.snapshot("golang-migrate")[0]


@pytest.mark.parametrize("text", REFUSED_AT_ONCE.values(), ids=REFUSED_AT_ONCE)
def test_a_change_that_is_refused_at_once_leaves_no_dirty_version_as_with_golang_migrate(
    text: str, new_world: NewWorld, tmp_path: Path
):
    real, ours = where_ours_is_clean(text, new_world, tmp_path)

    assert ours.snapshot("golang-migrate")[0] == real.snapshot("golang-migrate")[0]


def test_rows_behind_a_change_of_the_schema_are_taken_back_where_goose_leaves_them(
    new_world: NewWorld, tmp_path: Path
):
    content = UP + A + "INSERT INTO a VALUES (1);\n" + FAILS
    folder = write_files(tmp_path / "migrations", {"1_a.sql": content})
    real, ours = new_world(MARIADB), new_world(MARIADB)

    code = run_real("goose", real, folder, "up")
    outcome = run_ours("goose", ours, folder)

    assert (code, real.ledger("goose"), ours.ledger("goose")) == (1, ((0, True),), ((0, True),))
    assert outcome.error is not None
    assert (real.tables(), ours.tables()) == ({"a"}, {"a"})
    assert "(1,)" in real.snapshot("goose")[0]
    assert "(1,)" not in ours.snapshot("goose")[0]
