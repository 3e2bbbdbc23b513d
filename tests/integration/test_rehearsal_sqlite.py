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

from coordinator import discovery
from coordinator.adapters.databases import sqlite as databases
from coordinator.adapters.rehearsals.sqlite import REHEARSAL
from coordinator.apply import apply_migration
from coordinator.errors import DatabaseError, Usage
from coordinator.evidence import Objection
from coordinator.model import SourceFile
from coordinator.ports import Batch
from coordinator.rehearsal_ports import VOLATILE, Description, Ran, RehearsalDatabase, RehearsalServer
from coordinator.sameness import difference
from coordinator.secret import Secret

SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT, age INTEGER);
CREATE UNIQUE INDEX customers_email ON customers (email);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, total NUMERIC NOT NULL, note TEXT);
CREATE TABLE strict_ones (id INTEGER PRIMARY KEY, a INT NOT NULL, b TEXT) STRICT;
CREATE TABLE keyed (k TEXT PRIMARY KEY, v TEXT, doubled TEXT AS (v || v)) WITHOUT ROWID;
CREATE VIEW big AS SELECT id, total FROM orders WHERE total > 0;
"""


def rebuilt(table: str, columns: str, copied: str) -> str:
    """Return what SQLite's manual says for a change that ALTER TABLE cannot make."""
    return (
        f"CREATE TABLE rebuilt ({columns}); INSERT INTO rebuilt SELECT {copied} FROM {table};"
        f" DROP TABLE {table}; ALTER TABLE rebuilt RENAME TO {table};"
    )


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


def apply(database: RehearsalDatabase, *texts: str) -> None:
    with database.session() as session:
        session.execute(Batch(texts, transaction=True))


def found_by(database: RehearsalDatabase, migration: str, query: str) -> tuple[str, str]:
    """Return the first layer that sees a migration break a query, and what it says; empty if none does."""
    database.fill()
    [own] = database.prepare([query])
    [values] = database.choose([query], role=None)
    assert isinstance(own, Description), own
    assert isinstance(values, tuple), values
    [own_ran] = database.execute([(query, values)], role=None)
    assert isinstance(own_ran, Ran)
    apply(database, migration)
    [here] = database.prepare([query])
    if isinstance(here, Objection):
        return "prepare", f"{here.code}: {here.message}"
    if here.strings != own.strings:
        return "prepare", str(here.strings)
    if here != own:
        return "describe", f"{own.columns} {here.columns}"
    [ran] = database.execute([(query, values)], role=None)
    if isinstance(ran, Objection):
        return "execute", f"{ran.code}: {ran.message}"
    return ("result", clause) if (clause := difference(own_ran, ran)) else ("", "")


ORDERS = "id INTEGER PRIMARY KEY, customer_id INTEGER, total NUMERIC, note TEXT"
CUSTOMERS = "id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT, age INTEGER"
HAZARDS = {
    "a renamed column": (
        "ALTER TABLE customers RENAME COLUMN name TO full_name",
        "SELECT name FROM customers",
        ("prepare", "no such column: name"),
    ),
    "a dropped column": (
        "ALTER TABLE customers DROP COLUMN name",
        "UPDATE customers SET name = ? WHERE id = ?",
        ("prepare", "no such column: name"),
    ),
    "a dropped column in double quotes": (
        "ALTER TABLE customers DROP COLUMN name",
        'SELECT id, "name" FROM customers',
        ("prepare", '"name"'),
    ),
    "a dropped column in double quotes, in a condition": (
        "ALTER TABLE customers DROP COLUMN name",
        'SELECT id FROM customers WHERE "name" = ?',
        ("prepare", '"name"'),
    ),
    "a new column that a double-quoted text now names": (
        "ALTER TABLE customers ADD COLUMN grown TEXT",
        "SELECT id FROM customers WHERE \"grown\" = 'grown'",
        ("prepare", "()"),
    ),
    "a dropped column in double quotes, within a view": (
        "DROP VIEW big;" + rebuilt("orders", "id INTEGER PRIMARY KEY, customer_id INTEGER", "id, customer_id")
        + 'CREATE VIEW big AS SELECT id, "total" FROM orders WHERE "total" > 0',
        "SELECT id FROM big",
        ("prepare", 'big: "total"'),
    ),
    "a renamed table": (
        "ALTER TABLE strict_ones RENAME TO stricter",
        "SELECT a FROM strict_ones",
        ("prepare", "no such table: strict_ones"),
    ),
    "a dropped table": ("DROP TABLE keyed", "DELETE FROM keyed WHERE k = ?", ("prepare", "no such table")),
    "a dropped view": ("DROP VIEW big", "SELECT total FROM big", ("prepare", "no such table: big")),
    "a column that makes another ambiguous": (
        "ALTER TABLE orders ADD COLUMN email TEXT",
        "SELECT email FROM customers JOIN orders ON orders.customer_id = customers.id",
        ("prepare", "ambiguous column name: email"),
    ),
    "a lost target of ON CONFLICT": (
        "DROP INDEX customers_email",
        "INSERT INTO customers (email) VALUES (?) ON CONFLICT (email) DO NOTHING",
        ("prepare", "ON CONFLICT clause does not match"),
    ),
    "a column more in an INSERT without names": (
        "ALTER TABLE orders ADD COLUMN extra TEXT",
        "INSERT INTO orders VALUES (?, ?, ?, ?)",
        ("prepare", "has 5 columns but 4 values"),
    ),
    "a column that became a generated one": (
        "ALTER TABLE customers DROP COLUMN age; ALTER TABLE customers ADD COLUMN age INTEGER AS (id + 1)",
        "INSERT INTO customers (email, age) VALUES (?, ?)",
        ("prepare", "cannot INSERT into generated column"),
    ),
    "a trigger on a column that is not there": (
        "CREATE TRIGGER t AFTER INSERT ON orders BEGIN UPDATE customers SET gone = 1; END",
        "INSERT INTO orders (customer_id, total) VALUES (?, ?)",
        ("prepare", "no such column: gone"),
    ),
    "a star with a column more": (
        "ALTER TABLE orders ADD COLUMN extra TEXT",
        "SELECT * FROM orders",
        ("describe", "extra"),
    ),
    "another affinity": (
        "DROP VIEW big; " + rebuilt("orders", ORDERS.replace("NUMERIC", "TEXT"), "*"),
        "SELECT total FROM orders",
        ("describe", "TEXT"),
    ),
    "a type that drivers convert": (
        rebuilt("customers", "id INTEGER PRIMARY KEY, email TEXT, name TEXT, age BOOLEAN", "*"),
        "SELECT age FROM customers",
        ("describe", "BOOLEAN"),
    ),
    "NOT NULL without a default": (
        rebuilt("customers", f"{CUSTOMERS}, phone TEXT NOT NULL", "*, ''"),
        "INSERT INTO customers (email, name) VALUES (?, ?)",
        ("execute", "SQLITE_CONSTRAINT_NOTNULL"),
    ),
    "a CHECK": (
        rebuilt("customers", f"{CUSTOMERS}, kind TEXT DEFAULT 'none' CHECK (kind <> 'none')", "*, 'some'"),
        "INSERT INTO customers (email) VALUES (?)",
        ("execute", "SQLITE_CONSTRAINT_CHECK"),
    ),
    "a UNIQUE index": (
        "CREATE UNIQUE INDEX u ON customers (name) WHERE name IS NOT NULL",
        "INSERT INTO customers (email, name) VALUES (?, ?)",
        ("execute", "SQLITE_CONSTRAINT_UNIQUE"),
    ),
    "a foreign key": (
        "DROP VIEW big; DELETE FROM orders WHERE customer_id > 2;"
        + rebuilt(
            "orders",
            ORDERS.replace("customer_id INTEGER", "customer_id INTEGER REFERENCES customers (id)"),
            "*",
        ),
        "DELETE FROM customers WHERE id = ?",
        ("execute", "SQLITE_CONSTRAINT_FOREIGNKEY"),
    ),
    "a deferred foreign key": (
        "DROP VIEW big;"
        + rebuilt(
            "orders",
            ORDERS + ", FOREIGN KEY (customer_id) REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED",
            "*",
        ),
        "DELETE FROM customers WHERE id = ?",
        ("execute", "at COMMIT"),
    ),
    "a trigger that refuses": (
        "CREATE TRIGGER t BEFORE UPDATE ON orders BEGIN SELECT RAISE(ABORT, 'frozen'); END",
        "UPDATE orders SET note = ? WHERE id = ?",
        ("execute", "frozen"),
    ),
    "a STRICT table": (
        rebuilt("customers", CUSTOMERS, "*").replace(");", ") STRICT;", 1),
        "INSERT INTO customers (email, age) VALUES (?, 'twelve')",
        ("execute", "SQLITE_CONSTRAINT_DATATYPE"),
    ),
    "a view with another body": (
        "DROP VIEW big; CREATE VIEW big AS SELECT id, total FROM orders WHERE total > 1",
        "SELECT id FROM big ORDER BY id",
        ("result", "gone"),
    ),
    "a trigger with a side effect": (
        "CREATE TRIGGER t AFTER INSERT ON orders BEGIN UPDATE orders SET note = 'x' WHERE id = new.id; END",
        "INSERT INTO orders (customer_id, total, note) VALUES (?, ?, ?)",
        ("result", "note"),
    ),
    "another default": (
        rebuilt("customers", f"{CUSTOMERS} DEFAULT 9", "*"),
        "INSERT INTO customers (email) VALUES (?)",
        ("result", "age"),
    ),
    "rows that were taken away": (
        "DELETE FROM customers WHERE id = 1",
        "SELECT email FROM customers WHERE id = ?",
        ("result", "gone"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("hazard", HAZARDS)
def test_sees_the_hazard(database: RehearsalDatabase, hazard: str):
    migration, query, (layer, words) = HAZARDS[hazard]

    found, said = found_by(database, migration, query)

    assert found == layer, said
    assert words in said


HARMLESS = {
    "a column more": (
        "ALTER TABLE customers ADD COLUMN phone TEXT",
        "SELECT id, email FROM customers WHERE id = ?",
    ),
    "a NOT NULL column with a default": (
        "ALTER TABLE customers ADD COLUMN phone TEXT NOT NULL DEFAULT ''",
        "INSERT INTO customers (email, name, age) VALUES (?, ?, ?)",
    ),
    "an index": (
        "CREATE INDEX i ON orders (customer_id DESC, total)",
        "SELECT id, note FROM orders WHERE customer_id > 0 LIMIT 1",
    ),
    "an index that turns an order around": (
        "CREATE INDEX i ON orders (customer_id DESC)",
        "SELECT group_concat(customer_id) FROM orders",
    ),
    "a rebuilt table": (
        rebuilt("customers", CUSTOMERS, "*") + "CREATE UNIQUE INDEX customers_email ON customers (email)",
        "INSERT INTO customers (email) VALUES (?) ON CONFLICT (email) DO NOTHING RETURNING id, name",
    ),
    "a longer varchar": (
        rebuilt("customers", CUSTOMERS.replace("name TEXT", "name VARCHAR(40)"), "*"),
        "SELECT name FROM customers",
    ),
    "a text in double quotes": (
        "ALTER TABLE orders ADD COLUMN extra TEXT",
        'UPDATE customers SET name = "admin" WHERE "email" = ?',
    ),
    "a star that the client froze": (
        "CREATE TABLE other (id INTEGER)",
        "SELECT o.*, c.* FROM orders o JOIN customers c ON c.id = o.customer_id",
    ),
    "a moment and a random number": (
        "CREATE TABLE other (id INTEGER)",
        "INSERT INTO keyed (k, v) VALUES (lower(hex(randomblob(8))), datetime('now')) RETURNING *",
    ),
    "a table with a generated column": (
        "ALTER TABLE keyed ADD COLUMN w TEXT",
        "INSERT INTO keyed (k, v) VALUES (@k, $v) ON CONFLICT DO NOTHING",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", HARMLESS)
def test_finds_nothing_where_nothing_breaks(database: RehearsalDatabase, change: str):
    assert found_by(database, *HARMLESS[change]) == ("", "")


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


def test_numbers_and_texts_are_told_apart(database: RehearsalDatabase):
    [ran] = database.execute([("SELECT 12, '12', NULL, x'00', 1.5", ())], role=None)

    assert isinstance(ran, Ran)
    assert ran.rows == (("12", "'12'", None, "x'00'", "1.5"),)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("check_ (a TEXT CHECK (a IN ('new', 'paid')), b INT CHECK (b BETWEEN 5 AND 7))", ("paid", 5)),
        ("check_ (a TEXT NOT NULL CHECK (a LIKE '%@%.%'), b TEXT CHECK (length(b) = 3))", ("a@a.a", "xxx")),
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


def test_a_live_file_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(DatabaseError, match="cannot be read"):
        REHEARSAL.dump(Secret(f"sqlite://{tmp_path}/gone.db"))

    assert list(tmp_path.iterdir()) == []


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
from coordinator.ports import Batch
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
