"""A user whose password changes in the middle of a run: it stops there at once, and goes on later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
  shop: {engine: ENGINE, url: "SCHEME", migrations: {tool: goose, dir: migrations}}
"""
UP = "-- +goose Up\n-- coordinator: phase=expand\nCREATE TABLE {} (x int);\n"
ENGINES = [Engine.POSTGRESQL, pytest.param(ENGINE, marks=pytest.mark.mariadb)]


@dataclass(frozen=True)
class Rotating:
    """A database's user; its server is told to refuse it, and to take it again."""

    url: str
    refuse: Callable[[], None]
    take: Callable[[], None]


@contextmanager
def rotating_on(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Rotating]:
    if engine is Engine.POSTGRESQL:
        with on_postgresql(str(request.getfixturevalue("database_url"))) as user:
            yield user
    else:
        with on_mariadb(str(request.getfixturevalue("mariadb_url"))) as user:
            yield user


@contextmanager
def on_postgresql(url: str) -> Iterator[Rotating]:
    with psycopg.connect(url, autocommit=True) as connection:

        def refuse() -> None:
            connection.execute("ALTER ROLE rotated NOLOGIN")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'"
            )

        def take() -> None:
            connection.execute("ALTER ROLE rotated LOGIN")

        connection.execute("CREATE ROLE rotated LOGIN SUPERUSER")
        try:
            who = urlsplit(url).netloc.partition("@")[0]
            yield Rotating(url.replace(f"//{who}@", "//rotated@", 1), refuse, take)
        finally:
            connection.execute("REASSIGN OWNED BY rotated TO CURRENT_USER")
            connection.execute("DROP ROLE rotated")


@contextmanager
def on_mariadb(url: str) -> Iterator[Rotating]:
    with root_connection(url) as connection, connection.cursor() as cursor:

        def refuse() -> None:
            cursor.execute("ALTER USER rotated@'127.0.0.1' IDENTIFIED BY 'after'")
            cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'rotated'")
            for [session] in cursor.fetchall():
                cursor.execute(f"KILL {session}")

        def take() -> None:
            cursor.execute("ALTER USER rotated@'127.0.0.1' IDENTIFIED BY 'before'")

        cursor.execute("CREATE USER rotated@'127.0.0.1' IDENTIFIED BY 'before'")
        cursor.execute(f"GRANT ALL ON {url.rpartition('/')[2]}.* TO rotated@'127.0.0.1'")
        try:
            yield Rotating(url.replace("root@", "rotated:before@"), refuse, take)
        finally:
            cursor.execute("DROP USER rotated@'127.0.0.1'")


def lay_out(folder: Path, engine: Engine, *, url: str) -> None:
    (folder / "migrations").mkdir()
    for number, name in enumerate(("one", "two"), start=1):
        (folder / "migrations" / f"{number}_{name}.sql").write_text(UP.format(name))
    (folder / "plan.yaml").write_text(PLAN.replace("ENGINE", engine).replace("SCHEME", url))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_stops_at_once_turns_nothing_back_and_goes_on_with_the_password_that_holds(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    lay_out(tmp_path, engine, url="env:SHOP_URL")
    with rotating_on(engine, request) as user:
        audience = Audience(acts={"expand:shop:1_one": user.refuse})
        stopped = release(world(tmp_path, {"SHOP_URL": user.url}), audience)
        user.take()
        ended = release(world(tmp_path, {"SHOP_URL": user.url}))

    assert stopped.state is not None
    assert stopped.state.rollback is None
    assert stopped.exit_code(wanted=Outcome.RELEASED) is ExitCode.FAILED
    [problem] = stopped.problems
    assert problem.code == "database-unreachable"
    assert "`shop` (env:SHOP_URL)" in problem.what
    assert not [each for each in audience.notes if "Asking again" in each]
    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE


class Rotates(Audience):
    """Lets the user in again when it is said that it is asked again."""

    user: Rotating

    def noted(self, step: StepId, text: str) -> None:
        super().noted(step, text)
        if "Asking again" in text:
            self.user.take()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_that_may_get_the_new_password_is_read_once_more(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    lay_out(tmp_path, engine, url="file:url")
    with rotating_on(engine, request) as user:
        (tmp_path / "url").write_text(user.url)
        audience = Rotates(acts={"expand:shop:1_one": user.refuse})
        audience.user = user
        ended = release(world(tmp_path, {}), audience)

    assert ended.exit_code(wanted=Outcome.RELEASED) is ExitCode.DONE
    assert [each for each in audience.notes if "Asking again" in each]
