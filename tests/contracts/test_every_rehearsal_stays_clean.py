"""What is asked of a scratch database leaves nothing there, and the next question is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.rehearsal_place import QUERIES, Place, apply, asks, everything, no_values

from coordinator.evidence import Objection
from coordinator.rehearsal_ports import Description, RehearsalDatabase

NO_QUERY = (
    "/* a comment without end",
    "SELECT 'a string without end",
    'SELECT "a name without end',
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE customers",
    "SELECT '\0'",
    "SELECT 1\0; DROP TABLE customers",
    "SELECT nothing_of_this_name FROM customers",
    "SELECT 1 FROM nothing_of_this_name",
    "nonsense",
    "QUERY PLAN SELECT 1",
    "ANALYZE SELECT 1 FROM customers",
    "SELECT " + "(" * 20_000,
    "SELECT '" + "x" * 1_000_000,
    "\ud800",
)
"""No engine can prepare any of these."""
HARM = (
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "END",
    "SAVEPOINT here",
    "RELEASE SAVEPOINT here",
    "DROP TABLE orders CASCADE",
    "DROP TABLE orders",
    "DROP VIEW totals",
    "DELETE FROM orders",
    "TRUNCATE orders",
    "CREATE TABLE left_behind (x integer)",
    "CREATE TEMP TABLE left_behind (x integer)",
    "ALTER TABLE customers ADD COLUMN left_behind text",
    "VACUUM",
    "VACUUM INTO 'left_behind.db'",
    "ATTACH DATABASE 'left_behind.db' AS other",
    "DETACH DATABASE main",
    "PRAGMA writable_schema = ON",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA user_version = 7",
    "SET search_path = nowhere",
    "DISCARD ALL",
    "COPY customers TO '/dev/null'",
    "COPY customers FROM STDIN",
    "SELECT load_extension('left_behind')",
    "",
    "   \n\t",
    ";",
    "-- a comment alone",
    "/* a comment alone */",
)
"""Whatever an engine answers, nothing of these may stay, and the next question must be answered."""

ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


def test_nothing_that_is_asked_stays(place: Place, filled: RehearsalDatabase):
    before = everything(filled)
    queries = QUERIES[place.engine]

    filled.prepare(queries)
    filled.plan(queries, role=None)
    filled.expand_star(queries)
    filled.execute(asks(filled, queries), role=None)
    with filled.held(queries) as ask_again:
        assert ask_again() == [None] * len(queries)

    assert everything(filled) == before
    assert filled.take_statements() == ()


def test_a_text_that_is_no_query_is_refused_at_every_layer(filled: RehearsalDatabase):
    before = everything(filled)
    none = no_values(filled)

    answers = {
        "prepare": filled.prepare(NO_QUERY),
        "plan": filled.plan(NO_QUERY, role=None),
        "choose": filled.choose(NO_QUERY, role=None),
        "execute": filled.execute([(text, none) for text in NO_QUERY], role=None),
    }

    accepted = [
        (layer, text[:40])
        for layer, given in answers.items()
        for text, answer in zip(NO_QUERY, given, strict=True)
        if not isinstance(answer, Objection)
    ]
    assert accepted == []
    assert len(filled.expand_star(NO_QUERY)) == len(NO_QUERY)
    assert everything(filled) == before


def test_a_text_that_would_do_harm_does_none(
    filled: RehearsalDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    before = everything(filled)
    none = no_values(filled)

    for text in HARM:
        filled.prepare([text])
        filled.plan([text], role=None)
        filled.expand_star([text])
        filled.choose([text], role=None)
        filled.execute([(text, none)], role=None)
        with filled.held([text]) as ask_again:
            ask_again()
        assert everything(filled) == before, text
        assert isinstance(filled.prepare(["SELECT id FROM customers"])[0], Description), text

    assert list(tmp_path.iterdir()) == []
    assert filled.take_statements() == ()


def test_a_query_that_does_not_end_is_ended(filled: RehearsalDatabase):
    [prepared] = filled.prepare([ENDLESS])
    [chosen] = filled.choose([ENDLESS], role=None)

    assert isinstance(prepared, Description)
    assert isinstance(chosen, Objection)


def test_a_prepared_query_lets_migrations_pass(place: Place, database: RehearsalDatabase):
    with database.held(QUERIES[place.engine]) as ask_again:
        ask_again()
        apply(database, "ALTER TABLE customers ADD COLUMN phone text")
        assert ask_again() == [None] * len(QUERIES[place.engine])
        apply(database, "DROP VIEW totals")
        [_, broken, *_] = ask_again()

    assert isinstance(broken, Objection)
