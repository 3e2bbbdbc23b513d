"""Each change that hurts on SQLite, with the layer that sees it; and changes that break nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures.sqlite_rehearsal import CUSTOMERS, ORDERS, SCHEMA, apply, found_by, rebuilt

from coordinator.adapters.rehearsals.sqlite import REHEARSAL
from coordinator.rehearsal_ports import RehearsalDatabase


@pytest.fixture(scope="module")
def database_server():
    with REHEARSAL.server(url=None, live_version=None) as server:
        yield server


@pytest.fixture
def database(database_server) -> Iterator[RehearsalDatabase]:
    with database_server.database() as database:
        apply(database, SCHEMA)
        yield database


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
