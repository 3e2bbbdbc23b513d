"""A folder of migrations is read once, from its own files only, and every problem of it is a diagnostic."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.diagnostics import Diagnostic, Place
from coordinator.load import migrations
from coordinator.load.migrations import errors_of_folder, read_migrations
from coordinator.load.source import read_bytes
from coordinator.model import CommandSpec, Engine, MigrationsSpec

SQL = "-- +goose Up\nCREATE TABLE a (id int);\n-- +goose Down\nDROP TABLE a;\n"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "migrations"
    made.mkdir()
    (made / "00001_a.sql").write_text(SQL)
    return made


def read(folder):
    return read_migrations(
        MigrationsSpec("goose", folder, None, Place("plan.yaml", 7, 36)), Engine.POSTGRESQL
    )


def codes(reading):
    return [(each.code, each.place.file) for each in reading.diagnostics]


def test_reads_the_migrations_with_their_digests(folder):
    (folder / "README.md").write_text("no migration")

    reading = read(folder)

    [migration] = reading.migrations
    [file] = migration.files
    assert codes(reading) == []
    assert migration.version == 1
    assert file.path == str(folder / "00001_a.sql")
    assert file.digest == hashlib.sha256(SQL.encode()).hexdigest()


def test_names_the_plans_line_for_a_missing_folder(tmp_path):
    for missing in (tmp_path / "gone", tmp_path / "file" / "x"):
        (tmp_path / "file").write_text("")
        [problem] = read(missing).diagnostics

        assert (problem.code, str(problem.place)) == ("folder-missing", "plan.yaml:7:36")


def test_refuses_a_link_that_leaves_the_folder(folder, tmp_path):
    (tmp_path / "outside.sql").write_text(SQL)
    (folder / "00002_b.sql").symlink_to(tmp_path / "outside.sql")

    assert codes(read(folder)) == [("link-leaves-folder", str(folder / "00002_b.sql"))]


def test_follows_a_link_that_stays_in_the_folder(folder):
    (folder / "text").write_text(SQL)
    (folder / "00002_b.sql").symlink_to("text")

    assert len(read(folder).migrations) == 2


def test_refuses_a_pipe_and_a_folder_among_the_files(folder):
    os.mkfifo(folder / "00002_b.sql")
    (folder / "00003_c.sql").mkdir()

    assert [code for code, _ in codes(read(folder))] == ["not-a-file", "not-a-file"]


def test_a_migration_in_go_wants_a_command(folder):
    (folder / "00002_move.go").write_text("package migrations\n")

    [problem] = read(folder).diagnostics

    assert (problem.code, problem.place.file) == ("goose-go-migration", str(folder / "00002_move.go"))
    assert "command: [" in problem.next_step


def test_with_a_command_a_migration_in_go_is_one_like_others(folder):
    (folder / "00002_move.go").write_text("package migrations\n")
    command = CommandSpec(("./migrate",), folder, timedelta(1), False, False, Place("plan.yaml", 8))
    spec = MigrationsSpec("goose", folder, None, Place("plan.yaml", 7), command)

    reading = read_migrations(spec, Engine.POSTGRESQL)

    assert reading.diagnostics == ()
    assert [each.is_code for each in reading.migrations] == [False, True]


def test_an_error_of_a_migrations_file_stands_with_the_migration(folder):
    (folder / "00002_b.sql").write_text("-- +goose Up\nCREATE TABLE b (id int)\n")
    (folder / "00002_c.sql").write_text(SQL)
    (folder / "00003_d.go").write_text("package main\n")

    reading = read(folder)

    assert [[fault.code for fault in each.faults] for each in reading.migrations] == [
        [],
        ["goose-syntax"],
        ["goose-go-migration"],
    ]
    assert [each.code for each in errors_of_folder(reading)] == ["duplicate-version"]


def test_a_tool_that_reads_all_its_files_has_no_error_of_a_single_one(tmp_path):
    versions = tmp_path / "versions"
    versions.mkdir()
    (tmp_path / "env.py").write_text("")
    (versions / "1_a.py").write_text("revision = 'a'\ndown_revision = None\ndef upgrade(:\n")

    reading = read_migrations(
        MigrationsSpec("alembic", tmp_path, None, Place("plan.yaml", 7, 36)), Engine.POSTGRESQL
    )

    assert errors_of_folder(reading)
    assert not any(each.faults for each in reading.migrations)


def test_refuses_a_giant_file(folder, monkeypatch):
    monkeypatch.setattr(migrations, "MAX_MIGRATION_BYTES", 1 << 20)
    (folder / "00002_b.sql").write_bytes(b"-" * ((1 << 20) + 1))

    assert codes(read(folder)) == [("file-too-large", str(folder / "00002_b.sql"))]


def test_refuses_a_name_that_cannot_be_printed(folder):
    (folder / os.fsdecode(b"00002_\xff.sql")).write_text(SQL)

    assert codes(read(folder)) == [("not-utf-8", f"{folder}/00002_\\udcff.sql")]


def test_a_file_as_large_as_the_limit_is_read_whole_and_a_larger_one_not(tmp_path: Path):
    file = tmp_path / "00001_a.sql"
    file.write_bytes(b"1234567")

    assert read_bytes(file, limit=7, place=Place("x")) == b"1234567"
    assert isinstance(read_bytes(file, limit=6, place=Place("x")), Diagnostic)
    assert isinstance(read_bytes(file, limit=5, place=Place("x")), Diagnostic)


def test_a_file_that_tells_no_size_is_read_whole_too():
    limits = Path("/proc/self/limits")

    assert limits.stat().st_size == 0
    assert read_bytes(limits, limit=1 << 20, place=Place("x")) == limits.read_bytes()
    assert isinstance(read_bytes(limits, limit=5, place=Place("x")), Diagnostic)
