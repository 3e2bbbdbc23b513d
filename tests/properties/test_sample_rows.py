"""Random schemas: filling, choosing and executing answer always, leave nothing, and say the same twice."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.adapters.rehearsals._postgresql.choice import choose
from coordinator.adapters.rehearsals._postgresql.execution import execute
from coordinator.evidence import Objection
from coordinator.sameness import difference
from tests.fixtures.scratch import emptied, filled, opened

TYPES = (
    *(
        "int",
        "bigint",
        "numeric(6,2)",
        "text",
        "varchar(5)",
        "boolean",
        "date",
        "timestamptz",
        "uuid",
        "jsonb",
    ),
    *("text[]", "int4range", "bytea", "inet", "mood"),
)
DEFAULTS = {"int": "7", "text": "'new'", "boolean": "false", "timestamptz": "now()", "jsonb": "'{}'"}
CHECKS = {
    "int": "{0} BETWEEN 3 AND 9",
    "bigint": "{0} > 1000 OR {0} IS NULL",
    "numeric(6,2)": "{0} >= 0 AND {0} < 0.5",
    "text": "{0} IN ('red', 'green') OR length({0}) = 12",
    "varchar(5)": "{0} ~ '^[A-Z]{{3}}$'",
    "date": "{0} > '2040-01-01'",
    "jsonb": "jsonb_typeof({0}) = 'object'",
    "int4range": "NOT isempty({0})",
    "bytea": "{0} = {0} AND length({0}) > 100000",
}


@st.composite
def columns(draw: st.DrawFn, number: int) -> str:
    name, kind = f"c{number}", draw(st.sampled_from(TYPES))
    parts = [name, kind]
    if kind in DEFAULTS and draw(st.booleans()):
        parts.append(f"DEFAULT {DEFAULTS[kind]}")
    if draw(st.booleans()):
        parts.append("NOT NULL")
    if kind in CHECKS and draw(st.booleans()):
        parts.append(f"CHECK ({CHECKS[kind].format(name)})")
    if kind not in ("jsonb", "int4range") and draw(st.integers(0, 3)) == 0:
        parts.append("UNIQUE")
    return " ".join(parts)


@st.composite
def schemas(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw tables that refer to each other, and queries of every kind against them."""
    statements = ["CREATE TYPE mood AS ENUM ('sad', 'ok')"]
    texts = []
    for table in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(("serial", "int", "bigint GENERATED ALWAYS AS IDENTITY")))
        parts = [f"id {key} PRIMARY KEY"]
        count = draw(st.integers(1, 4))
        parts += [draw(columns(number)) for number in range(count)]
        for parent in range(table + 1):
            if draw(st.booleans()):
                required = draw(st.sampled_from(("", " NOT NULL", " UNIQUE")))
                parts.append(f"p{parent} bigint{required} REFERENCES t{parent} ON DELETE CASCADE")
        statements.append(f"CREATE TABLE t{table} ({', '.join(parts)})")
        names = [part.split()[0] for part in parts]
        if key != "bigint GENERATED ALWAYS AS IDENTITY":
            marks = ", ".join(f"${place}" for place in range(1, len(names) + 1))
            texts.append(f"INSERT INTO t{table} ({', '.join(names)}) VALUES ({marks}) RETURNING *")
        texts += [
            f"SELECT * FROM t{table} WHERE c0 = $1 OR id > $2 ORDER BY id LIMIT $3",
            f"UPDATE t{table} SET c0 = $1 WHERE id = ANY($2::bigint[])",
            f"DELETE FROM t{table} WHERE id = $1",
            f"SELECT count(*), array_agg(c0::text), now() FROM t{table}",
            f"SELECT missing FROM t{table}",
        ]
    return "; ".join(statements), texts


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[psycopg.Connection]:
    with opened(postgres, f"coordinator_fuzz_{os.getpid()}") as connection:
        yield connection


@settings(
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(drawn=schemas())
def test_every_schema_is_filled_and_asked_without_a_trace(
    database: psycopg.Connection, drawn: tuple[str, list[str]]
) -> None:
    schema, texts = drawn
    scratch = filled(emptied(database), schema)
    before = scratch.counts()

    chosen = choose(database, texts, role=None)
    asks = [
        (text, values)
        for text, values in zip(texts, chosen, strict=True)
        if not isinstance(values, Objection)
    ]
    own, again = execute(database, asks, role=None), execute(database, asks, role=None)

    assert scratch.counts() == before
    assert len(before) == len(scratch.unfilled) + sum(count > 0 for count in before.values())
    assert not [each for each in (*own, *again) if isinstance(each, Objection)]
    assert [difference(a, b) for a, b in zip(own, again, strict=True)] == [None] * len(asks)
    assert {values.code for values in chosen if isinstance(values, Objection)} >= {"42703"}
