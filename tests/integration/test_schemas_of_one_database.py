"""A plan whose databases are two schemas of one database of a server: one run releases both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

_PLAN = """
version: 1
release: shop-2
databases:
  one: {engine: postgresql, url: "env:ONE", migrations: {tool: goose, dir: one}}
  two: {engine: postgresql, url: "env:TWO", migrations: {tool: goose, dir: two}}
"""


def test_one_run_releases_both_schemas(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "plan.yaml").write_text(_PLAN)
    environment = dict(os.environ)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in ("one", "two"):
            connection.execute(f"CREATE SCHEMA {name}")
            environment[name.upper()] = make_conninfo(database_url, options=f"-csearch_path={name}")
            (tmp_path / name).mkdir()
            for version in (1, 2, 3):
                up = f"-- +goose Up\nCREATE TABLE t{version} (id int);\n"
                (tmp_path / name / f"{version:05}_t.sql").write_text(up)

        argv = [sys.executable, "-m", "coordinator", "run", "--accept-unproven"]
        ended = subprocess.run(
            argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

        assert ended.returncode == 0, ended.stderr
        query = "SELECT schemaname, count(*) FROM pg_tables WHERE tablename LIKE 't_' GROUP BY 1 ORDER BY 1"
        assert connection.execute(query).fetchall() == [("one", 3), ("two", 3)]
