"""Migrations that SQLite commits together: each is there with its record or has not happened, and what is
refused says of itself what it says alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fixtures.one_statement import migrations_of
from fixtures.several import Several

from coordinator.adapters import sqlite_session
from coordinator.adapters.sqlite_session import SqliteSession
from coordinator.apply import read_ledger
from coordinator.errors import DatabaseError, Waiting
from coordinator.model import LocksSpec, Migration
from coordinator.ports.databases import LiveSession

TOOLS = ("goose", "golang-migrate")
LEDGERS = {"goose": "goose_db_version", "golang-migrate": "schema_migrations"}
ROLLS_BACK = """CREATE TABLE c (x integer UNIQUE);
CREATE TRIGGER refuse BEFORE INSERT ON c BEGIN SELECT RAISE(ROLLBACK, 'not here'); END;
INSERT INTO c VALUES (1)"""
REFUSED = {
    "syntax": "CREATE TABEL c (x integer)",
    "half-way": "CREATE TABLE c (x integer UNIQUE); INSERT INTO c VALUES (1), (1)",
    "name": "CREATE TABLE c (x integer); ALTER TABLE c RENAME TO a",
    "or-fail": "CREATE TABLE c (x integer UNIQUE); INSERT OR FAIL INTO c VALUES (1), (1)",
    "or-rollback": "CREATE TABLE c (x integer UNIQUE); INSERT OR ROLLBACK INTO c VALUES (1), (1)",
}


class Remembering(sqlite3.Connection):
    """A connection that knows what was sent."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sent: list[str] = []

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self.sent.append(sql)
        return super().execute(sql, *values)


class Release(Several):
    """A series on a file."""

    locks = LocksSpec(timedelta(milliseconds=20), timedelta(milliseconds=40), timedelta(seconds=60))

    def __init__(self, path: Path, tool: str, migrations: tuple[Migration, ...]) -> None:
        self.path = path
        super().__init__(self._session(), tool, migrations)
        self.connection.sent.clear()

    @contextmanager
    def _session(self) -> Iterator[LiveSession]:
        self.connection = sqlite3.connect(self.path, isolation_level=None, factory=Remembering)
        with closing(self.connection):
            yield SqliteSession(self.connection, self.path)

    def apply_one_by_one(self, version: int = 2) -> None:
        for each in self.migrations[version - 1 :]:
            self.apply(each)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()

    def made(self, names: str) -> str:
        found = {name for (name,) in self.rows("SELECT name FROM sqlite_master")}
        return "".join(name for name in names if name in found)

    def problems_of_records(self, last: int) -> Iterator[str]:
        """Yield where the version table or our own does not end with a version."""
        applied = set(read_ledger(self.series.session, self.tool, self.series.target).applied)
        if applied != (set(range(1, last + 1)) if self.tool.name == "goose" else {last}):
            yield f"the tool's table has {applied}"
        entries = [int(str(version)) for (version,) in self.rows("SELECT version FROM coordinator_applied")]
        if sorted(entries) != list(range(1, last + 1)):
            yield f"ours has {entries}"


Begin = Callable[..., Release]


def tables(*names: str) -> tuple[str, ...]:
    return tuple(f"CREATE TABLE {name} (x integer)" for name in names)


@pytest.fixture(autouse=True)
def no_early_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_session, "_LONGEST", 3600.0)


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    with ExitStack() as open_ones:

        def make(tool: str, *statements: str, mode: str = "delete") -> Release:
            path = tmp_path / "shop.db"
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(f"PRAGMA journal_mode = {mode}")
            # What stands in one text is several statements: the tools cut it, or SQLite's session does.
            release = Release(path, tool, migrations_of(tool, *statements))
            open_ones.callback(release.series.close)
            return release

        yield make


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_all_of_them_are_there_and_recorded_with_one_commit(begin: Begin, mode: str, tool: str) -> None:
    release = begin(tool, *tables("a", "b", "c", "d"), mode=mode)

    assert release.apply_from(2) == 3

    assert release.connection.sent.count("COMMIT") == 1
    assert release.made("abcd") == "abcd"
    assert list(release.problems_of_records(4)) == []


@pytest.mark.parametrize("at", [2, 3, 4])
@pytest.mark.parametrize("refused", REFUSED)
def test_behind_a_refused_one_nothing_has_happened_and_it_says_what_it_says_alone(
    begin: Begin, at: int, refused: str, tmp_path: Path
) -> None:
    files = [*tables("a", "b", "d", "e")]
    files.insert(at - 1, REFUSED[refused])
    release = begin("golang-migrate", *files)

    count = release.apply_from(2)

    assert count == at - 2
    before = "abde"[: at - 1]
    assert release.made("abcde") == before
    assert list(release.problems_of_records(at - 1)) == []
    release.connection.sent.clear()
    assert release.apply_from(at) == 0
    assert "BEGIN IMMEDIATE" not in release.connection.sent, "it goes by itself"
    with pytest.raises(DatabaseError) as here:
        release.apply(release.migrations[at - 1])
    tmp_path.joinpath("shop.db").rename(tmp_path / "other.db")
    alone = begin("golang-migrate", *files)
    with pytest.raises(DatabaseError) as there:
        alone.apply_one_by_one()
    assert (str(here.value), here.value.code) == (str(there.value), there.value.code)
    assert alone.made("abcde") == before


def test_a_trigger_that_rolls_all_of_them_back_loses_none_before_it(begin: Begin) -> None:
    release = begin("golang-migrate", *tables("a", "b", "d"), ROLLS_BACK, *tables("e"))

    assert release.apply_from(2) == 2

    assert release.made("abcde") == "abd"
    assert list(release.problems_of_records(3)) == []
    with pytest.raises(DatabaseError, match="not here"):
        release.apply(release.migrations[3])


def test_with_foreign_keys_none_is_forgiven_what_a_later_one_mends(begin: Begin) -> None:
    parent = "CREATE TABLE b (id integer PRIMARY KEY)"
    child = "CREATE TABLE c (x REFERENCES b DEFERRABLE INITIALLY DEFERRED)"
    release = begin("golang-migrate", *tables("a"), f"{parent}; {child}", "INSERT INTO c VALUES (1)",
                    "INSERT INTO b VALUES (1)")  # fmt: skip
    release.connection.execute("PRAGMA foreign_keys = ON")

    assert release.apply_from(2) == 0

    release.apply(release.migrations[1])
    with pytest.raises(DatabaseError, match="FOREIGN KEY"):
        release.apply(release.migrations[2])
    assert list(release.problems_of_records(2)) == []


@pytest.mark.parametrize(
    "unfit",
    [
        "PRAGMA user_version = 7",
        "CREATE TEMP TABLE c (x)",
        "CREATE VIRTUAL TABLE c USING fts5 (x)",
        "SELECT 1",
        "REINDEX",
        "CREATE TABLE c (x); -- and no more",
        "CREATE TABLE c (x); SAVEPOINT s; RELEASE s",
    ],
)
def test_what_a_savepoint_may_not_undo_goes_by_itself(begin: Begin, unfit: str) -> None:
    release = begin("goose", *tables("a", "b", "d"), unfit, *tables("e"))

    assert release.apply_from(2) == 2

    assert release.made("abcde") == "abd"
    assert release.apply_from(4) == 0
    release.apply_one_by_one(4)
    assert list(release.problems_of_records(5)) == []


def test_none_follows_one_that_somebody_else_has_recorded(begin: Begin, tool: str) -> None:
    release = begin(tool, *tables("a", "b", "c"))
    release.rows(f"DELETE FROM {LEDGERS[tool]}")

    assert release.apply_from(2) == 0

    assert release.made("abc") == "a"
    with pytest.raises(DatabaseError, match="version table changed"):
        release.apply(release.migrations[1])


def test_writers_wait_for_a_slow_one_and_not_for_those_behind_it(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_session, "_LONGEST", 0.0)
    release = begin("goose", *tables("a", "b", "c"))

    assert release.apply_from(2) == 1

    assert release.made("abc") == "ab"
    assert list(release.problems_of_records(2)) == []


def test_a_disk_that_is_full_leaves_none_of_them_and_the_first_goes_by_itself(begin: Begin) -> None:
    big = "CREATE TABLE {0} (x); INSERT INTO {0} VALUES (zeroblob(100000))"
    release = begin("golang-migrate", *tables("a"), *map(big.format, "bcd"))
    [(pages,)] = release.connection.execute("PRAGMA page_count").fetchall()
    release.connection.execute(f"PRAGMA max_page_count = {pages + 60}")

    done = release.apply_from(2)

    assert release.made("abcd") == "abcd"[: 1 + done]
    assert done < 3
    assert list(release.problems_of_records(1 + done)) == []
    with pytest.raises(DatabaseError, match="full"):
        release.apply_one_by_one(2 + done)


def test_a_commit_that_finds_no_room_leaves_none_of_them(begin: Begin) -> None:
    release = begin("goose", *tables("a", "b", "c"))
    full = sqlite3.OperationalError("database or disk is full")

    class Full(Refusing):
        error = full

    release.series.session = SqliteSession(Full(release.connection), release.path)  # type: ignore[arg-type]

    assert release.apply_from(2) == 0

    assert release.made("abc") == "a"
    assert not release.connection.in_transaction
    assert list(release.problems_of_records(1)) == []
    release.apply_one_by_one()


def test_a_commit_whose_end_nobody_knows_leaves_all_of_them_in_doubt(begin: Begin) -> None:
    release = begin("goose", *tables("a", "b", "c"))
    lost = sqlite3.OperationalError("disk I/O error")
    lost.sqlite_errorcode = sqlite3.SQLITE_IOERR

    class Lost(Refusing):
        error = lost

    release.series.session = SqliteSession(Lost(release.connection), release.path)  # type: ignore[arg-type]

    with pytest.raises(DatabaseError) as unknown:
        release.apply_from(2)

    assert unknown.value.ambiguous


class Refusing:
    """A connection whose next commit fails."""

    error: sqlite3.Error

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._has_failed = False

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str) -> sqlite3.Cursor:
        if sql == "COMMIT" and not self._has_failed:
            self._has_failed = True
            raise self.error
        return self._connection.execute(sql)


def test_a_reader_in_the_way_is_kept_waiting_within_one_budget(begin: Begin) -> None:
    release = begin("goose", *tables("a", "b", "c"))
    with closing(sqlite3.connect(release.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM a").fetchall()

        assert release.apply_from(2) == 0
        assert release.pauses == 0, "who is held up by one of several says so, and waits by itself"
        with pytest.raises(Waiting) as blocked:
            release.apply(release.migrations[1])

        assert blocked.value.code == "lock-blocked"
        assert "after 1 tries" in str(blocked.value), "the try of all of them has cost half of the budget"
        reader.execute("COMMIT")
    assert release.made("abc") == "a"
