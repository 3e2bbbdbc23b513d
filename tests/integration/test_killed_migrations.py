"""A migration whose process is killed leaves both its work and its record, or neither."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.applying import apply_migration
from fixtures.local import until

from coordinator import discovery
from coordinator.adapters.databases import postgresql, sqlite
from coordinator.apply import is_applied, read_ledger
from coordinator.model import Engine, SourceFile
from coordinator.secret import Secret

PATIENCE = timedelta(seconds=60)
ENDLESS = {
    Engine.POSTGRESQL: "SELECT pg_sleep(600);",
    # SQLite cannot sleep: this counts until it is killed.
    Engine.SQLITE: "INSERT INTO a WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
    " SELECT max(x) FROM c;",
}
TESTS = Path(__file__).parents[1]
CHILD = """
import hashlib, sys
from datetime import timedelta
from coordinator import discovery
from coordinator.adapters.databases import {adapter}
from fixtures.applying import apply_migration
from coordinator.model import SourceFile
from coordinator.secret import Secret

url, tool, name, text = sys.stdin.read().split("|")
tool = discovery.migration_tool(tool)
migrations = tool.read([SourceFile(name, text.encode(), "0")]).migrations
with {adapter}.connect(Secret(url), lock_timeout=timedelta(seconds=60)).session(label="doomed") as session:
    apply_migration(
        session, tool, migrations[0], migrations=migrations, table=None, lock_timeout=timedelta(seconds=60)
    )
"""


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.SQLITE])
@pytest.mark.parametrize("tool", ["goose", "golang-migrate"])
def test_a_killed_migration_leaves_neither_work_nor_record(
    tool: str, engine: Engine, request: pytest.FixtureRequest, tmp_path
):
    is_postgresql = engine is Engine.POSTGRESQL
    url = request.getfixturevalue("database_url") if is_postgresql else f"sqlite://{tmp_path}/shop.db"
    adapter = postgresql if is_postgresql else sqlite
    header = "-- +goose Up\n" if tool == "goose" else ""
    name = "1_a.sql" if tool == "goose" else "1_a.up.sql"
    text = f"{header}CREATE TABLE a (x bigint);\n{ENDLESS[engine]}\n"
    hook = discovery.migration_tool(tool)
    content = f"{header}CREATE TABLE a (x bigint);\n".encode()
    corrected = hook.read([SourceFile(name, content, hashlib.sha256(content).hexdigest())]).migrations

    with adapter.connect(Secret(url), lock_timeout=PATIENCE).session(label="test") as session:

        def is_at_work() -> bool:
            if not is_postgresql:
                return (tmp_path / "shop.db-journal").exists() and bool(session.query(tables))
            query = (
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'doomed' AND query LIKE '%pg_sleep%'"
            )
            return bool(session.query(query))

        tables = "SELECT 1 FROM sqlite_master WHERE type = 'table'"  # the version table comes first
        with subprocess.Popen(
            [sys.executable, "-c", CHILD.format(adapter=adapter.__name__.rpartition(".")[2])],
            stdin=subprocess.PIPE,
            text=True,
            cwd=TESTS,
        ) as child:
            assert child.stdin is not None
            child.stdin.write(f"{url}|{tool}|{name}|{text}")
            child.stdin.close()
            until(is_at_work, seconds=PATIENCE.total_seconds())
            child.kill()

        target = session.target(None)
        with session.locked(hook.lock_ids(target), timeout=PATIENCE):
            assert read_ledger(session, hook, target).dirty is None
            assert is_applied(session, hook, corrected[0], migrations=corrected, table=None) is False
        apply_migration(session, hook, corrected[0], migrations=corrected, table=None, lock_timeout=PATIENCE)
        assert session.query("SELECT count(*) FROM a") == [(0,)]
