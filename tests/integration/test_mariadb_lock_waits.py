"""Changes of the schema on a MariaDB whose tables are in use: nobody queues behind them for longer than the
plan allows, and what has happened is not repeated. A test acts while the migration pauses (`Patience.wait`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.applying import apply_migration
from fixtures.local import until
from fixtures.mariadb import ADAPTER, ENGINE
from pymysql import OperationalError
from pymysql.connections import Connection
from typer.testing import CliRunner

from coordinator import discovery
from coordinator.adapters.mysql_lock_waits import CUT_SHORT, LockWaits
from coordinator.adapters.mysql_url import connect as connected
from coordinator.cli import app
from coordinator.errors import DatabaseError, Interrupted
from coordinator.model import LocksSpec, SourceFile
from coordinator.ports.databases import Batch, Patience
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
LOCKS = LocksSpec(timedelta(milliseconds=50), timedelta(seconds=30), timedelta(seconds=60))
BRIEF = LocksSpec(LOCKS.attempt, timedelta(milliseconds=150), LOCKS.deadline)
SLEEPS = """
SELECT 1 FROM information_schema.processlist WHERE info LIKE '%SLEEP(2)%' AND id <> CONNECTION_ID()
"""
ALTER = "ALTER TABLE orders ADD COLUMN note text"
PLAN = """
version: 1
release: shop-2
databases:
  shop:
    engine: ENGINE
    url: env:URL
    migrations: {tool: goose, dir: migrations}
    locks: {budget: 150ms}
"""


@dataclass
class Shop:
    """A database with a table of orders and a journal, and a migration of it."""

    url: str
    pauses: int = 0
    notes: list[str] = field(default_factory=list)

    def connection(self) -> Connection:
        """Return a connection that waits a second for a table, the least that the server knows."""
        connection = connected(Secret(self.url), label="shop-1.4")
        rows(connection, "SET lock_wait_timeout = 1")
        return connection

    @contextmanager
    def held(self) -> Iterator[Connection]:
        """Let a transaction that has read the orders stay open."""
        with closing(self.connection()) as reader:
            rows(reader, "START TRANSACTION")
            rows(reader, "SELECT * FROM orders")
            yield reader

    def query(self, sql: str) -> tuple[tuple[object, ...], ...]:
        with closing(self.connection()) as connection:
            return rows(connection, sql)

    def columns(self) -> list[object]:
        return [name for name, *_ in self.query("SHOW COLUMNS FROM orders")]

    def migrate(
        self, *texts: str, locks: LocksSpec = LOCKS, paused: Callable[[], object] = lambda: None
    ) -> None:
        def wait(_: timedelta) -> None:
            self.pauses += 1
            paused()

        patience = Patience(locks, wait, wait, self.notes.append)
        with ADAPTER.connect(Secret(self.url), lock_timeout=timedelta(seconds=2)).session(
            label="x"
        ) as session:
            session.execute(Batch(texts, transaction=True, patience=patience))


def rows(connection: Connection, sql: str) -> tuple[tuple[object, ...], ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@pytest.fixture
def shop(mariadb_url: str) -> Shop:
    shop = Shop(mariadb_url)
    with closing(shop.connection()) as connection:
        rows(connection, "CREATE TABLE orders (id int PRIMARY KEY)")
        rows(connection, "CREATE TABLE log (n int)")
    return shop


def test_between_two_tries_others_pass_and_the_change_comes_when_the_table_is_free(shop: Shop):
    passed: list[object] = []

    with shop.held() as reader:

        def paused() -> None:
            passed.append(shop.query("SELECT count(*) FROM orders"))
            if shop.pauses == 2:
                rows(reader, "COMMIT")

        shop.migrate(ALTER, paused=paused)

    assert passed == [((0,),), ((0,),)]
    assert shop.columns() == ["id", "note"]
    assert "The table is held by " in shop.notes[0]


def test_what_stood_before_a_change_that_is_tried_again_is_done_once(shop: Shop):
    with shop.held() as reader:
        shop.migrate("INSERT INTO log VALUES (1)", ALTER, "INSERT INTO log VALUES (2)", paused=reader.commit)

    assert shop.pauses == 1
    assert shop.query("SELECT n FROM log ORDER BY n") == ((1,), (2,))
    assert shop.columns() == ["id", "note"]


def test_a_transaction_that_stays_ends_the_tries_when_the_budget_is_spent(shop: Shop):
    with shop.held() as reader, pytest.raises(DatabaseError) as caught:
        shop.migrate(ALTER, locks=BRIEF)

    assert (caught.value.code, caught.value.is_busy) == ("lock-blocked", True)
    assert f"process {reader.thread_id()} (" in str(caught.value)
    assert shop.columns() == ["id"]


def test_given_up_behind_rows_that_are_committed_is_no_untouched_file(shop: Shop):
    with shop.held(), pytest.raises(DatabaseError) as caught:
        shop.migrate("INSERT INTO log VALUES (1)", ALTER, locks=BRIEF)

    error = caught.value
    assert (error.code, error.is_busy, error.committed) == ("lock-blocked", False, 1)
    assert shop.query("SELECT n FROM log") == ((1,),)


@dataclass
class Elsewhere:
    """Our connection behind a proxy: its number is another session's at the server that is asked."""

    number: int

    def thread_id(self) -> int:
        return self.number


def test_a_session_of_somebody_else_with_our_number_is_never_cut_short(shop: Shop):
    def act() -> None:
        time.sleep(0.3)
        raise DatabaseError("lock-timeout", "It is busy.")

    brief = LocksSpec(timedelta(milliseconds=20), LOCKS.budget, timedelta(milliseconds=100))
    patience = Patience(brief, lambda _: None, lambda _: None, shop.notes.append)
    with shop.held() as reader, closing(shop.connection()) as other, ThreadPoolExecutor() as pool:
        rows(other, "SET lock_wait_timeout = 600")
        theirs = pool.submit(rows, other, "ALTER TABLE orders ADD COLUMN theirs int")
        waits = LockWaits(Elsewhere(other.thread_id()), shop.connection, patience)
        with waits, pytest.raises(DatabaseError):
            waits.repeat(ALTER, act, has_run=False)
        reader.commit()
        theirs.result(60)

    assert shop.columns() == ["id", "theirs"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("RENAME TABLE log TO notes, orders TO purchases", ["notes", "purchases"]),
        ("DROP TABLE log, orders", []),
        ("DROP TABLE IF EXISTS orders, nothing, log", []),
    ],
)
def test_what_takes_several_tables_is_tried_again_while_one_is_held(shop: Shop, text: str, left: list[str]):
    passed: list[object] = []

    with shop.held() as reader:

        def paused() -> None:
            passed.append(shop.query("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM log)"))
            if shop.pauses == 2:
                reader.commit()

        shop.migrate(text, paused=paused)

    assert passed == [((0, 0),), ((0, 0),)]
    assert [name for (name,) in shop.query("SHOW TABLES")] == left


def test_what_was_cut_off_when_it_had_taken_a_table_is_not_repeated_and_in_doubt(shop: Shop):
    text = "DROP TABLE log, orders"
    patience = Patience(LOCKS, lambda _: None, lambda _: None, shop.notes.append)

    with shop.held(), closing(shop.connection()) as ours:

        def act() -> None:
            with pytest.raises(OperationalError, match="interrupted"):
                rows(ours, text)
            shop.query("DROP TABLE log")  # as if the server had come so far
            raise DatabaseError("statement-failed", "It was interrupted.", sqlstate=CUT_SHORT)

        with LockWaits(ours, shop.connection, patience) as waits, pytest.raises(DatabaseError) as caught:
            waits.repeat(text, act, has_run=False, takes_several=True)

    assert caught.value.ambiguous
    assert shop.notes == []


def apply_file(shop: Shop, tool: str, text: str, *, patience: Patience | None = None) -> None:
    """Apply a file with this text, in a session of its own."""
    hook = discovery.migration_tool(tool)
    name, head = ("1_a.sql", "-- +goose Up\n") if tool == "goose" else ("1_a.up.sql", "")
    read = hook.read([SourceFile(name, f"{head}{text}".encode(), "digest")], ENGINE)
    with ADAPTER.connect(Secret(shop.url), lock_timeout=LOCKS.attempt).session(label="x") as session:
        apply_migration(
            session,
            hook,
            read.migrations[0],
            migrations=read.migrations,
            table=None,
            lock_timeout=LOCKS.deadline,
            patience=patience,
        )


@pytest.mark.parametrize("tool", ["goose", "golang-migrate"])
def test_each_statement_of_a_file_is_tried_again_by_itself(shop: Shop, tool: str):
    text = f"CREATE TABLE fresh (x int);\n{ALTER};\nINSERT INTO log VALUES (1);\n"

    with shop.held() as reader:
        patience = Patience(LOCKS, lambda _: reader.commit(), lambda _: reader.commit(), shop.notes.append)
        apply_file(shop, tool, text, patience=patience)

    assert len(shop.notes) == 1
    assert shop.columns() == ["id", "note"]
    assert shop.query("SELECT n FROM log") == ((1,),)


def test_several_statements_in_one_text_are_never_repeated(shop: Shop):
    with shop.held(), pytest.raises(DatabaseError) as caught:
        shop.migrate(f"INSERT INTO log VALUES (1); {ALTER}", locks=BRIEF)

    assert caught.value.code == "lock-timeout"
    assert (shop.pauses, shop.query("SELECT n FROM log")) == (0, ((1,),))


def count_up(shop: Shop, tool: str) -> None:
    """Apply a file that writes down what it does and then changes a row."""
    apply_file(shop, tool, "INSERT INTO log VALUES (1);\nUPDATE orders SET id = id + 1;\n")


@pytest.mark.parametrize("tool", ["goose", "golang-migrate"])
@pytest.mark.parametrize("engine", ["InnoDB", "MyISAM"])
def test_rows_that_somebody_holds_are_tried_again_where_nothing_of_the_file_stays(
    shop: Shop, tool: str, engine: str
):
    shop.query("INSERT INTO orders VALUES (1)")
    shop.query(f"ALTER TABLE log ENGINE = {engine}")

    with closing(shop.connection()) as writer:
        rows(writer, "START TRANSACTION")
        rows(writer, "UPDATE orders SET id = 5")
        with pytest.raises(DatabaseError) as caught:
            count_up(shop, tool)

    stays = shop.query("SELECT n FROM log")
    assert (caught.value.code, caught.value.is_busy) == ("lock-timeout", not stays)
    assert len(stays) == (engine == "MyISAM")
    assert ("MyISAM" in caught.value.why) == (engine == "MyISAM")


def test_a_deadlock_behind_the_first_statement_is_tried_again_where_nothing_stays(shop: Shop):
    shop.query("INSERT INTO orders VALUES (1), (100)")
    shop.query("CREATE TABLE kept (n int) ENGINE = MyISAM")
    text = "UPDATE orders SET id = 2 WHERE id = 1; DO SLEEP(2); UPDATE orders SET id = 101 WHERE id = 100"

    def meet(*more: str) -> DatabaseError:
        with closing(shop.connection()) as other, ThreadPoolExecutor() as beside:
            rows(other, "START TRANSACTION")
            for heavy in ("UPDATE orders SET id = 102 WHERE id = 100", "INSERT INTO kept VALUES (9)"):
                rows(other, heavy)
            migrated = beside.submit(shop.migrate, "; ".join((*more, text)))
            until(lambda: bool(shop.query(SLEEPS)))
            rows(other, "UPDATE orders SET id = 3 WHERE id = 1")
            other.rollback()
        error = migrated.exception()
        assert isinstance(error, DatabaseError), error
        return error

    assert meet().is_busy
    assert not meet("INSERT INTO kept VALUES (1)").is_busy


def test_who_stops_a_release_stops_it_in_a_pause_and_nothing_has_happened(shop: Shop):
    def paused() -> None:
        raise Interrupted("interrupted", "Stopped.")

    with shop.held(), pytest.raises(Interrupted):
        shop.migrate(ALTER, paused=paused)

    assert shop.columns() == ["id"]


def test_a_release_ends_with_who_holds_the_table_and_the_next_run_goes_on(shop: Shop, tmp_path: Path):
    (tmp_path / "migrations").mkdir()
    text = f"-- coordinator: phase=expand\n-- +goose Up\n{ALTER};\n"
    (tmp_path / "migrations" / "00001_note.sql").write_text(text)
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("ENGINE", ENGINE))
    runner = CliRunner(env={"URL": shop.url})

    with shop.held() as reader:
        refused = runner.invoke(app, ["run", str(plan)])

    assert refused.exit_code == 4, refused.output
    assert f"process {reader.thread_id()} (" in " ".join(refused.output.split())
    assert shop.columns() == ["id"]
    assert runner.invoke(app, ["run", str(plan)]).exit_code == 0
    assert shop.columns() == ["id", "note"]
