"""A backfill on each engine: every key, every reason to wait, and what is said when it cannot go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path

import pytest
from fixtures.backfilling import Items, items
from fixtures.mariadb import ENGINE

from coordinator.backfills.cursor import begin_cursor, move_cursor, read_cursor
from coordinator.backfills.progress import Progress
from coordinator.errors import DatabaseError, Interrupted, StepFailed, Waiting
from coordinator.model import Engine
from coordinator.ports.databases import Batch, Target

ENGINES = [
    Engine.POSTGRESQL,
    Engine.SQLITE,
    pytest.param(ENGINE, marks=pytest.mark.mariadb),
]
_END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
)
ROWS = 300
SMALL = {"rows_per_second": 50}


@pytest.fixture(params=ENGINES)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Items:
    return items(request.param, url_of(request.param, request, tmp_path), rows=ROWS)


@pytest.fixture
def postgresql_table(database_url: str) -> Items:
    return items(Engine.POSTGRESQL, database_url, rows=ROWS)


def url_of(engine: Engine, request: pytest.FixtureRequest, folder: Path) -> str:
    if engine is Engine.SQLITE:
        return f"sqlite://{folder}/shop.db"
    return str(request.getfixturevalue("mariadb_url" if engine.speaks_mysql else "database_url"))


def test_each_row_is_done_once_and_not_again_by_the_next_command(table: Items) -> None:
    assert table.work(**SMALL).run() == f"{ROWS} rows passed, none left"
    assert table.work(**SMALL).run() == f"{ROWS} rows passed, none left"

    assert table.times_done() == {1: ROWS}
    with table.session() as session:
        cursor = read_cursor(session, table.spec)
    assert cursor is not None
    assert cursor.is_done
    assert cursor.batches >= ROWS // 50


def test_batches_get_shorter_where_a_statement_may_not_take_as_long(database_url: str) -> None:
    separator = "&" if "?" in database_url else "?"
    url = f"{database_url}{separator}options=-c%20statement_timeout%3D900"
    demand_shorter_batches(items(Engine.POSTGRESQL, url, rows=ROWS), "SELECT 1 FROM pg_sleep(0.01 * (n + 1))")


@pytest.mark.mariadb
def test_batches_get_shorter_on_mariadb_too(mariadb_url: str) -> None:
    table = items(ENGINE, mariadb_url, rows=ROWS)
    if ENGINE is Engine.MYSQL:  # which limits queries alone
        with pytest.raises(DatabaseError, match="max_statement_time"):
            table.query("SELECT @@global.max_statement_time")
        return
    [[before]] = table.query("SELECT @@global.max_statement_time")
    table.execute("SET GLOBAL max_statement_time = 0.9")
    try:
        demand_shorter_batches(table, "SELECT 1 + sleep(0.01)")
    finally:
        table.execute(f"SET GLOBAL max_statement_time = {before}")


def demand_shorter_batches(table: Items, slow: str) -> None:
    work = table.work(sql=f"UPDATE items SET n = n + ({slow}) WHERE {{range}}")

    assert work.run() == f"{ROWS} rows passed, none left"
    assert table.times_done() == {1: ROWS}
    assert any("half as long" in note for note in table.notes)


def test_not_every_batch_asks_what_it_is_connected_to(table: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    with table.session() as session:
        kind, target = type(session), session.target(None)
    asked: list[object] = []

    def told(*_: object) -> Target:
        asked.append(None)
        return target

    monkeypatch.setattr(kind, "target", told)
    table.work(**SMALL).run()

    [[batches]] = table.query("SELECT batches FROM coordinator_backfill")
    assert len(asked) < int(str(batches))


def test_its_speed_counts_the_time_of_its_first_batch_too(table: Items) -> None:
    work, seconds = table.work(**SMALL), count()
    reached: list[Progress] = []
    work.now = lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds))
    work.report = reached.append

    work.run()

    assert reached[0].passed == 50
    assert 0 < reached[0].per_second <= 50, "it took one of these seconds, or more"


def test_an_empty_table_is_complete_at_once(table: Items) -> None:
    table.execute("DELETE FROM items")

    assert table.work().run() == "0 rows passed, none left"


def test_it_goes_on_where_it_was_stopped(table: Items) -> None:
    waited = []

    def stop(duration: timedelta) -> None:
        waited.append(duration)
        if len(waited) > 6:
            raise Interrupted("interrupted", "Stopped.")

    with pytest.raises(Interrupted):
        table.work(wait=stop, **SMALL).run()
    between = table.times_done()
    table.work(**SMALL).run()

    assert 0 < between[1] < ROWS
    assert table.times_done() == {1: ROWS}


def test_rows_that_come_in_behind_the_cursor_are_done_too(table: Items) -> None:
    table.work(**SMALL).run()
    table.execute("INSERT INTO items (id) VALUES (1001), (1002)")

    table.work(**SMALL).run()

    assert table.times_done() == {1: ROWS + 2}


def test_a_row_that_is_left_below_the_cursor_keeps_it_from_being_complete(table: Items) -> None:
    table.work(**SMALL).run()
    table.execute("INSERT INTO items (id) VALUES (-5)")

    with pytest.raises(Waiting) as caught:
        table.work(**SMALL).run()

    assert caught.value.code == "backfill-incomplete"
    assert "1 are left" in caught.value.what
    assert table.times_done() == {0: 1, 1: ROWS}, "the others are not done again"


def test_it_goes_over_the_table_once_more_where_the_plan_allows_it(table: Items) -> None:
    once = {"sql": "UPDATE items SET n = n + 1 WHERE {range} AND n = 0", "repeatable": True, **SMALL}
    table.work(**once).run()
    table.execute("INSERT INTO items (id) VALUES (-5)")

    table.work(**once).run()

    assert table.times_done() == {1: ROWS + 1}


def test_one_that_never_completes_is_given_up_after_a_second_pass(table: Items) -> None:
    never = {"sql": "UPDATE items SET n = 1 WHERE {range} AND id <> 7", "repeatable": True, **SMALL}

    with pytest.raises(Waiting) as caught:
        table.work(**never).run()

    assert caught.value.code == "backfill-incomplete"


def test_a_cursor_moves_only_from_where_it_was_read_and_takes_the_rows_back_otherwise(table: Items) -> None:
    with table.session() as session:
        cursor = begin_cursor(session, table.spec)
        change = ("UPDATE items SET n = n + 1 WHERE id <= 10",)
        moved = cursor.past(("10",), 10)
        move_cursor(session, table.spec, cursor, moved, engine=table.engine, statements=change)

        with pytest.raises(DatabaseError) as caught:
            move_cursor(session, table.spec, cursor, moved, engine=table.engine, statements=change)

        assert caught.value.code == "cursor-moved"
        assert read_cursor(session, table.spec) == moved
    assert table.times_done() == {0: ROWS - 10, 1: 10}


@contextmanager
def held_row(table: Items, row: int) -> Iterator[None]:
    """Let another session hold a row; on SQLite that is the whole file."""
    is_held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with table.session() as session:
            connection = session._connection  # type: ignore[attr-defined]
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE" if table.engine is Engine.SQLITE else "BEGIN")
            cursor.execute(f"UPDATE items SET n = n WHERE id = {row}")
            is_held.set()
            let_go.wait(120)
            connection.rollback()

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(60)
    try:
        yield
    finally:
        let_go.set()
        thread.join()


def test_a_held_row_makes_it_ask_for_less_and_wait_and_the_rest_is_done_once(table: Items) -> None:
    with held_row(table, 120) as _:
        work = table.work(**SMALL)
        tried = []

        def give_up(duration: timedelta) -> None:
            if duration and work._busy_since:
                tried.append(work._pace.rows)
            if len(tried) == 2:
                raise Interrupted("interrupted", "Enough.")

        work.wait = give_up
        with pytest.raises(Interrupted):
            work.run()
    table.work(**SMALL).run()

    assert [after < before for before, after in pairwise((50, *tried))] == [True, True]
    assert table.times_done() == {1: ROWS}


def test_a_row_that_stays_held_is_named_as_the_reason(postgresql_table: Items) -> None:
    postgresql_table.deadline = timedelta(seconds=0.5)
    with held_row(postgresql_table, 120), pytest.raises(Waiting) as caught:
        postgresql_table.work(**SMALL).run()

    assert caught.value.code == "backfill-blocked"


@pytest.mark.parametrize("values", ["'it''s', 'b\\x', 'ä', ''", "'A', 'a', 'B', 'b '"])
def test_texts_are_a_key_whatever_stands_in_them(table: Items, values: str) -> None:
    kind = "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if table.engine.speaks_mysql else "text"
    table.execute(f"CREATE TABLE words (word {kind} NOT NULL PRIMARY KEY, n int NOT NULL DEFAULT 0)")
    written = values.replace("\\", "\\\\") if table.engine.speaks_mysql else values
    for value in written.split(", "):
        table.execute(f"INSERT INTO words (word) VALUES ({value})")

    table.work(
        table="words",
        key=("word",),
        sql="UPDATE words SET n = n + 1 WHERE {range}",
        remaining="SELECT count(*) FROM words WHERE n = 0",
        rows_per_second=1,
    ).run()

    assert table.query("SELECT n, count(*) FROM words GROUP BY n") == [(1, 4)]


@pytest.mark.parametrize(
    "column", ["uuid", "timestamptz", "numeric", "varchar(40)"], ids=lambda each: each.partition("(")[0]
)
def test_on_postgresql_every_type_that_sorts_is_a_key(postgresql_table: Items, column: str) -> None:
    made = {
        "uuid": "gen_random_uuid()",
        "timestamptz": "now() - i * interval '1.000001 h'",
        "numeric": "i * 0.1",
        "varchar(40)": "'no. ' || i",
    }[column]
    postgresql_table.execute(
        f'CREATE TABLE "Odd names" ("Its key" {column} PRIMARY KEY, n int NOT NULL DEFAULT 0)',
        f'INSERT INTO "Odd names" SELECT {made} FROM generate_series(1, 30) i',
    )

    postgresql_table.work(
        table="Odd names",
        key=("Its key",),
        sql='UPDATE "Odd names" SET n = n + 1 WHERE {range}',
        remaining='SELECT count(*) FROM "Odd names" WHERE n = 0',
        rows_per_second=7,
    ).run()

    assert postgresql_table.query('SELECT n, count(*) FROM "Odd names" GROUP BY n') == [(1, 30)]


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
def test_several_columns_are_a_key_together(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    table = items(engine, url_of(engine, request, tmp_path), rows=0)
    table.execute(
        "CREATE TABLE lines (orderer int NOT NULL, line int NOT NULL, n int NOT NULL DEFAULT 0,"
        " UNIQUE (line, orderer))",
        "INSERT INTO lines (orderer, line) WITH RECURSIVE numbers (i) AS (SELECT 0 UNION ALL"
        " SELECT i + 1 FROM numbers WHERE i < 29) SELECT i / 7, i % 7 FROM numbers",
    )

    table.work(
        table="lines",
        key=("orderer", "line"),
        sql="UPDATE lines SET n = n + 1 WHERE {range}",
        remaining="SELECT count(*) FROM lines WHERE n = 0",
        rows_per_second=4,
    ).run()

    assert table.query("SELECT n, count(*) FROM lines GROUP BY n") == [(1, 30)]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"table": "nothing"}, "backfill-table"),
        ({"key": ("nothing",)}, "backfill-key"),
        ({"key": ("n",)}, "backfill-key"),
        ({"key": ("id", "n")}, "backfill-key"),
        ({"remaining": "SELECT id FROM items"}, "backfill-remaining"),
        ({"remaining": "SELECT 'many'"}, "backfill-remaining"),
    ],
)
def test_what_cannot_be_gone_over_is_said(table: Items, changed: dict[str, object], code: str) -> None:
    with pytest.raises(StepFailed) as caught:
        table.work(**changed).run()

    assert caught.value.code == code
    assert "`count-up`" in caught.value.what


def test_a_batch_that_the_engine_refuses_is_named_by_its_keys_and_those_before_it_stay(table: Items) -> None:
    table.execute("CREATE TABLE seen (id bigint NOT NULL PRIMARY KEY)", "INSERT INTO seen VALUES (120)")
    copy = {"sql": "INSERT INTO seen SELECT id FROM items WHERE {range}", **SMALL}

    work = table.work(**copy)
    work.now = lambda: datetime(2026, 1, 1, tzinfo=UTC)  # no batch is made smaller on a slow machine

    with pytest.raises(DatabaseError) as caught:
        work.run()

    assert caught.value.code == "backfill-refused"
    assert "the row after 100 and 150" in caught.value.what
    assert table.query("SELECT count(*) FROM seen") == [(101,)]


def test_another_statement_under_the_same_name_is_refused(table: Items) -> None:
    table.work(**SMALL).run()

    with pytest.raises(StepFailed) as caught:
        table.work(sql="UPDATE items SET n = n + 2 WHERE {range}").run()

    assert caught.value.code == "backfill-changed"


def test_a_connection_that_is_lost_is_opened_again_and_each_row_done_once(postgresql_table: Items) -> None:
    kills = []

    def wait(_: timedelta) -> None:
        if len(kills) < 3:
            kills.append(1)
            with postgresql_table.session() as session:
                session.execute(Batch((_END_OTHERS,), transaction=True))

    postgresql_table.work(wait=wait, **SMALL).run()

    assert postgresql_table.times_done() == {1: ROWS}
    assert any("Connecting again" in note for note in postgresql_table.notes)


@pytest.mark.parametrize(
    ("columns", "fits"),
    [
        ("id INTEGER PRIMARY KEY, n int DEFAULT 0", True),
        ("id INTEGER PRIMARY KEY DESC, n int DEFAULT 0", False),
        ("id integer, other int, n int DEFAULT 0, PRIMARY KEY (id, other)", False),
        ("id integer NOT NULL, other int NOT NULL, n int DEFAULT 0, PRIMARY KEY (id, other)", True),
    ],
)
def test_a_primary_key_of_sqlite_that_may_be_null_is_no_key(tmp_path: Path, columns: str, fits: bool) -> None:
    table = items(Engine.SQLITE, f"sqlite://{tmp_path}/shop.db", rows=0)
    table.execute("DROP TABLE items", f"CREATE TABLE items ({columns})")
    work = table.work(key=("id", "other") if "other" in columns else ("id",))

    if fits:
        assert work.run() == "0 rows passed, none left"
        return
    with pytest.raises(StepFailed, match="`id` may be NULL") as caught:
        work.run()
    assert caught.value.code == "backfill-key"


def test_a_text_that_does_not_come_back_as_it_was_ends_it(tmp_path: Path) -> None:
    table = items(Engine.SQLITE, f"sqlite://{tmp_path}/shop.db", rows=0)
    table.execute(
        "CREATE TABLE names (name text NOT NULL PRIMARY KEY, n int NOT NULL DEFAULT 0)",
        "INSERT INTO names (name) VALUES ('a'), ('b' || char(0) || 'c'), ('d')",
    )
    work = table.work(
        table="names",
        key=("name",),
        sql="UPDATE names SET n = n + 1 WHERE {range}",
        remaining="SELECT count(*) FROM names WHERE n = 0",
        rows_per_second=1,
    )

    with pytest.raises(StepFailed, match="stands behind 'b', and says it stands there") as caught:
        work.run()

    assert caught.value.code == "backfill-key"
    assert table.query("SELECT n FROM names ORDER BY name") == [(1,), (0,), (0,)]
