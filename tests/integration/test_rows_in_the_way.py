"""Migrations that fail on sample rows: the rehearsal goes on with fewer, and proves nothing without any."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from coordinator import discovery
from coordinator.diagnostics import Place
from coordinator.evidence import Rehearsal, Verdict
from coordinator.model import (
    DatabaseName,
    DatabaseSpec,
    Engine,
    Layer,
    Migration,
    MigrationsSpec,
    Role,
    SecretRef,
    ServiceName,
    SourceFile,
)
from coordinator.queries import Catalogue, Query
from coordinator.rehearsal_ports import RehearsalServer
from coordinator.rehearse import Subject, Task, rehearse_database

USE = (DatabaseName("shop"), ServiceName("shop"), Role.LIVE)
PLACE = Place("plan.yaml", 1, 1)
TOOL = discovery.migration_tool("goose")
BASE = "CREATE TABLE t (id integer PRIMARY KEY, name text, code text NOT NULL);"


@pytest.fixture(scope="module")
def server() -> Iterator[RehearsalServer]:
    with discovery.rehearsal(Engine.SQLITE).server(url=None, live_version=None) as server:
        yield server


def migration(version: int, sql: str) -> Migration:
    content = f"-- +goose Up\n{sql}\n".encode()
    file = SourceFile(f"{version:05}_m.sql", content, sha256(content).hexdigest())
    [found] = TOOL.read([file]).migrations
    return found


def rehearsed(server: RehearsalServer, *pending: str) -> tuple[Rehearsal, list[Verdict]]:
    """Return the rehearsal, and the live version's verdict at each state."""
    migrations = tuple(migration(number, sql) for number, sql in enumerate((BASE, *pending), 1))
    folder = MigrationsSpec("goose", Path("migrations"), None, PLACE)
    url = SecretRef("env", "URL")
    spec = DatabaseSpec(USE[0], Engine.SQLITE, url, folder, timedelta(seconds=2), PLACE)
    catalogue = Catalogue("queries", (Query("Read", "SELECT id, code FROM t WHERE id = ?1", PLACE),))
    layers = (Layer.PREPARE, Layer.EXECUTE)
    task = Task(spec, TOOL, migrations[:1], migrations[1:], (Subject(USE, catalogue),), layers)
    rehearsal, spans = rehearse_database(server, task)
    verdicts = [span.finding.verdict for span in spans[USE] for _ in range(span.first, span.last + 1)]
    return rehearsal, verdicts


def test_a_null_in_the_way_costs_the_rows_with_nulls_alone(server):
    rebuild = (
        "CREATE TABLE n (id integer PRIMARY KEY, name text NOT NULL, code text NOT NULL);"
        " INSERT INTO n SELECT id, name, code FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;"
    )

    rehearsal, verdicts = rehearsed(server, rebuild)

    assert verdicts == [Verdict.PROVEN, Verdict.PROVEN]
    assert any("fails on sample rows" in note and "no live row" in note for note in rehearsal.notes)


def test_rows_that_a_later_migration_makes_too_are_left_to_it(server):
    rehearsal, verdicts = rehearsed(
        server, "CREATE TABLE copied (id integer PRIMARY KEY);", "INSERT INTO copied SELECT id FROM t;"
    )

    assert verdicts == [Verdict.PROVEN] * 3
    assert any("fails on sample rows" in note for note in rehearsal.notes)


def test_without_any_rows_nothing_is_proven(server):
    rehearsal, verdicts = rehearsed(
        server,
        "CREATE TABLE never (n integer CHECK (n IS NULL));",
        "INSERT INTO never SELECT 1 FROM t;",
    )

    assert rehearsal.is_whole
    assert verdicts == [Verdict.UNPROVEN] * 3
