"""What only a real PostgreSQL shows: locks, lost connections, session settings, secrets in messages."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest

from coordinator.adapters import postgresql_session
from coordinator.adapters.databases.postgresql import connect
from coordinator.adapters.postgresql_session import PostgresqlSession
from coordinator.errors import DatabaseError, Usage, Waiting
from coordinator.ports.databases import Batch
from coordinator.secret import Secret

LOCK_TIMEOUT = timedelta(seconds=20)
GOOSE_LOCK = 4097083626


@pytest.fixture
def database(database_url: str):
    return connect(Secret(database_url), lock_timeout=LOCK_TIMEOUT)


def test_the_server_knows_the_step_by_its_label(database):
    with database.session(label="coordinator shop migration 3 " + "x" * 80) as session:
        [[name]] = session.query("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")

    assert name.startswith("coordinator shop migration 3 x")
    assert len(name) == 63


def test_the_server_gives_up_for_a_client_that_is_gone(database):
    with database.session(label="test") as session:
        assert session.query("SHOW client_connection_check_interval") == [("500ms",)]
        assert session.query("SHOW lock_timeout") == [("20s",)]


def test_moments_are_read_however_the_database_writes_them(database, database_url):
    name = urlsplit(database_url).path.removeprefix("/")
    with psycopg.connect(database_url, autocommit=True) as connection:
        for each in ("DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'"):
            connection.execute(f'ALTER DATABASE "{name}" SET {each}')
    moments = "timestamptz '2026-11-30 12:00Z', timestamp 'infinity', date '0044-03-15 BC', interval '1 mon'"

    with database.session(label="test") as session:
        session.execute(Batch(("CREATE TABLE seen AS SELECT '01/02/2026'::date AS day",), transaction=True))
        [[at, never, ides, month]] = session.query(f"SELECT {moments}")
        [[day]] = session.query("SELECT extract(month FROM day)::int FROM seen")

    assert str(at).startswith("30/11/2026")
    assert (never, ides, month, day) == ("infinity", "15/03/0044 BC", "0-1", 2)


def test_a_migration_lock_is_waited_for_and_its_holder_named(database):
    with (
        database.session(label="the other release") as other,
        database.session(label="this release") as session,
    ):
        with other.locked([5, GOOSE_LOCK], timeout=timedelta(0)):
            with pytest.raises(Waiting) as held, session.locked([GOOSE_LOCK], timeout=timedelta(0)):
                pass
            [[pid]] = other.query("SELECT pg_backend_pid()")

        with session.locked([GOOSE_LOCK], timeout=timedelta(0)):
            pass

    assert held.value.code == "migration-lock-held"
    assert f"process {pid} (the other release, local socket, idle" in held.value.what


def test_takes_no_lock_when_it_cannot_have_all(database):
    now = timedelta(0)
    with (
        database.session(label="a") as first,
        database.session(label="b") as second,
        first.locked([2], timeout=now),
    ):
        with pytest.raises(Waiting), second.locked([1, 2], timeout=now):
            pass

        with first.locked([1], timeout=now):
            pass


def test_waits_for_a_lock_until_it_is_free(database):
    with database.session(label="a") as first, database.session(label="b") as second:
        held, asked = first.locked([1], timeout=timedelta(0)), threading.Event()
        held.__enter__()

        def free() -> None:
            asked.wait(60)
            held.__exit__(None, None, None)

        thread = threading.Thread(target=free)
        thread.start()
        asked.set()
        with second.locked([1], timeout=timedelta(seconds=60)):
            thread.join()


def test_a_batch_cannot_change_the_session_of_the_next(database, database_url: str):
    changes = (
        "SET search_path = nowhere",
        "SET lock_timeout = 0",
        "SET statement_timeout = '1h'",
        "SET ROLE pg_monitor",
        "SET application_name = 'another'",
    )
    with database.session(label="test") as session:
        session.execute(Batch(changes, transaction=True))

        assert session.query("SELECT current_schema(), current_user = session_user") == [("public", True)]
        assert session.query("SHOW lock_timeout") == [("20s",)]
        assert session.query("SHOW statement_timeout") == [("0",)]
        assert session.query("SHOW application_name") == [("test",)]


def test_works_as_the_role_of_the_url_before_and_after_a_batch(database_url: str):
    url = Secret(f"{database_url}&options=-crole%3Dpg_monitor%20-csearch_path%3Dpg_catalog")
    query = "SELECT current_user::text, current_schema()::text"
    with connect(url, lock_timeout=LOCK_TIMEOUT).session(label="test") as session:
        before = session.query(query)
        session.execute(Batch(("RESET ROLE", "SET search_path = public"), transaction=True))

        assert before == session.query(query) == [("pg_monitor", "pg_catalog")]


END_THE_DOOMED = """
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
WHERE application_name = 'doomed' AND datname = current_database()
"""


def test_a_connection_lost_after_the_commit_is_no_failure(database, database_url: str):
    with database.session(label="doomed") as session, database.session(label="other") as other:
        session.execute(Batch(("CREATE TABLE a (x integer)",), transaction=True))
        other.execute(Batch((END_THE_DOOMED,), transaction=False))

        with pytest.raises(DatabaseError) as failure:
            session.query("SELECT 1")
        assert (failure.value.code, failure.value.ambiguous) == ("connection-lost", False)
        assert other.query("SELECT count(*) FROM a") == [(0,)]


def test_a_lost_connection_before_the_commit_is_not_ambiguous(database, database_url: str):
    with database.session(label="test") as session, pytest.raises(DatabaseError) as failure:
        session.execute(Batch(("SELECT pg_terminate_backend(pg_backend_pid())",), transaction=True))

    assert (failure.value.code, failure.value.ambiguous) == ("connection-lost", False)


def test_a_lost_connection_without_a_transaction_is_ambiguous(database):
    with database.session(label="test") as session, pytest.raises(DatabaseError) as failure:
        session.execute(Batch(("SELECT pg_terminate_backend(pg_backend_pid())",), transaction=False))

    assert (failure.value.code, failure.value.ambiguous) == ("connection-lost", True)


class CutsTheAnswerToCommit(threading.Thread):
    """A proxy that passes everything to the server, and cuts the line instead of passing COMMIT's answer."""

    def __init__(self, server: Callable[[], socket.socket]) -> None:
        super().__init__()
        self.connect_to_server = server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        client, _ = self.listener.accept()
        with client, self.connect_to_server() as server, self.listener:
            answers = threading.Thread(target=self._pass_answers, args=(server, client))
            answers.start()
            while text := client.recv(65536):
                server.sendall(text)
            server.shutdown(socket.SHUT_WR)
            answers.join()

    def _pass_answers(self, server: socket.socket, client: socket.socket) -> None:
        while text := server.recv(65536):
            if b"COMMIT\0" in text:
                client.shutdown(socket.SHUT_RDWR)
                return
            client.sendall(text)


def connection_to(url: str) -> socket.socket:
    with psycopg.connect(url) as connection:
        host, port = connection.info.host, connection.info.port
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def test_a_connection_lost_while_it_commits_is_ambiguous(database, database_url: str):
    parts = urlsplit(database_url)
    proxy = CutsTheAnswerToCommit(lambda: connection_to(database_url))
    proxy.start()
    user = parts.netloc.rpartition("@")[0]
    url = f"postgresql://{user}@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable&gssencmode=disable"
    through_proxy = connect(Secret(url), lock_timeout=LOCK_TIMEOUT)

    with through_proxy.session(label="test") as session, pytest.raises(DatabaseError) as failure:
        session.execute(Batch(("CREATE TABLE a (x integer)",), transaction=True))
    proxy.join()

    assert (failure.value.code, failure.value.ambiguous) == ("connection-lost", True)
    with database.session(label="test") as session:
        assert session.query("SELECT count(*) FROM a") == [(0,)]


KILLED = """
import sys
from datetime import timedelta
from coordinator.adapters import postgresql_session
from coordinator.adapters.databases.postgresql import connect
from coordinator.ports.databases import Batch
from coordinator.secret import Secret

database = connect(Secret(sys.stdin.readline().strip()), lock_timeout=timedelta(seconds=1))
with database.session(label="doomed") as session:
    with session.locked([77], timeout=timedelta(0)):
        print("locked", flush=True)
        session.execute(Batch(("CREATE TABLE a (x integer)", "SELECT pg_sleep(600)"), transaction=True))
"""


def test_a_killed_coordinator_leaves_neither_work_nor_lock(database, database_url: str):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as doomed:
        assert doomed.stdin is not None
        assert doomed.stdout is not None
        doomed.stdin.write(database_url + "\n")
        doomed.stdin.flush()
        assert doomed.stdout.readline() == "locked\n"
        doomed.kill()

    with database.session(label="next") as session, session.locked([77], timeout=timedelta(seconds=60)):
        assert session.query("SELECT to_regclass('a')") == [(None,)]


def test_a_batch_that_failed_leaves_a_session_that_can_be_used(database):
    with database.session(label="test") as session:
        for transaction in (True, False):
            with pytest.raises(DatabaseError):
                session.execute(Batch(("BEGIN", "SELECT 1/0"), transaction=transaction))

        assert session.query("SELECT 1") == [(1,)]


def test_a_copy_that_waits_for_the_client_ends(database):
    with database.session(label="test") as session, pytest.raises(DatabaseError) as failure:
        session.execute(Batch(("CREATE TABLE a (x int)", "COPY a FROM stdin"), transaction=True))

    assert failure.value.statement == 1


@pytest.mark.parametrize("password", ["p@ss:w/rd%", "geheim"])
def test_no_message_holds_the_password(password: str, database_url: str):
    quoted = "".join(f"%{byte:02X}" for byte in password.encode())
    nowhere = Secret(f"postgresql://shop:{quoted}@127.0.0.1:1/shop?connect_timeout=2")
    broken = Secret(f"postgresql://shop:{quoted}@127.0.0.1:notaport/shop?nonsense={password}")

    for url in (nowhere, broken):
        with (
            pytest.raises((DatabaseError, Usage)) as failure,
            connect(url, lock_timeout=LOCK_TIMEOUT).session(label="test"),
        ):
            pass

        for text in (str(failure.value), repr(failure.value), repr(failure.value.__cause__)):
            assert password not in text
            assert quoted not in text


def test_a_role_that_cannot_be_had_back_stops_the_next_batch_before_it_begins(database_url: str):
    with (
        psycopg.connect(database_url, autocommit=True) as admin,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        admin.execute("CREATE ROLE lent")
        admin.execute("GRANT CREATE ON SCHEMA public TO lent")
        session = PostgresqlSession(connection, secrets=(), settings="SET ROLE lent")
        session.execute(Batch(("RESET ROLE",), transaction=True))
        admin.execute("DROP OWNED BY lent")
        admin.execute("DROP ROLE lent")

        with pytest.raises(DatabaseError) as failure:
            session.execute(Batch(("CREATE TABLE b (x integer)",), transaction=True))

        assert 'role "lent" does not exist' in failure.value.what
        assert admin.execute("SELECT to_regclass('b')").fetchall() == [(None,)]


def test_a_reset_that_fails_at_once_is_not_taken_for_the_one_before(database, monkeypatch):
    with database.session(label="test") as session:
        for name in ("a", "b"):
            session.execute(Batch((f"CREATE TABLE {name} (x integer)",), transaction=True))
        monkeypatch.setattr(postgresql_session, "_RESETS", ("SELECT 1 / 0",))

        with pytest.raises(DatabaseError, match="division by zero"):
            session.execute(Batch(("CREATE TABLE c (x integer)",), transaction=True))

    with database.session(label="test") as session:
        assert session.query("SELECT to_regclass('b'), to_regclass('c')") == [("b", None)]


def test_what_a_pipeline_skipped_is_not_blamed(database):
    texts = ("CREATE TABLE a (x integer)", "ALTER TABLE a ADD COLUMN\n  x integer", "DROP TABLE a")
    with database.session(label="test") as session, pytest.raises(DatabaseError) as failure:
        session.execute(Batch(texts, transaction=True))

    assert (failure.value.statement, failure.value.sqlstate) == (1, "42701")


def test_a_connection_that_ends_before_the_commit_is_known_to_have_committed_nothing(database):
    texts = ("CREATE TABLE a (x text)", "INSERT INTO a SELECT pg_terminate_backend(pg_backend_pid())")
    with database.session(label="test") as session, pytest.raises(DatabaseError) as failure:
        session.execute(Batch(texts, transaction=True))

    assert (failure.value.code, failure.value.ambiguous) == ("connection-lost", False)
    with database.session(label="test") as session:
        assert session.query("SELECT to_regclass('a')") == [(None,)]


def test_sends_more_than_the_server_takes_at_once_while_it_talks(database, database_url: str):
    chatty = """CREATE FUNCTION chat() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
        FOR i IN 1..2000 LOOP RAISE NOTICE '%', repeat('x', 1000); END LOOP; RETURN NEW; END$$"""
    big = "y" * (8 << 20)
    texts = (
        "CREATE TABLE a (x text)",
        chatty,
        "CREATE TRIGGER chat BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION chat()",
        *(f"INSERT INTO a VALUES ('{big}')" for _ in range(3)),
    )
    with database.session(label="test") as session:
        session.execute(Batch(texts, transaction=True))

        assert session.query("SELECT count(*), sum(length(x)) FROM a") == [(3, 3 * (8 << 20))]


def test_a_role_that_has_no_connection_left_is_not_sent_to_the_url(database, database_url: str):
    role = f"crowded_{os.getpid()}"
    with database.session(label="test") as session:
        session.execute(Batch((f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0",), transaction=True))
        crowded = connect(Secret(database_url.replace("postgres:@", f"{role}:@")), lock_timeout=LOCK_TIMEOUT)

        with pytest.raises(DatabaseError) as failure, crowded.session(label="no"):
            pass

        session.execute(Batch((f"DROP ROLE {role}",), transaction=True))
    assert "No connection is left" in failure.value.next_step


def test_a_setting_in_the_address_holds_also_behind_a_migration_that_changes_it(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA app")
    mark = "&" if "?" in database_url else "?"
    url = Secret(f"{database_url}{mark}search_path=app&pool_max_conns=4&x-multi-statement=true")

    with connect(url, lock_timeout=LOCK_TIMEOUT).session(label="test") as session:
        assert session.target(None).schema == "app"
        session.execute(Batch(("SET search_path = public",), transaction=True))
        session.execute(Batch(("CREATE TABLE orders (id int)",), transaction=True))
        assert session.query("SELECT to_regclass('app.orders') IS NOT NULL") == [(True,)]
