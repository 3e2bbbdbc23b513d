"""Bad luck in the middle of a backfill: each row once all the same, or a message that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fixtures.backfilling import Items, items
from fixtures.late_wire import Cut, LateWire, over, to_server_of
from fixtures.mariadb import ENGINE

from coordinator.errors import CoordinatorError, Interrupted
from coordinator.model import Engine
from coordinator.sql import literal

ON_MARIADB = pytest.param(ENGINE, marks=pytest.mark.mariadb)
SERVERS = (Engine.POSTGRESQL, ON_MARIADB)
ROWS = 300
SMALL = {"rows_per_second": 50}


@pytest.fixture
def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Engine], str]:
    """Return what makes an empty database of an engine."""

    def url(engine: Engine) -> str:
        if engine is Engine.SQLITE:
            return f"sqlite://{tmp_path}/shop.db"
        return str(request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url"))

    return url


def raised_by(table: Items, **changes: object) -> CoordinatorError:
    with pytest.raises(CoordinatorError) as caught:
        table.work(**{**SMALL, **changes}).run()
    return caught.value


# -- a connection that is cut over the COMMIT ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "sessions"),
    [(Engine.POSTGRESQL, 1), (Engine.POSTGRESQL, 2), pytest.param(ENGINE, 1, marks=pytest.mark.mariadb)],
)
@pytest.mark.parametrize("cut", Cut)
def test_each_row_is_done_once_whatever_becomes_of_a_commit(
    engine: Engine, sessions: int, cut: Cut, url_of: Callable[[Engine], str]
) -> None:
    url = url_of(engine)
    table = items(engine, url, rows=ROWS)
    with LateWire(to_server_of(url), cut, b"COMMIT", each=3) as wire:
        beyond = replace(table, url=over(wire, url))
        arrived: list[bool] = []

        def wait(_: timedelta) -> None:
            if beyond.notes and "Trying" in beyond.notes[-1]:  # for the rows of what was cut off
                arrived.append(wire.deliver())

        said = beyond.work(wait=wait, sessions=sessions, **SMALL).run()

    assert said == f"{ROWS} rows passed, none left"
    assert table.times_done() == {1: ROWS}
    assert wire.cuts > 1
    assert any(arrived) is (cut is Cut.LATE)


def test_a_commit_of_somebody_else_is_none_of_ours_that_came_late(database_url: str) -> None:
    table = items(Engine.POSTGRESQL, database_url, rows=ROWS)
    with LateWire(to_server_of(database_url), Cut.LOST, b"COMMIT", each=3) as wire:
        beyond = replace(table, url=over(wire, database_url))
        waited: list[timedelta] = []

        def wait(duration: timedelta) -> None:
            waited.append(duration)
            if wire.cuts and len(waited) % 3 == 0:
                table.execute("UPDATE coordinator_backfill SET batches = batches + 1")

        raised = [raised_by(beyond, wait=wait).code for _ in range(2)]

    assert raised == ["cursor-moved", "cursor-moved"], "a cut excuses one meeting, and no second one"
    assert set(table.times_done()) == {0, 1}


# -- a server whose settings are not the usual ones ----------------------------------------------------------


@contextmanager
def backslashes_otherwise(table: Items) -> Iterator[None]:
    """Let the server read backslashes in a literal as it does not by default."""
    if not table.engine.speaks_mysql:
        table.execute(f'ALTER DATABASE "{name_of(table)}" SET standard_conforming_strings = off')
        yield
        return
    table.execute("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES'")
    try:
        yield
    finally:
        table.execute("SET GLOBAL sql_mode = DEFAULT")


def stop_after_a_batch() -> Callable[[timedelta], None]:
    def wait(pause: timedelta) -> None:
        if pause:
            raise Interrupted("interrupted", "Stopped.")

    return wait


def name_of(table: Items) -> str:
    return urlsplit(table.url).path.removeprefix("/")


@pytest.mark.parametrize("engine", SERVERS)
def test_a_key_with_backslashes_is_the_same_whatever_the_server_makes_of_them(
    engine: Engine, url_of: Callable[[Engine], str]
) -> None:
    table = items(engine, url_of(engine), rows=0)
    kind = "varchar(9) CHARACTER SET utf8mb4" if engine.speaks_mysql else "text"
    table.execute(f"CREATE TABLE words (word {kind} NOT NULL PRIMARY KEY, n int NOT NULL DEFAULT 0)")
    words = ("", "\\", "b\\A", "b\\x", "ä", 'ö"', "z\\'")
    table.execute(*(f"INSERT INTO words (word) VALUES ({literal(each, engine)})" for each in words))
    changes = {
        "table": "words",
        "key": ("word",),
        "sql": "UPDATE words SET n = n + 1 WHERE {range}",
        "remaining": "SELECT count(*) FROM words WHERE n = 0",
        "rows_per_second": 1,
    }
    with backslashes_otherwise(table):
        for _ in words:  # each time it goes on at what stands in the table of cursors
            with suppress(Interrupted):
                table.work(wait=stop_after_a_batch(), **changes).run()
        table.work(**changes).run()

    assert sorted(table.query("SELECT word, n FROM words")) == sorted((each, 1) for each in words)


@pytest.mark.mariadb
def test_a_row_that_changed_since_a_trigger_looked_is_tried_again(mariadb_url: str) -> None:
    table = items(ENGINE, mariadb_url, rows=ROWS)
    table.execute(
        "CREATE TRIGGER changing BEFORE UPDATE ON items FOR EACH ROW BEGIN IF @changed IS NULL THEN SET"
        " @changed = 1; SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1020, MESSAGE_TEXT ="
        " 'Record has changed since last read in table items'; END IF; END"
    )

    table.work(**SMALL).run()

    assert table.times_done() == {1: ROWS}
    assert "Trying" in table.notes[0]
