"""A server that takes no writes for a moment, as in a failover, is no reason for a release to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from fixtures.audience import Audience
from fixtures.code_release import release, world
from fixtures.mariadb import ENGINE, root_connection

from coordinator.errors import ExitCode
from coordinator.graph import StepId
from coordinator.journal.events import Outcome
from coordinator.model import Engine

PLAN = """
version: 1
release: shop-2
databases:
  shop: {engine: ENGINE, url: env:SHOP_URL, migrations: {tool: TOOL, dir: migrations}}
"""
FILES = {"goose": "1_one.sql", "golang-migrate": "1_one.up.sql"}
UP = "-- +goose Up\n-- coordinator: phase=expand\nINSERT INTO seen VALUES (1);\nCREATE TABLE one (x int);\n"


class Waits(Audience):
    """Lets the server take writes when it is said that it is tried again."""

    take: Callable[[], object]

    def noted(self, step: StepId, text: str) -> None:
        super().noted(step, text)
        if "Trying again" in text:
            self.take()


Turn = Callable[[str], object]


@contextmanager
def postgresql(url: str, maintenance: str) -> Iterator[tuple[str, Turn, Callable[[], int]]]:
    name = urlsplit(url).path.removeprefix("/")
    with psycopg.connect(maintenance, autocommit=True) as connection:

        def turn(to: str) -> None:
            connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {to}')
            connection.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            )

        def rows() -> int:
            with psycopg.connect(url) as reader:
                return len(reader.execute("SELECT * FROM seen").fetchall())

        with psycopg.connect(url, autocommit=True) as first:
            first.execute("CREATE TABLE seen (n int)")
        yield url, turn, rows


@contextmanager
def mariadb(url: str) -> Iterator[tuple[str, Turn, Callable[[], int]]]:
    name = url.rpartition("/")[2]
    with root_connection(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name}.seen (n int)")
        cursor.execute("CREATE USER switched@'127.0.0.1'")  # root writes also where nobody may
        cursor.execute(f"GRANT ALL ON {name}.* TO switched@'127.0.0.1'")
        try:
            yield (
                url.replace("root", "switched"),
                lambda to: cursor.execute(f"SET GLOBAL read_only = {to}"),
                lambda: cursor.execute(f"SELECT * FROM {name}.seen"),
            )
        finally:
            cursor.execute("SET GLOBAL read_only = off")
            cursor.execute("DROP USER switched@'127.0.0.1'")


@pytest.mark.parametrize("tool", FILES)
@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, pytest.param(ENGINE, marks=pytest.mark.mariadb)])
def test_a_migration_that_nothing_takes_for_a_moment_is_tried_again(
    engine: Engine, tool: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / FILES[tool]).write_text(UP)
    (tmp_path / "plan.yaml").write_text(PLAN.replace("ENGINE", engine).replace("TOOL", tool))
    on = (
        mariadb(request.getfixturevalue("mariadb_url"))
        if engine.speaks_mysql
        else postgresql(request.getfixturevalue("database_url"), request.getfixturevalue("postgres"))
    )
    with on as (url, turn, rows):
        audience = Waits(acts={"expand:shop:1_one": lambda: turn("on")})
        audience.take = lambda: turn("off")
        ended = release(world(tmp_path, {"SHOP_URL": url}), audience)

        assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE, (audience.failed, ended.problems)
        assert rows() == 1
    assert [each for each in audience.notes if "Trying again" in each]
