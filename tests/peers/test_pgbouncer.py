"""A real PgBouncer before the server: transaction mode is recognised and refused, session mode passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import sleep
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from fixtures.local import until
from fixtures.one_statement import migrations_of
from fixtures.several import Several

from coordinator.adapters.databases import postgresql
from coordinator.adapters.platforms._local.addresses import free_port
from coordinator.errors import DatabaseError, Usage
from coordinator.model import LocksSpec
from coordinator.ports.databases import Batch, Patience
from coordinator.secret import Secret

pytestmark = pytest.mark.peers
PLAN = """
version: 1
release: shop-1
databases:
  shop: {engine: postgresql, url: "env:URL", migrations: {tool: goose, dir: migrations}}
"""
LOCK = (4097083626,)
BRIEF = timedelta(seconds=5)


@contextmanager
def pooled(url: str, *settings: str) -> Iterator[str]:
    """Start PgBouncer before the server of a URL and yield the URL through it."""
    program = shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    assert program is not None, "PgBouncer is missing: apt-get install pgbouncer"
    parts, folder = urlsplit(url), Path(tempfile.mkdtemp(prefix="pool-"))
    query, name = parse_qs(parts.query), parts.path.lstrip("/")
    host = query.get("host", [parts.hostname or "127.0.0.1"])[0]
    user = parts.username or "postgres"
    port = free_port()
    lines = [
        "[databases]",
        f"{name} = host={host} port={parts.port or 5432} user={user}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        "ignore_startup_parameters = extra_float_digits",
        *settings,
    ]
    if os.getuid() == 0:
        lines.append(f"user = {Path(host).owner() if host.startswith('/') else 'nobody'}")
    folder.chmod(0o755)
    (folder / "ini").write_text("\n".join(lines) + "\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "ini")], stdout=log, stderr=log)
    through = f"postgresql://{user}@127.0.0.1:{port}/{name}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(psycopg.Error), psycopg.connect(through, connect_timeout=5):
            return True
        return False

    try:
        until(answers)
        yield through
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def hold_a_lock(url: str) -> None:
    database = postgresql.connect(Secret(url), lock_timeout=BRIEF)
    with database.session(label="test") as session, session.locked(LOCK, timeout=BRIEF):
        pass


@pytest.mark.parametrize(
    "settings",
    [
        ("pool_mode = transaction",),
        ("pool_mode = transaction", "default_pool_size = 1"),
        ("pool_mode = transaction", "server_round_robin = 1"),
    ],
    ids=["default", "one-session", "round-robin"],
)
def test_refuses_a_lock_behind_transaction_mode(settings: tuple[str, ...], database_url: str):
    with pooled(database_url, *settings) as url, pytest.raises(Usage) as refused:
        hold_a_lock(url)

    assert refused.value.code == "pooled-sessions"
    assert f"database {urlsplit(database_url).path.lstrip('/')}" in refused.value.next_step


@pytest.mark.parametrize("size", [1, 20])
def test_takes_a_lock_behind_session_mode(size: int, database_url: str):
    with pooled(database_url, "pool_mode = session", f"default_pool_size = {size}") as url:
        hold_a_lock(url)


def test_sees_through_session_mode_who_holds_a_table(database_url: str):
    locks = LocksSpec(attempt=timedelta(milliseconds=100), budget=timedelta(milliseconds=400), deadline=BRIEF)
    patience = Patience(locks, lambda each: sleep(each.total_seconds()), lambda _: None, lambda _: None)
    change = Batch(("ALTER TABLE a ADD COLUMN y integer",), transaction=True, patience=patience)
    with psycopg.connect(database_url) as holder, pooled(database_url, "pool_mode = session") as url:
        holder.execute("CREATE TABLE a (x integer)")
        holder.commit()
        holder.execute("LOCK TABLE a IN ACCESS SHARE MODE")

        with (
            postgresql.connect(Secret(url), lock_timeout=BRIEF).session(label="test") as session,
            pytest.raises(DatabaseError) as blocked,
        ):
            session.execute(change)

        assert f"`a` (AccessExclusiveLock) is held by pid {holder.info.backend_pid}" in blocked.value.what


class Release(Several):
    """A series behind a pooler."""

    locks = LocksSpec(BRIEF, BRIEF, BRIEF)


def test_what_a_session_keeps_prepared_stands_in_nobodys_way(database_url: str):
    """One session of the server is handed on from one command to the next, with what it keeps."""
    settings = ("pool_mode = session", "server_reset_query =", "default_pool_size = 1")
    counts = []
    with pooled(database_url, *settings) as url:
        for tool in ("goose", "golang-migrate"):
            files = (f"CREATE TABLE {tool.partition('-')[0]}_{each} (x int)" for each in range(6))
            session = postgresql.connect(Secret(url), lock_timeout=BRIEF).session(label="test")
            release = Release(session, tool, migrations_of(tool, *files))
            counts.append(release.apply_from(2))
            release.series.close()

    assert counts == [5, 5]


def test_takes_a_lock_without_a_pooler(database_url: str):
    hold_a_lock(database_url)


def test_a_release_through_transaction_mode_is_refused_before_anything_is_done(
    database_url: str, tmp_path: Path
):
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1_a.sql").write_text("-- +goose Up\nCREATE TABLE a (x int);\n")

    with pooled(database_url, "pool_mode = transaction") as url:
        ended, doctor, plan = (
            subprocess.run(
                [sys.executable, "-m", "coordinator", command],
                cwd=tmp_path,
                env={**os.environ, "URL": url},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            for command in ("run", "doctor", "plan")
        )

    assert (ended.returncode, "error[pooled-sessions]" in ended.stderr) == (2, True), ended.stderr
    name = urlsplit(database_url).path.lstrip("/")
    assert (doctor.returncode, "✘ database shop: error[pooled-sessions]" in doctor.stdout) == (1, True)
    assert f"database {name}; or a pool in session mode" in doctor.stdout
    assert "warning[pooled-sessions]" in plan.stdout + plan.stderr, plan
    assert f"database {name}; or a pool in session mode" in plan.stdout + plan.stderr
    with psycopg.connect(database_url) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall() == [(0,)]
