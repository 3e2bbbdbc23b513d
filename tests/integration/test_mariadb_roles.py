"""A user whose rights come by a role has none at login unless the role is its default one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fixtures.mariadb import ADAPTER, ENGINE, root_connection

from coordinator.errors import DatabaseError
from coordinator.model import Engine
from coordinator.secret import Secret

pytestmark = pytest.mark.mariadb
TO = {Engine.MARIADB: "FOR", Engine.MYSQL: "TO"}[ENGINE]


def test_rights_by_a_role_that_is_not_active_are_refused_with_the_way_to_make_it_so(mariadb_url: str):
    place, _, name = mariadb_url.partition("@")[2].partition("/")
    database = ADAPTER.connect(Secret(f"mysql://by_role:geheim@{place}/{name}"), lock_timeout=timedelta(0))
    with root_connection(mariadb_url) as connection, connection.cursor() as cursor:
        try:
            for sql in (
                "CREATE ROLE releasing",
                f"GRANT ALL ON {name}.* TO releasing",
                "CREATE USER by_role IDENTIFIED BY 'geheim'",
                "GRANT releasing TO by_role",
            ):
                cursor.execute(sql)

            with pytest.raises(DatabaseError) as failure, database.session(label="test"):
                pass

            assert f"SET DEFAULT ROLE … {TO} user" in failure.value.next_step

            cursor.execute(f"SET DEFAULT ROLE releasing {TO} by_role")
            with database.session(label="test") as session:
                assert session.query("SELECT 1") == [(1,)]
        finally:
            cursor.execute("DROP USER IF EXISTS by_role")
            cursor.execute("DROP ROLE IF EXISTS releasing")
