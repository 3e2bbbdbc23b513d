"""What a rehearsal says against what happens: random schemas, migrations and queries, and a plain connection.

The plain connection works on a database of its own that was migrated without coordinator. The queries have no
parameters, so that every answer can be checked both ways: a query that the layers let pass must run there,
and one that they refuse must fail there. COORDINATOR_TEST_SEEDS=500 looks further than a test run does.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from coordinator import discovery
from coordinator.errors import DatabaseError
from coordinator.evidence import Objection
from coordinator.model import Engine
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import Description, RehearsalDatabase

SEEDS = range(int(os.environ.get("COORDINATOR_TEST_SEEDS", "4")))
TABLES = ("a", "b", "c")
COLUMNS = ("id", "k", "v", "w")
SCHEMA = [
    *(
        f"CREATE TABLE {table} (id integer PRIMARY KEY, k integer NOT NULL UNIQUE, v text, w text)"
        for table in TABLES
    ),
    *(f"INSERT INTO {table} VALUES ({n}, {n * 10}, 'v{n}', NULL)" for table in TABLES for n in (1, 2, 3)),
]
Run = Callable[[str, bool], str | None]
"""Runs a text on the plain connection, to stay or to be rolled back; returns what was refused."""


def a_migration(dice: random.Random, engine: Engine) -> list[str]:
    table, column, other = dice.choice(TABLES), dice.choice(COLUMNS[1:]), dice.choice(("x", "y"))
    choices = [
        [f"ALTER TABLE {table} ADD COLUMN {other} text"],
        [f"ALTER TABLE {table} ADD COLUMN {other} text NOT NULL DEFAULT 'd'"],
        [f"ALTER TABLE {table} DROP COLUMN {column}"],
        [f"ALTER TABLE {table} RENAME COLUMN {column} TO {other}"],
        [f"ALTER TABLE {table} RENAME TO {dice.choice(TABLES)}2"],
        [f"DROP TABLE {table}"],
        [f"CREATE UNIQUE INDEX {table}_{column} ON {table} ({column})"],
        [f"CREATE VIEW {table}_view AS SELECT id, {column} AS seen FROM {table} WHERE id > 1"],
        [f"DROP VIEW {table}_view"],
        [f"DELETE FROM {table} WHERE id = {dice.randint(1, 3)}"],
    ]
    if engine is Engine.SQLITE:
        choices += [
            [
                "CREATE TABLE n (id integer PRIMARY KEY, k integer, v text NOT NULL CHECK (v <> 'bad'), w)",
                f"INSERT INTO n SELECT id, k, v, w FROM {table}",
                f"DROP TABLE {table}",
                f"ALTER TABLE n RENAME TO {table}",
            ],
            [f"CREATE TRIGGER t_{table} BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"],
        ]
    else:
        choices += [
            [f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL"],
            [f"ALTER TABLE {table} ADD CHECK (v <> 'bad') NOT VALID"],
            [f"ALTER TABLE {table} DROP CONSTRAINT {table}_k_key"],
            [f"ALTER TABLE {table} ALTER COLUMN k TYPE text"],
        ]
    return dice.choice(choices)


def a_query(dice: random.Random) -> str:
    table, other = dice.choice(TABLES), dice.choice(TABLES)
    column, second = dice.choice(COLUMNS), dice.choice((*COLUMNS, "x"))
    number = dice.randint(1, 6)
    return dice.choice(
        [
            f'SELECT {column}, "{second}" FROM {table} WHERE "{column}" IS NOT NULL',
            f"SELECT * FROM {table} JOIN {other} AS o ON o.id = {table}.id WHERE {column} IS NULL"
            if table != other
            else f"SELECT count(*) FROM {table} WHERE {column} IS NULL",
            f"SELECT seen FROM {table}_view",
            f"SELECT id FROM {table} WHERE id IN (SELECT {column} FROM {other} WHERE id = {number})",
            f"INSERT INTO {table} (id, k) VALUES ({number}, {number * 10})",
            f"INSERT INTO {table} (id, k, v) VALUES ({number + 3}, {number}, 'bad') RETURNING {second}",
            f"INSERT INTO {table} VALUES (9, 90, 'v9', 'w')",
            f"INSERT INTO {table} (id, k) VALUES (8, {number * 10}) ON CONFLICT ({column}) DO NOTHING",
            f"UPDATE {table} SET {column} = NULL WHERE id = {number}",
            f"UPDATE {table} SET v = 'v1', k = k WHERE \"{second}\" IS NOT NULL",
            f"DELETE FROM {table} WHERE {column} IS NOT NULL",
            f"WITH x AS (SELECT id, {column} FROM {table}) SELECT x.{second} FROM x",
        ]
    )


@contextmanager
def plain_sqlite(path: Path) -> Iterator[Run]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")

        def run(text: str, stays: bool) -> str | None:
            connection.execute("BEGIN")
            try:
                connection.execute(text).fetchall()
            except sqlite3.Error as error:
                connection.execute("ROLLBACK")
                return str(error)
            connection.execute("COMMIT" if stays else "ROLLBACK")
            return None

        yield run


@contextmanager
def plain_postgresql(url: str) -> Iterator[Run]:
    with psycopg.connect(url, autocommit=True) as connection:

        def run(text: str, stays: bool) -> str | None:
            connection.execute("BEGIN")
            try:
                connection.execute(text.encode())
            except psycopg.Error as error:
                connection.execute("ROLLBACK")
                return str(error)
            connection.execute("COMMIT" if stays else "ROLLBACK")
            return None

        yield run


def apply_to_both(database: RehearsalDatabase, run: Run, statements: list[str]) -> None:
    """Apply a migration statement by statement; one that is refused must be refused in both places."""
    for text in statements:
        refused = run(text, True)
        rehearsed = None
        with database.session() as session:
            try:
                session.execute(Batch((text,), transaction=True))
            except DatabaseError as error:
                rehearsed = str(error)
        assert (rehearsed is None) == (refused is None), f"{text}: {rehearsed}, in truth {refused}"


def verdicts_of(database: RehearsalDatabase, texts: list[str]) -> list[Objection | Description]:
    """Put texts through the layers that can be checked by running them."""
    described = database.prepare(texts)
    planned = database.plan(texts, role=None)
    chosen = database.choose(texts, role=None)
    runnable = [place for place, values in enumerate(chosen) if not isinstance(values, Objection)]
    ran = dict(
        zip(
            runnable,
            database.execute([(texts[place], chosen[place]) for place in runnable], role=None),
            strict=True,
        )
    )
    return [
        next(
            (
                each
                for each in (described[at], planned[at], chosen[at], ran.get(at))
                if isinstance(each, Objection)
            ),
            described[at],
        )
        for at in range(len(texts))
    ]


def disagreements(database: RehearsalDatabase, run: Run, queries: list[str], engine: Engine) -> Iterator[str]:
    for text, verdict in zip(queries, verdicts_of(database, queries), strict=True):
        refused = run(text, False)
        if isinstance(verdict, Objection) != (refused is not None):
            yield f"{text}: rehearsed as {verdict}, and in truth {refused or 'it works'}"
        elif isinstance(verdict, Description) and engine is Engine.SQLITE:
            # Every word in double quotes is meant as a name, and back quotes quote nothing else.
            is_name = run(text.replace('"', "`"), False) is None
            if is_name == bool(verdict.strings):
                yield f"{text}: taken for text {verdict.strings}"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_what_a_rehearsal_says_is_what_happens(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
):
    with discovery.rehearsal(engine).server(url=None, live_version=None) as server:
        for seed in SEEDS:
            dice = random.Random(seed)
            queries = [a_query(dice) for _ in range(25)]
            plain = (
                plain_sqlite(tmp_path / f"{seed}.db")
                if engine is Engine.SQLITE
                else plain_postgresql(request.getfixturevalue("new_database")())
            )
            with plain as run, server.database() as database:
                apply_to_both(database, run, SCHEMA)
                for _ in range(4):
                    found = list(disagreements(database, run, queries, engine))
                    assert found == [], f"seed {seed}"
                    apply_to_both(database, run, a_migration(dice, engine))
