"""Migrations on a table that somebody uses: nobody queues behind them for longer than the plan allows,
nothing that happened is repeated, and who stood in the way is named. Order proves it, never a clock: a test
acts while the migration pauses (`Patience.wait`), where a reader that had to queue would fail at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from fixtures.applying import apply_migration
from fixtures.local import until

from coordinator import discovery
from coordinator.adapters.clock import SystemClock
from coordinator.adapters.databases.postgresql import connect
from coordinator.app.connected import ConnectedPorts
from coordinator.errors import DatabaseError, Interrupted, Waiting
from coordinator.graph import Step, StepId
from coordinator.leases import Claim
from coordinator.load import load_plan
from coordinator.model import DatabaseName, LocksSpec, Migration, SourceFile
from coordinator.ports.databases import Patience
from coordinator.secret import Secret
from coordinator.steps import Context
from coordinator.steps.apply import STEP
from coordinator.world import Seen

LOCKS = LocksSpec(timedelta(milliseconds=30), timedelta(seconds=10), timedelta(seconds=60))
"""A budget that is not spent where a busy machine makes a try last."""
SOON_SPENT = LocksSpec(LOCKS.attempt, timedelta(milliseconds=500), LOCKS.deadline)
BRIEF = LocksSpec(LOCKS.attempt, LOCKS.budget, timedelta(milliseconds=300))
ADD_COLUMN = "-- +goose Up\nALTER TABLE orders ADD COLUMN note text;\n"
ALONE = "-- +goose NO TRANSACTION\n"
INDEX = f"{ALONE}-- +goose Up\nCREATE INDEX CONCURRENTLY IF NOT EXISTS orders_id ON orders (id);\n"


PLAN = """
version: 1
release: shop-2
databases:
  shop:
    engine: postgresql
    url: env:URL
    migrations: {tool: goose, dir: migrations}
    locks: {deadline: 2s}
"""


@dataclass
class Shop:
    """A database with a table of orders, somebody who holds it, and a release that wants it."""

    url: str
    pauses: int = 0
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def held(self, sql: str = "SELECT id FROM orders", *, url: str = "") -> Iterator[psycopg.Connection]:
        """Let a transaction of the application stay open after `sql`."""
        with psycopg.connect(url or self.url, application_name="shop-1.4") as holder:
            holder.execute("BEGIN")
            holder.execute(sql)
            yield holder

    def migrate(
        self,
        text: str,
        *,
        locks: LocksSpec = LOCKS,
        paused: Callable[[], None] = lambda: None,
        noted: Callable[[str], None] = lambda _: None,
        may_stop: bool = True,
        tool: str = "goose",
        url: str = "",
    ) -> None:
        """Apply a file; `paused` is called in each pause between two tries."""

        def pause(_: timedelta) -> None:
            self.pauses += 1
            paused()

        def never(_: timedelta) -> None:
            raise AssertionError("what has begun must not be interrupted")

        def note(text: str) -> None:
            self.notes.append(text)
            noted(text)

        patience = Patience(locks, pause if may_stop else never, pause, note)
        hook = discovery.migration_tool(tool)
        migration = read(text, tool)
        with connect(Secret(url or self.url), lock_timeout=timedelta(seconds=20)).session(
            label="r"
        ) as session:
            apply_migration(
                session,
                hook,
                migration,
                migrations=(migration,),
                table=None,
                lock_timeout=timedelta(seconds=20),
                patience=patience,
            )

    def read_at_once(self) -> None:
        """Read the table as a client that waits for nothing: behind a waiting lock this fails."""
        with psycopg.connect(self.url) as reader:
            reader.execute("SET lock_timeout = '1ms'")
            reader.execute("SELECT count(*) FROM orders")

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql).fetchall()

    def columns(self) -> set[object]:
        sql = "SELECT attname FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0"
        return {name for [name] in self.rows(sql)}

    def is_valid(self, index: str) -> list[object]:
        sql = f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{index}')"
        return [valid for [valid] in self.rows(sql)]


def read(text: str, tool: str) -> Migration:
    name = "migrations/00001_m.sql" if tool == "goose" else "migrations/1_m.up.sql"
    file = SourceFile(name, text.encode(), sha256(text.encode()).hexdigest())
    [migration] = discovery.migration_tool(tool).read((file,)).migrations
    return migration


@pytest.fixture
def shop(database_url: str) -> Shop:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE log (at int)")
        connection.execute("INSERT INTO orders VALUES (1)")
    return Shop(database_url)


def test_readers_pass_while_a_migration_pauses_and_it_is_applied_when_the_table_is_free(shop: Shop) -> None:
    with shop.held() as holder:

        def paused() -> None:
            shop.read_at_once()
            if shop.pauses == 3:
                holder.rollback()

        shop.migrate(ADD_COLUMN, paused=paused)

    assert shop.pauses == 3
    assert "note" in shop.columns()
    assert shop.rows("SELECT version_id FROM goose_db_version ORDER BY id") == [(0,), (1,)]


def test_nobody_queues_for_a_transaction_that_lasts(shop: Shop) -> None:
    """One try finds out what is wanted; after it there are only looks, which show as one line. The budget is
    that of a few tries, and a busy machine may need one or two more.
    """
    attempt = timedelta(milliseconds=200)
    with shop.held() as holder:

        def paused() -> None:
            if shop.pauses == 30:
                holder.rollback()

        shop.migrate(ADD_COLUMN, paused=paused, locks=LocksSpec(attempt, 10 * attempt))

    assert shop.pauses == 30
    assert "note" in shop.columns()
    assert sum("Nobody queues behind us" in each for each in shop.notes) == 1


@pytest.mark.parametrize("tool", ["goose", "golang-migrate"])
def test_gives_up_with_the_query_in_the_way_and_nothing_happened(shop: Shop, tool: str) -> None:
    with shop.held("SELECT id /* report */ FROM orders\nWHERE id > 0") as holder:
        pid = holder.info.backend_pid
        with pytest.raises(Waiting) as blocked:
            shop.migrate(ADD_COLUMN, locks=BRIEF, tool=tool, paused=shop.read_at_once)
        shop.read_at_once()

    assert blocked.value.code == "lock-blocked"
    assert "`orders` (AccessExclusiveLock) is held by" in blocked.value.what
    assert f"pid {pid} (application shop-1.4, user postgres), idle, in transaction" in blocked.value.what
    assert "SELECT id /* report */ FROM orders." in blocked.value.what
    assert f"pg_terminate_backend({pid})" in blocked.value.next_step
    assert "note" not in shop.columns()


def test_gives_up_when_the_budget_is_spent_though_no_single_transaction_lasts(shop: Shop) -> None:
    """Before each try the table is taken by a new transaction, as a busy application does."""
    attempt = timedelta(milliseconds=200)
    with psycopg.connect(shop.url) as holder:

        def hold_anew() -> None:
            holder.rollback()
            shop.read_at_once()
            holder.execute("SELECT id FROM orders")

        hold_anew()
        with pytest.raises(Waiting) as blocked:
            shop.migrate(ADD_COLUMN, paused=hold_anew, locks=LocksSpec(attempt, 3 * attempt))

    assert "the 600 ms that others may be kept waiting (`locks.budget`) are spent" in blocked.value.why
    assert "note" not in shop.columns()


def test_a_file_that_sets_its_own_wait_keeps_to_the_budget_all_the_same(shop: Shop) -> None:
    text = ADD_COLUMN.replace("ALTER", "SET lock_timeout = '3s';\nALTER")

    with shop.held(), pytest.raises(Waiting) as blocked:
        shop.migrate(text, locks=BRIEF, paused=shop.read_at_once)

    assert "(`locks.deadline`)" in blocked.value.why  # three seconds would have been more than the budget


def test_a_statement_that_ran_outside_of_a_transaction_is_never_repeated(shop: Shop) -> None:
    text = ADD_COLUMN.replace("Up\n", "Up\nINSERT INTO log VALUES (1);\n") + "INSERT INTO log VALUES (2);\n"

    with shop.held() as holder:

        def paused() -> None:
            shop.read_at_once()
            if shop.pauses == 3:
                holder.rollback()

        shop.migrate(ALONE + text, paused=paused, may_stop=False)

    assert shop.pauses == 3
    assert shop.rows("SELECT at FROM log ORDER BY at") == [(1,), (2,)]
    assert "note" in shop.columns()


def test_given_up_before_anything_ran_golang_migrates_mark_is_taken_back(shop: Shop) -> None:
    text = "BEGIN;\nALTER TABLE orders ADD COLUMN note text;\nCOMMIT;\n"

    with shop.held(), pytest.raises(Waiting) as blocked:
        shop.migrate(text, locks=BRIEF, tool="golang-migrate", may_stop=False)

    assert blocked.value.code == "lock-blocked"
    assert shop.rows("SELECT version, dirty FROM schema_migrations WHERE dirty") == []
    shop.migrate(text, tool="golang-migrate", may_stop=False)
    assert "note" in shop.columns()


def test_given_up_half_way_it_says_that_what_ran_stays(shop: Shop) -> None:
    text = ALONE + ADD_COLUMN.replace("Up\n", "Up\nINSERT INTO log VALUES (1);\n")

    with shop.held(), pytest.raises(DatabaseError) as blocked:
        shop.migrate(text, locks=BRIEF, may_stop=False)

    assert blocked.value.code == "half-applied"
    assert blocked.value.what.startswith("migrations/00001_m.sql:4: `orders` (AccessExclusiveLock)")
    assert "Committed before it, for good: line 3 (INSERT INTO log VALUES (1);)" in blocked.value.why
    assert shop.rows("SELECT at FROM log") == [(1,)]


def test_a_call_that_may_have_committed_a_part_is_tried_once(shop: Shop) -> None:
    body = "BEGIN INSERT INTO log VALUES (1); COMMIT; ALTER TABLE orders ADD COLUMN note text; END"
    with psycopg.connect(shop.url, autocommit=True) as connection:
        connection.execute(f"CREATE PROCEDURE change() LANGUAGE plpgsql AS $$ {body} $$")

    with shop.held(), pytest.raises(DatabaseError) as blocked:
        shop.migrate(f"{ALONE}-- +goose Up\nCALL change();\n")

    assert blocked.value.code == "lock-timeout"
    assert "`orders` (AccessExclusiveLock) is held by" in blocked.value.what
    assert shop.rows("SELECT at FROM log") == [(1,)]


def test_a_file_that_brings_its_own_transaction_is_repeated_whole(shop: Shop) -> None:
    text = "BEGIN;\nINSERT INTO log VALUES (1);\nALTER TABLE orders ADD COLUMN note text;\nCOMMIT;\n"

    with shop.held() as holder:
        shop.migrate(text, tool="golang-migrate", paused=holder.rollback, may_stop=False)

    assert shop.rows("SELECT at FROM log") == [(1,)]
    assert shop.rows("SELECT version, dirty FROM schema_migrations") == [(1, False)]


STEP_OF_1 = Step(StepId("expand"), "apply", database=DatabaseName("shop"), migration=1, state=1)


def context_of(shop: Shop, folder: Path, text: str, *, in_doubt: bool = False) -> Context:
    """Return what the step of a release has whose only migration is `text`."""
    (folder / "migrations").mkdir()
    (folder / "migrations" / "00001_m.sql").write_text(text)
    (folder / "plan.yaml").write_text(PLAN)
    environment = {"URL": shop.url}
    plan = load_plan(folder / "plan.yaml", settings={}, environment=environment)
    return Context(
        ports=ConnectedPorts(plan, environment=environment),
        claim=Claim("d", "r"),
        supersede=False,
        since=SystemClock().now(),
        in_doubt=in_doubt,
        is_halted=lambda: False,
        note=shop.notes.append,
    )


def test_the_step_keeps_to_the_plan(shop: Shop, tmp_path: Path) -> None:
    context = context_of(shop, tmp_path, ADD_COLUMN)

    with shop.held():
        with pytest.raises(Waiting) as blocked:
            STEP.perform(STEP_OF_1, context)
        assert "it took longer than 2 s (`locks.deadline`)" in blocked.value.why
    assert STEP.perform(STEP_OF_1, context) == "state 1"

    assert any("Nobody queues behind us" in each for each in shop.notes)


def test_stops_between_two_tries_when_it_is_asked_to(shop: Shop) -> None:
    def stop() -> None:
        raise Interrupted("interrupted", "The step was asked to stop while it waited.")

    with shop.held(), pytest.raises(Interrupted):
        shop.migrate(ADD_COLUMN, paused=stop)

    assert "note" not in shop.columns()


def test_an_index_that_is_built_concurrently_waits_as_long_as_it_must(shop: Shop) -> None:
    with shop.held("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM orders") as holder:

        def noted(text: str) -> None:
            assert "keeps nobody waiting, for pid" in text
            shop.read_at_once()
            holder.rollback()

        shop.migrate(INDEX, noted=noted)

    assert len(shop.notes) == 1
    assert shop.is_valid("orders_id") == [True]


@pytest.mark.parametrize("name", ["orders_id", '"Orders by id"'])
def test_a_build_that_was_cut_off_names_its_invalid_index_and_the_next_one_drops_it(
    shop: Shop, name: str
) -> None:
    text = INDEX.replace("orders_id", name)
    with shop.held("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM orders"):
        with pytest.raises(DatabaseError) as failure:
            shop.migrate(text, locks=BRIEF)
        assert shop.is_valid(name) == [False]
    assert "It waited for pid" in failure.value.what
    assert f"It left the invalid index `{name}`" in failure.value.why
    assert f"DROP INDEX CONCURRENTLY {name}." in failure.value.next_step

    shop.migrate(text)

    assert shop.is_valid(name) == [True]
    assert f"Dropping the invalid index `{name}`, which" in shop.notes[-1]


@pytest.mark.parametrize("how", ["IF NOT EXISTS ", ""])
def test_a_build_that_was_killed_is_done_again_where_that_is_safe(
    shop: Shop, tmp_path: Path, how: str
) -> None:
    with (
        shop.held("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM orders"),
        psycopg.connect(shop.url, autocommit=True) as doomed,
    ):
        pid = doomed.info.backend_pid
        build = threading.Thread(target=_build_until_killed, args=(doomed,))
        build.start()
        until(lambda: shop.is_valid("orders_id") == [False], seconds=60)
        shop.rows(f"SELECT pg_terminate_backend({pid}, 60000)")
        build.join()
    context = context_of(shop, tmp_path, INDEX.replace("IF NOT EXISTS ", how), in_doubt=True)

    if not how:  # the index may be there and whole, and would then fail as one that exists
        assert STEP.observe(STEP_OF_1, context).seen is Seen.UNKNOWN
        return
    assert STEP.observe(STEP_OF_1, context).seen is Seen.NOT_DONE
    STEP.perform(STEP_OF_1, context)

    assert shop.is_valid("orders_id") == [True]
    assert any("Dropping the invalid index `orders_id`" in each for each in shop.notes)


def _build_until_killed(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError):
        connection.execute("CREATE INDEX CONCURRENTLY orders_id ON orders (id)")


def test_an_index_that_somebody_still_builds_is_not_dropped(shop: Shop) -> None:
    with (
        shop.held("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM orders") as holder,
        psycopg.connect(shop.url, autocommit=True) as other,
    ):
        build = threading.Thread(
            target=other.execute, args=("CREATE INDEX CONCURRENTLY orders_id ON orders (id)",)
        )
        build.start()
        while shop.is_valid("orders_id") != [False]:
            assert build.is_alive()

        shop.migrate(INDEX, noted=lambda _: holder.rollback())
        build.join()

    assert shop.is_valid("orders_id") == [True]
    assert not any("Dropping" in each for each in shop.notes)


def test_rows_are_waited_for_without_a_short_limit_for_nobody_queues_behind(shop: Shop) -> None:
    waits = f"""
    SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'
    AND waitstart < clock_timestamp() - '{LOCKS.attempt / timedelta(milliseconds=1) * 4}ms'::interval
    """
    with shop.held("UPDATE orders SET id = 2") as holder:
        text = "-- +goose Up\nUPDATE orders SET id = id + 1;\n"
        migration = threading.Thread(target=shop.migrate, args=(text,), kwargs={"locks": BRIEF})
        migration.start()
        while not shop.rows(waits):
            assert migration.is_alive()
            shop.read_at_once()
        holder.commit()
        migration.join()

    assert shop.rows("SELECT id FROM orders") == [(3,)]
    assert (shop.pauses, shop.notes) == (0, [])


@pytest.fixture
def vacuuming(shop: Shop) -> Iterator[None]:
    """Let an autovacuum work slowly on the table; a server that is not ours comes to it in its own time."""
    is_ours = "COORDINATOR_TEST_POSTGRES_URL" not in os.environ
    with psycopg.connect(shop.url, autocommit=True) as connection:

        def set_up(*settings: str) -> None:
            for setting in settings if is_ours else ():
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")

        connection.execute("INSERT INTO orders SELECT generate_series(2, 100000)")
        connection.execute("DELETE FROM orders WHERE id > 50000")
        slow = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"
        connection.execute(f"ALTER TABLE orders SET (autovacuum_vacuum_threshold = 1, {slow})")
        set_up("autovacuum = on", "autovacuum_naptime = 1")
        works = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'autovacuum: VACUUM%orders%'"
        until(lambda: bool(shop.rows(works)), seconds=150)  # twice a server's own pause, and some
        yield
        set_up("autovacuum = off")


@pytest.mark.usefixtures("vacuuming")
def test_an_autovacuum_in_the_way_is_ended_as_the_server_would_for_a_longer_wait(shop: Shop) -> None:
    shop.migrate(ADD_COLUMN, locks=LocksSpec(LOCKS.attempt, LOCKS.budget, timedelta(seconds=20)))

    assert "note" in shop.columns()
    assert any("autovacuum worker" in each for each in shop.notes)


@pytest.fixture
def as_migrator(shop: Shop) -> str:
    """Return the URL with which a role connects that may do nothing but change the table."""
    with psycopg.connect(shop.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS migrator; CREATE ROLE migrator LOGIN")
        connection.execute("GRANT CREATE ON SCHEMA public TO migrator; ALTER TABLE orders OWNER TO migrator")
    scheme, _, rest = shop.url.partition("://")
    return f"{scheme}://migrator@{rest.rpartition('@')[2]}"


def test_without_a_second_connection_the_budget_holds_and_nobody_is_named(
    shop: Shop, as_migrator: str
) -> None:
    with psycopg.connect(shop.url, autocommit=True) as connection:
        connection.execute("ALTER ROLE migrator CONNECTION LIMIT 1")

    with shop.held(), pytest.raises(Waiting) as blocked:
        shop.migrate(ADD_COLUMN, locks=SOON_SPENT, url=as_migrator, paused=shop.read_at_once)

    assert shop.notes[0].startswith("Nobody can look who holds a lock:")
    assert "nobody could see which" in blocked.value.what
    assert "(`locks.budget`) are spent" in blocked.value.why


def test_says_when_the_role_may_not_see_what_stands_in_the_way(shop: Shop, as_migrator: str) -> None:
    with shop.held() as holder:
        pid = holder.info.backend_pid
        with pytest.raises(Waiting) as blocked:
            shop.migrate(ADD_COLUMN, locks=BRIEF, url=as_migrator)

    assert (
        f"pid {pid} (application shop-1.4, user postgres), whose query our role may not"
        " see (pg_read_all_stats shows it)"
    ) in blocked.value.what
