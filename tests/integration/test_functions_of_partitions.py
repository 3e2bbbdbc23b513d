"""A function that makes the name of a partition of the time that it gets (PostgreSQL)."""

from __future__ import annotations

import pytest
from fixtures.two_versions import Servers, servers, verdict

from coordinator.model import Engine

__all__ = ["servers"]
BASE = """CREATE TABLE payload (id integer NOT NULL, day date NOT NULL, body text) PARTITION BY RANGE (day);
CREATE TABLE payload_20240229 PARTITION OF payload FOR VALUES FROM ('2024-02-29') TO ('2024-03-01');
-- +goose StatementBegin
CREATE FUNCTION payloads_of(wanted date, above integer) RETURNS SETOF payload LANGUAGE plpgsql AS $$
DECLARE part text := 'payload_' || to_char(wanted, 'YYYYMMDD');
BEGIN
    IF to_regclass(part) IS NULL THEN RAISE EXCEPTION 'Partition % does not exist', part; END IF;
    RETURN QUERY EXECUTE format('SELECT id, day, body FROM %I WHERE id >= $1', part) USING above;
END $$;
-- +goose StatementEnd
"""
ASK = "SELECT id, day, body FROM payloads_of($1::date, $2)"
PG = Engine.POSTGRESQL


def test_a_day_that_has_a_partition_is_tried(servers: Servers):
    assert verdict(servers, PG, BASE, "CREATE TABLE other (id integer);", ASK) == "pp"
    assert verdict(servers, PG, BASE, "CREATE TABLE other (id integer);", ASK.replace("::date", "")) == "pp"


@pytest.mark.parametrize(
    "gone",
    [
        "DROP TABLE payload_20240229;",
        "ALTER TABLE payload_20240229 RENAME TO payload_of_february;",
        "UPDATE payload SET body = 'other';",
        "DELETE FROM payload;",
        "DROP FUNCTION payloads_of;",
    ],
)
def test_what_it_no_more_finds_is_no_proof(servers: Servers, gone: str):
    assert verdict(servers, PG, BASE, gone, ASK) in ("pb", "pu")


def test_another_body_is_no_proof(servers: Servers):
    made = BASE[BASE.index("-- +goose") :].replace("CREATE", "CREATE OR REPLACE")
    other = made.replace("id >= $1", "id >= $1 AND id <> 4711")

    assert verdict(servers, PG, BASE, other, ASK) == "pu"


def test_a_partition_that_only_this_state_has_is_none_of_its_own(servers: Servers):
    later = (
        "CREATE TABLE payload_20250101 PARTITION OF payload FOR VALUES FROM ('2025-01-01') TO ('2025-01-02');"
    )

    assert verdict(servers, PG, BASE, later, ASK) == "pp"
