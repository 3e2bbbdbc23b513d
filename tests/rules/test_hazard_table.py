"""Every row of the table of hazards is noticed, and no rewrite that a rule offers has its hazard."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from _pytest.mark import ParameterSet
from hazard_table import BASE, ROWS, SAFE, SAFE_ALONE, Row

from coordinator.adapters.rehearsals._postgresql.probe import ProbedSession
from coordinator.errors import DatabaseError
from coordinator.evidence import Hazard, StatementEvidence
from coordinator.ports.databases import Batch
from coordinator.rules import NEXT, all_rules, find_hazards
from coordinator.sql import split_statements

Connection = psycopg.Connection[tuple[object, ...]]
PLAN_TIMEOUT = timedelta(seconds=2)
RULES = {rule.code for rule in all_rules()}


def _params(*, is_refused: bool) -> list[ParameterSet]:
    return [pytest.param(row, id=row.operation) for row in ROWS if (row.engine is not None) is is_refused]


@pytest.fixture(scope="module")
def connection(postgres: str) -> Iterator[Connection]:
    with _database(postgres, f"coordinator_test_hazards_{os.getpid()}") as connection:
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
    _reset(connection)


def _reset(connection: Connection) -> None:
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


@pytest.mark.parametrize("row", _params(is_refused=False))
def test_rules_notice_what_the_row_says_and_offer_sql_that_has_no_such_hazard(
    connection: Connection, row: Row
):
    hazards = apply(connection, row.sql, alone=row.alone)

    assert codes(hazards) == set(row.rules)
    for hazard in hazards:
        _reset(connection)
        connection.execute(row.before)
        assert hazard.code not in codes(_apply_rewrite(connection, hazard, alone=row.alone)), hazard.rewrite


def _apply_rewrite(connection: Connection, hazard: Hazard, *, alone: bool) -> tuple[Hazard, ...]:
    """Apply each part as a migration of its own; what runs without a transaction, a statement at a time."""
    found: list[Hazard] = []
    for part in hazard.rewrite.split(NEXT):
        is_alone = alone or "without a transaction" in part
        pieces = split_statements(part)
        for text in [each.text for each in pieces] if is_alone else [part] if pieces else []:
            found += apply(connection, text, alone=is_alone)
    return tuple(found)


@pytest.mark.parametrize("row", _params(is_refused=True))
def test_the_engine_refuses_what_it_can_refuse_itself(connection: Connection, row: Row):
    with pytest.raises(DatabaseError) as refused:
        apply(connection, row.sql, alone=row.alone)

    assert row.engine in (refused.value.sqlstate, refused.value.code)


@pytest.mark.parametrize("text", SAFE)
def test_harmless_statements_are_left_alone(connection: Connection, text: str):
    assert apply(connection, text) == ()


@pytest.mark.parametrize("text", SAFE_ALONE)
def test_harmless_statements_outside_of_a_transaction_are_left_alone(connection: Connection, text: str):
    assert apply(connection, text, alone=True) == ()


def test_every_rule_of_postgresql_has_a_row():
    of_postgresql = {rule.code for rule in all_rules() if "postgresql" in rule.engines}

    assert {code for row in ROWS for code in row.rules} == of_postgresql


def test_every_rule_is_named_like_its_file():
    assert len(RULES) == len(all_rules())


def test_the_reference_lists_every_rule():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "rules.md").read_text("utf-8")

    assert set(re.findall(r"^\| \[`([\w-]+)`\]", text, re.MULTILINE)) == RULES
