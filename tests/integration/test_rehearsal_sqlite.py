"""What a rehearsal on SQLite sees of each change that hurts, and what it leaves alone."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.applying import apply_migration
from fixtures.sqlite_rehearsal import CUSTOMERS, SCHEMA, apply, found_by, rebuilt

from coordinator import discovery
from coordinator.adapters.databases import sqlite as databases
from coordinator.adapters.rehearsals.sqlite import REHEARSAL
from coordinator.errors import DatabaseError, Usage
from coordinator.evidence import Objection
from coordinator.model import SourceFile
from coordinator.ports.databases import Batch
from coordinator.rehearsal_ports import VOLATILE, Ran, RehearsalDatabase, RehearsalServer
from coordinator.secret import Secret


@pytest.fixture(scope="module")
def server() -> Iterator[RehearsalServer]:
    with REHEARSAL.server(url=None, live_version=None) as server:
        yield server


@pytest.fixture
def database(server: RehearsalServer) -> Iterator[RehearsalDatabase]:
    with server.database() as database:
        apply(database, SCHEMA)
        database.take_statements()
        yield database


# -- how it asks ----------------------------------------------------------------------------------------


def test_a_frozen_star_lives_on_where_a_live_one_would_not(database: RehearsalDatabase):
    [frozen] = database.expand_star(["SELECT * FROM orders AS o WHERE total > ?"])

    assert found_by(database, "ALTER TABLE orders ADD COLUMN extra TEXT", frozen) == ("", "")


def test_what_depends_on_the_order_of_reading_is_not_compared(database: RehearsalDatabase):
    database.fill()

    [[ran], [sorted_one]] = (
        database.execute([(text, ())], role=None)
        for text in ("SELECT id FROM orders LIMIT 1", "SELECT id FROM orders ORDER BY id LIMIT 1")
    )

    assert isinstance(ran, Ran)
    assert isinstance(sorted_one, Ran)
    assert ran.rows == ((VOLATILE,),)
    assert sorted_one.rows == (("1",),)


def test_what_is_told_of_the_file_is_not_compared(database: RehearsalDatabase):
    [ran] = database.execute([("SELECT page_count FROM pragma_page_count()", ())], role=None)

    assert ran == Ran((), None)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO batches (id, height) VALUES ($1, $2)",
        "WITH k AS (SELECT id FROM keys WHERE raw = $1) INSERT INTO hints VALUES (1, $2, $3)",
    ],
    ids=["an only child", "the table behind INTO"],
)
def test_chooses_values_where_tables_point_at_each_other(server: RehearsalServer, text: str):
    with server.database() as database:
        apply(
            database,
            "CREATE TABLE keys (id integer PRIMARY KEY, raw blob NOT NULL UNIQUE CHECK (length(raw) = 33));"
            "CREATE TABLE batches (id integer PRIMARY KEY REFERENCES keys (id), height integer NOT NULL);"
            "CREATE TABLE hints (key integer NOT NULL, height integer NOT NULL, name text NOT NULL)",
        )
        assert database.fill() == ()

        [values] = database.choose([text], role=None)

        assert not isinstance(values, Objection), values


def test_numbers_and_texts_are_told_apart(database: RehearsalDatabase):
    [ran] = database.execute([("SELECT 12, '12', NULL, x'00', 1.5", ())], role=None)

    assert isinstance(ran, Ran)
    assert ran.rows == (("12", "'12'", None, "x'00'", "1.5"),)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("check_ (a TEXT CHECK (a IN ('new', 'paid')), b INT CHECK (b BETWEEN 5 AND 7))", ("paid", 5)),
        ("check_ (a TEXT NOT NULL CHECK (a LIKE '%@%.%'), b TEXT CHECK (length(b) = 3))", ("a@a.a", "xx1")),
        ("check_ (a INT UNIQUE, b INT, CHECK (a < b))", None),
        ("check_ (a TEXT CHECK (json_valid(a)), b TEXT GENERATED ALWAYS AS (a) STORED)", None),
        ("check_ (a, b DATE DEFAULT CURRENT_DATE, c TEXT DEFAULT (hex(randomblob(4))) UNIQUE)", None),
        ("check_ (a UUID PRIMARY KEY, b INTEGER REFERENCES check_ (a)) WITHOUT ROWID", None),
    ],
)  # fmt: skip
def test_fills_tables_with_checks(server: RehearsalServer, table: str, row: tuple[object, ...] | None):
    with server.database() as database:
        apply(database, f"CREATE TABLE {table}")

        assert database.fill() == ()

        with database.session() as session:
            rows = session.query("SELECT * FROM check_")
    assert len(rows) > 1
    assert row is None or row in rows


def test_asks_about_every_kind_of_table(server: RehearsalServer):
    queries = [
        "SELECT * FROM f WHERE f MATCH ?",
        "INSERT INTO f (body) VALUES (?)",
        'SELECT * FROM "odd `name" WHERE [c.d] = @x',
        "INSERT INTO [odd `name] VALUES (?, ?)",
        "INSERT INTO tree (id, parent) VALUES (:id, :parent)",
        "INSERT INTO docs VALUES (?) RETURNING doc ->> '$.sample'",
        "REPLACE INTO days (id, d) VALUES (?2, ?1)",
    ]
    with server.database() as database:
        apply(
            database,
            "CREATE VIRTUAL TABLE f USING fts5(body)",
            'CREATE TABLE "odd `name" ("a b" TEXT, [c.d] INT)',
            "CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES tree (id))",
            "CREATE TABLE docs (doc TEXT CHECK (json_valid(doc)))",
            "CREATE TABLE days (id INTEGER PRIMARY KEY AUTOINCREMENT, d DATE CHECK (d > date('2000-01-01')))",
            "CREATE INDEX days_d ON days (date(d))",
        )
        assert database.fill() == ()

        values = database.choose(queries, role=None)
        assert not [each for each in values if isinstance(each, Objection)]
        ran = database.execute(list(zip(queries, values, strict=True)), role=None)

    assert not [each for each in ran if isinstance(each, Objection)]


def test_fills_tables_that_point_at_each_other(server: RehearsalServer):
    with server.database() as database:
        apply(
            database,
            "CREATE TABLE a (id INTEGER PRIMARY KEY, b_id INTEGER NOT NULL REFERENCES b (id))",
            "CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a (id))",
        )

        assert database.fill() == ()

        with database.session() as session:
            assert session.query("PRAGMA foreign_key_check") == []


# -- what migrations do ---------------------------------------------------------------------------------


def test_tells_a_rebuilt_table_and_a_dropped_column_as_rewritten(database: RehearsalDatabase):
    apply(
        database,
        rebuilt("customers", CUSTOMERS, "*"),
        "ALTER TABLE keyed DROP COLUMN doubled",
        "CREATE INDEX i ON orders (note)",
    )

    seen = database.take_statements()

    assert [each.rewritten for each in seen if each.rewritten] == [("main.customers",), ("main.keyed",)]
    assert [each.scanned for each in seen if each.scanned] == [("main.orders",)]
    assert not any(each.locks for each in seen)


def test_counts_what_the_clone_had_as_there_before(database: RehearsalDatabase):
    with database.clone() as clone:
        apply(clone, "UPDATE orders SET note = 'x'")

        [seen] = clone.take_statements()

    assert seen.written == ("main.orders",)


@pytest.mark.parametrize(
    "text",
    [
        "ATTACH DATABASE '{folder}/real.db' AS real",
        "ATTACH DATABASE 'file:{folder}/real.db?mode=rwc' AS real",
        "ATTACH DATABASE '{folder}/' || 'real.db' AS real",
        "VACUUM INTO '{folder}/real.db'",
        "SELECT load_extension('{folder}/real.so')",
    ],
)
def test_a_migration_reaches_no_other_file(database: RehearsalDatabase, tmp_path: Path, text: str):
    with database.session() as session, pytest.raises(DatabaseError):
        session.execute(Batch((text.format(folder=tmp_path),), transaction=False))

    assert list(tmp_path.iterdir()) == []


def test_a_migration_may_vacuum_and_use_memory(database: RehearsalDatabase):
    with database.session() as session:
        session.execute(Batch(("VACUUM", "ATTACH ':memory:' AS m", "DETACH m"), transaction=False))

    assert database.take_statements()[0].rewritten[0] == "main.customers"


FILES = {
    "goose": {
        "00001_a.sql": "-- +goose Up\nCREATE TABLE a (x INTEGER);\nCREATE INDEX i ON a (x);\n",
        "00002_b.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nALTER TABLE a ADD COLUMN y TEXT;\n",
    },
    "golang-migrate": {
        "000001_a.up.sql": "CREATE TABLE a (x INTEGER);\nCREATE INDEX i ON a (x);\n",
        "000002_b.up.sql": "ALTER TABLE a ADD COLUMN y TEXT;\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("key", FILES)
def test_applies_the_files_of_a_migration_tool(server: RehearsalServer, key: str):
    tool = discovery.migration_tool(key)
    files = [SourceFile(f"m/{name}", text.encode(), name) for name, text in FILES[key].items()]
    read = tool.read(files)
    assert read.diagnostics == ()

    with server.database() as database:
        for migration in read.migrations:
            with database.session() as session:
                apply_migration(
                    session,
                    tool,
                    migration,
                    migrations=read.migrations,
                    table=None,
                    lock_timeout=timedelta(1),
                )
        seen = database.take_statements()
        catalogue = database.catalogue()

    texts = [each.statement.text.rstrip(";") for each in seen]
    assert texts == [
        "CREATE TABLE a (x INTEGER)",
        "CREATE INDEX i ON a (x)",
        "ALTER TABLE a ADD COLUMN y TEXT",
    ]
    assert catalogue["column main.a.y"] == "text"
    assert not [name for name in catalogue if "goose" in name or "schema_migrations" in name]


# -- servers, live files, and what is left --------------------------------------------------------------


def test_a_plan_that_names_a_server_is_refused():
    with pytest.raises(Usage, match="SQLite has none"), REHEARSAL.server(url=Secret("x"), live_version=None):
        pass


def test_a_library_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))

    with pytest.raises(Usage, match=r"needs 3\.37"), REHEARSAL.server(url=None, live_version=None):
        pass


def test_another_library_is_noted():
    with REHEARSAL.server(url=None, live_version="sqlite 3.1.0") as server:
        assert server.notes[0] == f"rehearsed on {server.version}, the live database is read by sqlite 3.1.0"


def test_reads_a_live_file_and_leaves_it_as_it_was(tmp_path: Path):
    file = tmp_path / "live.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCHEMA)
    before = file.read_bytes()

    url = Secret(f"sqlite://{file}")
    with databases.connect(url, lock_timeout=timedelta(seconds=9)).session(label="test") as session:
        version = REHEARSAL.live_version(session)
        live = REHEARSAL.live_catalogue(session)
        sizes = REHEARSAL.live_sizes(session)
    dump = REHEARSAL.dump(url)

    with REHEARSAL.server(url=None, live_version=version) as server, server.database(dump) as database:
        assert database.catalogue() == live
        assert len(server.notes) == 1
    assert not sizes or sizes["main.orders"] >= 4096
    assert file.read_bytes() == before


def test_a_live_file_that_is_not_there_is_made_by_the_first_batch_and_by_no_question(tmp_path: Path):
    url = Secret(f"sqlite://{tmp_path}/new.db")
    with databases.connect(url, lock_timeout=timedelta(seconds=9)).session(label="test") as session:
        assert session.query("SELECT count(*) FROM sqlite_schema") == [(0,)]
        assert REHEARSAL.live_catalogue(session) == {}
        assert REHEARSAL.live_sizes(session) == {}
        assert REHEARSAL.dump(url) == ""
        assert list(tmp_path.iterdir()) == []

        session.execute(Batch(("CREATE TABLE orders (id int)",), transaction=True))

        assert session.query("SELECT name FROM sqlite_schema") == [("orders",)]
    assert [each.name for each in tmp_path.iterdir()] == ["new.db"]


def test_a_file_that_somebody_makes_meanwhile_is_seen(tmp_path: Path):
    url = Secret(f"sqlite://{tmp_path}/new.db")
    with databases.connect(url, lock_timeout=timedelta(seconds=9)).session(label="test") as session:
        assert session.query("SELECT count(*) FROM sqlite_schema") == [(0,)]
        with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
            connection.execute("CREATE TABLE orders (id int)")
        assert session.query("SELECT name FROM sqlite_schema") == [("orders",)]


def test_a_live_file_whose_folder_is_not_there_cannot_be_read(tmp_path: Path):
    with pytest.raises(DatabaseError, match="cannot be read"):
        REHEARSAL.dump(Secret(f"sqlite://{tmp_path}/gone/shop.db"))


def test_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with REHEARSAL.server(url=None, live_version=None) as server, server.database() as database:
        [folder] = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o077 == 0
        with database.clone():
            assert len(list(folder.glob("*.db"))) == 2
        assert len(list(folder.glob("*.db"))) == 1

    assert list(tmp_path.iterdir()) == []


VICTIM = """
import sys
from coordinator.adapters.rehearsals.sqlite import REHEARSAL
from coordinator.ports.databases import Batch
with REHEARSAL.server(url=None, live_version=None) as server, server.database() as database:
    with database.session() as session, database.clone():
        session.execute(Batch(("PRAGMA journal_mode = WAL", "CREATE TABLE a (x)"), transaction=False))
        print("ready", flush=True)
        sys.stdin.read()
"""


def test_the_next_command_removes_what_a_killed_one_left_and_nothing_of_a_living_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"ready\n"
        [left] = tmp_path.iterdir()

        with REHEARSAL.server(url=None, live_version=None):
            assert left.exists(), "its owner lives"
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        assert list(left.iterdir()), "the kill left something"

    with REHEARSAL.server(url=None, live_version=None):
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []
