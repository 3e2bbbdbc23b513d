"""The catalogue of a PostgreSQL schema: every kind of thing, in the same words in every session."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from coordinator.adapters.rehearsals._postgresql.catalogue import QUERY, catalogue, catalogue_from

SCHEMA = """
CREATE EXTENSION btree_gist;
CREATE SCHEMA "Odd";
CREATE TYPE status AS ENUM ('open', 'paid');
CREATE DOMAIN price AS integer CHECK (VALUE > 0);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    total numeric(10, 2) NOT NULL DEFAULT 0, state status,
    twice numeric GENERATED ALWAYS AS (total * 2) STORED,
    placed timestamptz DEFAULT '2020-01-01 00:00+02');
ALTER TABLE orders ADD CONSTRAINT dear CHECK (total > 0) NOT VALID;
CREATE TABLE "Odd"."T x" ("a.b" text);
CREATE INDEX orders_state ON orders (state);
CREATE VIEW totals AS SELECT total FROM orders;
CREATE MATERIALIZED VIEW sums AS SELECT sum(total) AS sum FROM orders;
CREATE FUNCTION noted(x integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER quiet BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION quiet();
CREATE RULE nothing AS ON DELETE TO orders DO INSTEAD NOTHING;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY cheap ON orders FOR SELECT TO pg_monitor USING (total < 10);
GRANT SELECT ON orders TO pg_monitor;
CREATE TABLE events (at integer) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (10);
CREATE TABLE goose_db_version (id serial PRIMARY KEY);
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(SCHEMA)
        yield connection


def test_every_kind_of_thing_has_a_name_and_a_definition(connection):
    found = catalogue(connection)

    expected = {
        "table public.orders": "table",
        "column public.orders.total": "numeric(10,2) not null default 0",
        "column public.orders.twice": "numeric generated always as (total * (2)::numeric) stored",
        "column public.orders.id": "bigint not null generated always as identity",
        'column "Odd"."T x"."a.b"': "text",
        "constraint public.orders.dear": "CHECK ((total > (0)::numeric)) NOT VALID",
        "constraint public.price.price_check": "CHECK ((VALUE > 0))",
        "index public.orders_state": "CREATE INDEX orders_state ON public.orders USING btree (state)",
        "view public.totals": " SELECT total\n   FROM public.orders;",
        "type public.status": "enum",
        "enum-value public.status.'paid'": "after 'open'",
        "domain public.price": "integer",
        "row security public.orders": "enabled",
        "policy public.orders.cheap": "permissive for r to pg_monitor using (total < (10)::numeric)",
        "privilege public.orders pg_monitor": "SELECT",
        "extension btree_gist": "in public",
        'schema "Odd"': "schema",
        "table public.events": "table partitioned by RANGE (at)",
    }
    assert {name: found.get(name) for name in expected} == expected
    for name in (
        "materialized view public.sums",
        "function public.noted(x integer)",
        "trigger public.orders.quiet",
        "rule public.orders.nothing",
        "sequence public.orders_id_seq",
        "partition public.events public.events_1",
    ):
        assert name in found


def test_what_belongs_to_extensions_and_to_the_tools_is_left_out(connection):
    found = catalogue(connection)

    assert [each for each in found if "gbt" in each or "goose" in each] == []


def test_settings_of_the_session_do_not_change_the_words(connection):
    before = catalogue(connection)

    connection.execute(
        "SET search_path = 'Odd', public; SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'"
    )
    connection.execute("SET quote_all_identifiers = on; SET IntervalStyle = 'iso_8601'")

    assert catalogue(connection) == before


def test_a_thing_with_an_owner_of_its_own_is_told(connection):
    connection.execute("GRANT ALL ON SCHEMA public TO pg_monitor; ALTER VIEW totals OWNER TO pg_monitor")

    found = catalogue(connection)

    assert [name for name in found if name.startswith("owner ")] == ["owner public.totals"]


def test_reading_it_changes_nothing_outside_of_its_transaction(connection):
    connection.execute("SET search_path = 'Odd'")

    rows = connection.execute(QUERY).fetchall()

    assert catalogue_from(rows)
    assert connection.execute("SHOW search_path").fetchall() == [('"Odd"',)]
