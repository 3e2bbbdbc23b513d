"""What may refuse a write that no sample value meets, and stands elsewhere than at the table of the text."""

from __future__ import annotations

import pytest
from fixtures.mariadb import ENGINE as MYSQL_ENGINE
from fixtures.two_versions import TWO, Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
RANKED = """CREATE DOMAIN rank AS integer;
CREATE DOMAIN high AS rank;
CREATE TABLE t (id integer PRIMARY KEY, r {}, b text);
"""
PARTED = """CREATE TABLE t (id integer, d integer NOT NULL, b text) PARTITION BY RANGE (d);
CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (1000);
CREATE TABLE other PARTITION OF t FOR VALUES FROM (1000) TO (2000);
"""
INTO_PARTED = "INSERT INTO t (id, d, b) VALUES ($1, $2, $3)"
CHECK = "ALTER TABLE s ADD CHECK (a <> 77);"
MYSQL = [pytest.param(MYSQL_ENGINE, marks=pytest.mark.mariadb)]


@pytest.mark.parametrize(
    ("of", "query", "expected"),
    [
        ("rank", "INSERT INTO t (id, r) VALUES ($1, $2)", "pu"),
        ("rank[]", "UPDATE t SET r = $1 WHERE id = $2", "pu"),
        ("high", "UPDATE t SET r = $1 WHERE id = $2", "pu"),
        ("rank", "UPDATE t SET b = $1 WHERE id = $2", "pp"),
        ("integer", "UPDATE t SET r = $1 WHERE id = $2", "pp"),
    ],
)
def test_a_check_of_a_column_s_domain(servers: Servers, of: str, query: str, expected: str):
    pending = "ALTER DOMAIN rank ADD CHECK (VALUE <> 77);"

    assert verdict(servers, Engine.POSTGRESQL, RANKED.format(of), pending, query) == expected


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        ("ALTER TABLE low ADD CHECK (b <> 'no');", "pu"),
        ("ALTER TABLE t DETACH PARTITION other;", "pu"),
        ("ALTER TABLE t DETACH PARTITION other;\nCREATE TABLE more PARTITION OF t DEFAULT;", "pp"),
        ("CREATE TABLE more PARTITION OF t DEFAULT;", "pp"),
        ("ALTER TABLE other RENAME TO another;", "pp"),
    ],
)
def test_a_partition_that_refuses_or_goes(servers: Servers, pending: str, expected: str):
    assert verdict(servers, Engine.POSTGRESQL, PARTED, pending, INTO_PARTED) == expected


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (
            "ALTER TABLE t ALTER ends SET DEFAULT now() + '30 days'::interval;",
            "INSERT INTO t (id) VALUES ($1)",
            "pu",
        ),
        ("ALTER TABLE t ALTER ends SET DEFAULT now();", "INSERT INTO t (id) VALUES ($1)", "pu"),
        ("ALTER TABLE t ALTER ends SET DEFAULT now();", "INSERT INTO t (id, ends) VALUES ($1, now())", "pp"),
        (
            "ALTER TABLE t ADD COLUMN until timestamptz DEFAULT now() + '30 days'::interval;",
            "INSERT INTO t (id) VALUES ($1)",
            "pp",
        ),
        ("ALTER TABLE t DROP COLUMN ends;", "INSERT INTO t (id) VALUES ($1)", "pp"),
        ("ALTER TABLE t ALTER at SET DEFAULT clock_timestamp();", "INSERT INTO t (id) VALUES ($1)", "pp"),
        (
            "ALTER TABLE t RENAME TO u;\nCREATE VIEW t AS SELECT * FROM u;",
            "INSERT INTO t (id) VALUES ($1)",
            "pp",
        ),
    ],
)
def test_a_default_that_lies_another_time_behind_the_present(
    servers: Servers, pending: str, query: str, expected: str
):
    base = "CREATE TABLE t (id integer PRIMARY KEY, at timestamptz DEFAULT now(), ends timestamptz"
    base += " DEFAULT now() + '7 days'::interval);"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "WITH n AS (INSERT INTO t (id, a) VALUES ($1, $2) RETURNING *) INSERT INTO s (id, a) SELECT * FROM n",
        "WITH n AS (UPDATE s SET a = $1 RETURNING id) UPDATE t SET a = 1 FROM n WHERE n.id = t.id",
    ],
)
def test_a_text_that_writes_two_tables(servers: Servers, query: str):
    of_both = TWO + CHECK.replace("TABLE s", "TABLE t")

    assert verdict(servers, Engine.POSTGRESQL, TWO, CHECK, query) == "pu"
    assert verdict(servers, Engine.POSTGRESQL, of_both, CHECK, query) == "pu"
    assert verdict(servers, Engine.POSTGRESQL, of_both, "ALTER TABLE s RENAME COLUMN c TO e;", query) == "pp"


@pytest.mark.parametrize("engine", MYSQL)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("UPDATE t JOIN s ON s.id = t.id SET s.a = ? WHERE t.id = ?", "pu"),
        ("INSERT INTO s (id, c) VALUES (?, ?) ON DUPLICATE KEY UPDATE a = a + 1", "pu"),
        ("INSERT INTO s (id, c) VALUES (?, ?) ON DUPLICATE KEY UPDATE c = c + 1", "pp"),
    ],
)
def test_the_second_half_of_a_text_of_mysql(servers: Servers, engine: Engine, query: str, expected: str):
    assert verdict(servers, engine, TWO, CHECK, query) == expected


@pytest.mark.parametrize("engine", MYSQL)
def test_a_member_that_a_set_has_no_more(servers: Servers, engine: Engine):
    base = "CREATE TABLE t (id integer PRIMARY KEY, e set('a', 'b', 'c', 'd', 'e') NOT NULL);\n"
    pending = "ALTER TABLE t MODIFY e set('a', 'b', 'c', 'd') NOT NULL;"

    assert verdict(servers, engine, base, pending, "UPDATE t SET e = ? WHERE id = ?") == "pb"


def test_a_view_that_minds_its_condition(servers: Servers):
    base = f"{TWO}CREATE VIEW v AS SELECT id, a FROM t WHERE a <> 77;\n"
    pending = "CREATE OR REPLACE VIEW v AS SELECT id, a FROM t WHERE a <> 77 WITH CHECK OPTION;"

    found = verdict(servers, Engine.POSTGRESQL, base, pending, "UPDATE v SET a = $1 WHERE id = $2")

    assert found == "pu"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, *MYSQL])
@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        ("ALTER TABLE r DROP CONSTRAINT follows;", "DELETE FROM t WHERE id = {}", "pu"),
        ("ALTER TABLE r DROP CONSTRAINT follows;", "UPDATE t SET a = {}", "pp"),
        ("DROP TABLE r;", "DELETE FROM t WHERE id = {}", "pp"),
    ],
)
def test_rows_that_went_with_their_parent_where_another_child_refuses_what_a_sample_would_meet(
    servers: Servers, engine: Engine, pending: str, query: str, expected: str
):
    base = f"""{TWO}CREATE TABLE holds (id integer PRIMARY KEY, t integer NOT NULL,
CONSTRAINT kept FOREIGN KEY (t) REFERENCES t (id));
CREATE TABLE r (id integer PRIMARY KEY, t integer, CONSTRAINT follows FOREIGN KEY (t) REFERENCES t (id)
ON DELETE SET NULL);
"""
    query = query.format("$1" if engine is Engine.POSTGRESQL else "?")
    if engine is not Engine.POSTGRESQL:
        pending = pending.replace("CONSTRAINT", "FOREIGN KEY")

    assert verdict(servers, engine, base, pending, query) == expected


@pytest.mark.parametrize(
    ("action", "pending", "query", "expected"),
    [
        ("DELETE SET NULL", "CHECK (t IS NOT NULL OR q IS NOT NULL)", "DELETE FROM p WHERE id = $1", "pu"),
        ("DELETE SET NULL", "CHECK (q <> 77)", "DELETE FROM p WHERE id = $1", "pp"),
        ("DELETE CASCADE", "CHECK (t IS NOT NULL OR q IS NOT NULL)", "DELETE FROM p WHERE id = $1", "pp"),
        ("DELETE SET DEFAULT", "UNIQUE (t, q)", "DELETE FROM p WHERE id = $1", "pu"),
        ("DELETE SET NULL", "UNIQUE (t, q)", "DELETE FROM p WHERE id = $1", "pp"),
        ("DELETE SET NULL", "FOREIGN KEY (t) REFERENCES p", "DELETE FROM p WHERE id = $1", "pp"),
        ("UPDATE CASCADE", "CHECK (t < 99 OR q <> 77)", "UPDATE p SET id = $1 WHERE id = $2", "pu"),
        ("UPDATE CASCADE", "CHECK (t < 99 OR q <> 77)", "UPDATE p SET a = $1 WHERE id = $2", "pp"),
    ],
)
def test_what_the_columns_have_to_meet_that_a_foreign_key_s_action_writes(
    servers: Servers, action: str, pending: str, query: str, expected: str
):
    base = f"""CREATE TABLE p (id integer PRIMARY KEY, a integer);
CREATE TABLE c (id integer PRIMARY KEY, t integer DEFAULT 1 REFERENCES p ON {action}, q integer);
"""

    found = verdict(servers, Engine.POSTGRESQL, base, f"ALTER TABLE c ADD {pending};", query)

    assert found == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT id FROM t WHERE a = $1::rank", "pu"),
        ("SELECT high(a) FROM t", "pu"),
        ("SELECT a FROM ranked", "pu"),
        ("SELECT id FROM t WHERE a = $1", "pp"),
    ],
)
def test_a_check_of_a_domain_that_a_read_turns_values_into(servers: Servers, query: str, expected: str):
    base = f"""{TWO}CREATE DOMAIN rank AS integer;
CREATE FUNCTION high(r rank) RETURNS boolean LANGUAGE sql AS 'SELECT r > 1';
CREATE VIEW ranked AS SELECT a::rank AS a FROM t;
"""

    found = verdict(servers, Engine.POSTGRESQL, base, "ALTER DOMAIN rank ADD CHECK (VALUE <> 77);", query)

    assert found == expected


def test_a_check_of_a_column_that_a_view_calls_otherwise(servers: Servers):
    base = f"{TWO}CREATE VIEW v AS SELECT id, a AS b FROM s;\n"

    assert verdict(servers, Engine.POSTGRESQL, base, CHECK, "UPDATE v SET b = $1 WHERE id = $2") == "pu"


@pytest.mark.parametrize(
    ("rest", "query", "expected"),
    [
        ("", INTO_PARTED, "pu"),
        ("", "UPDATE t SET d = $1 WHERE id = $2", "pu"),
        ("", "UPDATE t SET b = $1 WHERE id = $2", "pp"),
        ("CREATE TABLE rest PARTITION OF t DEFAULT;", INTO_PARTED, "pp"),
    ],
)
def test_a_table_that_becomes_a_partitioned_one(servers: Servers, rest: str, query: str, expected: str):
    base = "CREATE TABLE t (id integer, d integer NOT NULL, b text);\n"
    pending = f"""ALTER TABLE t RENAME TO before;
CREATE TABLE t (id integer, d integer NOT NULL, b text) PARTITION BY RANGE (d);
CREATE TABLE most PARTITION OF t FOR VALUES FROM (-1000) TO (MAXVALUE);
{rest}
INSERT INTO t SELECT * FROM before;
DROP TABLE before;"""

    assert verdict(servers, Engine.POSTGRESQL, base, pending, query) == expected


@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        ("ADD age integer GENERATED ALWAYS AS ((j ->> 'age')::integer) STORED", "j", "pu"),
        ("ADD age integer GENERATED ALWAYS AS ((j ->> 'age')::integer) STORED", "n", "pp"),
        ("ADD age text GENERATED ALWAYS AS (j ->> 'age') STORED", "j", "pp"),
        ("ADD more numeric GENERATED ALWAYS AS (n * 1.5) STORED", "n", "pp"),
        ("ADD low text GENERATED ALWAYS AS (lower(b)) STORED, ADD UNIQUE (low, n)", "b", "pu"),
    ],
)
def test_a_generated_column_that_not_each_value_fits(
    servers: Servers, pending: str, query: str, expected: str
):
    base = "CREATE TABLE t (id integer PRIMARY KEY, j jsonb, b text NOT NULL, n integer NOT NULL);\n"
    query = f"UPDATE t SET {query} = $1 WHERE id = $2"

    assert verdict(servers, Engine.POSTGRESQL, base, f"ALTER TABLE t {pending};", query) == expected


MERGED = """MERGE INTO t USING (SELECT $1::integer AS id, $2::integer AS a) n ON t.id = n.id
WHEN MATCHED THEN UPDATE SET a = n.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (n.id, n.a)"""


@pytest.mark.parametrize(
    "query",
    [
        MERGED,
        "INSERT INTO t (id, a) SELECT * FROM unnest($1::integer[], $2::integer[])",
    ],
)
@pytest.mark.parametrize(
    "pending", ["ALTER a SET NOT NULL", "ALTER b SET DEFAULT 'new'", "ADD CHECK (a >= 0)"]
)
def test_rows_that_a_text_puts_in_without_naming_the_columns_of_its_values(
    servers: Servers, query: str, pending: str
):
    base = "CREATE TABLE t (id integer PRIMARY KEY, a integer, b text DEFAULT 'old');\n"

    assert verdict(servers, Engine.POSTGRESQL, base, f"ALTER TABLE t {pending};", query) == "pb"


def test_a_row_that_is_new_by_each_of_its_unique_columns_is_merged(servers: Servers):
    base = """CREATE TABLE t (
  id integer PRIMARY KEY, b uuid, a text DEFAULT 'new' NOT NULL UNIQUE, n numeric(6,2) DEFAULT 1 NOT NULL
);
"""
    merges = """MERGE INTO t USING (SELECT $1::integer AS id, $2::text AS a, $3::numeric(6,2) AS n) n
ON t.id = n.id WHEN MATCHED THEN UPDATE SET n = n.n
WHEN NOT MATCHED THEN INSERT (id, a, n) VALUES (n.id, n.a, n.n)"""
    pending = "ALTER TABLE t ALTER b SET NOT NULL;"

    assert verdict(servers, Engine.POSTGRESQL, base, pending, merges) == "pb"


@pytest.mark.parametrize(("column", "expected"), [("a", "pu"), ("c", "pp")])
def test_merge_writes_the_columns_that_it_names(servers: Servers, column: str, expected: str):
    merges = f"""MERGE INTO s USING (SELECT $1::integer AS id, $2::integer AS n) n ON s.id = n.id
WHEN MATCHED THEN UPDATE SET {column} = n.n WHEN NOT MATCHED THEN INSERT (id, {column}) VALUES (n.id, n.n)"""

    assert verdict(servers, Engine.POSTGRESQL, TWO, CHECK, merges) == expected


def test_a_text_without_a_list_of_columns_writes_those_that_it_was_made_for(servers: Servers):
    pending = "ALTER TABLE t ADD s integer REFERENCES s (id);"

    found = verdict(servers, Engine.POSTGRESQL, TWO, pending, "INSERT INTO t VALUES ($1, $2)")

    assert found == "pp"


@pytest.mark.parametrize("of", ["integer", "uuid", "text", "uuid DEFAULT gen_random_uuid()"])
def test_sample_rows_find_parents_for_a_foreign_key_that_comes_later(servers: Servers, of: str):
    kind = of.partition(" ")[0]
    base = f"""CREATE TABLE p (id {of} PRIMARY KEY, b text);
CREATE TABLE t (id {of} PRIMARY KEY, a integer, b text, p {kind} NOT NULL);
"""

    found = verdict(
        servers, Engine.POSTGRESQL, base, "ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p;", "SELECT p FROM t"
    )

    assert found == "pp"


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, *MYSQL])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("UPDATE t SET n = n + 1 WHERE id = {}", "pu"),
        ("UPDATE t SET b = concat(b, '!') WHERE id = {}", "pu"),
        ("INSERT INTO t SELECT id + 9, n, m, b, c FROM t WHERE id = {}", "pu"),
        ("UPDATE t SET m = m + 1, c = upper(c) WHERE id = {}", "pp"),
    ],
)
def test_a_column_that_has_place_for_less(servers: Servers, engine: Engine, query: str, expected: str):
    base = """CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL, m smallint NOT NULL,
b varchar(200) NOT NULL, c varchar(20) NOT NULL);
"""
    pending = """ALTER TABLE t ALTER n TYPE smallint, ALTER b TYPE varchar(40),
ALTER m TYPE integer, ALTER c TYPE varchar(200);"""
    if engine is not Engine.POSTGRESQL:
        pending = """ALTER TABLE t MODIFY n smallint NOT NULL, MODIFY b varchar(40) NOT NULL,
MODIFY m integer NOT NULL, MODIFY c varchar(200) NOT NULL;"""
    query = query.format("$1" if engine is Engine.POSTGRESQL else "?")

    assert verdict(servers, engine, base, pending, query) == expected


def test_a_column_of_sqlite_has_place_for_anything(servers: Servers):
    base = "CREATE TABLE t (id integer PRIMARY KEY, n numeric);\n"
    pending = """CREATE TABLE u (id integer PRIMARY KEY, n integer);
INSERT INTO u SELECT * FROM t;
DROP TABLE t;
ALTER TABLE u RENAME TO t;"""

    assert verdict(servers, Engine.SQLITE, base, pending, "UPDATE t SET n = n + 1 WHERE id = ?") == "pp"


@pytest.mark.parametrize("engine", MYSQL)
@pytest.mark.parametrize(
    ("pending", "query", "expected"),
    [
        (CHECK, "UPDATE v SET b = ? WHERE id = ?", "pu"),
        (CHECK, "DELETE FROM v WHERE id = ?", "pp"),
        ("ALTER TABLE s ALTER c SET DEFAULT 5;", "INSERT INTO w (id, b) VALUES (?, ?)", "pb"),
    ],
)
def test_what_is_written_through_a_view_of_mysql(
    servers: Servers, engine: Engine, pending: str, query: str, expected: str
):
    base = f"{TWO}CREATE VIEW v AS SELECT id, a AS b FROM s;\nCREATE VIEW w AS SELECT id, b FROM v;\n"

    assert verdict(servers, engine, base, pending, query) == expected
