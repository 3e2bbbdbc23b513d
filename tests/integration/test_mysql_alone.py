"""What only MySQL has: its own way to ask for a password, a count of instant changes, numbers of tables.

tests/conftest.py leaves it out on MariaDB.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest
from fixtures.mariadb import ADAPTER, root_connection, version
from fixtures.mysql_rehearsal import REHEARSAL, live, watched
from fixtures.sqlite_rehearsal import apply

from coordinator.errors import DatabaseError
from coordinator.evidence import Hazard, StatementEvidence
from coordinator.ports.databases import Batch, Session
from coordinator.rules import find_hazards
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
NOW = timedelta(0)


@pytest.fixture
def user_url(mariadb_url: str) -> Iterator[str]:
    """Yield the URL of a user whose password the server has not seen since it was set."""
    place, _, name = mariadb_url.partition("@")[2].partition("/")
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER shop IDENTIFIED WITH caching_sha2_password BY 'geheim'")
        cursor.execute(f"GRANT ALL ON {name}.* TO shop")
        yield f"mysql://shop:geheim@{place}/{name}"
        cursor.execute("DROP USER shop")


def test_a_password_goes_over_the_tls_that_the_server_offers(user_url: str):
    with ADAPTER.connect(Secret(user_url), lock_timeout=NOW).session(label="test") as session:
        [[_, cipher]] = session.query("SHOW STATUS LIKE 'Ssl_cipher'")

    assert cipher


def test_a_password_without_tls_is_refused_with_the_ways_on(user_url: str):
    database = ADAPTER.connect(Secret(f"{user_url}?tls=false"), lock_timeout=NOW)

    with pytest.raises(DatabaseError) as failure, database.session(label="test"):
        pass

    assert failure.value.code == "database-unreachable"
    assert "wants the password encrypted" in failure.value.what
    assert "cryptography" in failure.value.next_step


def test_a_password_that_the_server_knows_needs_no_tls(user_url: str):
    with ADAPTER.connect(Secret(user_url), lock_timeout=NOW).session(label="first"):
        pass

    with ADAPTER.connect(Secret(f"{user_url}?tls=false"), lock_timeout=NOW).session(label="test") as session:
        assert session.query("SELECT 1") == [(1,)]


# -- how often a table can change in an instant -----------------------------------------------------------

COUNTS = version() >= (8, 0, 29)
"""The server counts, and lets a column be dropped in an instant too."""


def hazards(session: Session, *files: str, sizes: dict[str, int] | None = None) -> list[Hazard]:
    """Return those of a release, each file of which is a migration, where a live table `t` is as it is."""
    left = REHEARSAL.live_changes_left(session)
    seen: list[StatementEvidence] = []
    with REHEARSAL.server(url=None, live_version=None) as server, watched(server, TABLE) as database:
        for number, text in enumerate(files):
            apply(database, text)
            seen += [replace(each, migration=str(number)) for each in database.take_statements()]
    return list(find_hazards(seen, engine="mysql 8", sizes=sizes, lock_timeout=None, changes_left=left))


TABLE = "CREATE TABLE t (id int PRIMARY KEY, a int)"
ADD, INSISTS = "ALTER TABLE t ADD COLUMN z int", "ALTER TABLE t ADD COLUMN y int, ALGORITHM=INSTANT"


def used_up(session: Session, *, but: int) -> None:
    """Change a live table in an instant until so many changes are left of those that it can have."""
    session.execute(Batch((TABLE,), transaction=False))
    for number in range(REHEARSAL.live_changes_left(session).get("t", but) - but):
        change = "DROP COLUMN c" if number % 2 else "ADD COLUMN c int"
        session.execute(Batch((f"ALTER TABLE t {change}, ALGORITHM=INSTANT",), transaction=False))


def test_the_count_that_is_left_is_the_servers(mariadb_url: str):
    with live(mariadb_url) as session:
        used_up(session, but=1)
        assert REHEARSAL.live_changes_left(session) == ({"t": 1} if COUNTS else {})

        session.execute(Batch(("ALTER TABLE t ADD COLUMN last int, ALGORITHM=INSTANT",), transaction=False))
        with pytest.raises(DatabaseError, match="4092") if COUNTS else nullcontext():
            session.execute(Batch((INSISTS,), transaction=False))

        session.execute(Batch(("ALTER TABLE t FORCE, ALGORITHM=INPLACE, LOCK=NONE",), transaction=False))
        session.execute(Batch((INSISTS,) * COUNTS, transaction=False))


def test_an_instant_change_is_a_hazard_where_the_live_table_had_its_last(mariadb_url: str):
    with live(mariadb_url) as session:
        used_up(session, but=0)

        rebuilds, refused = hazards(session, ADD), hazards(session, INSISTS, sizes={"t": 1})

        assert [each.code for each in (*rebuilds, *refused)] == ["instant-changes-used-up"] * 2 * COUNTS
        if COUNTS:
            assert "writes the whole table anew" in rebuilds[0].why
            assert "refuses the statement" in refused[0].why
            assert hazards(session, *rebuilds[0].rewrite.split(";\n")) == []
        assert hazards(session, ADD, sizes={"t": 1}) == []
        assert hazards(session, "ALTER TABLE t ADD COLUMN v int AS (a + 1) VIRTUAL") == []
        assert hazards(session, "CREATE TABLE t2 (id int PRIMARY KEY); ALTER TABLE t2 ADD COLUMN z int") == []


def test_the_changes_of_the_release_before_it_count_too(mariadb_url: str):
    with live(mariadb_url) as session:
        used_up(session, but=1)

        assert hazards(session, ADD) == []
        assert len(hazards(session, ADD, INSISTS)) == COUNTS
        assert hazards(session, ADD, "ALTER TABLE t FORCE", INSISTS) == []


def test_a_user_who_may_not_look_is_told_nothing(user_url: str):
    with live(user_url) as session:
        session.execute(Batch((TABLE,), transaction=False))

        assert REHEARSAL.live_changes_left(session) == {}


# -- another name -----------------------------------------------------------------------------------------


def test_a_table_that_only_gets_another_name_is_not_written_anew():
    with REHEARSAL.server(url=None, live_version=None) as server:
        for change, rewritten in (("ADD COLUMN z int", ()), ("MODIFY a int NOT NULL DEFAULT 1", ("t",))):
            with watched(server, TABLE) as database:
                apply(database, f"DELETE FROM t; ALTER TABLE t RENAME TO moved, {change}")
                assert database.take_statements()[-1].rewritten == rewritten
