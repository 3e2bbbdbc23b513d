"""The real golang-migrate and the hook keep each other out of one database."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.local import until
from fixtures.mariadb import ENGINE
from peers.real_tools import World, real_command, run_ours, write_files

from coordinator import discovery
from coordinator.errors import Waiting
from coordinator.model import Engine
from coordinator.ports.databases import Batch

pytestmark = pytest.mark.peers
TOOL = "golang-migrate"
OF_HERE = (
    "locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
WAITING = f"SELECT 1 FROM pg_locks WHERE {OF_HERE} AND NOT granted"
ASLEEP = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()"
)


def test_the_real_tool_waits_while_the_hook_holds_the_locks(
    new_world: Callable[[Engine], World], tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_a.up.sql": "CREATE TABLE a (x integer);"})
    world = new_world(Engine.POSTGRESQL)
    hook = discovery.migration_tool(TOOL)

    with world.database.session(label="holder") as session:
        with session.locked(hook.lock_ids(session.target(None)), timeout=timedelta(0)):
            real = subprocess.Popen(real_command(TOOL, world, folder, "up"), stderr=subprocess.DEVNULL)
            until(lambda: session.query(WAITING), seconds=60)
            assert world.tables() == set()
        assert real.wait(60) == 0

    assert world.tables() == {"a"}


def test_the_hook_waits_while_the_real_tool_migrates(new_world: Callable[[Engine], World], tmp_path: Path):
    files = {"1_a.up.sql": "SELECT pg_sleep(600);", "2_b.up.sql": "CREATE TABLE b (x integer);"}
    folder = write_files(tmp_path / "migrations", files)
    world = new_world(Engine.POSTGRESQL)

    with world.database.session(label="watcher") as session:
        with subprocess.Popen(real_command(TOOL, world, folder, "up"), stderr=subprocess.DEVNULL) as real:
            until(lambda: session.query(ASLEEP), seconds=60)
            hook = discovery.migration_tool(TOOL)
            lock_ids = hook.lock_ids(session.target(None))
            held = f"SELECT objid::bigint FROM pg_locks WHERE {OF_HERE} AND granted"
            assert [lock_id for [lock_id] in session.query(held)] == [lock_ids[0]]
            outcome = run_ours(TOOL, world, folder)
            real.kill()
        session.query(f"SELECT pg_terminate_backend(pid) FROM ({ASLEEP.replace('1', 'pid', 1)}) AS asleep")

    assert outcome.refused == {"database-dirty"}


@pytest.mark.mariadb
def test_on_mariadb_the_real_tool_waits_while_the_hook_holds_its_lock(
    new_world: Callable[[Engine], World], tmp_path: Path
):
    folder = write_files(tmp_path / "migrations", {"1_a.up.sql": "CREATE TABLE a (x integer);"})
    world = new_world(ENGINE)
    hook = discovery.migration_tool(TOOL)
    waiting = (
        "SELECT 1 FROM information_schema.processlist WHERE state = 'User lock' AND db = DATABASE()"
        " AND info LIKE 'SELECT GET_LOCK(%, 10)'"
    )

    with world.database.session(label="holder") as session:
        with session.locked(hook.lock_ids(session.target(None)), timeout=timedelta(0)):
            real = subprocess.Popen(real_command(TOOL, world, folder, "up"), stderr=subprocess.DEVNULL)
            until(lambda: session.query(waiting), seconds=60)
            assert world.tables() == set()
        assert real.wait(60) == 0

    assert world.tables() == {"a"}


@pytest.mark.mariadb
def test_on_mariadb_the_hook_waits_while_the_real_tool_migrates(
    new_world: Callable[[Engine], World], tmp_path: Path
):
    files = {"1_a.up.sql": "SELECT SLEEP(600);", "2_b.up.sql": "CREATE TABLE b (x integer);"}
    folder = write_files(tmp_path / "migrations", files)
    world = new_world(ENGINE)
    hook = discovery.migration_tool(TOOL)
    asleep = "SELECT id FROM information_schema.processlist WHERE state = 'User sleep' AND db = DATABASE()"

    with world.database.session(label="watcher") as session:
        locks = hook.lock_ids(session.target(None))
        with subprocess.Popen(real_command(TOOL, world, folder, "up"), stderr=subprocess.DEVNULL) as real:
            until(lambda: session.query(asleep), seconds=60)
            with pytest.raises(Waiting) as held, session.locked(locks, timeout=timedelta(0)):
                pass
            real.kill()
        [[process]] = session.query(asleep)
        session.execute(Batch((f"KILL {process}",), transaction=False))

    assert f"process {process} (" in held.value.what
