"""Migrations of a SQLite file that others use: tried again in short tries, nobody is kept out for longer than
the plan allows, and who has the file is named. A test acts while the migration pauses (`Patience.wait`).
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.adapters.databases.sqlite import connect
from coordinator.cli import app
from coordinator.errors import DatabaseError, Interrupted
from coordinator.model import LocksSpec
from coordinator.ports.databases import Batch, Patience
from coordinator.secret import Secret

LOCKS = LocksSpec(timedelta(milliseconds=20), timedelta(milliseconds=100), timedelta(seconds=60))
ADD = ("ALTER TABLE orders ADD COLUMN note TEXT", "INSERT INTO orders (note) VALUES ('new')")
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute(sys.argv[2]).fetchone()
print("held", flush=True)
sys.stdin.read()
"""
PLAN = """
version: 1
release: shop-2
databases:
  shop:
    engine: sqlite
    url: env:URL
    migrations: {tool: goose, dir: migrations}
    locks: {try: 20ms, budget: 60ms}
"""
READS, WRITES = "SELECT id FROM orders", "UPDATE orders SET total = 1"


class Shop:
    """A file with a table of two orders, and a migration of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.pauses = 0
        with closing(self.connection()) as connection:
            connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER)")
            connection.execute("INSERT INTO orders (total) VALUES (1), (2)")

    def connection(self) -> sqlite3.Connection:
        """Return a connection that waits for nobody."""
        return sqlite3.connect(self.path, isolation_level=None, timeout=0, check_same_thread=False)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with closing(self.connection()) as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def held(self, sql: str) -> Iterator[sqlite3.Connection]:
        """Let a transaction of this process stay open after `sql`."""
        with closing(self.connection()) as holder:
            holder.execute("BEGIN")
            holder.execute(sql).fetchone()
            yield holder

    def migrate(
        self,
        *texts: str,
        transaction: bool = True,
        locks: LocksSpec = LOCKS,
        paused: Callable[[], None] = lambda: None,
    ) -> None:
        def wait(_: timedelta) -> None:
            self.pauses += 1
            paused()

        patience = Patience(locks, wait, wait, self.notes.append)
        with connect(Secret(str(self.path)), lock_timeout=timedelta(seconds=2)).session(label="x") as session:
            session.execute(Batch(texts, transaction=transaction, patience=patience))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop.db")


def columns(shop: Shop) -> list[object]:
    return [name for (name,) in shop.rows("SELECT name FROM pragma_table_info('orders')")]


def test_a_migration_begins_when_the_writer_before_it_is_done(shop: Shop):
    with shop.held(WRITES) as writer:
        shop.migrate(*ADD, paused=lambda: shop.pauses == 20 and writer.execute("COMMIT"))

    assert shop.pauses == 20  # more than the budget has tries: nobody waited for us
    assert shop.rows("SELECT count(*) FROM orders WHERE note = 'new'") == [(1,)]
    assert shop.notes == [f"{shop.path} is in use. Trying again."]


def test_between_two_tries_to_commit_new_readers_pass(shop: Shop):
    seen: list[object] = []
    with shop.held(READS) as reader:

        def paused() -> None:
            seen.append(columns(shop))
            reader.execute("COMMIT")

        shop.migrate(*ADD, paused=paused)

    assert seen == [["id", "total"]]
    assert columns(shop) == ["id", "total", "note"]
    assert shop.rows("SELECT count(*) FROM orders") == [(3,)]


def test_a_reader_who_stays_ends_the_tries_when_the_budget_is_spent(shop: Shop):
    with shop.held(READS), pytest.raises(DatabaseError) as caught:
        shop.migrate(*ADD)

    assert (caught.value.code, caught.value.is_busy) == ("lock-blocked", True)
    assert "kept readers waiting for 0.1 s (`locks.budget`)" in str(caught.value)
    assert columns(shop) == ["id", "total"]


def test_a_writer_who_stays_ends_the_tries_at_the_deadline(shop: Shop):
    brief = LocksSpec(LOCKS.attempt, LOCKS.budget, timedelta(milliseconds=200))
    with shop.held(WRITES), pytest.raises(DatabaseError) as caught:
        shop.migrate(*ADD, locks=brief)

    assert caught.value.code == "lock-blocked"
    assert "took longer than 0.2 s (`locks.deadline`)" in str(caught.value)


def test_with_a_write_ahead_log_a_reader_is_in_nobodys_way(shop: Shop):
    shop.rows("PRAGMA journal_mode = wal")
    with shop.held(READS) as reader:
        shop.migrate(*ADD)

        assert reader.execute("SELECT count(*) FROM orders").fetchall() == [(2,)]
    assert shop.pauses == 0
    assert columns(shop) == ["id", "total", "note"]


def test_without_a_transaction_each_statement_is_tried_again_and_none_that_has_run(shop: Shop):
    def paused() -> None:
        if shop.pauses == 2:
            reader.execute("COMMIT")

    with closing(shop.connection()) as reader:
        reader.execute("BEGIN")
        reader.execute(READS).fetchone()
        shop.migrate(ADD[0], ADD[1], "DELETE FROM orders WHERE total = 1", transaction=False, paused=paused)

    assert shop.pauses == 2
    assert shop.rows("SELECT total, note FROM orders") == [(2, None), (None, "new")]


def test_in_a_transaction_of_the_file_itself_nothing_is_repeated(shop: Shop):
    with shop.held(READS), pytest.raises(DatabaseError) as caught:
        shop.migrate("BEGIN", *ADD, "COMMIT", transaction=False)

    assert caught.value.code == "lock-timeout"
    assert shop.pauses == 0
    assert columns(shop) == ["id", "total"]


def test_who_stops_a_release_stops_it_in_a_pause_and_nothing_has_happened(shop: Shop):
    def paused() -> None:
        raise Interrupted("interrupted", "Stopped.")

    with shop.held(READS), pytest.raises(Interrupted):
        shop.migrate(*ADD, paused=paused)

    assert columns(shop) == ["id", "total"]


def test_a_question_that_a_writer_refuses_names_the_file_and_the_process(shop: Shop):
    database = connect(Secret(str(shop.path)), lock_timeout=timedelta(milliseconds=10))
    command = [sys.executable, "-c", HOLD.replace("BEGIN", "BEGIN EXCLUSIVE"), str(shop.path), WRITES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        with database.session(label="x") as session, pytest.raises(DatabaseError) as refused:
            session.query(READS)
        holder.communicate()

    assert refused.value.code == "lock-timeout"
    assert refused.value.is_busy
    assert f"{shop.path} is in use by process {holder.pid} (python" in str(refused.value)


def test_a_file_that_cannot_be_looked_for_is_told_and_is_no_bug(tmp_path: Path):
    database = connect(Secret(str(tmp_path / ("x" * 300))), lock_timeout=timedelta(seconds=1))

    with pytest.raises(DatabaseError) as refused, database.session(label="x"):
        pytest.fail("no system has such a name")

    assert refused.value.code == "database-unreachable"


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_release_names_the_process_that_has_the_file_and_the_next_run_goes_on(shop, tmp_path, mode):
    [(said,)] = shop.rows(f"PRAGMA journal_mode = {mode}")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "00001_note.sql").write_text(
        "-- coordinator: phase=expand\n-- +goose Up\n" + ";\n".join(ADD) + ";\n"
    )
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("20ms", "20ms, deadline: 300ms"))
    release = ["run", str(plan)]
    runner = CliRunner(env={"URL": str(shop.path)})
    command = [sys.executable, "-c", HOLD, str(shop.path), WRITES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        refused = runner.invoke(app, release)
        holder.communicate()

    assert said == mode
    assert refused.exit_code == 4, refused.output
    assert f"is in use by process {holder.pid} (python" in " ".join(refused.output.split())
    assert runner.invoke(app, release).exit_code == 0
    assert columns(shop) == ["id", "total", "note"]
