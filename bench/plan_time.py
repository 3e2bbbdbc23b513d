"""How long `coordinator plan` takes of many pending migrations on an empty database, as a whole command.

The migrations are those of many_migrations.py: every second makes a table, the one after it adds a column.
A line is the median of its rounds. With `--queries` a service has that many queries in each of its two
versions, so that every state between two migrations is asked; without them nobody asks, and one scratch
database is enough. The cache of evidence is emptied before each: nothing was rehearsed before.

    python bench/plan_time.py
    python bench/plan_time.py --engine sqlite --migrations 50 --migrations 400 --queries 40 --rounds 3
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from many_migrations import COORDINATOR, SERVERS, Bench, timed, write_sql

from coordinator.model import Engine

SERVICE = """
services:
  app:
    version: "2"
    uses: [shop]
    queries: {sql: "queries/{version}"}
    platform: {local: {command: [python3, app.py]}}
"""
MARKS = {Engine.POSTGRESQL: "$1", Engine.SQLITE: "?", Engine.MARIADB: "?"}


def write_queries(folder: Path, engine: Engine, *, queries: int, migrations: int) -> None:
    """Give the plan a service that reads the tables in turns, the same in both of its versions."""
    tables = range(1, migrations + 1, 2)
    text = "".join(
        f"-- name: Get{n} :one\nSELECT id, label FROM thing_{tables[n % len(tables)]}"
        f" WHERE id = {MARKS[engine]};\n"
        for n in range(queries)
    )
    for version in ("1", "2"):
        (folder / "queries" / version).mkdir(parents=True)
        (folder / "queries" / version / "queries.sql").write_text(text)
    with (folder / "plan.yaml").open("a") as plan:
        plan.write(SERVICE)


def seconds(bench: Bench, folder: Path) -> float:
    """Plan once, for an empty database, and return how long it took."""
    shutil.rmtree(folder / ".coordinator", ignore_errors=True)
    environment = {"URL": bench.new_world().url, "XDG_CACHE_HOME": str(folder / ".coordinator")}
    return timed([*COORDINATOR, "plan"], folder=folder, environment=environment, called="plan")


def main() -> None:
    """Print the table."""
    parser = ArgumentParser()
    parser.add_argument("--engine", type=Engine, default=Engine.POSTGRESQL)
    parser.add_argument("--migrations", type=int, action="append", help="several: 100 and 200")
    parser.add_argument("--queries", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    print(f"| plan on {given.engine}, {given.queries} queries | median s | ms a migration |\n|---|---|---|")
    for migrations in given.migrations or [100, 200]:
        with tempfile.TemporaryDirectory(prefix="b-") as root, SERVERS[given.engine](Path(root)) as bench:
            folder = Path(root) / "goose"
            write_sql(folder, "goose", given.engine, migrations)
            if given.queries:
                write_queries(folder, given.engine, queries=given.queries, migrations=migrations)
            took = statistics.median(seconds(bench, folder) for _ in range(given.rounds))
        print(f"| {migrations} migrations | {took:.2f} | {1000 * took / migrations:.0f} |")


if __name__ == "__main__":
    main()
