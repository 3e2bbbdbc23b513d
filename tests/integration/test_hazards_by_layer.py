"""Every way in which a migration breaks an old query: the layer that sees it, and that no cheaper one does.

All rows are one release, a migration each, that goes through the stage of `plan`. The rows' names have a `#`
in them, which is the row's number, so that they know nothing of each other. To prove that a detection is
needed, the stage is asked again without the row's layer and the dearer ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator import discovery
from coordinator.adapters.rehearsals.postgresql import REHEARSAL
from coordinator.diagnostics import Place
from coordinator.evidence import Break, Rehearsal
from coordinator.model import (
    DatabaseName,
    DatabaseSpec,
    Engine,
    Layer,
    Migration,
    MigrationsSpec,
    Role,
    Script,
    SecretRef,
    ServiceName,
    SourceFile,
    Statement,
)
from coordinator.queries import Catalogue, Query
from coordinator.rehearsal_ports import RehearsalServer
from coordinator.rehearse import Subject, Task, rehearse_database
from coordinator.secret import Secret

USE = (DatabaseName("shop"), ServiceName("orders"), Role.LIVE)
PLACE = Place("plan.yaml", 1, 1)
PARENT = "CREATE TABLE p# (id bigint PRIMARY KEY);"
TABLE = "CREATE TABLE t# (id bigint PRIMARY KEY, name text, total integer);"
VARCHAR = "CREATE TABLE t# (id bigint PRIMARY KEY, name varchar(20));"
ENUM = "CREATE TYPE e# AS ENUM ('open', 'paid'); CREATE TABLE t# (id bigint PRIMARY KEY, state e#);"
CODE = "CREATE TABLE t# (id bigint PRIMARY KEY, code text NOT NULL DEFAULT 'a');"
MEMBER = "GRANT SELECT, INSERT ON t# TO pg_monitor;"
VIEW = TABLE + "CREATE VIEW v# AS SELECT id, name, total FROM t#;"
PARTITIONED = """CREATE TABLE t# (id bigint, at integer) PARTITION BY RANGE (at);
    CREATE TABLE t#_1 PARTITION OF t# FOR VALUES FROM (1) TO (1000);"""
RAISES = "CREATE FUNCTION f#() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
STAMPS = (
    "CREATE FUNCTION f#() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := 'x'; RETURN NEW; END $$;"
)
LOGS = """CREATE TABLE u# (at timestamptz); CREATE FUNCTION f#() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO u# VALUES (now()); RETURN NEW; END $$;"""
BEFORE_INSERT = "CREATE TRIGGER g# BEFORE INSERT ON t# FOR EACH ROW EXECUTE FUNCTION f#();"


@dataclass(frozen=True)
class Row:
    """A hazard: what is there, what the old version sends, and what the migration does to it."""

    operation: str
    base: str
    query: str
    migration: str
    layer: Layer
    code: str
    database_role: str | None = None


ROWS = (
    # prepare
    Row("new name is ambiguous", TABLE + PARENT, "SELECT total FROM t# JOIN p# ON p#.id = t#.id",
        "ALTER TABLE p# ADD COLUMN total integer", Layer.PREPARE, "42702"),
    Row("json has no equality", TABLE, "SELECT DISTINCT t#.* FROM t#", "ALTER TABLE t# ADD COLUMN a json", Layer.PREPARE, "42883"),
    Row("rename column", TABLE, "SELECT name FROM t#", "ALTER TABLE t# RENAME name TO title", Layer.PREPARE, "42703"),
    Row("rename table", TABLE, "SELECT name FROM t#", "ALTER TABLE t# RENAME TO u#", Layer.PREPARE, "42P01"),
    Row("set schema", TABLE, "SELECT name FROM t#", "CREATE SCHEMA s#; ALTER TABLE t# SET SCHEMA s#", Layer.PREPARE, "42P01"),
    Row("rename constraint", TABLE, "INSERT INTO t# (id) VALUES ($1) ON CONFLICT ON CONSTRAINT t#_pkey DO NOTHING",
        "ALTER TABLE t# RENAME CONSTRAINT t#_pkey TO u#", Layer.PREPARE, "42704"),
    Row("rename type", ENUM, "SELECT id FROM t# WHERE state = $1::e#", "ALTER TYPE e# RENAME TO x#", Layer.PREPARE, "42704"),
    Row("rename function", "CREATE FUNCTION f#(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';", "SELECT f#(1)",
        "ALTER FUNCTION f# RENAME TO h#", Layer.PREPARE, "42883"),
    Row("drop column", TABLE, "UPDATE t# SET name = $1 WHERE id = $2", "ALTER TABLE t# DROP name", Layer.PREPARE, "42703"),
    Row("drop table", TABLE, "DELETE FROM t# WHERE id = $1", "DROP TABLE t#", Layer.PREPARE, "42P01"),
    Row("drop sequence", "CREATE SEQUENCE q#;", "SELECT nextval('q#')", "DROP SEQUENCE q#", Layer.PREPARE, "42P01"),
    Row("drop type", ENUM, "SELECT id FROM t# WHERE state = $1::e#", "ALTER TABLE t# ALTER state TYPE text; DROP TYPE e#", Layer.PREPARE, "42704"),
    Row("rename enum value", ENUM, "SELECT id FROM t# WHERE state = 'paid'", "ALTER TYPE e# RENAME VALUE 'paid' TO 'x'", Layer.PREPARE, "22P02"),
    Row("identity always", TABLE, "INSERT INTO t# (id) VALUES ($1)", "ALTER TABLE t# ALTER id ADD GENERATED ALWAYS AS IDENTITY", Layer.PREPARE, "428C9"),
    Row("column becomes generated", TABLE, "INSERT INTO t# (id, total) VALUES ($1, $2)",
        "ALTER TABLE t# DROP total, ADD total integer GENERATED ALWAYS AS (1) STORED", Layer.PREPARE, "428C9"),
    Row("view loses a column", VIEW, "SELECT total FROM v#", "DROP VIEW v#; CREATE VIEW v# AS SELECT id FROM t#", Layer.PREPARE, "42703"),
    Row("function dropped", "CREATE FUNCTION f#(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';", "SELECT f#(1)",
        "DROP FUNCTION f#", Layer.PREPARE, "42883"),
    # describe
    Row("add column under a star", TABLE, "SELECT * FROM t#", "ALTER TABLE t# ADD COLUMN a integer", Layer.DESCRIBE, "result-columns"),
    Row("type changes", TABLE, "SELECT total FROM t#", "ALTER TABLE t# ALTER total TYPE text", Layer.DESCRIBE, "result-type"),
    Row("type of a parameter changes", TABLE, "UPDATE t# SET total = $1", "ALTER TABLE t# ALTER total TYPE text", Layer.DESCRIBE, "parameter-type"),
    Row("function returns another type", "CREATE FUNCTION f#() RETURNS integer LANGUAGE sql AS 'SELECT 1';", "SELECT f#() AS n",
        "DROP FUNCTION f#; CREATE FUNCTION f#() RETURNS text LANGUAGE sql AS 'SELECT 1::text'", Layer.DESCRIBE, "result-type"),
    # plan
    Row("drop unique", TABLE + "ALTER TABLE t# ADD UNIQUE (name);", "INSERT INTO t# (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        "ALTER TABLE t# DROP CONSTRAINT t#_name_key", Layer.PLAN, "42P10"),
    Row("unique index becomes partial", TABLE + "CREATE UNIQUE INDEX i# ON t# (name);",
        "INSERT INTO t# (id, name) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET total = 1",
        "DROP INDEX i#; CREATE UNIQUE INDEX i# ON t# (name) WHERE total > 0", Layer.PLAN, "42P10"),
    Row("revoke", TABLE + MEMBER, "SELECT name FROM t#", "REVOKE SELECT ON t# FROM pg_monitor", Layer.PLAN, "42501", "pg_monitor"),
    Row("view without grant", TABLE + MEMBER, "SELECT name FROM t#", "ALTER TABLE t# RENAME TO u#; CREATE VIEW t# AS SELECT * FROM u#",
        Layer.PLAN, "42501", "pg_monitor"),
    # execute
    Row("add column not null", TABLE, "INSERT INTO t# (id) VALUES ($1)",
        "ALTER TABLE t# ADD a integer NOT NULL DEFAULT 0; ALTER TABLE t# ALTER a DROP DEFAULT", Layer.EXECUTE, "23502"),
    Row("set not null", "CREATE TABLE t# (id bigint PRIMARY KEY, name text DEFAULT NULL); INSERT INTO t# VALUES (1, 'a');",
        "INSERT INTO t# (id, name) VALUES ($1, $2)", "ALTER TABLE t# ALTER name SET NOT NULL", Layer.EXECUTE, "23502"),
    Row("drop default", CODE, "INSERT INTO t# (id) VALUES ($1)", "ALTER TABLE t# ALTER code DROP DEFAULT", Layer.EXECUTE, "23502"),
    Row("add check not valid", TABLE, "UPDATE t# SET total = $1 WHERE id = $2", "ALTER TABLE t# ADD CHECK (total > 1000) NOT VALID", Layer.EXECUTE, "23514"),
    Row("add foreign key", TABLE + PARENT, "INSERT INTO t# (id, total) VALUES ($1, 77)",
        "ALTER TABLE t# ADD FOREIGN KEY (total) REFERENCES p# NOT VALID", Layer.EXECUTE, "23503"),
    Row("parent of a new foreign key", PARENT + "CREATE TABLE t# (id bigint PRIMARY KEY, p bigint); INSERT INTO p# VALUES (1); INSERT INTO t# VALUES (1, 1);",
        "DELETE FROM p# WHERE id = $1", "ALTER TABLE t# ADD FOREIGN KEY (p) REFERENCES p#", Layer.EXECUTE, "23503"),
    Row("add unique", TABLE, "INSERT INTO t# (id, name) VALUES ($1, $2)", "ALTER TABLE t# ADD UNIQUE (name)", Layer.EXECUTE, "23505"),
    Row("add exclude", "CREATE TABLE t# (id bigint PRIMARY KEY, taken int4range);", "INSERT INTO t# (id, taken) VALUES ($1, $2)",
        "ALTER TABLE t# ADD EXCLUDE USING gist (taken WITH &&)", Layer.EXECUTE, "23P01"),
    Row("rename enum value of a parameter", ENUM, "INSERT INTO t# (id, state) VALUES ($1, $2)",
        "ALTER TYPE e# RENAME VALUE 'paid' TO 'x'", Layer.EXECUTE, "22P02"),
    Row("trigger refuses", TABLE, "INSERT INTO t# (id) VALUES ($1)", RAISES + BEFORE_INSERT, Layer.EXECUTE, "P0001"),
    Row("policy refuses", TABLE + MEMBER, "INSERT INTO t# (id) VALUES ($1)",
        "ALTER TABLE t# ENABLE ROW LEVEL SECURITY; CREATE POLICY a ON t# FOR INSERT WITH CHECK (total > 0)", Layer.EXECUTE, "42501", "pg_monitor"),
    Row("domain check", "CREATE DOMAIN d# AS integer; CREATE TABLE t# (id bigint PRIMARY KEY, cost d#);",
        "UPDATE t# SET cost = $1 WHERE id = $2", "ALTER DOMAIN d# ADD CHECK (VALUE > 1000) NOT VALID", Layer.EXECUTE, "23514"),
    Row("narrower type", VARCHAR, "INSERT INTO t# (id, name) VALUES ($1, $2)", "ALTER TABLE t# ALTER name TYPE varchar(10)", Layer.EXECUTE, "22001"),
    # result
    Row("row security", TABLE + MEMBER, "SELECT name FROM t#", "ALTER TABLE t# ENABLE ROW LEVEL SECURITY", Layer.RESULT, "result-differs", "pg_monitor"),
    Row("policy changes", TABLE + MEMBER + "ALTER TABLE t# ENABLE ROW LEVEL SECURITY; CREATE POLICY a ON t# USING (true);", "SELECT name FROM t#",
        "ALTER POLICY a ON t# USING (total < 0)", Layer.RESULT, "result-differs", "pg_monitor"),
    Row("view means something else", VIEW, "SELECT total FROM v#",
        "CREATE OR REPLACE VIEW v# AS SELECT id, name, total + 1 AS total FROM t#", Layer.RESULT, "result-differs"),
    Row("function means something else", "CREATE FUNCTION f#(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';", "SELECT f#(1)",
        "CREATE OR REPLACE FUNCTION f#(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 + 1'", Layer.RESULT, "result-differs"),
    Row("default changes", CODE, "INSERT INTO t# (id) VALUES ($1)", "ALTER TABLE t# ALTER code SET DEFAULT 'b'", Layer.RESULT, "result-differs"),
    Row("trigger writes", TABLE, "INSERT INTO t# (id, name) VALUES ($1, $2)", STAMPS + BEFORE_INSERT, Layer.RESULT, "result-differs"),
    Row("trigger dropped", TABLE + STAMPS + BEFORE_INSERT, "INSERT INTO t# (id, name) VALUES ($1, $2)", "DROP TRIGGER g# ON t#", Layer.RESULT, "result-differs"),
    Row("generated value is not computed", "CREATE TABLE t# (id bigint PRIMARY KEY, twice bigint GENERATED ALWAYS AS (id * 2) STORED);",
        "INSERT INTO t# (id) VALUES ($1)", "ALTER TABLE t# ALTER twice DROP EXPRESSION", Layer.RESULT, "result-differs"),
    Row("rule", TABLE, "DELETE FROM t# WHERE id = $1", "CREATE RULE r# AS ON DELETE TO t# DO INSTEAD NOTHING", Layer.RESULT, "result-differs"),
    Row("detach partition", PARTITIONED, "SELECT id FROM t#", "ALTER TABLE t# DETACH PARTITION t#_1", Layer.RESULT, "result-differs"),
    # session
    Row("wider type", VARCHAR, "SELECT name FROM t#", "ALTER TABLE t# ALTER name TYPE varchar(40)", Layer.SESSION, "0A000"),
    Row("to text", VARCHAR, "SELECT name FROM t#", "ALTER TABLE t# ALTER name TYPE text", Layer.SESSION, "0A000"),
)  # fmt: skip
HARMLESS = (
    ("a partition for rows to come", "CREATE TABLE t# (id bigint, at integer) PARTITION BY RANGE (at);", "SELECT id FROM t#",
     "CREATE TABLE t#_1 PARTITION OF t# FOR VALUES FROM (1) TO (1000)"),
    ("a table made anew with its rows", TABLE + "INSERT INTO t# (id) VALUES (7);", "SELECT id FROM t#",
     "ALTER TABLE t# RENAME TO u#; CREATE TABLE t# (id bigint PRIMARY KEY, name text, total integer); INSERT INTO t# SELECT * FROM u#"),
    ("a column with a default", TABLE, "INSERT INTO t# (id, name) VALUES ($1, $2) RETURNING id", "ALTER TABLE t# ADD a integer NOT NULL DEFAULT 5"),
    ("a column with a volatile default", TABLE, "SELECT name FROM t#", "ALTER TABLE t# ADD a uuid DEFAULT gen_random_uuid()"),
    ("another scale", "CREATE TABLE t# (id bigint, cost numeric(10, 2));", "SELECT sum(cost) FROM t#", "ALTER TABLE t# ALTER cost TYPE numeric(14, 6)"),
    ("a zone", "CREATE TABLE t# (id bigint, at timestamp DEFAULT now());", "INSERT INTO t# (id) VALUES ($1)", "ALTER TABLE t# ALTER at TYPE timestamptz"),
    ("jsonb", "CREATE TABLE t# (id bigint, body json);", "SELECT id FROM t# WHERE body IS NOT NULL", "ALTER TABLE t# ALTER body TYPE jsonb"),
    ("null is allowed", CODE, "INSERT INTO t# (id, code) VALUES ($1, $2)", "ALTER TABLE t# ALTER code DROP NOT NULL"),
    ("another index", TABLE, "SELECT name FROM t# WHERE total > $1 ORDER BY name LIMIT 5", "CREATE INDEX ON t# (total, name)"),
    ("one more value of an enum", ENUM, "UPDATE t# SET state = $1 WHERE id = $2", "ALTER TYPE e# ADD VALUE 'lost' BEFORE 'paid'"),
    ("a table beside", TABLE, "DELETE FROM t# WHERE id = $1", "CREATE TABLE u# (id bigint PRIMARY KEY, t bigint); CREATE INDEX ON u# (t)"),
    ("a check that holds", TABLE, "UPDATE t# SET total = 5 WHERE id = $1", "ALTER TABLE t# ADD CHECK (total > -9) NOT VALID"),
    ("a wider unique", TABLE + "ALTER TABLE t# ADD UNIQUE (name);", "INSERT INTO t# (id, name) VALUES ($1, $2)",
     "ALTER TABLE t# DROP CONSTRAINT t#_name_key, ADD UNIQUE (name, total)"),
    ("a log that a trigger writes", TABLE, "INSERT INTO t# (id, name) VALUES ($1, $2)",
     LOGS + "CREATE TRIGGER g# AFTER INSERT ON t# FOR EACH ROW EXECUTE FUNCTION f#()"),
)  # fmt: skip
"""What is there, what the old version sends, and a migration that it does not notice."""
SEEN_BY_LAYER = {layer: [row for row in ROWS if row.layer is layer] for layer in Layer}
CHEAPER = {layer: tuple(Layer)[:place] for place, layer in enumerate(Layer) if place}


@pytest.fixture(scope="module")
def server(postgres: str) -> Iterator[RehearsalServer]:
    with REHEARSAL.server(url=Secret(postgres), live_version=None) as server:
        yield server


@pytest.fixture(scope="module")
def all_layers(server: RehearsalServer) -> tuple[Rehearsal, Mapping[str, Break]]:
    return rehearsed(server, ROWS, tuple(Layer))


def rehearsed(
    server: RehearsalServer, rows: tuple[Row, ...] | list[Row], layers: tuple[Layer, ...]
) -> tuple[Rehearsal, Mapping[str, Break]]:
    """Return what the stage says of the rows, and the break that its migration brings to each row's query."""
    number = {row.operation: str(place) for place, row in enumerate(rows)}
    texts = {
        row: [text.replace("#", number[row.operation]) for text in (row.base, row.query, row.migration)]
        for row in rows
    }
    applied = migration(0, "".join(base for base, _, _ in texts.values()))
    pending = tuple(migration(place, each) for place, (_, _, each) in enumerate(texts.values(), 1))
    by_role: dict[str | None, list[Row]] = {}
    for row in rows:
        by_role.setdefault(row.database_role, []).append(row)
    subjects = tuple(
        Subject(
            (USE[0], ServiceName(f"as-{role}"), USE[2]),
            Catalogue("a test", tuple(Query(row.operation, texts[row][1], PLACE) for row in some)),
            role,
        )
        for role, some in by_role.items()
    )
    task = Task(SPEC, discovery.migration_tool("goose"), (applied,), pending, subjects, layers)
    found, _ = rehearse_database(server, task)
    blamed = {each.query: each for each in reversed(found.breaks)}
    return found, blamed


def migration(version: int, sql: str) -> Migration:
    file = SourceFile(f"migrations/{version:05}.sql", sql.encode(), str(version))
    return Migration(
        version + 1, f"{version:05}", Script((Statement(sql, 1),), transaction=True), None, (file,)
    )


SPEC = DatabaseSpec(
    name=USE[0],
    engine=Engine.POSTGRESQL,
    url=SecretRef("env", "NOWHERE"),
    migrations=MigrationsSpec("goose", Path("migrations"), None, PLACE),
    lock_timeout=timedelta(seconds=2),
    place=PLACE,
)


def test_the_release_applies_with_its_sample_rows(all_layers: tuple[Rehearsal, Mapping[str, Break]]):
    found, _ = all_layers

    assert found.notes == ()
    assert found.already_failing == ()


@pytest.mark.parametrize("row", [pytest.param(row, id=row.operation) for row in ROWS])
def test_the_layer_of_the_table_sees_the_hazard_and_blames_its_migration(
    all_layers: tuple[Rehearsal, Mapping[str, Break]], row: Row
):
    _, breaks = all_layers

    seen = breaks[row.operation]

    assert (seen.layer, seen.objection.code) == (row.layer, row.code), seen.objection.message
    assert seen.migration == f"{ROWS.index(row) + 1:05}"


@pytest.mark.parametrize("layer", CHEAPER)
def test_no_cheaper_layer_sees_it(server: RehearsalServer, layer: Layer):
    found, breaks = rehearsed(server, SEEN_BY_LAYER[layer], CHEAPER[layer])

    assert found.notes == ()
    assert breaks == {}


def test_no_layer_cries_wolf(server: RehearsalServer):
    rows = [Row(*each, Layer.PREPARE, "") for each in HARMLESS]

    found, breaks = rehearsed(server, rows, tuple(Layer))

    assert found.notes == ("no sample rows in: `t0`: it has no partition",)
    assert found.already_failing == ()
    assert {name: seen.objection for name, seen in breaks.items()} == {}


def test_every_layer_is_needed():
    assert all(SEEN_BY_LAYER[layer] for layer in Layer)
