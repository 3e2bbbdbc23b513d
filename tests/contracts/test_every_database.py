"""What ports.Database and ports.Session promise, held against every engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.mariadb import ADAPTER, ENGINE, TESTED

from coordinator.adapters.databases import postgresql, sqlite
from coordinator.errors import DatabaseError, Usage
from coordinator.model import Engine
from coordinator.ports.databases import Batch, Database
from coordinator.secret import Secret

ADAPTERS = {
    Engine.POSTGRESQL: postgresql,
    Engine.SQLITE: sqlite,
    ENGINE: ADAPTER,
}
ENGINES = [pytest.param(each, marks=[pytest.mark.mariadb] if each.speaks_mysql else []) for each in TESTED]
PATIENT = timedelta(seconds=20)
SHORT = timedelta(milliseconds=100)
TAKES_A = {
    Engine.POSTGRESQL: "LOCK TABLE a",
    Engine.SQLITE: "INSERT INTO a VALUES (1)",
    ENGINE: "LOCK TABLE a WRITE",
}
"""A statement that keeps everybody else from writing to the table."""


@dataclass(frozen=True)
class Case:
    engine: Engine
    connect: Callable[[timedelta], Database]
    refuses_url: Callable[[str], object]


@pytest.fixture(params=ENGINES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    adapter = ADAPTERS[request.param]
    if request.param is Engine.SQLITE:
        url = Secret(f"sqlite://{tmp_path}/shop.db")
    else:
        fixture = "mariadb_url" if request.param.speaks_mysql else "database_url"
        url = Secret(request.getfixturevalue(fixture))
    return Case(
        request.param,
        lambda timeout: adapter.connect(url, lock_timeout=timeout),
        lambda text: adapter.connect(Secret(text), lock_timeout=SHORT),
    )


@pytest.fixture
def session(case: Case):
    with case.connect(PATIENT).session(label="test") as session:
        session.execute(Batch(("CREATE TABLE a (x integer PRIMARY KEY)",), transaction=True))
        yield session


def rows(session) -> list[object]:
    return [x for [x] in session.query("SELECT x FROM a ORDER BY x")]


def test_says_what_it_is_connected_to(case: Case, session):
    target = session.target("versions")

    assert (target.engine, target.table) == (case.engine, "versions")
    assert target.schema == ("public" if case.engine is Engine.POSTGRESQL else None)


def test_ends_a_query_that_takes_longer_than_it_may(session):
    session.execute(Batch(tuple(f"INSERT INTO a VALUES ({x})" for x in range(90)), transaction=True))
    many = ", ".join(f"a a{number}" for number in range(9))

    with pytest.raises(DatabaseError):
        session.query(f"SELECT count(*) FROM {many} WHERE a0.x + a8.x <> a4.x - a5.x", within=SHORT)

    assert session.query("SELECT count(*) FROM a", within=PATIENT) == [(90,)]
    assert len(rows(session)) == 90


def test_commits_a_batch_as_a_whole(session):
    session.execute(Batch(("INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (2)"), transaction=True))

    assert rows(session) == [1, 2]


def test_leaves_nothing_of_a_batch_that_fails(session):
    with pytest.raises(DatabaseError):
        session.execute(Batch(("INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (1)"), transaction=True))

    assert rows(session) == []


def test_keeps_what_stood_before_the_failure_without_a_transaction(session):
    with pytest.raises(DatabaseError):
        session.execute(Batch(("INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (1)"), transaction=False))

    assert rows(session) == [1]


def test_sends_a_text_of_several_statements_as_it_stands(session):
    text = "INSERT INTO a VALUES (7 % 4); -- 100%s\nINSERT INTO a VALUES (length('%(x)s ; ?'));"

    session.execute(Batch((text,), transaction=True))

    assert rows(session) == [3, 9]


@pytest.mark.parametrize("blank", ["\u00a0", "\x1c"])
def test_leaves_it_to_the_engine_what_a_blank_is(session, blank: str):
    with pytest.raises(DatabaseError, match=r"syntax error|unrecognized token|error in your SQL syntax"):
        session.execute(Batch((f"INSERT INTO a VALUES (1);\n{blank}\n",), transaction=True))

    assert rows(session) == []


def test_names_the_statement_and_the_place_that_failed(session):
    batch = Batch(("INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (2);\n  SELEC 3;"), transaction=True)

    with pytest.raises(DatabaseError) as failure:
        session.execute(batch)

    assert (failure.value.code, failure.value.statement) == ("statement-failed", 1)
    assert failure.value.position == 29
    assert not failure.value.ambiguous


def test_reports_a_text_that_ends_the_transaction_it_was_to_be_part_of(session):
    batch = Batch(("INSERT INTO a VALUES (1)", "COMMIT", "INSERT INTO a VALUES (2)"), transaction=True)

    with pytest.raises(DatabaseError) as failure:
        session.execute(batch)

    assert (failure.value.code, failure.value.statement) == ("transaction-ended", 1)
    assert rows(session) == [1]


def test_rolls_back_a_transaction_that_a_text_left_open(session):
    with pytest.raises(DatabaseError) as failure:
        session.execute(Batch(("BEGIN", "INSERT INTO a VALUES (1)"), transaction=False))

    assert failure.value.code == "transaction-left-open"
    assert rows(session) == []


def test_lets_a_text_control_its_own_transactions_without_one(session):
    session.execute(Batch(("BEGIN", "INSERT INTO a VALUES (1)", "COMMIT"), transaction=False))

    assert rows(session) == [1]


def test_refuses_a_batch_whose_guard_finds_a_row(session):
    session.execute(Batch(("INSERT INTO a VALUES (1)",), transaction=True, guard="SELECT 1 FROM a"))

    with pytest.raises(DatabaseError) as failure:
        session.execute(Batch(("INSERT INTO a VALUES (2)",), transaction=True, guard="SELECT 1 FROM a"))

    assert failure.value.code == "ledger-changed"
    assert rows(session) == [1]


def test_keeps_nothing_of_a_query(session):
    with suppress(DatabaseError):  # PostgreSQL refuses to write here, SQLite takes it back
        session.query("INSERT INTO a VALUES (1)")

    assert rows(session) == []


def test_goes_on_after_a_failed_query(session):
    with pytest.raises(DatabaseError):
        session.query("SELECT nothing_of_this_name")

    assert rows(session) == []


def test_gives_up_on_a_lock_in_time(case: Case, session):
    connected, locked = threading.Event(), threading.Event()
    done = threading.Event()

    def hold() -> None:
        with case.connect(PATIENT).session(label="holder") as holder:
            connected.set()
            send = holder._connection.query if case.engine.speaks_mysql else holder._connection.execute
            send("BEGIN")
            send(TAKES_A[case.engine])
            locked.set()
            done.wait(60)
            send("ROLLBACK")

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert locked.wait(60)
        with (
            case.connect(SHORT).session(label="waiter") as waiter,
            pytest.raises(DatabaseError) as failure,
        ):
            waiter.execute(Batch(("INSERT INTO a VALUES (2)",), transaction=True))
    finally:
        done.set()
        thread.join()

    assert failure.value.code == "lock-timeout"
    assert rows(session) == []


def test_a_closed_session_leaves_no_connection(case: Case):
    with case.connect(PATIENT).session(label="short") as session:
        session.query("SELECT 1")

    with pytest.raises(DatabaseError):
        session.query("SELECT 1")


@pytest.mark.parametrize("url", ["", "mysql://user:geheim@host/shop"])
def test_refuses_a_url_of_another_engine_without_showing_it(case: Case, url: str):
    with pytest.raises((Usage, DatabaseError)) as failure, case.refuses_url(url).session(label="test"):
        pass

    assert "geheim" not in str(failure.value)
