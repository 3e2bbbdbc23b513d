"""What only a real MariaDB shows: named locks, lost connections, session settings, secrets in messages."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.database_alone import checkout
from fixtures.mariadb import ADAPTER, ENGINE, NAME, root_connection
from pymysql.connections import Connection

from coordinator import discovery
from coordinator.adapters.databases import mariadb, mysql
from coordinator.app.exclusion import alone_on_databases
from coordinator.errors import DatabaseError, Usage, Waiting
from coordinator.model import Engine, LocksSpec
from coordinator.ports.databases import Batch, Patience
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
NOW = timedelta(0)
ISOLATION = {Engine.MARIADB: "tx_isolation", Engine.MYSQL: "transaction_isolation"}[ENGINE]
UNMET = {Engine.MARIADB: "REQUIRED", Engine.MYSQL: "VERIFY_IDENTITY"}
"""What the server lacks: MariaDB has no TLS here, and MySQL a certificate that it made for itself."""


@pytest.fixture
def database(mariadb_url: str):
    return ADAPTER.connect(Secret(mariadb_url), lock_timeout=timedelta(milliseconds=1500))


def test_a_migration_lock_is_waited_for_and_its_holder_named(database):
    with database.session(label="the other release") as other, database.session(label="this one") as session:
        with other.locked(["one", "it's"], timeout=NOW):
            with pytest.raises(Waiting) as held, session.locked(["it's"], timeout=NOW):
                pass
            [[process]] = other.query("SELECT CONNECTION_ID()")

        with session.locked(["it's"], timeout=NOW):
            pass

    assert held.value.code == "migration-lock-held"
    assert f"process {process} (the other release, root from " in held.value.what


def test_lets_go_of_the_locks_that_it_got_when_another_one_is_held(database):
    with database.session(label="first") as first, database.session(label="second") as second:
        with (
            first.locked(["two"], timeout=NOW),
            pytest.raises(Waiting),
            second.locked(["one", "two"], timeout=NOW),
        ):
            pass

        with first.locked(["one"], timeout=NOW):
            pass


def test_a_held_lock_is_taken_as_soon_as_it_is_free(database):
    with database.session(label="first") as first, database.session(label="second") as second:
        held, asked = first.locked(["one"], timeout=NOW), threading.Event()
        held.__enter__()

        def let_go() -> None:
            asked.wait(60)
            time.sleep(0.2)
            held.__exit__(None, None, None)

        thread = threading.Thread(target=let_go)
        thread.start()
        asked.set()
        with second.locked(["one"], timeout=timedelta(seconds=60)):
            thread.join()


def test_two_databases_of_one_server_do_not_lock_each_other_out(new_mariadb):
    urls = [new_mariadb(), new_mariadb()]
    for tool in map(discovery.migration_tool, ("goose", "golang-migrate")):
        connected = [ADAPTER.connect(Secret(url), lock_timeout=NOW) for url in urls]
        with connected[0].session(label="one") as one, connected[1].session(label="two") as two:
            [first, second] = [tool.lock_ids(each.target(None)) for each in (one, two)]
            with one.locked(first, timeout=NOW), two.locked(second, timeout=NOW):
                assert first != second


def test_gives_up_on_a_lock_after_whole_seconds(database):
    with database.session(label="test") as session:
        session.query("SELECT 1")
        waits = session.query("SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout")

    assert waits == [(2, 2)]


def test_what_a_text_did_to_its_session_is_undone_before_the_next(database, new_mariadb):
    elsewhere = new_mariadb().rpartition("/")[2]
    with database.session(label="test") as session:
        before = session.target(None).database, session.query("SELECT @@sql_mode, @@foreign_key_checks")
        settings = ("SET sql_mode = '', foreign_key_checks = 0", f"USE {elsewhere}")
        session.execute(
            Batch((*settings, "CREATE TABLE b (x int)", "LOCK TABLES b WRITE"), transaction=False)
        )

        assert (
            session.target(None).database,
            session.query("SELECT @@sql_mode, @@foreign_key_checks"),
        ) == before
        session.execute(Batch(("CREATE TABLE a (x int)", "INSERT INTO a VALUES (1)"), transaction=True))
        assert session.query("SELECT x FROM a") == [(1,)]


SETTINGS = {
    "SET time_zone = '+05:00'": ("time_zone",),
    "SET NAMES latin1": ("character_set_client", "collation_connection", "character_set_results"),
    "-- as in Delhi\nSET time_zone = '+05:30'": ("time_zone",),
    "/*!40101 SET NAMES utf8 */": ("character_set_client", "collation_connection"),
    "SET @old = 1, @@session.group_concat_max_len = 77, SQL_SAFE_UPDATES = 1": (
        "group_concat_max_len",
        "sql_safe_updates",
    ),
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE": (ISOLATION,),
    "SET timestamp = 1": ("timestamp > 1000",),
    "SET SESSION div_precision_increment = 9; SET lc_time_names = 'de_DE'": (
        "div_precision_increment",
        "lc_time_names",
    ),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("transaction", [True, False])
def test_what_a_text_sets_of_its_session_ends_with_it(database, setting: str, transaction: bool):
    asked = "SELECT " + ", ".join(f"@@{each}" for each in SETTINGS[setting])
    with database.session(label="test") as session:
        before = session.query(asked)
        session.execute(Batch((setting, "SELECT 'ü'"), transaction=transaction))

        assert session.query(asked) == before

        session.execute(Batch(("CREATE TABLE a (x text)", "INSERT INTO a VALUES ('ü')"), transaction=True))
        assert session.query("SELECT x, char_length(x) FROM a") == [("ü", 1)]


@pytest.mark.parametrize("kind", ["CHAIN", "RELEASE"])
def test_what_a_text_sets_a_commit_to_ends_with_it(database, kind: str):
    with database.session(label="test") as session:
        session.execute(Batch(("CREATE TABLE a (x int)",), transaction=True))
        session.execute(Batch((f"SET completion_type = '{kind}'",), transaction=False))

        assert session.query("SELECT 7") == [(7,)]

        session.execute(Batch(("INSERT INTO a VALUES (1)",), transaction=False))
        assert session.query("SELECT x FROM a") == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 7",
        "SELECT 7;",
        "SELECT 7 -- what it is",
        "SELECT 7 # ;",
        "SELECT 7; SELECT 8",
        "SELECT 7;\n-- ;",
    ],
)
def test_a_query_shows_its_own_rows_and_leaves_no_transaction(database, sql: str):
    with database.session(label="test") as session:
        session.execute(Batch(("CREATE TABLE a (x int)",), transaction=True))

        assert session.query(sql) == [(7,)]

        session.execute(Batch(("INSERT INTO a VALUES (1)",), transaction=False))
        assert session.query("SELECT x FROM a") == [(1,)]


@pytest.mark.parametrize("sql", ["INSERT INTO a VALUES (1)", "SELECT 1 FROM nowhere", "SELECT 'open"])
def test_a_query_that_is_refused_leaves_no_transaction(database, sql: str):
    with database.session(label="test") as session:
        session.execute(Batch(("CREATE TABLE a (x int)",), transaction=True))
        with pytest.raises(DatabaseError):
            session.query(sql)

        session.execute(Batch(("INSERT INTO a VALUES (2)",), transaction=False))

        assert session.query("SELECT x FROM a") == [(2,)]


def test_what_stands_behind_a_change_of_the_schema_is_whole_or_not_at_all(database):
    texts = ("CREATE TABLE a (x int)", "INSERT INTO a VALUES (1)", "INSERT INTO nowhere VALUES (1)")
    with database.session(label="test") as session:
        with pytest.raises(DatabaseError) as failure:
            session.execute(Batch(texts, transaction=True))

        assert (failure.value.statement, failure.value.committed) == (2, 1)
        assert session.query("SELECT x FROM a") == []


def test_a_migration_takes_few_trips(database, monkeypatch: pytest.MonkeyPatch):
    sent: list[str] = []
    query = Connection.query

    def counted(self: Connection, sql: str, *given: object) -> object:
        sent.append(sql)
        return query(self, sql, *given)

    with database.session(label="test") as session:
        session.execute(Batch(("CREATE TABLE done (x int)",), transaction=True))
        monkeypatch.setattr(Connection, "query", counted)
        guard, record = "SELECT 1 FROM done", "INSERT INTO done VALUES (1); INSERT INTO done VALUES (2)"
        session.execute(Batch(("CREATE TABLE a (x int)", record), transaction=True, guard=guard, records=1))

    assert [each.partition(" ")[0] for each in sent] == ["UNLOCK", "START", "CREATE", "START", "COMMIT"]


def test_rows_without_a_parent_are_refused_as_the_server_refuses_them(database):
    parent = "CREATE TABLE a (x int PRIMARY KEY)"
    child = "CREATE TABLE b (x int, FOREIGN KEY (x) REFERENCES a (x))"
    with database.session(label="test") as session:
        session.execute(Batch((parent, child), transaction=True))
        [before] = session.query("SELECT @@foreign_key_checks, @@unique_checks")

        with pytest.raises(DatabaseError, match="foreign key constraint fails"):
            session.execute(Batch(("INSERT INTO b VALUES (1)",), transaction=True))

    assert before == (1, 1)


def test_sees_an_error_behind_the_first_result(database):
    text = "CREATE TABLE a (x int); SELECT 1;\nINSERT INTO nowhere VALUES (1); SELECT 2"

    with database.session(label="test") as session, pytest.raises(DatabaseError) as failure:
        session.execute(Batch((text,), transaction=False))

    assert (failure.value.position, failure.value.code) == (
        text.index("INSERT INTO nowhere") + 1,
        "statement-failed",
    )


def test_counts_nothing_behind_a_procedure(database):
    with database.session(label="test") as session:
        session.execute(Batch(("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END",), transaction=False))
        with pytest.raises(DatabaseError) as failure:
            session.execute(Batch(("CALL p(); SELECT 3; DROP TABLE nowhere",), transaction=False))

    assert failure.value.position is None


@pytest.mark.parametrize("commits", [True, False])
def test_a_lost_connection_is_ambiguous_where_a_statement_may_have_committed(database, commits: bool):
    text = "KILL CONNECTION_ID()" if commits else "SELECT SLEEP(0) FROM (SELECT 1) AS one"
    with database.session(label="doomed") as session, database.session(label="other") as other:
        [[process]] = session.query("SELECT CONNECTION_ID()")
        if not commits:
            other.execute(Batch((f"KILL {process}",), transaction=False))

        with pytest.raises(DatabaseError) as failure:
            session.execute(Batch((text,), transaction=not commits))

    code = "connection-lost"
    if commits and ENGINE is Engine.MYSQL:  # it says of the statement that it was interrupted, and then goes
        code, commits = "statement-failed", False
    assert (failure.value.code, failure.value.ambiguous) == (code, commits)


def test_no_message_shows_the_password(mariadb_url: str):
    place = mariadb_url.partition("@")[2]
    database = ADAPTER.connect(Secret(f"mysql://nobody:geh%2Feim@{place}"), lock_timeout=NOW)

    with pytest.raises(DatabaseError) as failure, database.session(label="test"):
        pass

    assert failure.value.code == "database-unreachable"
    assert "Access denied" in failure.value.what
    assert not {"geh/eim", "geh%2Feim"} & set(str(failure.value).split("'"))


def test_takes_the_urls_of_the_migration_tools(mariadb_url: str):
    place, _, name = mariadb_url.partition("@")[2].partition("/")
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER odd IDENTIFIED BY 'a+b@c/d'")
        cursor.execute(f"GRANT ALL ON {name}.* TO odd")
    urls = (
        f"mysql://odd:a+b%40c%2Fd@{place}/{name}?tls=preferred",
        f"mysql://odd:a%2Bb%40c%2Fd@tcp({place})/{name}?multiStatements=true",
        f"odd:a+b@c/d@tcp({place})/{name}?parseTime=true",
    )

    for url in urls:
        with ADAPTER.connect(Secret(url), lock_timeout=NOW).session(label="test") as session:
            assert session.target(None).database == name


def test_refuses_to_go_on_without_the_tls_that_was_asked_for(mariadb_url: str):
    database = ADAPTER.connect(Secret(f"{mariadb_url}?ssl-mode={UNMET[ENGINE]}"), lock_timeout=NOW)

    with pytest.raises(DatabaseError, match="SSL") as failure, database.session(label="test"):
        pass

    assert failure.value.code == "database-unreachable"


def test_a_server_of_the_other_kind_is_told_and_nothing_is_sent_to_it(mariadb_url: str):
    other = {Engine.MARIADB: mysql, Engine.MYSQL: mariadb}[ENGINE]

    with (
        pytest.raises(Usage) as failure,
        other.connect(Secret(mariadb_url), lock_timeout=NOW).session(label="test"),
    ):
        pass

    assert failure.value.code == "other-engine"
    assert f"the server is {NAME}" in failure.value.what
    assert failure.value.next_step == f"Write `engine: {ENGINE}` in the plan."


def test_a_server_that_is_not_there_is_told():
    database = ADAPTER.connect(Secret("mysql://somebody@127.0.0.1:1/shop"), lock_timeout=NOW)

    with pytest.raises(DatabaseError) as failure, database.session(label="test"):
        pass

    assert failure.value.code == "database-unreachable"


def test_a_user_who_has_no_connection_left_is_not_sent_to_the_url(mariadb_url: str):
    place, _, name = mariadb_url.partition("@")[2].partition("/")
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER crowded WITH MAX_USER_CONNECTIONS 1")
        cursor.execute(f"GRANT ALL ON {name}.* TO crowded")
    database = ADAPTER.connect(Secret(f"mysql://crowded@{place}/{name}"), lock_timeout=NOW)

    with (
        database.session(label="one"),
        pytest.raises(DatabaseError) as failure,
        database.session(label="two"),
    ):
        pass

    assert "No connection is left" in failure.value.next_step


def test_the_second_coordinator_is_turned_away_until_the_first_is_gone(tmp_path: Path, mariadb_url: str):
    first, second = (checkout(tmp_path / name, mariadb_url, engine=ENGINE.value) for name in ("one", "two"))

    with (
        alone_on_databases(first),
        pytest.raises(Waiting, match="coordinator shop-2") as refused,
        alone_on_databases(second),
    ):
        pass

    assert refused.value.code == "lease-held"
    with alone_on_databases(second):
        pass


@pytest.mark.parametrize("transaction", [True, False])
def test_a_mark_behind_a_change_of_the_schema_stays_where_a_file_turned_autocommit_off(
    database, transaction: bool
):
    with database.session(label="test") as session:
        session.execute(Batch(("CREATE TABLE marks (at int) ENGINE=InnoDB",), transaction=False))
        marks = tuple(map("INSERT INTO marks VALUES ({})".format, (1, 2, 3)))
        patience = Patience(LocksSpec(NOW, NOW, NOW), *([lambda _: None] * 3))
        texts = ("SET autocommit = 0", "CREATE TABLE a (x int)", "CREATE TABLE b (x nonsense)")

        with pytest.raises(DatabaseError):
            session.execute(Batch(texts, transaction=transaction, marks=marks, patience=patience))

        assert session.query("SELECT at FROM marks ORDER BY at") == [(1,), (2,)]


def test_refuses_a_url_without_a_database_as_no_url():
    with (
        pytest.raises(Usage, match="names no database"),
        ADAPTER.connect(Secret("mysql://somebody@localhost/"), lock_timeout=NOW).session(label="test"),
    ):
        pass
