"""A backfill that is killed with SIGKILL before or after anything that it sends, and run again, has done each
row exactly once. The statement is `n = n + 1`, which shows a row that was done twice.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from fixtures.backfilling import Items, items
from fixtures.mariadb import ENGINE

from coordinator.adapters.mysql_session import MysqlSession
from coordinator.adapters.postgresql_session import PostgresqlSession
from coordinator.adapters.sqlite_session import SqliteSession
from coordinator.model import Engine
from coordinator.ports.programs import Ended

SENDS = {
    Engine.POSTGRESQL: (PostgresqlSession, "send"),
    Engine.SQLITE: (SqliteSession, "_send"),
    ENGINE: (MysqlSession, "_send"),
}
ENGINES = [pytest.param(each, marks=[pytest.mark.mariadb] if each.speaks_mysql else []) for each in SENDS]
ROWS = 7
SMALL = {"rows_per_second": 4}
"""A whole batch and a rest; a test does not pause between them."""


SETTINGS = ("SET ", "USE ", "UNLOCK ", "SELECT set_config")
"""What a session sends about itself: the instants between two of them are the same one."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(work: Callable[[], object]) -> bool:
    """Do something in a process of its own; tell whether it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def dying(engine: Engine, at: int) -> None:
    """Let this process die before the `at`-th text that it sends, which is after the one before."""
    kind, name = SENDS[engine]
    send, sent = getattr(kind, name), 0
    counting = threading.Lock()  # a backfill in several sessions has several threads

    def deadly(self: object, text: str, **keywords: object) -> object:
        nonlocal sent
        with counting:
            sent += not text.lstrip().startswith(SETTINGS)
            if sent == at:
                die()
        return send(self, text, **keywords)

    setattr(kind, name, deadly)


@pytest.fixture(params=ENGINES)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Items:
    engine = request.param
    if engine is Engine.SQLITE:
        return items(engine, f"sqlite://{tmp_path}/shop.db", rows=ROWS)
    return items(
        engine, request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url"), rows=ROWS
    )


def test_a_backfill_that_is_killed_at_any_instant_does_each_row_once(table: Items) -> None:
    demand_each_row_once_whenever_killed(table)


@pytest.mark.mariadb
def test_a_backfill_by_a_key_of_bytes_that_is_killed_does_each_row_once(mariadb_url: str) -> None:
    table = items(ENGINE, mariadb_url, rows=0)
    table.execute(
        "ALTER TABLE items MODIFY id binary(16) NOT NULL",
        *(f"INSERT INTO items (id) VALUES (X'{i:02x}5C2700')" for i in range(0, 7 * ROWS, 7)),
    )

    demand_each_row_once_whenever_killed(table)


def demand_each_row_once_whenever_killed(table: Items) -> None:
    def work_and_die(at: int) -> None:
        dying(table.engine, at)
        table.work(**SMALL).run()

    instants = count(1)
    for at in instants:
        if not killed(partial(work_and_die, at)):
            break
        table.work(**SMALL).run()

        assert table.times_done() == {1: ROWS}, f"killed at instant {at}"
        assert table.query("SELECT passed, is_done FROM coordinator_backfill") == [(ROWS, 1)]
        table.execute("UPDATE items SET n = 0", "DELETE FROM coordinator_backfill")

    assert next(instants) > 25, "it sends something before, in and after each batch"


@pytest.fixture(params=["together", "the second ahead"])
def table_in_two(request: pytest.FixtureRequest, database_url: str) -> Items:
    """A table whose first batch may take so long that the second one waits for its turn."""
    table = items(Engine.POSTGRESQL, database_url, rows=ROWS)
    if request.param != "together":
        table.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(0.02) WHERE NEW.id IN (1, 4); RETURN NEW; END'",
            "CREATE TRIGGER slow BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION slow()",
        )
    return table


def test_a_backfill_in_two_sessions_that_is_killed_at_any_instant_does_each_row_once(
    table_in_two: Items,
) -> None:
    table, small = table_in_two, {"rows_per_second": 1, "sessions": 2}

    def work_and_die(at: int) -> None:
        dying(table.engine, at)
        table.work(**small).run()

    instants, found = count(1), set()
    for at in instants:
        if not killed(partial(work_and_die, at)):
            break
        [[began]] = table.query("SELECT to_regclass('coordinator_backfill') IS NOT NULL")
        found |= set(table.query("SELECT passed FROM coordinator_backfill")) if began else set()
        table.work(**small).run()

        assert table.times_done() == {1: ROWS}, f"killed at instant {at}"
        assert table.query("SELECT passed, is_done FROM coordinator_backfill") == [(ROWS, 1)]
        table.execute("UPDATE items SET n = 0", "DELETE FROM coordinator_backfill")

    assert next(instants) > 25, "it sends something before, in and after each batch"
    assert len(found) >= ROWS, "a kill leaves any number of batches, and their cursor"


def test_a_backfill_in_two_sessions_that_is_killed_again_and_again_does_each_row_once(
    database_url: str,
) -> None:
    rows, chance, kills = 20_000, random.Random(7), 0
    table = items(Engine.POSTGRESQL, database_url, rows=rows)

    def work_for_a_while() -> None:
        signal.signal(signal.SIGALRM, lambda *_: die())
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.02, 0.12) * 1.1**kills)
        table.work(rows_per_second=rows // 40, sessions=2, wait=lambda _: time.sleep(0.01)).run()

    while killed(work_for_a_while):
        chance.random()
        kills += 1
        done = table.times_done()
        assert set(done) <= {0, 1}
    table.work(sessions=2).run()

    assert table.times_done() == {1: rows}
    assert kills > 3


class ProgramInProcess:
    """Does what a program would, over a connection of its own, so that the kills reach into it too."""

    def __init__(self, table: Items) -> None:
        self._table = table

    def run(self, condition: str, *, note: Callable[[str], None]) -> Ended:
        note(condition)
        self._table.execute(f"UPDATE items SET n = n + 1 WHERE {condition}")
        return Ended(0, ())


def test_a_program_whose_coordinator_is_killed_at_any_instant_gets_at_most_one_range_again(
    table: Items,
) -> None:
    def work() -> None:
        made = table.work(**SMALL)
        made.program = ProgramInProcess(table)
        made.run()

    def work_and_die(at: int) -> None:
        dying(table.engine, at)
        work()

    twice = 0
    for at in count(1):
        if not killed(partial(work_and_die, at)):
            break
        work()

        times = table.times_done()
        assert set(times) <= {1, 2}, f"killed at instant {at}"
        assert sum(times.values()) == ROWS
        assert times.get(2, 0) <= SMALL["rows_per_second"], f"killed at instant {at}: one range, not more"
        assert table.query("SELECT passed, is_done FROM coordinator_backfill") == [(ROWS, 1)]
        twice += 2 in times
        table.execute("UPDATE items SET n = 0", "DELETE FROM coordinator_backfill")

    assert twice > 1, "there is an instant between the program's commit and the cursor's"


def test_a_backfill_that_is_killed_again_and_again_does_each_row_once(table: Items) -> None:
    rows, chance = 20_000, random.Random(7)
    table.execute(
        "INSERT INTO items (id) WITH RECURSIVE numbers (i) AS (SELECT 8 UNION ALL SELECT i + 1 FROM numbers"
        f" WHERE i < {rows if table.engine is not ENGINE else 900}) SELECT i FROM numbers"
    )
    every = sum(table.times_done().values())

    def work_for_a_while() -> None:
        signal.signal(signal.SIGALRM, lambda *_: die())
        longer = 1.1**kills  # a busy machine needs more time to get anywhere
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.02, 0.12) * longer)
        table.work(rows_per_second=every // 20, wait=lambda _: time.sleep(0.02)).run()

    kills = 0
    while killed(work_for_a_while):
        chance.random()  # the child's numbers are the parent's
        kills += 1
    table.work().run()

    assert table.times_done() == {1: every}
    assert kills > 3
