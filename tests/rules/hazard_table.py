"""The rows of the table of hazards: a migration, and who must notice what it does to the live service.

`rule` names the rules; `engine` says that the engine refuses the migration itself (its SQLSTATE); where only
the compatibility of old queries is at stake, `layer` says which layer of the rehearsal sees `query` break.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.model import Layer

BASE = """
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE customers (id bigint PRIMARY KEY, name text, email text UNIQUE);
CREATE DOMAIN price AS integer;
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TYPE status AS ENUM ('open', 'paid');
CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint, total integer, note text, tag varchar(20),
    cost price, state status, placed timestamp DEFAULT now(), taken int4range, code text NOT NULL DEFAULT '');
CREATE INDEX orders_tag ON orders (tag);
CREATE INDEX orders_note ON orders (note);
CREATE TABLE lines (id bigint PRIMARY KEY, order_id bigint REFERENCES orders (id), text text);
CREATE VIEW totals AS SELECT id, total FROM orders;
CREATE MATERIALIZED VIEW sums AS SELECT customer, sum(total) AS sum FROM orders GROUP BY customer;
CREATE UNIQUE INDEX sums_customer ON sums (customer);
CREATE TABLE events (id bigint, at integer) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (10);
CREATE TABLE events_2 (id bigint, at integer);
CREATE FUNCTION twice(x integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * x';
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noted BEFORE INSERT ON lines FOR EACH ROW EXECUTE FUNCTION noted();
GRANT SELECT, INSERT ON customers TO pg_monitor;
"""


@dataclass(frozen=True)
class Row:
    """One row. `alone` is for a statement outside of a transaction; `before` is what its rewrite follows."""

    operation: str
    sql: str
    rules: tuple[str, ...] = ()
    alone: bool = False
    engine: str | None = None
    query: str = ""
    layer: Layer | None = None
    sqlstate: str = ""
    before: str = ""


def breaks(operation: str, sql: str, query: str, layer: Layer, sqlstate: str, **more: object) -> Row:
    """Return a row whose old query breaks."""
    return Row(operation, sql, query=query, layer=layer, sqlstate=sqlstate, **more)  # type: ignore[arg-type]


ROWS = (
    Row("add column, nullable", "ALTER TABLE orders ADD COLUMN a integer"),
    Row("add column, constant default", "ALTER TABLE orders ADD COLUMN a integer NOT NULL DEFAULT 5"),
    breaks("add column, ambiguous name", "ALTER TABLE customers ADD COLUMN total integer",
           "SELECT total FROM orders o JOIN customers c ON c.id = o.customer", Layer.PREPARE, "42702"),
    Row("add column, volatile default", "ALTER TABLE orders ADD COLUMN a uuid DEFAULT gen_random_uuid()", ("table-rewrite",)),
    Row("add column, volatile default, not null", "ALTER TABLE orders ADD a uuid NOT NULL DEFAULT gen_random_uuid()", ("table-rewrite",)),
    Row("add column, serial", "ALTER TABLE orders ADD COLUMN a serial", ("table-rewrite",)),
    Row("add column, identity", "ALTER TABLE orders ADD COLUMN a bigint GENERATED ALWAYS AS IDENTITY", ("table-rewrite",)),
    Row("add column, stored generated", "ALTER TABLE orders ADD COLUMN a integer GENERATED ALWAYS AS (total * 2) STORED", ("table-rewrite",)),
    Row("add column, domain with check", "ALTER TABLE orders ADD COLUMN a positive", ("table-rewrite",)),
    Row("add column, inline check", "ALTER TABLE orders ADD COLUMN a integer CHECK (a > 0)", ("check-scans-table",)),
    Row("add column, inline unique", "ALTER TABLE orders ADD COLUMN a integer UNIQUE", ("unique-builds-under-lock",)),
    Row("add column, references", "ALTER TABLE orders ADD COLUMN a bigint REFERENCES customers (id)", ("foreign-key-locks-parent", "foreign-key-scans-table")),
    breaks("add column, not null", "ALTER TABLE customers ADD COLUMN a integer NOT NULL DEFAULT 0; ALTER TABLE customers ALTER a DROP DEFAULT",
           "INSERT INTO customers (id) VALUES ($1)", Layer.EXECUTE, "23502"),
    breaks("json column", "ALTER TABLE customers ADD COLUMN a json", "SELECT DISTINCT c.* FROM customers c", Layer.PREPARE, "42883"),
    Row("set not null", "ALTER TABLE orders ALTER COLUMN total SET NOT NULL", ("not-null-scans-table",)),
    Row("drop not null", "ALTER TABLE orders ALTER COLUMN code DROP NOT NULL"),
    breaks("drop default", "ALTER TABLE orders ALTER COLUMN code DROP DEFAULT",
           "INSERT INTO orders (id) VALUES ($1)", Layer.EXECUTE, "23502"),
    Row("add check", "ALTER TABLE orders ADD CONSTRAINT dear CHECK (total > 0)", ("check-scans-table",)),
    breaks("add check not valid", "ALTER TABLE orders ADD CONSTRAINT dear CHECK (total > 1000000000) NOT VALID",
           "INSERT INTO orders (id, total) VALUES ($1, 5)", Layer.EXECUTE, "23514"),
    Row("add foreign key", "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers (id)", ("foreign-key-locks-parent", "foreign-key-scans-table")),
    Row("create table with foreign key", "CREATE TABLE carts (id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers (id), n integer DEFAULT 5)", ("foreign-key-locks-parent",)),
    Row("drop foreign key", "ALTER TABLE lines DROP CONSTRAINT lines_order_id_fkey", ("foreign-key-locks-parent",)),
    Row("drop table with foreign key", "DROP TABLE lines", ("foreign-key-locks-parent",)),
    Row("add unique", "ALTER TABLE orders ADD CONSTRAINT one_code UNIQUE (code)", ("unique-builds-under-lock",)),
    Row("add primary key using index, nullable", "CREATE UNIQUE INDEX numbered ON events_2 (id); ALTER TABLE events_2 ADD PRIMARY KEY USING INDEX numbered", ("index-blocks-writes", "not-null-scans-table")),
    Row("add primary key", "ALTER TABLE events_2 ADD PRIMARY KEY (id)", ("unique-builds-under-lock",), before="ALTER TABLE events_2 ALTER id SET NOT NULL"),
    breaks("drop unique", "ALTER TABLE customers DROP CONSTRAINT customers_email_key",
           "INSERT INTO customers (id, email) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING", Layer.PLAN, "42P10"),
    Row("add exclude", "ALTER TABLE orders ADD CONSTRAINT apart EXCLUDE USING gist (taken WITH &&)", ("exclude-builds-under-lock",)),
    Row("create index", "CREATE INDEX orders_total ON orders (total)", ("index-blocks-writes",)),
    Row("create unique index", "CREATE UNIQUE INDEX ON orders (total) WHERE total > 5", ("index-blocks-writes",)),
    Row("concurrently in a transaction", "CREATE INDEX CONCURRENTLY orders_total ON orders (total)", engine="25001"),
    Row("drop index", "DROP INDEX orders_tag", ("drop-index-locks-table",)),
    Row("reindex", "REINDEX TABLE orders", ("reindex-locks-table",), alone=True),
    Row("reindex in a transaction", "REINDEX INDEX orders_tag", ("reindex-locks-table",)),
    Row("type change, int to bigint", "ALTER TABLE lines ALTER COLUMN id TYPE integer", ("table-rewrite",)),
    Row("type change, text to varchar", "ALTER TABLE orders ALTER COLUMN note TYPE varchar(10)", ("table-rewrite",)),
    Row("type change, timestamptz", "ALTER TABLE orders ALTER COLUMN placed TYPE timestamptz", ("timestamp-depends-on-zone",)),
    Row("type change under a view", "ALTER TABLE orders ALTER COLUMN total TYPE bigint", engine="0A000"),
    Row("type change, wider", "ALTER TABLE orders ALTER COLUMN tag TYPE varchar(40)"),
    Row("type change, to text", "ALTER TABLE orders ALTER COLUMN tag TYPE text"),
    Row("new collation", 'ALTER TABLE orders ALTER COLUMN note TYPE text COLLATE "C"', ("index-rebuilds-under-lock",)),
    breaks("rename column", "ALTER TABLE orders RENAME COLUMN note TO remark", "SELECT note FROM orders", Layer.PREPARE, "42703"),
    breaks("rename table", "ALTER TABLE orders RENAME TO purchases", "SELECT note FROM orders", Layer.PREPARE, "42P01"),
    breaks("set schema", "CREATE SCHEMA other; ALTER TABLE orders SET SCHEMA other", "SELECT note FROM orders", Layer.PREPARE, "42P01"),
    breaks("rename constraint", "ALTER TABLE customers RENAME CONSTRAINT customers_email_key TO one_email",
           "INSERT INTO customers (id) VALUES ($1) ON CONFLICT ON CONSTRAINT customers_email_key DO NOTHING", Layer.PREPARE, "42704"),
    breaks("rename type", "ALTER TYPE status RENAME TO state", "SELECT $1::status", Layer.PREPARE, "42704"),
    breaks("rename function", "ALTER FUNCTION twice RENAME TO double", "SELECT twice(2)", Layer.PREPARE, "42883"),
    breaks("drop column", "ALTER TABLE orders DROP COLUMN note", "SELECT note FROM orders", Layer.PREPARE, "42703"),
    breaks("drop table", "DROP TABLE events_2", "SELECT id FROM events_2", Layer.PREPARE, "42P01"),
    Row("drop column cascade", "ALTER TABLE orders DROP COLUMN total CASCADE", ("cascade-drops-others",)),
    Row("drop table cascade", "DROP TABLE orders CASCADE", ("cascade-drops-others", "foreign-key-locks-parent")),
    Row("drop domain cascade", "DROP DOMAIN price CASCADE", ("cascade-drops-others",)),
    Row("drop function cascade", "DROP FUNCTION noted CASCADE", ("cascade-drops-others",)),
    Row("enum add value", "ALTER TYPE status ADD VALUE 'lost'"),
    Row("enum value used in its transaction", "ALTER TYPE status ADD VALUE 'lost'; UPDATE orders SET state = 'lost' WHERE id = 1", engine="55P04"),
    breaks("enum rename value", "ALTER TYPE status RENAME VALUE 'paid' TO 'settled'", "SELECT id FROM orders WHERE state = 'paid'", Layer.PREPARE, "22P02"),
    breaks("identity always", "ALTER TABLE customers ALTER id ADD GENERATED ALWAYS AS IDENTITY",
           "INSERT INTO customers (id) VALUES ($1)", Layer.PREPARE, "428C9"),
    breaks("view replaced", "DROP VIEW totals; CREATE VIEW totals AS SELECT id FROM orders", "SELECT total FROM totals", Layer.PREPARE, "42703"),
    breaks("function dropped", "DROP FUNCTION twice", "SELECT twice(2)", Layer.PREPARE, "42883"),
    breaks("trigger created", "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; CREATE TRIGGER no"
           " BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION no()", "INSERT INTO customers (id) VALUES ($1)", Layer.EXECUTE, "P0001"),
    Row("rule", "CREATE RULE quiet AS ON DELETE TO orders DO INSTEAD NOTHING", ("rule-rewrites-queries",)),
    breaks("row security", "ALTER TABLE customers ENABLE ROW LEVEL SECURITY", "SELECT name FROM customers", Layer.RESULT, ""),
    breaks("revoke", "REVOKE SELECT ON customers FROM pg_monitor", "SELECT name FROM customers", Layer.PLAN, "42501"),
    Row("attach partition", "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM (10) TO (20)", ("attach-partition-scans-table",)),
    Row("create partition of", "CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM (20) TO (30)", ("partition-of-locks-parent",)),
    Row("detach partition", "ALTER TABLE events DETACH PARTITION events_1", ("detach-partition-locks-table",)),
    Row("truncate", "TRUNCATE events_2", ("truncate-locks-table",)),
    Row("domain check", "ALTER DOMAIN price ADD CONSTRAINT dear CHECK (VALUE > 0)", ("domain-check-scans-tables",)),
    Row("cluster-using", "CLUSTER orders USING orders_pkey", ("table-rewrite",), alone=True),
    Row("vacuum full", "VACUUM FULL orders", ("table-rewrite",), alone=True),
    Row("set unlogged", "ALTER TABLE events_2 SET UNLOGGED", ("table-rewrite",)),
    Row("refresh materialized view", "REFRESH MATERIALIZED VIEW sums", ("refresh-locks-readers",)),
    Row("set storage", "ALTER TABLE orders ALTER COLUMN note SET STORAGE EXTERNAL"),
    Row("replica identity", "ALTER TABLE orders REPLICA IDENTITY FULL", ("replica-identity-changes",)),
    Row("update of all rows", "UPDATE orders SET total = 0", ("whole-table-write",)),
    Row("update of many rows", "UPDATE orders SET total = 0 WHERE total IS NULL", ("whole-table-write",)),
    Row("delete of many rows", "DELETE FROM lines WHERE text = ''", ("whole-table-write",)),
    Row("update from another table", "UPDATE orders SET note = c.name FROM customers c WHERE c.id = orders.customer", ("whole-table-write",)),
    Row("backfill with DDL", "ALTER TABLE orders ADD a integer; UPDATE orders SET a = total", ("whole-table-write", "write-under-lock"), before="ALTER TABLE orders ADD a integer"),
    Row("several tables in one transaction", "ALTER TABLE orders ADD a integer; ALTER TABLE customers ADD a integer", ("several-locks-in-transaction",), before="ALTER TABLE orders ADD a integer"),
    Row("lock timeout switched off", "SET lock_timeout = 0; ALTER TABLE orders ADD a integer", ("lock-timeout-missing",)),
    Row("lock table", "LOCK TABLE orders IN SHARE MODE", ("explicit-lock",)),
    Row("open transaction left", "BEGIN; ALTER TABLE orders ADD a integer", alone=True, engine="transaction-left-open"),
    Row("not repeatable", "CREATE INDEX CONCURRENTLY orders_total ON orders (total)", ("not-repeatable",), alone=True),
    Row("compatible view without grant", "ALTER TABLE customers RENAME TO people; CREATE VIEW customers AS SELECT * FROM people", ("view-without-grants",), before="ALTER TABLE customers RENAME TO people"),
)  # fmt: skip

SAFE = (
    "DROP VIEW totals; ALTER TABLE orders ADD COLUMN a integer; CREATE VIEW totals AS SELECT id, total, a FROM orders",
    """CREATE TABLE carts (id bigint PRIMARY KEY); CREATE INDEX ON carts (id); INSERT INTO carts SELECT 1;
    UPDATE carts SET id = 2; ALTER TABLE carts ADD CHECK (id > 0); ALTER TABLE carts ALTER id TYPE integer;
    TRUNCATE carts; LOCK TABLE carts; DROP TABLE carts""",
    "ALTER TABLE orders ADD COLUMN a integer, ADD COLUMN b text DEFAULT 'x'",
    "ALTER TABLE orders ADD CONSTRAINT dear CHECK (total > 0) NOT VALID",
    "CREATE VIEW more AS SELECT id FROM orders",
    "CREATE OR REPLACE FUNCTION twice(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x + x'",
    "INSERT INTO customers (id) VALUES (1), (2)",
    "UPDATE orders SET total = 1 WHERE id = 5",
    "UPDATE orders SET total = 1 WHERE id BETWEEN 1 AND 1000",
    "DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE total = 0 LIMIT 1000)",
    "UPDATE orders SET note = v.note FROM (VALUES (1, 'a'), (2, 'b')) AS v (id, note) WHERE v.id = orders.id",
    "CREATE TYPE colour AS ENUM ('blue', 'green')",
    "CREATE SCHEMA other; CREATE TABLE other.things (id bigint)",
    "COMMENT ON TABLE orders IS 'what customers want'",
    "GRANT SELECT ON orders TO pg_monitor",
    "DROP VIEW totals",
    "CREATE TABLE people AS SELECT id, name FROM customers",
    """ALTER TABLE customers RENAME TO people; CREATE VIEW customers AS SELECT * FROM people;
    GRANT SELECT, INSERT ON customers TO pg_monitor""",
    "CREATE TABLE events_9 (LIKE events); ALTER TABLE events ATTACH PARTITION events_9 FOR VALUES FROM (90) TO (99)",
)
SAFE_ALONE = (
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_total ON orders (total)",
    "DROP INDEX CONCURRENTLY IF EXISTS orders_tag",
    "REINDEX TABLE CONCURRENTLY orders",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY sums",
    "ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY",
    "VACUUM orders",
    "ANALYZE orders",
)
