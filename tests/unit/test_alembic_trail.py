"""What is told of a revision that did not come to its end: nothing is said to be there that may be gone."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordinator.adapters.runners._alembic_inside.session import driver_connection
from coordinator.adapters.runners._alembic_trail import has_left, read_trail
from coordinator.model import Engine, Migration, SourceFile

REVISION = Migration("d4", "d4", None, None, (SourceFile("d4.py", b"", "abc"),), is_code=True)
HEAD = ["revision", "d4", "abc"]
ALTER = ["sends", 0, 17, "ALTER TABLE item\n ADD y int", True]
INSERT = ["sends", 0, 18, "INSERT INTO item VALUES (1)", True]
SENT, COMMITTED, TAKEN_BACK = ["sent", 0], ["committed", 0], ["taken back", 0]


def told(folder: Path, *events: list[object], engine: Engine = Engine.MARIADB, rest: str = "") -> str:
    file = folder / "shop.trail"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in events) + rest)
    return read_trail(file, REVISION, engine)


def test_a_change_of_the_schema_is_there_and_takes_what_stands_before_it_along(tmp_path: Path):
    assert told(tmp_path, HEAD, INSERT, SENT, ALTER, SENT, INSERT, SENT) == (
        "There for good: line 18 (INSERT INTO item VALUES (1)), line 17 (ALTER TABLE item ADD y int)."
        " Ran, and nobody saw it committed: line 18 (INSERT INTO item VALUES (1))."
    )


def test_where_changes_of_the_schema_can_be_taken_back_a_commit_alone_counts(tmp_path: Path):
    postgresql = Engine.POSTGRESQL

    assert told(tmp_path, HEAD, ALTER, SENT, engine=postgresql).startswith("Ran, and nobody saw it committed")
    assert told(tmp_path, HEAD, ALTER, SENT, COMMITTED, engine=postgresql).startswith(
        "There for good: line 17"
    )


@pytest.mark.parametrize(
    "then",
    [
        [TAKEN_BACK, COMMITTED],
        [["committed", 1]],
        [["sends", 0, 19, "SET x = 1", True], SENT],
        [["sends", 0, 19, "CREATE TEMPORARY TABLE t (x int)", True], SENT],
        [["sends", 1, 19, "ALTER TABLE t", True], ["sent", 1]],
        [["sends", 0, 19, "ALTER TABLE t COMMENT 'cut", False], SENT],
    ],
)
def test_what_does_not_surely_commit_keeps_nothing(tmp_path: Path, then: list[list[object]]):
    said = told(tmp_path, HEAD, INSERT, SENT, *then)

    assert "Ran, and nobody saw it committed: line 18" in said
    assert "line 18" not in said.partition("Ran,")[0]


@pytest.mark.parametrize(
    ("events", "is_left"),
    [
        ((HEAD, ALTER, SENT), True),
        ((HEAD, ALTER), False),
        ((HEAD, INSERT, SENT), False),
        ((["revision", "d4", "of an older file"], ALTER, SENT), False),
        ((), False),
    ],
)
def test_what_is_there_for_good_counts_for_the_same_file_alone(
    tmp_path: Path, events: list[list[object]], is_left: bool
):
    told(tmp_path, *events)

    assert has_left(tmp_path / "shop.trail", REVISION, Engine.MARIADB) is is_left


def test_what_was_sent_without_an_answer_is_not_said_to_be_there(tmp_path: Path):
    said = told(tmp_path, HEAD, INSERT, SENT, ALTER, rest='["se')

    assert said.startswith("Ran, and nobody saw it committed: line 18")
    assert said.endswith("perhaps still at work on the server: line 17 (ALTER TABLE item ADD y int).")


def test_sqlite_has_no_server_that_may_still_be_at_work(tmp_path: Path):
    said = told(tmp_path, HEAD, ALTER, engine=Engine.SQLITE)

    assert said == "Refused, or sent without an answer: line 17 (ALTER TABLE item ADD y int)."


def test_what_a_hook_sent_is_told_apart_from_the_file(tmp_path: Path):
    assert "outside of the file (CREATE TABLE x)" in told(
        tmp_path, HEAD, ["sends", 0, None, "CREATE TABLE x", True]
    )


def test_a_revision_that_sent_nothing_is_told_as_that(tmp_path: Path):
    assert told(tmp_path, HEAD) == "It had sent nothing yet."


@pytest.mark.parametrize("head", [["revision", "c3", "abc"], ["revision", "d4", "edited"]])
def test_of_another_revision_or_another_text_of_it_nothing_is_said(tmp_path: Path, head: list[object]):
    assert told(tmp_path, head, ALTER, SENT) == ""


def test_without_anything_written_down_nothing_is_said(tmp_path: Path):
    assert (told(tmp_path, rest='["rev'), read_trail(tmp_path / "none", REVISION, Engine.MARIADB)) == ("", "")


def test_a_long_list_is_cut_and_says_up_to_where(tmp_path: Path):
    events = [event for line in range(1, 31) for event in (["sends", 0, line, "ALTER TABLE t", True], SENT)]

    assert told(tmp_path, HEAD, *events).endswith("and 18 more, up to line 30 (ALTER TABLE t).")


RECORD = ["sends", 0, None, "UPDATE alembic_version SET version_num='d4'", True]


@pytest.mark.parametrize(
    ("events", "is_left"),
    [
        ([INSERT, SENT, COMMITTED], True),
        ([INSERT, SENT, RECORD, SENT, COMMITTED], False),
        ([INSERT, SENT, COMMITTED, RECORD, SENT, TAKEN_BACK], True),
        ([RECORD, SENT, COMMITTED, INSERT, SENT, COMMITTED], True),
        ([INSERT, SENT, TAKEN_BACK], False),
    ],
)
def test_a_revision_that_was_recorded_left_no_part(
    tmp_path: Path, events: list[list[object]], *, is_left: bool
):
    """It was asked for on the way back to it, by who had gone back with `alembic downgrade`."""
    told(tmp_path, HEAD, *events)

    assert has_left(tmp_path / "shop.trail", REVISION, Engine.POSTGRESQL) is is_left


@pytest.mark.parametrize("name", ["connection", "dbapi_connection"])
def test_the_driver_s_connection_is_found_in_every_sqlalchemy_from_1_4_on(name: str):
    own = sqlite3.connect(":memory:")
    own.close()
    lent = SimpleNamespace(**{name: own})  # 1.4.0 to 1.4.23 do not know the second name

    assert driver_connection(SimpleNamespace(connection=lent)) is own
