"""How long it takes to replay a history of 80 tags, of which 40 bring a migration, with 170 queries each.

Each of the 40 releases has two states and two versions, which makes 27,200 checks of a query. The limit is
10 seconds, the start and the end of the scratch server included. The repository is made by `git fast-import`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TAGS, QUERIES, TABLES = 80, 170, 34
LIMIT = 10.0


def history() -> Iterator[str]:
    """Yield a stream for git fast-import: tags v0.1 to v0.80, every second with a migration."""
    first = "".join(
        f"CREATE TABLE t{table} (id bigint PRIMARY KEY, name text NOT NULL, c{table} int);\n"
        for table in range(TABLES)
    )
    files = {"migrations/00001_init.sql": f"-- +goose Up\n{first}"}
    for tag in range(1, TAGS + 1):
        if tag % 2 == 0:
            sql = f"ALTER TABLE t{tag % TABLES} ADD COLUMN added_{tag} int;"
            files[f"migrations/{tag:05}_add.sql"] = f"-- +goose Up\n{sql}\n"
        files["queries/queries.sql"] = "".join(query(number, tag) for number in range(QUERIES))
        yield f"commit refs/heads/main\nmark :{tag}\n"
        yield f"committer B <b@example.org> {1_700_000_000 + tag * 86_400} +0000\n{data(f'{tag}')}"
        for path, text in files.items():
            yield f"M 100644 inline {path}\n{data(text)}"
        yield f"reset refs/tags/v0.{tag}\nfrom :{tag}\n\n"
    yield "done\n"


def query(number: int, tag: int) -> str:
    """Return a query of a version; one of them needs the version's own migration."""
    table, added = number % TABLES, tag - tag % 2
    column = f"t.added_{added}" if added and table == added % TABLES else "t.name"
    join = f"JOIN t{(table + 1) % TABLES} u ON u.id = t.id"
    select = f"SELECT t.id, {column}, u.name FROM t{table} t {join} WHERE t.id = $1;"
    return f"-- name: Query{number} :many\n{select}\n\n"


def data(text: str) -> str:
    """Return a text as fast-import takes it."""
    return f"data {len(text.encode())}\n{text}\n"


def main() -> int:
    """Print the seconds and what was found; 1 if it took longer than the limit."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
        stream = "".join(history()).encode()
        subprocess.run(["git", "fast-import", "--quiet", "--done"], cwd=folder, input=stream, check=True)
        command = [sys.executable, "-m", "coordinator", "backtest", "--tool", "goose", "--output", "json"]
        options = ["--repo", folder, "--migrations", "migrations", "--queries", "queries"]
        start = time.perf_counter()
        ended = subprocess.run([*command, *options], cwd=Path.cwd(), capture_output=True, check=True)
        seconds = time.perf_counter() - start
    found = json.loads(ended.stdout)
    checks = sum((len(each["migrations"]) + 1) * sum(each["queries"].values()) for each in found["releases"])
    print(f"{TAGS} tags, {found['summary']['releases']} releases, {checks:,} checks: {seconds:.1f} s")
    print(found["summary"])
    return int(seconds > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
