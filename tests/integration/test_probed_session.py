"""What a watched PostgreSQL session sees of each statement, and that watching changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest

from coordinator.adapters.databases import postgresql
from coordinator.adapters.rehearsals._postgresql.catalogue import catalogue
from coordinator.adapters.rehearsals._postgresql.probe import ProbedSession
from coordinator.errors import DatabaseError
from coordinator.evidence import Lock, StatementEvidence
from coordinator.ports.databases import Batch
from coordinator.secret import Secret

BASE = """
CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, total integer, note text CHECK (note IS NOT NULL),
    customer bigint);
CREATE INDEX orders_total ON orders (total);
CREATE VIEW totals AS SELECT total FROM orders;
"""
Watch = Callable[..., list[StatementEvidence]]


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(BASE)
        yield connection


@pytest.fixture
def watch(connection) -> Watch:
    def watch(*texts: str, transaction: bool = True) -> list[StatementEvidence]:
        seen: list[StatementEvidence] = []
        ProbedSession(connection, record=seen.append).execute(Batch(texts, transaction=transaction))
        return seen

    return watch


def test_names_the_locks_that_each_statement_added(watch: Watch):
    first, second = watch(
        "ALTER TABLE orders ADD a integer; ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers"
    )

    assert first.locks == (Lock("public.orders", "AccessExclusiveLock", is_new=False),)
    assert Lock("public.customers", "ShareRowExclusiveLock", is_new=False) in second.locks
    assert "public.orders" in second.scanned


def test_tells_what_the_migration_made_itself(watch: Watch):
    [made] = watch("CREATE TABLE lines (id bigint)")

    assert made.locks == (Lock("public.lines", "AccessExclusiveLock", is_new=True),)
    assert ("table", None) in {(each.kind, each.before) for each in made.changes}


@pytest.mark.parametrize(
    ("statement", "rewritten"),
    [
        ("ALTER TABLE orders ADD COLUMN a uuid DEFAULT gen_random_uuid()", True),
        ("ALTER TABLE orders ADD COLUMN a integer DEFAULT 5", False),
        ("ALTER TABLE customers ALTER id TYPE integer", True),
        ("ALTER TABLE orders ALTER note TYPE varchar", False),
        ("VACUUM FULL orders", True),
    ],
)
def test_sees_a_rewrite_of_a_table_and_of_nothing_else(watch: Watch, statement: str, rewritten: bool):
    [seen] = watch(statement, transaction=False)

    assert bool(seen.rewritten) is rewritten


@pytest.mark.parametrize(
    ("statement", "scanned"),
    [
        ("ALTER TABLE orders ALTER total SET NOT NULL", ("public.orders",)),
        ("ALTER TABLE orders ALTER note SET NOT NULL", ()),
        ("ALTER TABLE orders ADD CHECK (total > 0)", ("public.orders",)),
        ("ALTER TABLE orders ADD CHECK (total > 0) NOT VALID", ()),
        ("CREATE INDEX ON orders (note)", ("public.orders",)),
        ("UPDATE orders SET total = 1", ("public.orders",)),
        ("UPDATE orders SET total = 1 WHERE id = 5", ()),
        ("UPDATE orders SET total = 1 WHERE id BETWEEN 1 AND 1000", ()),
        ("DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE note = '' LIMIT 10)", ()),
    ],
)
def test_sees_a_scan_also_of_an_empty_table_and_none_that_the_engine_skips(watch: Watch, statement, scanned):
    [seen] = watch(statement)

    assert seen.scanned == scanned


@pytest.mark.parametrize(
    ("statement", "written"),
    [
        ("UPDATE orders SET total = 1", ("public.orders",)),
        ("WITH gone AS (DELETE FROM orders RETURNING id) INSERT INTO customers SELECT id FROM gone",
         ("public.customers", "public.orders")),
        ("SELECT count(*) FROM orders", ()),
        ("ALTER TABLE orders ADD COLUMN a integer", ()),
    ],
)  # fmt: skip
def test_says_what_a_statement_would_write_where_no_row_is(watch: Watch, statement, written):
    [seen] = watch(statement)

    assert seen.written == written


def test_counts_each_transaction_for_itself(watch: Watch):
    for _ in range(5):
        watch("SELECT count(*) FROM orders; SELECT count(*) FROM customers")

    [alter] = watch("ALTER TABLE customers ADD COLUMN a integer")
    [scan] = watch("ALTER TABLE customers ADD CHECK (id > 0)")

    assert alter.scanned == ()
    assert scan.scanned == ("public.customers",)


def test_lists_what_a_cascade_took_with_it(watch: Watch):
    [dropped] = watch("ALTER TABLE orders DROP COLUMN total CASCADE")

    assert {"view", "index"} <= {each.kind for each in dropped.changes if each.after is None}


def test_reads_a_text_with_its_own_transaction_statement_by_statement(watch: Watch):
    seen = watch("BEGIN;\nALTER TABLE orders ADD a integer;\n\nDROP VIEW totals;\nCOMMIT;", transaction=False)

    assert [(each.statement.line, each.in_transaction) for each in seen] == [
        (1, True),
        (2, True),
        (4, True),
        (5, True),
    ]
    assert [bool(each.changes) for each in seen] == [False, True, True, False]


def test_knows_the_lock_of_a_command_that_refuses_a_transaction(watch: Watch):
    [seen] = watch("CREATE INDEX CONCURRENTLY ON orders (note)", transaction=False)

    assert seen.locks == (Lock("public.orders", "ShareUpdateExclusiveLock", is_new=False),)
    assert not seen.in_transaction


TEXTS = (
    "ALTER TABLE orders ADD a integer; ALTER TABLE orders DROP COLUMN missing",
    "SELECT 1;\nALTER TABLE orders ADD CHECK (missing > 0);",
    "BEGIN; CREATE TABLE x (id integer); INSERT INTO x VALUES ('no'); COMMIT;",
    "LOCK TABLE orders",
    "SAVEPOINT a",
    "SELECT 1; VACUUM",
    "CREATE TABLE x (id integer); COMMIT; DROP TABLE missing",
    "BEGIN; CREATE TABLE x (id integer)",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; CREATE TABLE x (id integer)",
    "CREATE TABLE x (id integer, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED); INSERT INTO x VALUES (1), (1)",
    # A role that may not look.
    "REVOKE SELECT ON pg_catalog.pg_locks FROM PUBLIC; SET ROLE pg_monitor; SELECT 1",
    "SET search_path = ''; SET TimeZone = 'Asia/Tokyo'; CREATE VIEW public.w AS SELECT id FROM public.orders",
    "CREATE TABLE x (id integer); SAVEPOINT a; DROP TABLE x; ROLLBACK TO a",
    "CREATE TABLE x (id integer); ROLLBACK",
    "-- nothing",
    "CREATE TABLE x (id integer); SELEC 1",
)


@pytest.mark.parametrize("transaction", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_ends_as_the_same_batch_does_unwatched(database_url: str, text: str, transaction: bool):
    batch = Batch((text, "SELECT 1"), transaction)

    *unwatched, known = _outcome(database_url, batch, is_watched=False)
    *watched, position = _outcome(database_url, batch, is_watched=True)

    assert watched == unwatched
    assert known in {None, position}, "who sends statement by statement knows where one stands in any case"


def _outcome(url: str, batch: Batch, *, is_watched: bool) -> tuple[object, object, int | None]:
    """Return what was refused, the schema that is left, and where in its text that statement stands."""
    told: object = None
    position: int | None = None
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {BASE}")
        try:
            if is_watched:
                ProbedSession(connection, record=lambda _: None, settings="SET lock_timeout = 5000").execute(
                    batch
                )
            else:
                database = postgresql.connect(Secret(url), lock_timeout=timedelta(seconds=5))
                with database.session(label="test") as session:
                    session.execute(batch)
        except DatabaseError as error:
            told = (
                error.code,
                error.what,
                error.why,
                error.sqlstate,
                error.statement,
                error.ambiguous,
            )
            position = error.position
    with psycopg.connect(url, autocommit=True) as connection:
        return told, catalogue(connection), position
