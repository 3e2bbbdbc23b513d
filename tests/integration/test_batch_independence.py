"""Which backfills may have several batches under way at once: PostgreSQL says what their statements use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fixtures.backfilling import COUNT_UP, Items
from fixtures.sqlite_rehearsal import apply

from coordinator import discovery
from coordinator.model import Engine
from coordinator.rehearsal_ports import RehearsalDatabase
from coordinator.rehearse.independence import _LOOKS_AROUND, shared_by_batches

SCHEMA = (
    "CREATE TABLE items (id int PRIMARY KEY, code varchar(20), n int NOT NULL, at timestamptz)",
    "CREATE TABLE names (code varchar(20), name varchar(20), UNIQUE (code))",
    "CREATE TABLE parts (id int NOT NULL, n int NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
    "CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (1000)",
    "CREATE TABLE parts_high PARTITION OF parts DEFAULT",
    "CREATE TABLE lines (id int PRIMARY KEY, item int REFERENCES items ON DELETE CASCADE)",
    "CREATE SEQUENCE numbers",
    "CREATE VIEW all_items AS SELECT * FROM items",
    "CREATE FUNCTION looks() RETURNS int STABLE LANGUAGE sql AS 'SELECT max(n) FROM items'",
    "CREATE FUNCTION adds(a int, b int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a + b'",
    "CREATE FUNCTION steps(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a + looks()'",
    "CREATE AGGREGATE total(int) (SFUNC = steps, STYPE = int, INITCOND = '0')",
    "CREATE OPERATOR |+| (FUNCTION = steps, LEFTARG = int, RIGHTARG = int)",
    "CREATE FUNCTION fits(a int) RETURNS boolean LANGUAGE sql AS 'SELECT a >= looks()'",
    "CREATE FUNCTION sums() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
)
NEXT_TO_NOTHING = [
    "UPDATE items SET n = n + 1 WHERE {range}",
    "UPDATE items SET n = adds(n, 1), at = now() WHERE {range} AND n < 7",
    "UPDATE items SET code = 'item ' || id::text WHERE {range}",
    "INSERT INTO names SELECT code, max(n)::text FROM items WHERE {range} GROUP BY code",
    "WITH gone AS (DELETE FROM items WHERE {range} RETURNING *) INSERT INTO names SELECT code, n FROM gone",
]
SHARED = {
    "UPDATE items SET n = (SELECT max(n) FROM items) WHERE {range}": "more than once",
    "UPDATE items SET n = r.n FROM (SELECT id, rank() OVER (ORDER BY n) AS n FROM items) r"
    " WHERE {range} AND items.id = r.id": "more than once",
    "UPDATE items SET n = (SELECT count(*) FROM names) WHERE {range}": "another table",
    "INSERT INTO names SELECT code FROM items WHERE {range} AND NOT EXISTS"
    " (SELECT FROM names o WHERE o.code IS NOT DISTINCT FROM items.code)": "another table",
    "INSERT INTO names SELECT code FROM items WHERE {range} ON CONFLICT DO NOTHING": "other batches read",
    "INSERT INTO items SELECT id + 1000, code, n FROM items WHERE {range}": "other batches read",
    "UPDATE names SET name = items.n FROM items WHERE {range} AND names.code = items.code": "another table",
    "UPDATE items SET n = looks() WHERE {range}": "function looks",
    "UPDATE items SET n = n |+| 1 WHERE {range}": "function steps",
    "INSERT INTO names SELECT code, total(n) FROM items WHERE {range} GROUP BY code": "function total",
    "UPDATE items SET n = nextval('numbers') WHERE {range}": "nextval",
    "UPDATE items SET code = table_to_xml('items', true, false, '') WHERE {range}": "table_to_xml",
    "UPDATE items SET n = (SELECT sum(nentry) FROM ts_stat('SELECT to_tsvector(code) FROM items'))"
    " WHERE {range}": "ts_stat",
    "UPDATE items SET code = ts_rewrite(code::tsquery, 'SELECT code::tsquery, code::tsquery FROM items')"
    " WHERE {range}": "ts_rewrite",
    "UPDATE items SET id = id + 1000 WHERE {range}": "may change id, its key",
    'UPDATE items SET n = 1, "id" /* the key */ = 5 WHERE {range}': "may change id, its key",
    "UPDATE items SET (n, id) = (1, 5) WHERE {range}": "may change id, its key",
    'UPDATE items SET U&"\\0069d" = 5 WHERE {range}': "U&",
    "UPDATE all_items AS items SET n = 1 WHERE {range}": "all_items",
    "DELETE FROM items WHERE {range}": "foreign key lines_item_fkey",
    "MERGE INTO names USING items ON names.code = items.code AND {range}"
    " WHEN NOT MATCHED THEN INSERT VALUES ('a')": "another table",
}


@pytest.fixture(scope="module")
def database() -> Iterator[RehearsalDatabase]:
    with (
        discovery.rehearsal(Engine.POSTGRESQL).server(url=None, live_version=None) as server,
        server.database() as made,
    ):
        apply(made, *SCHEMA)
        yield made


def shared(database: RehearsalDatabase, sql: str, *schema: str, table: str = "items") -> str | None:
    with database.clone() as copy:
        apply(copy, *schema)
        return shared_by_batches(copy, replace(COUNT_UP, sql=sql, table=table, sessions=2))


@pytest.mark.parametrize("sql", NEXT_TO_NOTHING[:-1])
def test_batches_that_use_their_own_rows_alone_have_nothing_in_common(
    database: RehearsalDatabase, sql: str
) -> None:
    assert shared(database, sql) is None


def test_rows_that_are_moved_to_another_table_are_their_own(database: RehearsalDatabase) -> None:
    assert shared(database, NEXT_TO_NOTHING[-1], "DROP TABLE lines") is None


@pytest.mark.parametrize("table", ["parts", "parts_low"])
def test_the_partitions_of_a_table_are_the_table(database: RehearsalDatabase, table: str) -> None:
    moves = f"INSERT INTO parts SELECT id + 1000, n FROM {table} WHERE {{range}}"

    assert shared(database, f"UPDATE {table} SET n = n + 1 WHERE {{range}}", table=table) is None
    assert "other batches read" in str(shared(database, moves, table=table))


@pytest.mark.parametrize("sql", NEXT_TO_NOTHING)
def test_what_is_said_to_share_nothing_gives_the_same_rows_in_several_sessions(
    database_url: str, sql: str
) -> None:
    table = Items(Engine.POSTGRESQL, database_url)
    table.execute(*SCHEMA, "DROP TABLE lines")
    found = []
    for sessions in (1, 3):
        table.execute("DELETE FROM items", "DELETE FROM names")
        table.execute("INSERT INTO items SELECT i, 'no. ' || i, i % 9 FROM generate_series(1, 200) i")
        spec = {"sql": sql, "name": f"in-{sessions}", "remaining": "SELECT 0"}
        table.work(**spec, sessions=sessions, rows_per_second=9).run()
        rows = "SELECT id, code, n, at IS NULL FROM items", "SELECT * FROM names"
        found.append([sorted(map(repr, table.query(each))) for each in rows])

    assert found[0] == found[1]
    assert not table.notes, "no batch was taken back"


@pytest.mark.parametrize("sql", SHARED)
def test_what_a_batch_may_have_in_common_with_another_is_said(database: RehearsalDatabase, sql: str) -> None:
    assert SHARED[sql] in str(shared(database, sql))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("CREATE TRIGGER sums BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION sums()", "trigger sums"),
        ("CREATE RULE also AS ON UPDATE TO items DO ALSO DELETE FROM names", "a rule"),
        ("ALTER TABLE items ENABLE ROW LEVEL SECURITY", "row security of items"),
        ("ALTER TABLE items ADD CHECK (fits(n))", "function fits"),
        ("ALTER TABLE items ADD CHECK (n |+| 1 > 0)", "function steps"),
        ("CREATE DOMAIN fitting AS int CHECK (fits(VALUE))", "function fits"),
        ("CREATE DOMAIN most AS int DEFAULT looks()", "function looks"),
        ("CREATE TABLE special (more int) INHERITS (items)", "another table"),
        (
            "CREATE TABLE after (item int REFERENCES items ON UPDATE SET NULL)",
            "foreign key after_item_fkey",
        ),
    ],
)
def test_what_a_table_brings_in_when_it_is_written_is_said(
    database: RehearsalDatabase, schema: str, said: str
) -> None:
    assert said in str(shared(database, NEXT_TO_NOTHING[0], schema))


HARMLESS = re.compile(
    "array_sample|array_shuffle|clock_timestamp|current_query|gen_random_uuid|random|random_normal|setseed"
    "|set_config|timeofday|txid_status|uuidv[47]|plpgsql_.*|binary_upgrade_.*|brin_.*|gin_.*|.*handler|.*validator"
    "|amvalidate|dsnowball_.*|bernoulli|system"
)
"""What is called volatile and reads nothing that a statement writes; settings are set back after a batch."""


def test_the_server_has_no_volatile_function_of_its_own_that_nobody_has_judged(
    database: RehearsalDatabase,
) -> None:
    with database.session() as session:
        names = session.query(
            "SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
            " AND provolatile = 'v' AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)"
        )

    unknown = [
        name for (name,) in names if not HARMLESS.fullmatch(str(name)) and not _LOOKS_AROUND.search(str(name))
    ]
    assert len(names) > 100
    assert unknown == []


def test_a_default_that_looks_around_is_said_of_a_table_that_gets_rows(database: RehearsalDatabase) -> None:
    insert = "INSERT INTO names (code) SELECT code FROM items WHERE {range}"

    assert shared(database, insert) is None
    found = shared(database, insert, "ALTER TABLE names ADD most int DEFAULT looks()")
    assert "function looks" in str(found)
