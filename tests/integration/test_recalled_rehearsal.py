"""A second plan of the same release asks nobody, and says the same; where anything differs it asks again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixtures.repository import Repository

from coordinator.adapters.rehearsals.postgresql import REHEARSAL
from coordinator.adapters.rehearsals.sqlite import REHEARSAL as SQLITE

ADD = "-- +goose Up\nALTER TABLE orders ADD COLUMN cents integer;\n"


@pytest.fixture
def shop(tmp_path: Path) -> Repository:
    """Return a repository with a branch that adds a column."""
    made = Repository(tmp_path / "shop")
    made.write(
        "migrations/00001_orders.sql",
        "-- +goose Up\nCREATE TABLE orders (id bigint PRIMARY KEY, total text);\n",
    )
    made.write("queries/orders.sql", "-- name: GetOrder :one\nSELECT id FROM orders WHERE id = $1;\n")
    made.commit("v1.4")
    made.git("switch", "--quiet", "-c", "feature")
    made.write("migrations/00002_cents.sql", ADD)
    return made


def plan(shop: Repository, *more: str, **environment: str) -> dict[str, Any]:
    """Return what `plan --against` says of the branch, in a process of its own."""
    told = [
        *("--against", "v1.4", "--migrations", "migrations", "--tool", "goose"),
        *("--engine", "postgresql", "--queries", "queries", "--output", "json"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", "plan", *told, *more],
        cwd=shop.folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key != "seconds"}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def times(value: Any) -> list[float]:
    """Return how long each statement took: measured anew, it took another time."""
    if isinstance(value, dict):
        return [time for key, each in value.items() for time in ([each] if key == "seconds" else times(each))]
    return [time for each in value for time in times(each)] if isinstance(value, list) else []


def test_a_second_plan_gives_back_what_the_first_one_measured(shop):
    first = plan(shop)

    second = plan(shop)

    assert times(first)
    assert second == first


def test_without_the_cache_everything_is_asked_anew(shop):
    first = plan(shop)

    second = plan(shop, "--no-cache")

    assert times(second) != times(first)
    assert without_times(second) == without_times(first)


def test_a_query_that_changes_by_a_letter_has_everything_asked_anew(shop):
    first = plan(shop)
    shop.write("queries/orders.sql", "-- name: GetOrder :one\nSELECT  id FROM orders WHERE id = $1;\n")

    assert times(plan(shop)) != times(first)


def test_another_setting_of_libpq_has_everything_asked_anew(shop):
    first = plan(shop)

    assert times(plan(shop, PGOPTIONS="-c enable_seqscan=off")) != times(first)


@pytest.mark.parametrize("engine", [REHEARSAL, SQLITE], ids=["postgresql", "sqlite"])
def test_an_engine_is_the_same_as_long_as_nothing_of_it_changes(engine):
    assert engine.identity(live_version=None) == engine.identity(live_version=None) is not None


def test_a_password_for_the_live_database_is_no_part_of_the_engine(monkeypatch):
    before = REHEARSAL.identity(live_version=None)

    monkeypatch.setenv("PGPASSWORD", "hunter2")

    assert REHEARSAL.identity(live_version=None) == before
