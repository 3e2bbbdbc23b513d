"""The first fill of a database: where nothing is in it, no migration can break anybody or is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.backfilling import Items
from fixtures.mariadb import ENGINE

from coordinator.model import Engine

PLAN = """
version: 1
release: first
databases:
  shop: {{engine: {engine}, url: "env:URL", migrations: {{tool: goose, dir: migrations}}}}
"""
RENAMES = "CREATE TABLE thing (id integer PRIMARY KEY, a integer);\nALTER TABLE thing RENAME COLUMN a TO b;"
UNREAD = "ALTER TABLE thing RENAME TO item;"
ENGINES = [Engine.POSTGRESQL, Engine.SQLITE, pytest.param(ENGINE, marks=pytest.mark.mariadb)]


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Items:
    """Return an empty database, and write a plan for it with a migration of which no phase can be guessed."""
    engine = request.param
    url = f"sqlite://{tmp_path}/shop.db"
    if engine is not Engine.SQLITE:
        url = request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "plan.yaml").write_text(PLAN.format(engine=engine))
    write(tmp_path, "00001_thing", RENAMES)
    write(tmp_path, "00002_item", UNREAD)
    return Items(engine, url)


def write(folder: Path, name: str, sql: str) -> None:
    (folder / "migrations" / f"{name}.sql").write_text(f"-- +goose Up\n{sql}\n")


def coordinator(folder: Path, database: Items, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", *command],
        cwd=folder,
        env={**os.environ, "URL": database.url},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_whatever_a_migration_does_is_done_where_nothing_is_yet(database: Items, tmp_path: Path):
    code, said = coordinator(tmp_path, database, "plan")
    assert (code, "Nothing is in it yet: there is nobody" in said) == (0, True), said

    code, said = coordinator(tmp_path, database, "run")

    assert (code, "2 of 2 migrations applied" in said) == (0, True), said
    assert database.query("SELECT count(b) FROM item") == [(0,)]


@pytest.mark.parametrize("there", ["CREATE TABLE used (x integer)", "CREATE VIEW used AS SELECT 1 AS x"])
def test_where_somebody_else_may_be_a_person_has_to_accept_that(database: Items, there: str, tmp_path: Path):
    database.execute(there)

    code, said = coordinator(tmp_path, database, "run")
    assert (code, "error[unproven]: No service of the plan uses" in said) == (3, True), said

    code, said = coordinator(tmp_path, database, "run", "--accept-unproven")
    assert (code, "2 of 2 migrations applied" in said) == (0, True), said


def test_our_tables_and_the_tool_s_are_nobody_s(database: Items, tmp_path: Path):
    write(tmp_path, "00001_thing", "CREATE TABLE thing (id nonsense(x));")
    code, said = coordinator(tmp_path, database, "run")
    assert (code, "0 of 2 migrations applied" in said) == (1, True), said
    write(tmp_path, "00001_thing", RENAMES)

    code, said = coordinator(tmp_path, database, "run")

    assert code == 0, said
