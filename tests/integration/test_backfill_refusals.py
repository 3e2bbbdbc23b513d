"""What a backfill says, or does, when the engine takes nothing of it: the reason, and the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from fixtures.backfilling import Items, items
from fixtures.mariadb import ENGINE, root_connection

from coordinator.adapters.sqlite_session import SqliteSession
from coordinator.errors import CoordinatorError, DatabaseError
from coordinator.model import Engine

ON_MARIADB = pytest.param(ENGINE, marks=pytest.mark.mariadb)
ENGINES = (Engine.POSTGRESQL, Engine.SQLITE, ON_MARIADB)
ROWS = 300
SMALL = {"rows_per_second": 50}


@pytest.fixture(params=ENGINES)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Items:
    engine: Engine = request.param
    if engine is Engine.SQLITE:
        return items(engine, f"sqlite://{tmp_path}/shop.db", rows=ROWS)
    url = request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url")
    return items(engine, url, rows=ROWS)


@pytest.fixture
def on_postgresql(database_url: str) -> Items:
    return items(Engine.POSTGRESQL, database_url, rows=ROWS)


@pytest.fixture
def on_mariadb(mariadb_url: str) -> Items:
    return items(ENGINE, mariadb_url, rows=ROWS)


def raised_by(
    table: Items, *, wait: Callable[[timedelta], None] = lambda _: None, **changes: object
) -> CoordinatorError:
    with pytest.raises(CoordinatorError) as caught:
        table.work(wait=wait, **{**SMALL, **changes}).run()
    return caught.value


def after(waits: int, act: Callable[[], object]) -> Callable[[timedelta], None]:
    """Return a wait that does something once, when the backfill comes to rest for the n-th time."""
    left = [waits]

    def wait(_: timedelta) -> None:
        left[0] -= 1
        if left[0] == 0:
            act()

    return wait


# -- what is not there any more -----------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [3, 4])
@pytest.mark.parametrize("change", ["ALTER TABLE items RENAME TO others", "DROP TABLE items"])
def test_a_table_that_goes_away_is_named_with_the_place_that_was_reached(
    table: Items, change: str, waits: int
) -> None:
    error = raised_by(table, wait=after(waits, lambda: table.execute(change)))

    assert error.code == "backfill-refused"
    assert "`count-up`" in error.what
    assert "the row after " in error.what
    assert "run again" in error.next_step


def test_a_question_that_the_engine_refuses_is_named(table: Items) -> None:
    error = raised_by(table, remaining="SELECT count(*) FROM nowhere")

    assert error.code == "backfill-remaining"
    assert "`remaining` of backfill `count-up`" in error.what
    assert "nowhere" in error.what
    assert error.next_step


def test_a_question_that_takes_longer_than_the_role_may_says_so(on_postgresql: Items) -> None:
    on_postgresql.url += f"{'&' if '?' in on_postgresql.url else '?'}options=-c%20statement_timeout%3D100"

    error = raised_by(on_postgresql, remaining="SELECT count(*) FROM items, pg_sleep(60) WHERE n = 0")

    assert error.code == "backfill-remaining"
    assert "Let the role take longer" in error.next_step


# -- no room ------------------------------------------------------------------------------------------------


def test_a_full_disk_is_no_matter_of_rows(on_postgresql: Items) -> None:
    on_postgresql.execute(
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE ''could not extend file'' USING ERRCODE = ''disk_full''; END'",
        "CREATE TRIGGER fill BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION fill()",
    )

    assert_room_is_asked_for(raised_by(on_postgresql))


def test_a_full_file_of_sqlite_is_no_matter_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = items(Engine.SQLITE, f"sqlite://{tmp_path}/shop.db", rows=ROWS)
    table.execute("CREATE TABLE copies (text text)")
    with_pragma(monkeypatch, "max_page_count = 20")

    error = raised_by(table, sql="INSERT INTO copies SELECT hex(randomblob(2000)) FROM items WHERE {range}")

    assert_room_is_asked_for(error)


@pytest.mark.mariadb
def test_a_full_table_of_mariadb_is_no_matter_of_rows(on_mariadb: Items) -> None:
    on_mariadb.execute("CREATE TABLE copies (text char(255)) ENGINE = MEMORY MAX_ROWS = 10")

    error = raised_by(
        on_mariadb,
        sql="INSERT INTO copies SELECT 'x' FROM items a, items b, items WHERE {range}",
    )

    assert_room_is_asked_for(error)


def assert_room_is_asked_for(error: CoordinatorError) -> None:
    assert error.code == "backfill-refused"
    assert "room" in error.next_step
    assert "Mend" not in error.next_step


@pytest.mark.mariadb
def test_a_statement_that_somebody_ends_on_mariadb_is_no_matter_of_rows(on_mariadb: Items) -> None:
    on_mariadb.execute(
        "CREATE TRIGGER ending BEFORE UPDATE ON items FOR EACH ROW"
        " SIGNAL SQLSTATE '70100' SET MYSQL_ERRNO = 1317, MESSAGE_TEXT = 'Query execution was interrupted'"
    )

    error = raised_by(on_mariadb)

    assert error.code == "backfill-refused"
    assert "Somebody ended the statement" in error.next_step


# -- where nothing is written -------------------------------------------------------------------------------


def with_pragma(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """Let each session of SQLite have a setting."""
    make = SqliteSession.__init__

    def made(self: SqliteSession, *arguments: object, **keywords: object) -> None:
        make(self, *arguments, **keywords)  # type: ignore[arg-type]
        self._connection.execute(f"PRAGMA {setting}")

    monkeypatch.setattr(SqliteSession, "__init__", made)


@contextmanager
def taking_no_writes(table: Items, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Let the database take no writes; yield what ends that."""
    if table.engine is Engine.SQLITE:
        with monkeypatch.context() as patch:
            with_pragma(patch, "query_only = on")
            yield patch.undo
        return
    if table.engine.speaks_mysql:
        with root_connection(table.url) as connection, connection.cursor() as cursor:
            cursor.execute("DROP USER IF EXISTS writer")
            cursor.execute("CREATE USER writer")
            cursor.execute(f"GRANT ALL ON {urlsplit(table.url).path[1:]}.* TO writer")
            table.url = table.url.replace("root@", "writer@")
            cursor.execute("SET GLOBAL read_only = on")
            try:
                yield lambda: cursor.execute("SET GLOBAL read_only = off")
            finally:
                cursor.execute("SET GLOBAL read_only = off")
                cursor.execute("DROP USER writer")
        return
    name = urlsplit(table.url).path[1:]
    with psycopg.connect(table.url, autocommit=True) as connection:

        def end() -> None:
            connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')

        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        yield end


def test_a_database_that_takes_no_writes_is_no_matter_of_the_statement(
    table: Items, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.work(**SMALL).run()  # our own table is there
    table.execute("DELETE FROM coordinator_backfill")
    with taking_no_writes(table, monkeypatch), pytest.raises(DatabaseError) as caught:
        table.execute("UPDATE items SET n = 5")

    assert caught.value.code == "database-read-only"
    assert "read" in caught.value.what
    assert caught.value.why
    assert "run the command again" in caught.value.next_step


def test_a_backfill_waits_for_the_end_of_a_failover(table: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    with taking_no_writes(table, monkeypatch) as end:
        said = table.work(wait=lambda pause: end() if pause else None, **SMALL).run()

        [[done]] = table.query("SELECT count(*) FROM items WHERE n = 1")

    assert said == f"{ROWS} rows passed, none left"
    assert done == ROWS
    assert len(table.notes) == 1
    assert "Connecting again" in table.notes[0]
