"""`coordinator plan --against`: a branch's release, from a git repository alone, with nothing live to ask."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.alembic_project import INI, LINE, write_project
from fixtures.repository import Repository

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "pull-requests.md"
PLAN = """
version: 1
release: shop-${VERSION}
databases:
  shop:
    engine: sqlite
    url: env:NOT_SET_ANYWHERE
    migrations: {tool: goose, dir: db/migrations}
services:
  orders:
    version: ${VERSION}
    uses: [shop]
    queries: {sql: db/queries}
    platform: {local: {command: [./orders]}}
"""
FIRST = "-- +goose Up\nCREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, total text);\n"
ADD = "-- +goose Up\nALTER TABLE orders ADD COLUMN cents integer;\n"
DROP = "-- +goose Up\nALTER TABLE orders DROP COLUMN total;\n"
OLD_QUERY = "-- name: GetOrder :one\nSELECT id, total FROM orders WHERE id = ?;\n"
NEW_QUERY = "-- name: GetOrder :one\nSELECT id, cents FROM orders WHERE id = ?;\n"

SQLC = 'version: "2"\nsql: [{engine: sqlite, schema: db/migrations, queries: db/queries}]\n'


ALEMBIC_PLAN = """
version: 1
release: shop-2
databases:
  shop: {engine: sqlite, url: env:SHOP_DATABASE_URL, migrations: {tool: alembic, dir: .}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Repository:
    """Return a repository with a released version on main, and a branch that is checked out."""
    made = Repository(tmp_path / "shop")
    made.write("plan.yaml", PLAN)
    made.write("db/migrations/00001_orders.sql", FIRST)
    made.write("db/queries/orders.sql", OLD_QUERY)
    made.commit("v1.4")
    made.git("switch", "--quiet", "-c", "feature")
    return made


def renamed(shop: Repository, *, add: str = "00002_add_cents", drop: str = "00003_drop_total") -> None:
    """Write a column's rename in two steps, and the query that wants the new name."""
    shop.write(f"db/migrations/{add}.sql", ADD)
    shop.write(f"db/migrations/{drop}.sql", DROP)
    shop.write("db/queries/orders.sql", NEW_QUERY)


def coordinator(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coordinator", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )


def against(
    shop: Repository, ref: str = "merge-base", *arguments: str, ends: int = 0
) -> subprocess.CompletedProcess[str]:
    done = coordinator(shop.folder, "plan", "--against", ref, "--set", "VERSION=next", *arguments)
    assert done.returncode == ends, done.stdout + done.stderr
    return done


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, list[tuple[str, int, str]]]:
    """Return the findings of GitLab's report: for each code its places and severities."""
    found: dict[str, list[tuple[str, int, str]]] = {}
    for each in json.loads(done.stdout):
        place = (each["location"]["path"], each["location"]["lines"]["begin"], each["severity"])
        found.setdefault(each["check_name"], []).append(place)
    return found


def test_says_which_migration_is_expand_which_waits_and_which_query_needs_what(shop: Repository):
    renamed(shop)

    plan = json.loads(against(shop, "merge-base", "--output", "json").stdout)

    phases = [(each["migration"], each["phase"], each["basis"]) for each in plan["databases"]["shop"]]
    assert phases == [
        ("00002_add_cents", "expand", "rehearsed"),
        ("00003_drop_total", "contract", "rehearsed"),
    ]
    assert plan["verdict"] == "proven"


def test_shows_the_facts_at_the_lines_of_the_branch(shop: Repository):
    renamed(shop)

    found = findings(against(shop, "v1.4", "--output", "gitlab"))

    assert found["migration-phase"] == [
        ("db/migrations/00002_add_cents.sql", 1, "info"),
        ("db/migrations/00003_drop_total.sql", 1, "info"),
    ]
    assert found["query-needs-migration"] == [("db/queries/orders.sql", 1, "info")]


def test_warns_of_the_program_that_a_migration_in_code_needs_and_that_is_not_there(shop: Repository):
    command = "dir: db/migrations, command: [./no-such-program]"
    shop.write("plan.yaml", PLAN.replace("dir: db/migrations", command))
    shop.write("db/migrations/00002_fill.go", "// coordinator: phase=expand\npackage migrations\n")

    done = against(shop, "merge-base", "--output", "gitlab")

    assert findings(done)["program-missing"] == [("plan.yaml", 8, "major")]


def test_refuses_what_no_order_can_save(shop: Repository):
    renamed(shop, add="00003_add_cents", drop="00002_drop_total")

    done = against(shop, "merge-base", "--output", "gitlab", ends=3)

    found = findings(done)
    assert ("db/queries/orders.sql", 1, "critical") in found["query-needs-migration"]
    assert "GetOrder" in done.stderr


def test_refuses_an_edited_migration_in_every_form(shop: Repository):
    shop.write("db/migrations/00001_orders.sql", FIRST.replace("total text", "total integer"))

    done = against(shop, "merge-base", "--output", "github", ends=2)

    assert "::error file=db/migrations/00001_orders.sql,line=1,title=migration-edited" in done.stdout
    assert "error[migration-edited]" in done.stderr


def test_a_branch_without_migrations_is_proven_if_its_queries_work(shop: Repository):
    shop.write("db/queries/orders.sql", OLD_QUERY + "-- name: Count :one\nSELECT count(*) FROM orders;\n")

    assert "Verdict: proven" in against(shop).stdout


def test_a_query_that_fails_on_the_branchs_own_schema_is_never_proven(shop: Repository):
    shop.write("db/queries/orders.sql", NEW_QUERY)

    found = findings(against(shop, "merge-base", "--output", "gitlab"))

    assert found["query-already-fails"] == [("db/queries/orders.sql", 1, "major")]
    assert "release-unproven" in found


def test_names_a_commit_that_is_not_there(shop: Repository):
    said = against(shop, "v9", ends=2).stderr

    assert "error[unknown-ref]: `v9` is no commit in the git repository of `.`. Tried" in said


def test_works_without_a_plan_file_from_what_it_finds(shop: Repository):
    renamed(shop)
    shop.git("rm", "--quiet", "--cached", "plan.yaml")
    (shop.folder / "plan.yaml").unlink()

    done = coordinator(shop.folder, "plan", "--against", "merge-base", "--output", "json")

    plan = json.loads(done.stdout)
    assert [each["phase"] for each in plan["databases"]["shop"]] == ["expand", "contract"]
    assert plan["verdict"] == "proven"
    assert "Without a plan file: queries for `shop`: sql db/queries" in done.stderr
    assert not (shop.folder / "plan.yaml").exists()


def test_works_without_a_plan_file_from_flags(shop: Repository):
    renamed(shop)
    flags = (
        "--migrations",
        "db/migrations",
        "--tool",
        "goose",
        "--engine",
        "sqlite",
        "--queries",
        "db/queries",
    )

    done = coordinator(shop.folder, "plan", "--against", "v1.4", *flags, "--output", "gitlab")

    assert done.returncode == 0, done.stderr
    assert ("db/queries/orders.sql", 1, "info") in findings(done)["query-needs-migration"]
    assert not [place for places in findings(done).values() for place in places if "plan" in place[0]]


def test_says_that_a_configuration_has_no_queries_for_the_engine(shop: Repository):
    shop.write("sqlc.yaml", SQLC.replace("engine: sqlite", "engine: mysql"))

    flags = ("--migrations", "db/migrations", "--engine", "sqlite", "--sqlc", "sqlc.yaml")
    done = coordinator(shop.folder, "plan", "--against", "v1.4", *flags)

    assert (done.returncode, "sqlc.yaml has no queries for sqlite" in done.stderr) == (2, True)


def test_says_that_there_is_nothing_to_review(tmp_path: Path):
    Repository(tmp_path / "empty").commit("v1")

    done = coordinator(tmp_path / "empty", "plan", "--against", "v1")

    assert (done.returncode, "error[nothing-found]" in done.stderr) == (2, True)


def test_refuses_flags_that_say_nothing_of_a_world(shop: Repository):
    done = coordinator(shop.folder, "plan", "--migrations", "db/migrations")

    assert (done.returncode, "error[only-with-against]" in done.stderr) == (2, True)


def test_asks_postgresql_where_the_branch_is_for_it(tmp_path: Path):
    made = Repository(tmp_path / "pg")
    made.write("migrations/000001_users.up.sql", "CREATE TABLE users (id bigserial PRIMARY KEY, name text);")
    made.write("migrations/000001_users.down.sql", "DROP TABLE users;")
    made.write(
        "sqlc.yaml", 'version: "2"\nsql: [{engine: postgresql, schema: migrations, queries: queries}]\n'
    )
    made.write("queries/users.sql", "-- name: GetUser :one\nSELECT * FROM users WHERE id = $1;\n")
    made.commit("v1")
    made.write("migrations/000002_drop.up.sql", "ALTER TABLE users DROP COLUMN name;")
    made.write("migrations/000002_drop.down.sql", "ALTER TABLE users ADD COLUMN name text;")

    done = coordinator(made.folder, "plan", "--against", "v1", "--output", "json")

    plan = json.loads(done.stdout)
    assert [(each["phase"], each["basis"]) for each in plan["databases"]["pg"]] == [("contract", "rehearsed")]


# -- the document ---------------------------------------------------------------------------------------


def fenced(language: str) -> list[str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def command_lines(value: Any) -> list[str]:
    """Return every text in a pipeline's file that calls coordinator."""
    match value:
        case str():
            return [value] if value.startswith("coordinator ") else []
        case dict():
            return [line for each in value.values() for line in command_lines(each)]
        case list():
            return [line for each in value for line in command_lines(each)]
    return []


LINES = [
    *(line for text in fenced("sh") for line in text.splitlines() if line),
    *(line for text in fenced("yaml") for line in command_lines(yaml.safe_load(text))),
]


def test_the_document_has_a_pipeline_of_each_kind_and_a_hook():
    documents = [yaml.safe_load(text) for text in fenced("yaml")]

    assert [min(map(str, each)) for each in documents] == ["True", "schema", "repos"]
    assert len(LINES) == 6


@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_document_runs(shop: Repository, line: str):
    shop.git("switch", "--quiet", "main")
    shop.write("sqlc.yaml", SQLC)
    shop.commit("base")
    shop.git("switch", "--quiet", "-C", "feature")
    renamed(shop)
    environment = {
        **os.environ,
        "VERSION": "next",
        "BASE": "base",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": "base",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    # The document's example is for PostgreSQL; this repository is for SQLite.
    done = subprocess.run(
        line.replace("--engine postgresql", "--engine sqlite"),
        shell=True,
        cwd=shop.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("below", ["", "2026/11/"])
def test_a_project_of_alembic_on_sqlite_needs_no_address(tmp_path: Path, below: str):
    shop = Repository(tmp_path / "shop")
    recursive = "%(here)s/migrations\nrecursive_version_locations = true"
    ini = INI.replace("%(here)s/migrations", recursive) if below else INI
    write_project(shop.folder, {}, ini=ini)
    shop.write(f"migrations/versions/{below}a1.py", LINE["a1.py"])
    shop.write("plan.yaml", ALEMBIC_PLAN)
    shop.git("add", "--all")
    shop.commit("v1.4")
    for name in ("b2.py", "c3.py"):
        shop.write(f"migrations/versions/{below}{name}", LINE[name])

    done = coordinator(shop.folder, "plan", "--against", "v1.4")

    assert done.returncode == 0, done.stderr
    assert "database  shop: alembic, 1 applied, 2 pending" in done.stdout


def test_a_section_of_alembic_counts_at_both_revisions(tmp_path: Path):
    shop = Repository(tmp_path / "shop")
    named = INI.replace("[alembic]", "[alembic]\nscript_location = elsewhere\n[stock]")
    write_project(shop.folder, {"a1.py": LINE["a1.py"]}, ini=named)
    shop.write("plan.yaml", ALEMBIC_PLAN.replace("dir: .", "dir: ., section: stock"))
    shop.git("add", "--all")
    shop.commit("v1.4")
    shop.write("migrations/versions/b2.py", LINE["b2.py"])

    done = coordinator(shop.folder, "plan", "--against", "v1.4")

    assert done.returncode == 0, done.stderr
    assert "database  shop: alembic (section stock), 1 applied, 1 pending" in done.stdout
