"""A backfill in several sessions on a real PostgreSQL: each row once, whatever one of them meets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from fixtures.backfilling import Items, items

from coordinator.backfills.cursor import begin_cursor, move_cursor
from coordinator.backfills.work import Work
from coordinator.errors import CoordinatorError, DatabaseError, Interrupted, Waiting
from coordinator.model import Engine
from coordinator.ports.databases import Batch

ROWS = 300
TWO = {"rows_per_second": 50, "sessions": 2}
"""Small batches; no test pauses between them."""
_END = (
    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND datname = current_database() ORDER BY backend_start, pid LIMIT 1 OFFSET {}) other"
)
SLOW_FIRST = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {before} PERFORM pg_sleep({seconds}) WHERE NEW.id = 1; {after} RETURN NEW; END $$
"""
ON_UPDATE = "CREATE TRIGGER slow BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION slow()"
TAKEN_BACK = "a batch beside others was taken back"


@pytest.fixture
def table(database_url: str) -> Items:
    return items(Engine.POSTGRESQL, database_url, rows=ROWS)


def with_trigger(table: Items, *, before: str = "", after: str = "", seconds: float = 0.4) -> None:
    """Let the first batch take a while, so that the second is under way beside it for sure."""
    table.execute(SLOW_FIRST.format(before=before, after=after, seconds=seconds), ON_UPDATE)


def cursor_of(table: Items) -> tuple[object, ...]:
    [row] = table.query("SELECT passed, is_done FROM coordinator_backfill")
    return row


@pytest.mark.parametrize("sessions", [2, 3, 8])
def test_each_row_is_done_once_and_every_session_takes_part(table: Items, sessions: int) -> None:
    table.execute("ALTER TABLE items ADD by int")
    with_trigger(table, seconds=1.5)
    in_which = {"sql": "UPDATE items SET n = n + 1, by = pg_backend_pid() WHERE {range}"}

    said = table.work(**{**TWO, "rows_per_second": 20, "sessions": sessions}, **in_which).run()

    assert said == f"{ROWS} rows passed, none left"
    assert table.times_done() == {1: ROWS}
    assert cursor_of(table) == (ROWS, 1)
    assert len(table.query("SELECT DISTINCT by FROM items")) == sessions
    assert table.notes == []


def test_those_that_are_committed_are_at_each_instant_what_lies_before_the_cursor(table: Items) -> None:
    seen: list[tuple[object, ...]] = []
    asked = (
        "SELECT (SELECT count(*) FROM items WHERE n = 1),"
        " (SELECT coalesce(max(id), 0) FROM items WHERE n = 1), (SELECT passed FROM coordinator_backfill)"
    )
    with_trigger(table, after="PERFORM pg_sleep(0.001);")

    table.work(wait=lambda _: seen.extend(table.query(asked)), **TWO).run()

    assert len(set(seen)) > 3
    assert all(done == highest == passed for done, highest, passed in seen)


class NotItsTurn(Exception):
    """What keeps a batch from its fence."""


@pytest.mark.parametrize("is_its_turn", [True, False])
def test_before_its_fence_a_batch_has_changed_its_rows_and_nobody_sees_it(
    table: Items, *, is_its_turn: bool
) -> None:
    seen: list[dict[int, int]] = []

    def wait_for_turn() -> None:
        seen.append(table.times_done())
        with table.session() as other:
            seen.append({-1: begin_cursor(other, table.spec).batches})
        if not is_its_turn:
            raise NotItsTurn

    with table.session() as session, ExitStack() as expected:
        cursor = begin_cursor(session, table.spec)
        change = ("UPDATE items SET n = n + 1 WHERE id <= 10",)
        moved = cursor.past(("10",), 10)
        if not is_its_turn:
            expected.enter_context(pytest.raises(NotItsTurn))
        move_cursor(
            session,
            table.spec,
            cursor,
            moved,
            engine=Engine.POSTGRESQL,
            statements=change,
            before_fence=wait_for_turn,
        )

    assert seen == [{0: ROWS}, {-1: 0}]
    assert table.times_done() == ({0: ROWS - 10, 1: 10} if is_its_turn else {0: ROWS})
    assert cursor_of(table) == (10 if is_its_turn else 0, 0)


def test_a_refused_batch_is_named_by_its_keys_and_those_before_it_stay(table: Items) -> None:
    table.execute("CREATE TABLE seen (id bigint NOT NULL PRIMARY KEY)", "INSERT INTO seen VALUES (170)")

    work = table.work(sql="INSERT INTO seen SELECT id FROM items WHERE {range}", **TWO)
    work.now = lambda: datetime(2026, 1, 1, tzinfo=UTC)  # no batch is made smaller on a slow machine

    with pytest.raises(DatabaseError) as caught:
        work.run()

    assert caught.value.code == "backfill-refused"
    assert "the row after 150 and 200" in caught.value.what
    assert table.query("SELECT count(*) FROM seen") == [(151,)]
    assert cursor_of(table) == (150, 0)


def test_what_is_refused_only_because_it_came_early_is_done_after_the_one_before(table: Items) -> None:
    with_trigger(
        table,
        before="IF EXISTS (SELECT FROM items WHERE n = 0 AND id <= NEW.id - 50) THEN"
        " RAISE EXCEPTION 'too early'; END IF;",
    )

    table.work(**TWO).run()

    assert table.times_done() == {1: ROWS}
    assert [note for note in table.notes if TAKEN_BACK in note]
    assert not [note for note in table.notes if "too early" in note]


def test_two_batches_that_wait_for_each_other_unseen_by_the_server_are_parted(table: Items) -> None:
    """The first sleeps and then wants a row that the second, which waits for its turn, has changed."""
    table.execute("CREATE TABLE parent (id int PRIMARY KEY, n int)", "INSERT INTO parent VALUES (1, 0)")
    with_trigger(table, after="UPDATE parent SET n = n + 1 WHERE NEW.id IN (50, 51, 250);")

    table.work(**TWO).run()

    assert table.times_done() == {1: ROWS}
    assert table.query("SELECT n FROM parent") == [(3,)]
    assert [note for note in table.notes if TAKEN_BACK in note]


def held(table: Items, row: int, *, until: Callable[[], bool]) -> threading.Thread:
    """Let another session hold a row until something is so."""
    is_held = threading.Event()

    def hold() -> None:
        with table.session() as session:
            connection = session._connection  # type: ignore[attr-defined]
            connection.execute("BEGIN")
            connection.execute(f"UPDATE items SET n = n WHERE id = {row}")
            is_held.set()
            end = time.monotonic() + 60
            while not until() and time.monotonic() < end:
                time.sleep(0.01)
            connection.rollback()

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(60)
    return thread


@pytest.mark.parametrize("row", [20, 70])
def test_a_held_row_is_waited_for_and_done_once(table: Items, row: int) -> None:
    table.deadline = timedelta(minutes=2)
    holder = held(table, row, until=lambda: any("Trying" in note for note in table.notes))

    table.work(wait=lambda duration: time.sleep(min(duration.total_seconds(), 0.05)), **TWO).run()
    holder.join()

    assert table.times_done() == {1: ROWS}
    assert any("Trying" in note for note in table.notes), "it gave way"


def test_a_row_that_stays_held_is_named_as_the_reason(table: Items) -> None:
    table.deadline = timedelta(seconds=0.5)
    is_over = threading.Event()
    holder = held(table, 120, until=is_over.is_set)

    with pytest.raises(Waiting) as caught:
        table.work(**TWO).run()
    is_over.set()
    holder.join()

    assert caught.value.code == "backfill-blocked"
    assert cursor_of(table) == (table.times_done()[1], 0)


@pytest.mark.parametrize("which", [0, 1])
def test_a_connection_that_is_lost_is_opened_again_and_each_row_done_once(table: Items, which: int) -> None:
    with_trigger(table)
    ended: list[int] = []

    def wait(_: timedelta) -> None:
        [[sessions]] = table.query(
            "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
        )
        if sessions == 2 and len(ended) < 2:
            ended.append(1)
            with table.session() as session:
                session.execute(Batch((_END.format(which),), transaction=True))

    table.work(wait=wait, **{**TWO, "rows_per_second": 10}).run()

    assert table.times_done() == {1: ROWS}
    assert cursor_of(table) == (ROWS, 1)
    assert len(ended) == 2
    assert any("Connecting again" in note for note in table.notes)


@pytest.mark.parametrize("next_sessions", [1, 2, 3])
def test_it_goes_on_where_it_was_stopped_in_any_number_of_sessions(
    table: Items, *, next_sessions: int
) -> None:
    with_trigger(table)
    asked: list[timedelta] = []

    def stop(duration: timedelta) -> None:
        asked.append(duration)
        if len(asked) > 5:
            raise Interrupted("interrupted", "Stopped.")

    with pytest.raises(Interrupted):
        table.work(wait=stop, **TWO).run()
    between = table.times_done()
    passed = cursor_of(table)
    table.work(**{**TWO, "sessions": next_sessions}).run()

    assert 0 < between[1] < ROWS
    assert passed == (between[1], 0), "what was under way is there with its cursor"
    assert table.times_done() == {1: ROWS}


def test_of_two_coordinators_at_once_none_does_a_row_of_the_other(table: Items) -> None:
    with_trigger(table, after="PERFORM pg_sleep(0.001);")
    said: list[str] = []
    with table.session() as session:
        begin_cursor(session, table.spec)

    def work(sessions: int) -> None:
        try:
            said.append(table.work(**{**TWO, "rows_per_second": 10, "sessions": sessions}).run())
        except CoordinatorError as error:
            said.append(error.code)

    threads = [threading.Thread(target=work, args=(sessions,)) for sessions in (2, 3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    between = table.times_done()
    table.work(**TWO).run()

    assert "cursor-moved" in said
    assert set(between) <= {0, 1}
    assert table.times_done() == {1: ROWS}
    assert cursor_of(table) == (ROWS, 1)


def test_at_half_speed_the_sessions_rest_together_as_long_as_they_worked(table: Items) -> None:
    """By a clock that goes on by a tick whenever it is read, and by each rest."""
    tick, ticks, rested = timedelta(seconds=0.05), count(), []

    work = table.work(wait=rested.append, sessions=2, percent=50)
    work.now = lambda: datetime(2026, 1, 1, tzinfo=UTC) + next(ticks) * tick + sum(rested, timedelta())
    work._pace = replace(work._pace, rows=20)
    work.run()

    worked = next(ticks) * tick
    assert sum(each > timedelta() for each in rested) > 5
    assert 0.5 * worked < sum(rested, timedelta()) < worked


def test_a_rate_of_rows_is_that_of_all_sessions_together(table: Items) -> None:
    tick, ticks, rested = timedelta(seconds=0.01), count(), []

    work = table.work(wait=rested.append, **TWO)
    work.now = lambda: datetime(2026, 1, 1, tzinfo=UTC) + next(ticks) * tick + sum(rested, timedelta())
    work.run()

    whole = next(ticks) * tick + sum(rested, timedelta())
    assert timedelta(seconds=ROWS / 50 - 1) <= whole <= timedelta(seconds=ROWS / 50 + 2)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_where_a_role_sees_what_was_there_before_each_row_is_done_once_all_the_same(
    table: Items, isolation: str
) -> None:
    """The fence of a batch that began early cannot see that the cursor came to it."""
    name = table.query("SELECT current_database()")[0][0]
    table.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
    with_trigger(table)

    table.work(**TWO).run()

    assert table.query("SHOW transaction_isolation") == [(isolation,)]
    assert table.times_done() == {1: ROWS}
    assert cursor_of(table) == (ROWS, 1)
    assert [note for note in table.notes if TAKEN_BACK in note]


def test_where_a_server_gives_one_connection_it_is_done_in_that_one(table: Items) -> None:
    work, given = table.work(**TWO), []
    connect = work.connect

    def once():
        if given and len(given) < 2:
            given.append(2)
            raise DatabaseError("database-unreachable", "Too many connections.")
        given.append(1)
        return connect()

    work.connect = once
    work.run()

    assert table.times_done() == {1: ROWS}
    assert table.notes[0] == "Too many connections. Going on in 1 session."


def test_a_server_that_ends_who_waits_in_a_transaction_has_the_batches_done_one_at_a_time(
    table: Items,
) -> None:
    table.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = 1000',"
        " current_database()); END $$"
    )
    with_trigger(table, seconds=2.5)

    table.work(**TWO).run()

    assert table.times_done() == {1: ROWS}
    assert cursor_of(table) == (ROWS, 1)
    assert len([note for note in table.notes if TAKEN_BACK in note]) == 1


def test_the_batches_after_a_meeting_are_done_one_at_a_time_and_longer_after_each(table: Items) -> None:
    """Three batches take a while, and the one behind each is refused while it is not there."""
    with_trigger(
        table,
        before="PERFORM pg_sleep(0.4) WHERE NEW.id IN (5, 50, 135);"
        " IF NEW.id IN (6, 51, 136) AND EXISTS (SELECT FROM items WHERE n = 0 AND id < NEW.id) THEN"
        " RAISE EXCEPTION 'too early'; END IF;",
    )

    work: Work = table.work(**{**TWO, "rows_per_second": 5})
    work.now = lambda: datetime(2026, 1, 1, tzinfo=UTC)  # no batch is made smaller on a slow machine
    work.run()

    assert table.times_done() == {1: ROWS}
    assert [note.partition(": ")[2].partition(" ")[0] for note in table.notes] == ["8", "16", "32"]
