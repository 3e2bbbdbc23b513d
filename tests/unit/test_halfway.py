"""What a failure leaves, where that follows from the text alone; integration tests ask real servers."""

from __future__ import annotations

import pytest

from coordinator.errors import DatabaseError
from coordinator.halfway import was_taken_back
from coordinator.model import Engine
from coordinator.ports.databases import Batch

OWN = "BEGIN;\nCREATE TABLE a (x integer);\nSELECT nothing;\nCOMMIT;\n"
REFUSED = DatabaseError("statement-failed", "no", sqlstate="42703", statement=0)


def is_back(text: str = OWN, engine: Engine = Engine.POSTGRESQL) -> bool:
    return was_taken_back(REFUSED, Batch((text,), transaction=False), engine)


def test_a_text_that_is_one_transaction_was_taken_back_where_the_server_refused_it():
    assert is_back()


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("database-lost", "gone", statement=0),
        DatabaseError("database-lost", "shut down", sqlstate="57P01", statement=0),
        DatabaseError("database-lost", "at commit", sqlstate="42703", statement=0, ambiguous=True),
        DatabaseError("statement-failed", "a later text", sqlstate="42703", statement=1),
        DatabaseError("statement-failed", "which text is not known", sqlstate="42703"),
    ],
)
def test_nothing_is_known_of_it_where_the_server_went_away_or_another_text_failed(error: DatabaseError):
    assert not was_taken_back(error, Batch((OWN, OWN), transaction=False), Engine.POSTGRESQL)


@pytest.mark.parametrize(
    "text",
    ["CREATE TABLE a (x integer);\nSELECT nothing;", f"{OWN}SELECT nothing;", OWN.replace("BEGIN;", "")],
)
def test_a_text_that_commits_before_its_end_may_have_left_something(text: str):
    assert not is_back(text)


def test_mysql_commits_each_change_of_the_schema_whatever_stands_around_it():
    assert not is_back(engine=Engine.MARIADB)
