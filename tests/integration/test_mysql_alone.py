"""What only MySQL has: its own way to ask for a password. tests/conftest.py leaves it out on MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from fixtures.mariadb import ADAPTER, root_connection

from coordinator.errors import DatabaseError
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
