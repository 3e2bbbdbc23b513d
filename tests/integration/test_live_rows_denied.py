"""Questions about live rows that the user of the database's URL may not ask, on servers that know users."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from fixtures.mariadb import ADAPTER, root_connection
from psycopg.conninfo import make_conninfo

from coordinator.adapters.databases import postgresql
from coordinator.app.live_rows import count_rows
from coordinator.ports.databases import Database
from coordinator.rehearsal_ports import RowQuery
from coordinator.secret import Secret


def denied_on(database: Database) -> list[str]:
    """Return what is told of two questions, of which the user may ask the second alone."""
    told: list[str] = []
    asked = [RowQuery(name, "1", f"FROM {name} WHERE a = 1") for name in ("hidden", "shown")]
    with database.session(label="test") as session:
        counts = count_rows(session, asked, denied=lambda each, words: told.append(f"{each.rows}: {words}"))
    assert counts == {asked[1]: 1}
    return told


def test_a_question_that_the_user_may_not_ask_is_told_with_the_servers_words(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as connection:
        role = f"releasing_in_{connection.info.dbname}"
        connection.execute(f"CREATE ROLE {role} LOGIN")
        try:
            connection.execute("CREATE TABLE hidden AS SELECT 1 AS a; CREATE TABLE shown AS SELECT 1 AS a")
            connection.execute(f"GRANT SELECT ON shown TO {role}")
            url = Secret(make_conninfo(database_url, user=role))
            told = denied_on(postgresql.connect(url, lock_timeout=timedelta(seconds=1)))
        finally:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert told == ["hidden: The database refused a statement: permission denied for table hidden"]


@pytest.mark.mariadb
def test_a_question_that_the_user_may_not_ask_on_mariadb_is_told_too(mariadb_url: str):
    place, _, name = mariadb_url.partition("@")[2].partition("/")
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        for each in ("hidden", "shown"):
            cursor.execute(f"CREATE TABLE {name}.{each} AS SELECT 1 AS a")
        cursor.execute("CREATE USER asking IDENTIFIED BY 'geheim'")
        try:
            cursor.execute(f"GRANT SELECT ON {name}.shown TO asking")
            url = Secret(f"mysql://asking:geheim@{place}/{name}")
            [told] = denied_on(ADAPTER.connect(url, lock_timeout=timedelta(seconds=1)))
        finally:
            cursor.execute("DROP USER asking")

    assert told.startswith("hidden: The database refused a statement: SELECT command denied to user")
