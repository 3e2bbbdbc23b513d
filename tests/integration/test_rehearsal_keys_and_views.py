"""What PostgreSQL refuses only a longer text or one repeated key, and views that show what a table did."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from fixtures.scratch import Scratch, emptied, filled, opened

SHOP = """
CREATE TABLE customers (
  id int PRIMARY KEY, email text NOT NULL UNIQUE, name varchar(500), note text, total numeric(12,4)
);
CREATE MATERIALIZED VIEW names AS SELECT id, name FROM customers;
"""
INSERT = "INSERT INTO customers VALUES ($1, $2, $3, $4, $5)"
AGAIN = "DROP MATERIALIZED VIEW names; CREATE MATERIALIZED VIEW names AS"
HIDDEN = (
    "ALTER TABLE customers RENAME TO people; ALTER TABLE people RENAME COLUMN note TO remark;"
    "CREATE VIEW customers AS SELECT id, email, name, remark AS note, total FROM people"
)


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[psycopg.Connection]:
    with opened(postgres, f"coordinator_keys_{os.getpid()}") as connection:
        yield connection


@pytest.fixture
def shop(database: psycopg.Connection) -> Scratch:
    return filled(emptied(database), SHOP)


@pytest.mark.parametrize(
    ("migration", "text", "said"),
    [
        (
            "ALTER TABLE customers DROP CONSTRAINT customers_email_key",
            f"{INSERT} ON CONFLICT DO NOTHING",
            "rows, now",
        ),
        ("CREATE UNIQUE INDEX ON customers (lower(email))", INSERT, "23505"),
        ("DROP MATERIALIZED VIEW names; ALTER TABLE customers ALTER name TYPE varchar(400)", INSERT, "22001"),
        ("ALTER TABLE customers ALTER note TYPE varchar(2000)", INSERT, "22001"),
        ("ALTER TABLE customers ADD CHECK (length(note) <= 1000)", INSERT, "23514"),
        ("ALTER TABLE customers ALTER total TYPE numeric(12,2)", INSERT, "wrote `total`"),
        ("ALTER TABLE customers ALTER total TYPE numeric(10,2)", INSERT, "22003"),
        (
            f"{AGAIN} SELECT id, name FROM customers WHERE id > 2",
            "SELECT id, name FROM names",
            "of which 2 are gone",
        ),
        (
            f"{HIDDEN} WHERE id > 2",
            "UPDATE customers SET note = $1 WHERE id = $2",
            "now",
        ),
        (
            HIDDEN.replace("remark AS note", "'fixed'::text AS note"),
            "INSERT INTO customers (id, email, name) VALUES ($1, $2, $3)",
            "wrote `note` as NULL, now `fixed`",
        ),
    ],
)
def test_sees_what_only_another_value_or_row_meets(shop: Scratch, migration: str, text: str, said: str):
    assert said in (shop.after(migration, text) or "nothing")


@pytest.mark.parametrize(
    ("migration", "text"),
    [
        (HIDDEN, "UPDATE customers SET note = $1 WHERE id = $2"),
        (HIDDEN, "UPDATE customers SET name = name"),
        (HIDDEN, INSERT),
        (HIDDEN, f"{INSERT} ON CONFLICT (email) DO UPDATE SET note = excluded.note"),
        (
            f"{AGAIN} SELECT id, name, note FROM customers",
            "SELECT id, name FROM names",
        ),
    ],
)
def test_says_nothing_where_a_view_has_the_same_rows(shop: Scratch, migration: str, text: str):
    assert shop.after(migration, text) is None
