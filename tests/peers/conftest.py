"""The ground of the comparisons: a database for each side; without Go there is nothing to compare."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from fixtures.mariadb import ENGINE, root_connection
from peers.real_tools import LEDGERS, World, build, can_compare

from coordinator.model import Engine

_WIPE = """
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
  LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
END $$;
CREATE SCHEMA public;
"""


@pytest.fixture(scope="session")
def postgresql_worlds(postgres: str) -> Iterator[tuple[World, World]]:
    """Yield two databases for all tests: making and dropping one for each takes longer than comparing."""
    parts = urlsplit(postgres)
    names = [f"coordinator_peers_{os.getpid()}_{side}" for side in ("real", "ours")]
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in names:
            connection.execute(f'CREATE DATABASE "{name}"')
        urls = [f"{parts.scheme}://{parts.netloc}/{name}?{parts.query}".rstrip("?") for name in names]
        yield World(Engine.POSTGRESQL, urls[0]), World(Engine.POSTGRESQL, urls[1])
        for name in names:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def mariadb_worlds(mariadb: str) -> tuple[World, World]:
    """Return two databases for all tests."""
    names = [f"coordinator_peers_{os.getpid()}_{side}" for side in ("real", "ours")]
    return World(ENGINE, mariadb + names[0]), World(ENGINE, mariadb + names[1])


@pytest.fixture
def new_world(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Engine], World]:
    """Return a maker of empty databases of any engine; on a server a third one replaces the first."""
    numbers = count()

    def make(engine: Engine) -> World:
        number = next(numbers)
        if engine is Engine.SQLITE:
            return World(engine, f"sqlite://{tmp_path}/database{number}.db")
        world: World
        if engine is ENGINE:
            world = request.getfixturevalue("mariadb_worlds")[number % 2]
            name = world.url.rpartition("/")[2]
            with root_connection(world.url) as connection, connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {name}")
                cursor.execute(f"CREATE DATABASE {name}")
            return world
        world = request.getfixturevalue("postgresql_worlds")[number % 2]
        with psycopg.connect(world.url, autocommit=True) as connection:
            connection.execute(_WIPE)
        return world

    return make


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the comparisons out where the real tools can neither be found nor built."""
    peers = [item for item in items if item.get_closest_marker("peers")]
    if peers and not can_compare():
        config.hook.pytest_deselected(items=peers)
        items[:] = [item for item in items if item not in peers]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the real tools before the first test: it takes minutes once, which is more than a test may."""
    wanted = any("new_world" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        for tool in LEDGERS:
            with suppress(subprocess.SubprocessError):  # a test that wants it fails with what Go said
                build(tool)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Do not fail for want of Go; the last line says that nothing was compared."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and not can_compare():
        session.exitstatus = pytest.ExitCode.OK
