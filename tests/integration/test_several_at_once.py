"""Migrations that go to PostgreSQL in one trip: what is said to be there is there and stays, and what stands
behind a refused one has not happened.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from fixtures.crashing import CrashingServer, crashing_server
from fixtures.local import until
from fixtures.one_statement import migrations_of
from fixtures.several import Several

from coordinator.adapters.databases import postgresql
from coordinator.apply import read_ledger
from coordinator.errors import DatabaseError, StepFailed, Waiting
from coordinator.model import LocksSpec, Migration
from coordinator.ports.databases import Batch
from coordinator.secret import Secret

TOOLS = ("goose", "golang-migrate")
REFUSED_AT_ITS_COMMIT = """
CREATE TABLE c (x int UNIQUE, y int REFERENCES c (x) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO c VALUES (1, 99)"""


Begin = Callable[..., "Release"]


def tables(*names: str) -> tuple[str, ...]:
    return tuple(f"CREATE TABLE {name} (x int)" for name in names)


class Release(Several):
    """A series on a PostgreSQL."""

    locks = LocksSpec(timedelta(milliseconds=30), timedelta(milliseconds=200), timedelta(seconds=1))

    def __init__(self, url: str, tool: str, migrations: tuple[Migration, ...]) -> None:
        self.url = url
        session = postgresql.connect(Secret(url), lock_timeout=timedelta(seconds=5)).session(label="first")
        super().__init__(session, tool, migrations)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql).fetchall()

    def applied(self) -> set[object]:
        """Return the versions that the tool's own table has: golang-migrate's has the last alone."""
        ledger = read_ledger(self.series.session, self.tool, self.series.target)
        return set(ledger.applied)

    def entries(self) -> list[object]:
        return [version for (version,) in self.rows("SELECT version FROM coordinator_applied ORDER BY 1")]

    def made(self, names: str) -> str:
        """Return which of the tables are there."""
        found = {name for (name,) in self.rows("SELECT tablename FROM pg_tables")}
        return "".join(name for name in names if name in found)


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def begin() -> Iterator[Begin]:
    with ExitStack() as open_ones:

        def make(url: str, tool: str, migrations: tuple[Migration, ...]) -> Release:
            release = Release(url, tool, migrations)
            open_ones.callback(release.series.close)
            return release

        yield make


def versions(tool: str, last: int) -> set[object]:
    return set(range(1, last + 1)) if tool == "goose" else {last}


def test_all_of_them_are_applied_and_recorded_as_they_are_one_by_one(
    begin: Begin, tool: str, database_url: str
) -> None:
    together = begin(database_url, tool, migrations_of(tool, *tables("a", "b", "c", "d")))

    assert together.apply_from(2) == 3

    assert together.made("abcd") == "abcd"
    assert together.applied() == versions(tool, 4)
    assert together.entries() == ["1", "2", "3", "4"]
    is_reset = "SELECT setting = reset_val FROM pg_settings WHERE name = 'synchronous_commit'"
    assert together.series.session.query(is_reset) == [(True,)]


def test_none_is_sent_once_somebody_asks_to_stop_and_what_was_sent_stays(
    begin: Begin, server: CrashingServer
) -> None:
    url = server.new_database("halted")
    together = begin(url, "goose", migrations_of("goose", *tables("a", "b", "c", "d")))
    asked = itertools.count(1)
    together.is_halted = lambda: next(asked) > 2

    assert together.apply_from(2) == 2
    server.crash()

    assert together.made("abcd") == "abc"


LONG = 40
"""More than are ever ahead of their answers."""


def long_series() -> list[str]:
    return [f"CREATE TABLE long_{number} (x int)" for number in range(1, LONG + 1)]


def test_more_than_are_ahead_of_their_answers_go_in_one_trip(
    begin: Begin, tool: str, database_url: str
) -> None:
    together = begin(database_url, tool, migrations_of(tool, *long_series()))

    assert together.apply_from(2) == LONG - 1

    assert together.applied() == versions(tool, LONG)
    assert together.rows("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'long%'") == [(LONG,)]


def test_none_is_sent_once_the_server_has_refused_one(begin: Begin, database_url: str) -> None:
    """What was sent behind it before its answer came does nothing."""
    statements = long_series()
    statements[2] = "CREATE TABLE long_3 (x nonsense)"
    together = begin(database_url, "goose", migrations_of("goose", *statements))

    assert together.apply_from(2) == 1

    assert together.applied() == {1, 2}
    assert together.rows("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'long%'") == [(2,)]


def test_a_file_that_its_tool_refuses_ends_the_trip_and_says_itself_why(
    begin: Begin, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = begin(database_url, "goose", migrations_of("goose", *tables("a", "b", "c", "d")))
    up = together.tool.up

    def refusing(migration: Migration, **given: Any) -> Sequence[Batch]:
        if migration.version == 4:
            raise StepFailed("refused", "not this one")
        return up(migration, **given)

    monkeypatch.setattr(together.tool, "up", refusing)

    assert together.apply_from(2) == 2

    assert together.made("abcd") == "abc"
    with pytest.raises(StepFailed, match="not this one"):
        together.apply(together.migrations[3])


@pytest.mark.parametrize(
    "broken",
    [
        "CREATE TABLE c (x nonsense)",
        "CREATE TABLE c (x int); SELECT 1 / 0 FROM c",
        "CREATE TABLE c (x int); ALTER TABLE a RENAME TO b",
        REFUSED_AT_ITS_COMMIT,
    ],
    ids=["type", "value", "name", "at-its-commit"],
)
def test_behind_a_refused_one_nothing_has_happened_and_it_says_itself_why(
    begin: Begin, broken: str, tool: str, database_url: str
) -> None:
    together = begin(database_url, tool, migrations_of(tool, *tables("a", "b"), broken, *tables("d")))

    count = together.apply_from(2)

    assert count in (0, 1)
    assert together.made("abcd") == "ab"[: 1 + count]
    assert together.applied() == versions(tool, 1 + count)
    for each in together.migrations[1 + count : 2]:
        together.apply(each)
    with pytest.raises(DatabaseError) as refused:
        together.apply(together.migrations[2])
    assert "3_m" in refused.value.what
    assert together.made("abcd") == "ab"


def test_a_refused_one_is_not_sent_with_others_again(begin: Begin, database_url: str) -> None:
    """A number that a sequence gave is not taken back: it counts how often the file ran."""
    broken = (
        "CREATE TABLE c (x int DEFAULT nextval('runs'));\nINSERT INTO c DEFAULT VALUES;\nDROP TABLE missing"
    )
    files = ("CREATE SEQUENCE runs", *tables("b"), broken, *tables("d"))
    together = begin(database_url, "goose", migrations_of("goose", *files))
    assert together.apply_from(2) == 1

    assert together.apply_from(3) == 0

    assert together.rows("SELECT last_value, is_called FROM runs") == [(1, True)]


def test_none_follows_one_that_somebody_else_has_recorded(begin: Begin, database_url: str) -> None:
    """goose's own guard of version 4 is content with a version 3, whoever has applied it."""
    together = begin(database_url, "goose", migrations_of("goose", *tables("a", "b", "c", "d")))
    with psycopg.connect(database_url) as somebody:
        somebody.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (3, true)")

    assert together.apply_from(2) == 1

    assert together.made("abcd") == "ab"
    with pytest.raises(DatabaseError, match="version table changed"):
        together.apply(together.migrations[2])


def test_none_goes_where_the_tools_table_was_moved_before(begin: Begin, tool: str, database_url: str) -> None:
    together = begin(database_url, tool, migrations_of(tool, *tables("a", "b", "c")))
    table = "goose_db_version" if tool == "goose" else "schema_migrations"
    with psycopg.connect(database_url) as somebody:
        somebody.execute(f"DELETE FROM {table}")

    assert together.apply_from(2) == 0

    assert together.made("abc") == "a"


def test_a_table_that_somebody_holds_is_waited_for_briefly_and_then_as_the_plan_says(
    begin: Begin, database_url: str
) -> None:
    files = (*tables("a", "b"), "ALTER TABLE a ADD COLUMN y int", *tables("d"))
    together = begin(database_url, "goose", migrations_of("goose", *files))
    with psycopg.connect(database_url) as holder:
        holder.execute("BEGIN; SELECT * FROM a")

        assert together.apply_from(2) == 1
        assert together.pauses == 0, "who is held up by one of several says so, and waits by itself"
        with pytest.raises(Waiting) as blocked:
            together.apply(together.migrations[2])

    assert blocked.value.code == "lock-blocked"
    assert together.made("abd") == "ab"
    assert together.rows("SELECT count(*) FROM information_schema.columns WHERE table_name = 'a'") == [(1,)]


@pytest.mark.parametrize(
    "unfit",
    ["DO $$ BEGIN END $$", "INSERT INTO a VALUES (1)", "SET search_path = pg_catalog"],
    ids=["a-block", "rows-first", "a-setting"],
)
def test_what_is_not_fit_for_one_trip_is_left_to_go_by_itself(
    begin: Begin, unfit: str, database_url: str
) -> None:
    together = begin(database_url, "goose", migrations_of("goose", *tables("a", "b"), unfit, *tables("d")))

    count = together.apply_from(2)

    assert count in (0, 1)
    assert together.made("abd") == "ab"[: 1 + count]
    assert together.apply_from(2 + count) == 0
    for each in together.migrations[1 + count :]:
        together.apply(each)
    assert together.made("abd") == "abd"


# -- a server that crashes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[CrashingServer]:
    """Start a server that writes no commit to the disk by itself within the time of a test."""
    with crashing_server("wal_writer_delay = 10s", "autovacuum = off", "checkpoint_timeout = 1h") as server:
        yield server


def leave_unwritten(url: str) -> None:
    """Commit a row without waiting for the disk."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE a (x int)")
        connection.execute("SET synchronous_commit = off")
        connection.execute("INSERT INTO a VALUES (1)")


def count(url: str) -> object:
    with psycopg.connect(url) as connection:
        [counted] = connection.execute("SELECT count(*) FROM a").fetchone() or (None,)
        return counted


def test_a_crash_of_this_server_loses_what_nobody_waited_for(server: CrashingServer) -> None:
    """Without it the tests below could not fail."""
    url = server.new_database("lazy")
    leave_unwritten(url)
    assert count(url) == 1

    server.crash()

    assert count(url) == 0


@pytest.mark.parametrize("names", ["abc", "abccd"], ids=["all", "with-a-refused-one"])
def test_what_is_said_to_be_there_survives_a_crash_of_the_server(
    begin: Begin, names: str, server: CrashingServer
) -> None:
    url = server.new_database(f"made_{names}")
    together = begin(url, "goose", migrations_of("goose", *tables(*names)))

    assert together.apply_from(2) == 2
    server.crash()

    assert together.made("abcd") == "abc"
    assert together.entries() == ["1", "2", "3"]


def test_what_was_seen_survives_a_crash_once_somebody_asked_for_it(server: CrashingServer) -> None:
    url = server.new_database("seen")
    leave_unwritten(url)

    with postgresql.connect(Secret(url), lock_timeout=timedelta(seconds=5)).session(label="looks") as session:
        session.make_durable()
    server.crash()

    assert count(url) == 1


def test_where_nobody_can_wait_for_the_disk_all_of_them_are_in_doubt(
    begin: Begin, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = begin(database_url, "goose", migrations_of("goose", *tables(*"abcc")))

    def refuse() -> None:
        raise DatabaseError("statement-failed", "no right any more")

    monkeypatch.setattr(together.series.session, "make_durable", refuse)
    with pytest.raises(DatabaseError) as unknown:
        together.apply_from(2)

    assert unknown.value.ambiguous


def test_a_connection_that_is_lost_leaves_all_of_them_in_doubt(begin: Begin, server: CrashingServer) -> None:
    url = server.new_database("lost")
    files = (*tables("a", "b"), "CREATE TABLE c AS SELECT 1 FROM pg_sleep(60)", *tables("d"))
    together = begin(url, "goose", migrations_of("goose", *files))
    with ThreadPoolExecutor(1) as beside:
        applying = beside.submit(together.apply_from, 2)
        until(lambda: together.made("b") == "b")
        server.crash()
        with pytest.raises(DatabaseError) as lost:
            applying.result()

    assert (lost.value.code, lost.value.ambiguous) == ("connection-lost", True)
    assert together.made("cd") == ""
