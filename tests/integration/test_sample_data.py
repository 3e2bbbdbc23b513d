"""Sample rows against a real server: what they meet, never touch, and what is said where none fits."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from coordinator.adapters.rehearsals._postgresql.sample import fill
from coordinator.adapters.rehearsals._postgresql.tables import tables
from coordinator.rehearsal_ports import THREE_ROWS
from tests.fixtures.scratch import emptied, filled, opened


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[psycopg.Connection]:
    with opened(postgres, f"coordinator_sample_{os.getpid()}") as connection:
        yield connection


@pytest.fixture
def connection(database: psycopg.Connection) -> psycopg.Connection:
    return emptied(database)


@pytest.mark.parametrize(
    "column",
    [
        "smallint", "bigint", "numeric", "numeric(10,2)", "numeric(3,3)", "real", "money", "boolean", "text",
        "varchar(1)", "varchar(3)", "char(2)", '"char"', "name", "bytea", "uuid", "date", "timetz",
        "timestamptz", "interval", "bit", "bit(3)", "varbit(2)", "inet", "cidr", "macaddr", "macaddr8",
        "json", "jsonb", "tsvector", "tsquery", "point", "line", "lseg", "box", "path", "polygon", "circle",
        "pg_lsn", "oid", "text[]", "int[][]", "uuid[]", "int4range", "numrange", "tstzrange", "daterange",
        "int4multirange",
        "mood", "mood[]", "address", "address[]", "email", "email[]", "small_email",
    ],
)  # fmt: skip
def test_makes_different_values_of_a_type(connection: psycopg.Connection, column: str) -> None:
    scratch = filled(
        connection,
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'good'); CREATE TYPE address AS (street text, number int);"
        r"CREATE DOMAIN email AS text CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');"
        "CREATE DOMAIN small_email AS email NOT NULL CHECK (length(VALUE) < 30);"
        f"CREATE TABLE a (sample {column})",
    )

    rows = scratch.connection.execute("SELECT DISTINCT sample::text FROM a").fetchall()
    assert scratch.unfilled == ()
    assert len(rows) >= 2


@pytest.mark.parametrize(
    "check",
    [
        "CHECK (status IN ('draft', 'sent'))",
        "CHECK (total > 100 AND total <= 110)",
        "CHECK (total >= 0.5 AND total < 1)",
        "CHECK (ends > starts)",
        "CHECK (starts >= '2030-01-01' AND starts < '2030-02-01')",
        "CHECK (length(code) = 7)",
        "CHECK (char_length(code) BETWEEN 20 AND 25 AND code <> '')",
        "CHECK (code ~ '^[a-z]+-[0-9]+$')",
        "CHECK (code LIKE 'https://%')",
        "CHECK (code ~* '^#?[0-9a-f]{6}$')",
        "CHECK (num_nonnulls(code, total) = 1)",
        "CHECK ((status = 'sent') = (starts IS NOT NULL))",
        "CHECK (jsonb_typeof(body) = 'array')",
        "CHECK (body ? 'sample')",
        "CHECK (total % 7 = 3)",
        "CHECK (code = upper(code) AND status = lower(code))",
    ],
)
def test_meets_a_check(connection: psycopg.Connection, check: str) -> None:
    scratch = filled(
        connection,
        "CREATE TABLE a (status text, total numeric, starts date, ends date, code text, body jsonb,"
        f" {check})",
    )

    assert scratch.unfilled == ()
    assert len(scratch.rows("a")) == 3


def test_fills_parents_before_their_children_and_leaves_a_parent_without(
    connection: psycopg.Connection,
) -> None:
    scratch = filled(
        connection,
        "CREATE TABLE b (id uuid PRIMARY KEY DEFAULT gen_random_uuid());"
        "CREATE TABLE a (b_id uuid NOT NULL REFERENCES b)",
    )

    parents = {row[0] for row in scratch.rows("b")}
    children = {row[0] for row in scratch.rows("a")}
    assert len(parents) == 3
    assert children < parents


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE a (id int PRIMARY KEY, parent int REFERENCES a)",
        "CREATE TABLE a (id int PRIMARY KEY, parent int NOT NULL REFERENCES a)",
        "CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, up int NOT NULL REFERENCES a)",
        """
        CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b
        """,
        """
        CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (t int REFERENCES t, id int, PRIMARY KEY (t, id));
        CREATE TABLE a (t int NOT NULL REFERENCES t, u int NOT NULL, FOREIGN KEY (t, u) REFERENCES u)
        """,
    ],
    ids=["itself", "itself, required", "itself, identity", "a circle", "two keys that share a column"],
)
def test_follows_foreign_keys(connection: psycopg.Connection, schema: str) -> None:
    scratch = filled(connection, schema)

    assert scratch.unfilled == ()
    assert all(scratch.counts().values())


def test_sets_a_reference_of_a_circle_afterwards(connection: psycopg.Connection) -> None:
    scratch = filled(
        connection,
        "CREATE TABLE a (id int PRIMARY KEY, b int);"
        "CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a);"
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b",
    )

    assert [row[1] for row in scratch.rows("a")].count(None) == 2


def test_has_rows_with_null_and_rows_without(connection: psycopg.Connection) -> None:
    rows = filled(connection, "CREATE TABLE a (id serial, x int, y text, z jsonb)").rows("a")

    assert [None in row for row in rows] == [False, True, False]


def test_fills_a_partitioned_table_by_way_of_its_partitions(connection: psycopg.Connection) -> None:
    scratch = filled(
        connection,
        "CREATE TABLE a (k int, at date) PARTITION BY RANGE (at);"
        "CREATE TABLE a1 PARTITION OF a FOR VALUES FROM ('2031-05-01') TO ('2031-06-01');"
        "CREATE TABLE b (k text) PARTITION BY LIST (lower(k));"
        "CREATE TABLE b1 PARTITION OF b FOR VALUES IN ('eu');"
        "CREATE TABLE c (k int) PARTITION BY HASH (k);"
        "CREATE TABLE c1 PARTITION OF c FOR VALUES WITH (MODULUS 4, REMAINDER 3);"
        "CREATE TABLE d (k int) PARTITION BY HASH (k)",
    )

    assert scratch.unfilled == ("`d`: it has no partition",)
    assert len(scratch.rows("a1")) == 3
    assert scratch.rows("b1")
    assert scratch.rows("c1")


@pytest.mark.parametrize(
    ("schema", "clause"),
    [
        (
            "CREATE TABLE a (x int CHECK (x * x = 1234321 + x))",
            "`a`: no value was found for which check `a_x_check` ((x * x) = (1234321 + x)) holds",
        ),
        (
            """
            CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'closed'; END$$;
            CREATE TABLE a (x int); CREATE TRIGGER no BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION no()
            """,
            "`a`: the engine refuses sample rows: closed",
        ),
        (
            "CREATE TABLE a (x int); CREATE RULE no AS ON INSERT TO a DO INSTEAD NOTHING",
            "`a`: the engine refuses sample rows: a rule or a trigger drops them",
        ),
        (
            """
            CREATE TABLE a (b int NOT NULL, x int PRIMARY KEY CHECK (x * x = 1234321 + x));
            CREATE TABLE b (a int NOT NULL REFERENCES a)
            """,
            "`b`: its parent `a` has no rows",
        ),
        (
            "CREATE DOMAIN odd AS int CHECK (VALUE * VALUE = 9999 - VALUE); CREATE TABLE a (x odd NOT NULL)",
            "`a`: no value of type `odd` is known for column `x`",
        ),
    ],
)
def test_says_why_a_table_stays_empty(connection: psycopg.Connection, schema: str, clause: str) -> None:
    assert filled(connection, schema).unfilled[-1] == clause


def test_never_touches_rows_that_are_there_and_takes_them_for_parents(connection: psycopg.Connection) -> None:
    scratch = filled(
        connection,
        "CREATE TABLE plans (name text PRIMARY KEY); INSERT INTO plans VALUES ('basic'), ('free'), ('pro');"
        "CREATE TABLE a (plan text NOT NULL REFERENCES plans)",
    )

    assert sorted(scratch.rows("plans")) == [("basic",), ("free",), ("pro",)]
    assert set(scratch.rows("a")) <= {("basic",), ("free",), ("pro",)}


def test_gives_a_parent_with_fewer_rows_those_that_it_lacks_to_three(connection: psycopg.Connection) -> None:
    scratch = filled(
        connection,
        "CREATE TABLE plans (name text PRIMARY KEY, up text REFERENCES plans);"
        "INSERT INTO plans VALUES ('free', NULL);"
        "CREATE TABLE a (plan text NOT NULL REFERENCES plans);"
        "CREATE TABLE settings (name text PRIMARY KEY); INSERT INTO settings VALUES ('one')",
    )

    assert len(scratch.rows("plans")) == 3
    assert ("free", None) in scratch.rows("plans")
    assert ("free",) in scratch.rows("a")
    assert scratch.rows("settings") == [("one",)]


def test_leaves_the_tables_of_migration_tools_alone(connection: psycopg.Connection) -> None:
    scratch = filled(
        connection, "CREATE TABLE goose_db_version (id int); CREATE TABLE schema_migrations (v int)"
    )

    assert set(scratch.counts().values()) == {0}
    assert scratch.unfilled == ()


def test_fills_once(connection: psycopg.Connection) -> None:
    scratch = filled(connection, "CREATE TABLE a (x int)")

    fill(connection, THREE_ROWS, filled=set())

    assert len(scratch.rows("a")) == 3


def test_takes_names_as_they_are(connection: psycopg.Connection) -> None:
    scratch = filled(
        connection,
        'CREATE SCHEMA "A %s";'
        'CREATE TABLE "A %s"."t""% (x)" ("a % b" int CHECK ("a % b" % 7 = 3), "Q""x" text)',
    )

    assert scratch.unfilled == ()
    assert list(scratch.counts().values()) == [3]


@pytest.mark.parametrize("name", ["net (EUR", "[x", "c++", "a\\d"])
def test_a_name_may_have_any_letters_where_an_index_or_a_partition_is_of_an_expression(
    connection: psycopg.Connection, name: str
) -> None:
    quoted = '"' + name + '"'
    scratch = filled(
        connection,
        f"CREATE TABLE a ({quoted} int, total int); CREATE UNIQUE INDEX u ON a (({quoted} + 0));"
        f"CREATE TABLE b ({quoted} int NOT NULL) PARTITION BY RANGE (({quoted} + 0));"
        "CREATE TABLE b1 PARTITION OF b FOR VALUES FROM (0) TO (9999)",
    )

    found = {each.name: each for each in tables(scratch.connection)}
    assert scratch.unfilled == ()
    assert found["a"].unique == {name}


def test_makes_the_same_rows_each_time(connection: psycopg.Connection) -> None:
    schema = (
        "CREATE TABLE b (id serial PRIMARY KEY, at timestamptz DEFAULT now(),"
        " token uuid DEFAULT gen_random_uuid());"
        "CREATE TABLE a (b_id int REFERENCES b, body jsonb, price numeric(8,2) CHECK (price > 3))"
    )
    found = []
    for _ in range(2):
        scratch = filled(emptied(connection), schema)
        found.append((scratch.rows("b"), scratch.rows("a")))

    assert found[0] == found[1]


def test_reads_only_the_tables_that_no_earlier_filling_met(connection: psycopg.Connection) -> None:
    connection.execute(
        """CREATE SCHEMA other; CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE "B c" (id int);
        CREATE TABLE other.a (id int PRIMARY KEY, n int CHECK (n > 4) REFERENCES other.a)"""
    )
    everything = tables(connection)
    names = [table.name for table in everything]

    for left_out in ([], names[:1], names[1:], names, ["unknown"]):
        assert tables(connection, without=left_out) == tuple(
            table for table in everything if table.name not in left_out
        )
    assert sorted(names) == ['"B c"', "a", "other.a"]


def test_a_table_that_is_made_again_under_a_filled_name_stays_empty(connection: psycopg.Connection) -> None:
    seen: set[str] = set()
    connection.execute("CREATE TABLE a (id int); CREATE TABLE b (id int)")
    fill(connection, THREE_ROWS, filled=seen)

    connection.execute("DROP TABLE a; CREATE TABLE a (id int); ALTER TABLE b RENAME TO c; TRUNCATE c")
    fill(connection, THREE_ROWS, filled=seen)

    assert connection.execute("SELECT FROM a").fetchall() == []
    assert len(connection.execute("SELECT FROM c").fetchall()) == 3
