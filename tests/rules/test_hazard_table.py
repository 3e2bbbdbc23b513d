"""Every row of the table of hazards is noticed, and every rewrite that a rule offers is free of its hazard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from hazard_table import BASE, ROWS, SAFE, SAFE_ALONE, Row

from coordinator.adapters.rehearsals._postgresql.probe import ProbedSession
from coordinator.errors import DatabaseError
from coordinator.evidence import Hazard, StatementEvidence
from coordinator.ports import Batch
from coordinator.rules import NEXT, all_rules, find_hazards
from coordinator.sql import split_statements

Connection = psycopg.Connection[tuple[object, ...]]
DETECTED = [pytest.param(row, id=row.operation) for row in ROWS if row.rules]
PLAN_TIMEOUT = timedelta(seconds=2)
RULES = {rule.code for rule in all_rules()}


@pytest.fixture(scope="module")
def connection(postgres: str) -> Iterator[Connection]:
    with _database(postgres, "coordinator_test_hazards") as connection:
        connection.execute(BASE)
        yield connection


@contextmanager
def _database(server: str, name: str) -> Iterator[Connection]:
    with psycopg.connect(server, autocommit=True) as maintenance:
        maintenance.execute(f"DROP DATABASE IF EXISTS {name}")
        maintenance.execute(f"CREATE DATABASE {name}")
        try:
            with psycopg.connect(server, dbname=name, autocommit=True) as connection:
                yield connection
        finally:
            maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(autouse=True)
def fresh(connection: Connection) -> None:
    connection.execute(f"DROP SCHEMA IF EXISTS public, other CASCADE; CREATE SCHEMA public; {BASE}")


def apply(connection: Connection, *files: str, alone: bool = False) -> tuple[Hazard, ...]:
    """Apply each file as a migration and return the hazards of the release."""
    seen: list[StatementEvidence] = []
    for number, text in enumerate(files):
        session = ProbedSession(connection, record=lambda each, n=number: seen.append(_of(each, n)))
        session.execute(Batch((text,), transaction=not alone))
    return find_hazards(seen, engine="postgresql 18.6", sizes=None, lock_timeout=PLAN_TIMEOUT)


def _of(evidence: StatementEvidence, number: int) -> StatementEvidence:
    return replace(evidence, migration=f"{number:05}")


def codes(hazards: tuple[Hazard, ...]) -> set[str]:
    return {each.code for each in hazards}


@pytest.mark.parametrize("row", [pytest.param(row, id=row.operation) for row in ROWS if row.engine is None])
def test_rules_notice_exactly_what_the_row_says(connection: Connection, row: Row):
    assert codes(apply(connection, row.sql, alone=row.alone)) == set(row.rules)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.operation) for row in ROWS if row.engine])
def test_the_engine_refuses_what_it_can_refuse_itself(connection: Connection, row: Row):
    with pytest.raises(DatabaseError) as refused:
        apply(connection, row.sql, alone=row.alone)

    assert row.engine in (refused.value.sqlstate, refused.value.code)


@pytest.mark.parametrize("row", DETECTED)
def test_a_rewrite_can_be_pasted_and_has_its_hazard_no_more(connection: Connection, row: Row):
    hazards = apply(connection, row.sql, alone=row.alone)

    for hazard in hazards:
        connection.execute(f"DROP SCHEMA IF EXISTS public, other CASCADE; CREATE SCHEMA public; {BASE}")
        if "; " in row.sql and hazard.code not in ("lock-timeout-missing", "view-without-grants"):
            connection.execute(row.sql.partition(";")[0])  # the statement before, which stays where it is
        if row.operation == "compatible view without grant":
            connection.execute("ALTER TABLE customers RENAME TO people")
        if row.operation == "add primary key":
            connection.execute("ALTER TABLE events_2 ALTER id SET NOT NULL")
        parts = [part for part in hazard.rewrite.split(NEXT) if split_statements(part)]
        seen: list[Hazard] = []
        for part in parts:
            is_alone = "without a transaction" in part or row.alone
            texts = [each.text for each in split_statements(part)] if is_alone else [part]
            for text in texts:
                seen += apply(connection, text, alone=is_alone)
        assert hazard.code not in codes(tuple(seen)), hazard.rewrite


@pytest.mark.parametrize("text", SAFE)
def test_harmless_statements_are_left_alone(connection: Connection, text: str):
    assert apply(connection, text) == ()


@pytest.mark.parametrize("text", SAFE_ALONE)
def test_harmless_statements_outside_of_a_transaction_are_left_alone(connection: Connection, text: str):
    assert apply(connection, text, alone=True) == ()


def test_every_rule_has_a_row():
    assert {code for row in ROWS for code in row.rules} == RULES


def test_every_rule_is_named_like_its_file():
    assert len(RULES) == len(all_rules())


def test_the_reference_lists_every_rule():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "rules.md").read_text("utf-8")

    assert set(re.findall(r"^\| \[`([\w-]+)`\]", text, re.MULTILINE)) == RULES
