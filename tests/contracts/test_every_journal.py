"""What every journal promises (ports.Journal), held by each adapter."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from coordinator.adapters.journals.sqlite import SqliteJournal
from coordinator.errors import InDoubt, JournalConflict, StepFailed, Waiting
from coordinator.ports.machine import Journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite3"


@pytest.fixture(params=[SqliteJournal])
def journal(request: pytest.FixtureRequest, file: Path) -> Journal:
    return request.param(file)


def test_gives_back_what_was_appended_in_order(journal: Journal, file: Path) -> None:
    journal.append("r@1", 1, '{"a":"ü"}')
    journal.append("r@1", 2, "b")

    assert SqliteJournal(file).records("r@1") == ('{"a":"ü"}', "b")


def test_reading_what_was_never_written_makes_no_file(journal: Journal, file: Path) -> None:
    assert journal.records("r@1") == journal.runs() == journal.requests("r@1") == ()
    assert not file.exists()


def test_lists_runs_in_the_order_of_their_beginning(journal: Journal) -> None:
    for run in ("z@1", "a@2", "m@3"):
        journal.append(run, 1, run)

    assert journal.runs() == ("z@1", "a@2", "m@3")


def test_of_two_writers_at_the_same_number_one_is_turned_away(journal: Journal, file: Path) -> None:
    journal.append("r@1", 1, "first")
    journal.append("r@1", 2, "mine")

    with pytest.raises(JournalConflict) as refused:
        SqliteJournal(file).append("r@1", 2, "theirs")

    assert refused.value.code == "journal-conflict"
    assert journal.records("r@1") == ("first", "mine")


def test_of_records_that_are_written_together_none_stays_where_one_is_turned_away(
    journal: Journal, file: Path
) -> None:
    journal.append("r@1", 1, "first", "second")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("INSERT INTO event VALUES ('r@1', 4, 'theirs')")

    with pytest.raises(JournalConflict):
        journal.append("r@1", 3, "third", "fourth")

    with closing(sqlite3.connect(file)) as other:
        found = other.execute("SELECT record FROM event ORDER BY sequence").fetchall()
    assert found == [("first",), ("second",), ("theirs",)]


@pytest.mark.parametrize("missing", [1, 2])
def test_a_journal_that_lacks_an_event_is_not_read_as_if_it_were_whole(
    journal: Journal, file: Path, missing: int
) -> None:
    journal.append("r@1", 1, "first", "second", "third")
    journal.append("r@2", 1, "first")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("DELETE FROM event WHERE run = 'r@1' AND sequence = ?", (missing,))

    with pytest.raises(InDoubt, match=f"Event {missing} of run r@1 is missing") as refused:
        journal.records("r@1")

    assert refused.value.code == "journal-incomplete"
    assert journal.records("r@2") == ("first",)


def test_two_runs_cannot_begin_under_one_name(journal: Journal) -> None:
    journal.append("r@1", 1, "first")

    with pytest.raises(JournalConflict):
        journal.append("r@1", 1, "again")

    assert journal.runs() == ("r@1",)


def test_requests_are_kept_apart_from_events_and_by_run(journal: Journal) -> None:
    journal.append("r@1", 1, "first")
    journal.ask("r@1", "approve")
    journal.ask("r@2", "other")
    journal.ask("r@1", "approve")

    assert journal.requests("r@1") == ("approve", "approve")
    assert journal.records("r@1") == ("first",)


def test_a_journal_that_cannot_be_written_says_so(journal: Journal, file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"this is no database, and long enough to be read as one" * 40)

    with pytest.raises(StepFailed) as refused:
        journal.append("r@1", 1, "first")

    assert refused.value.code == "journal-unusable"
    assert str(file) in str(refused.value)
    assert "move the file away" in refused.value.next_step


def test_a_journal_that_is_cut_off_is_no_matter_of_room_or_rights(file: Path) -> None:
    whole = file.with_name("whole")
    SqliteJournal(file).append("r@1", 1, "first")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(whole)) as copy:
        source.backup(copy)
    shutil.copy(whole, file.with_name("cut"))
    os.truncate(file.with_name("cut"), 5_000)

    with pytest.raises(StepFailed) as refused:
        SqliteJournal(file.with_name("cut")).records("r@1")

    assert refused.value.code == "journal-unusable"
    assert "move the file away" in refused.value.next_step


def test_a_journal_in_a_folder_that_cannot_be_looked_into_says_so(journal: Journal, file: Path) -> None:
    file.parent.write_text("no folder")

    with pytest.raises(StepFailed, match="Not a directory") as refused:
        journal.runs()

    assert refused.value.code == "journal-unusable"


def test_a_journal_that_another_process_keeps_locked_is_waited_for(file: Path) -> None:
    SqliteJournal(file).append("r@1", 1, "first")

    with closing(sqlite3.connect(file, isolation_level=None)) as suspended:
        suspended.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Waiting) as refused:
            SqliteJournal(file, patience=0.1).append("r@1", 2, "second")

    assert refused.value.code == "journal-busy"
    assert SqliteJournal(file).records("r@1") == ("first",)


def test_a_journal_that_another_process_makes_at_the_same_time_is_waited_for(file: Path) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as making:
        making.execute("BEGIN IMMEDIATE")
        done = Timer(0.2, making.execute, ("ROLLBACK",))
        done.start()
        SqliteJournal(file).append("r@1", 1, "first")
        done.join()

    assert SqliteJournal(file).records("r@1") == ("first",)


def test_a_journal_that_vanishes_under_a_run_is_not_begun_anew(journal: Journal, file: Path) -> None:
    journal.append("r@1", 1, "first")
    file.unlink()

    with pytest.raises(JournalConflict) as refused:
        journal.append("r@1", 2, "second")

    assert refused.value.code == "journal-lost"
    assert not file.exists()


def test_a_journal_whose_older_copy_is_put_in_its_place_is_not_gone_on_with(
    journal: Journal, file: Path, tmp_path: Path
) -> None:
    journal.append("r@1", 1, "first")
    shutil.copytree(file.parent, tmp_path / "copy")
    journal.append("r@1", 2, "second")
    file.parent.rename(tmp_path / "away")
    (tmp_path / "copy").rename(file.parent)

    with pytest.raises(JournalConflict) as refused:
        journal.append("r@1", 3, "third")

    assert refused.value.code == "journal-lost"
    assert SqliteJournal(file).records("r@1") == ("first",), "nothing stands behind a gap"


def test_an_acknowledged_record_is_synchronised_to_the_disk(journal: Journal, file: Path) -> None:
    journal.append("r@1", 1, "first")

    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
