"""`coordinator init`: what it finds, what it writes, and that what it writes validates."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.drafted_plan import coordinator, planned, write

from coordinator.app.draft import SMALLEST
from coordinator.app.finding import files as finding_files
from coordinator.app.finding import find
from coordinator.load import load_text

GOOSE = "-- +goose Up\nCREATE TABLE orders (id bigserial PRIMARY KEY, total jsonb);\n"
SQLC = """
version: "2"
sql:
  - engine: {engine}
    schema: migrations
    queries: [queries]
    gen: {{go: {{out: internal/db}}}}
"""
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: database}
spec: {template: {spec: {containers: [{image: "postgres:18"}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders-api}
spec:
  template:
    spec:
      containers:
        - image: registry.example/orders:1.4
          ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {ports: [{port: 80}]}
"""


def test_writes_a_plan_from_goose_sqlc_and_manifests(tmp_path: Path):
    text = planned(
        tmp_path / "shop",
        {
            "migrations/00001_orders.sql": GOOSE,
            "queries/orders.sql": "-- name: GetOrder :one\nSELECT * FROM orders WHERE id = $1;\n",
            "sqlc.yaml": SQLC.format(engine="postgresql"),
            "deploy/orders.yaml": MANIFEST,
            "deploy/template.yaml": "apiVersion: {{ .Values.x }}\nkind: Deployment\n",
        },
    )

    assert "engine: postgresql" in text
    assert '    # server_version: "16"\n' in text
    assert "# migrations: 1 file of goose. Engine: sqlc.yaml says so." in text
    assert "migrations: {tool: goose, dir: migrations}" in text
    assert "- sqlc: sqlc.yaml" in text
    assert "  orders-api:\n" in text
    assert "`deployment:` with a file that holds this one Deployment and nothing else" in text
    assert (
        "# - deploy/orders.yaml: Kubernetes Deployment `orders-api`, image registry.example/orders:1.4,"
        in text
    )


def test_a_manifest_of_one_deployment_makes_a_plan_for_kubernetes(tmp_path: Path):
    deployment = MANIFEST.split("---")[1]
    text = planned(
        tmp_path / "shop", {"deploy/orders.yaml": deployment, "deploy/service.yaml": MANIFEST.split("---")[2]}
    )

    assert "# deploy/orders.yaml: Deployment `orders-api`." in text
    assert '    version: "1.4"\n' in text
    assert "        service: orders\n" in text
    assert "        deployment: deploy/orders.yaml\n" in text
    assert '        image: "registry.example/orders:1.4"' in text


@pytest.mark.parametrize("image", ["orders", "orders:latest", "orders:${VERSION}", "host:5000/orders"])
def test_an_image_that_tells_no_version_makes_no_plan_for_kubernetes(tmp_path: Path, image: str):
    deployment = MANIFEST.split("---")[1].replace("registry.example/orders:1.4", f'"{image}"')

    text = planned(tmp_path / "shop", {"deploy/orders.yaml": deployment})

    assert "      local:\n" in text


def test_finds_golang_migrate_on_sqlite_plain_queries_and_a_procfile(tmp_path: Path):
    text = planned(
        tmp_path / "Notes App",
        {
            "db/1_notes.up.sql": "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT);",
            "db/1_notes.down.sql": "DROP TABLE notes;",
            "db/queries/notes.sql": "SELECT id FROM notes;",
            "Procfile": "worker: ./work\nweb: python3 -m notes\n",
        },
    )

    assert "engine: sqlite" in text
    assert "server_version" not in text
    assert "migrations: {tool: golang-migrate, dir: db}" in text
    assert "- sql: db/queries" in text
    assert "  notes-app:\n    # FILL IN" in text
    assert 'command: [python3, "-m", notes]' in text


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("uvicorn shop:app --port $PORT", 'command: [sh, "-c", "exec uvicorn shop:app --port $PORT"]'),
        ("serve -p ${PORT}", 'command: [sh, "-c", "exec serve -p $${PORT}"]'),
        ("TOKEN=geheim serve -p $PORT", "starts through a shell or with variables: see there"),
        ("serve -p $PORTS", "starts through a shell or with variables: see there"),
    ],
)
def test_of_a_procfile_s_variables_the_port_alone_is_taken(tmp_path: Path, line: str, shown: str):
    text = planned(tmp_path / "shop", {"migrations/00001_a.sql": GOOSE, "Procfile": f"web: {line}\n"})

    assert shown in text
    assert "geheim" not in text


def test_takes_several_databases_and_leaves_other_engines_out(tmp_path: Path):
    text = planned(
        tmp_path / "many",
        {
            "billing/migrations/00001_a.sql": GOOSE,
            "orders/migrations/00001_a.sql": GOOSE,
            "orders/migrations/00002_b.sql": "-- +goose Up\nSELECT 1;\n",
            "legacy/clickhouse/00001_a.sql": "-- +goose Up\nCREATE TABLE t (id int);\n",
            "sqlc.json": '{"version": "1", "packages": [{"schema": "billing/migrations", "queries": "q"}]}',
            "q/a.sql": "-- name: A :one\nSELECT 1;\n",
        },
    )

    assert "uses: [orders, billing]" in text
    assert "url: env:ORDERS_DATABASE_URL" in text
    assert "database: billing" in text
    assert "# - legacy/clickhouse: goose for clickhouse, which coordinator does not support." in text


def test_says_that_a_plan_has_no_database(tmp_path: Path):
    text = planned(tmp_path / "shop", {"Procfile": "web: ./run\n"})

    assert "databases:" not in text
    assert "# - no migrations of goose, golang-migrate or Alembic: the plan has no database yet." in text


def test_a_deployment_of_tests_is_not_the_service_s(tmp_path: Path):
    manifest = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: broker}\n"
        "spec: {template: {spec: {containers: [{name: a, image: 'broker:1.2'}]}}}\n"
    )

    text = planned(tmp_path / "shop", {"db/00001_a.sql": GOOSE, "tests/k8s/broker.yaml": manifest})

    assert "  shop:\n    # FILL IN: the version" in text
    assert "kubernetes:" not in text
    assert "# - tests/k8s/broker.yaml: Kubernetes Deployment `broker`" in text


def test_tells_mysql_by_its_statements(tmp_path: Path):
    text = planned(
        tmp_path / "shop",
        {"db/00001_a.sql": "-- +goose Up\nCREATE TABLE `t` (note text COMMENT 'it\\'s') ENGINE=InnoDB;\n"},
    )

    assert "engine: mysql" in text
    assert "may lead to a MariaDB" in text


def test_writes_what_is_hostile_as_text(tmp_path: Path):
    text = planned(
        tmp_path / "odd",
        {
            'a "${HOME}" #/migrations/00001_a.sql': GOOSE,
            "deploy.yaml": 'apiVersion: v1\nkind: Service\nmetadata: {name: "x\\nevil: 1"}\n',
            "Dockerfile": 'FROM x\nCMD ["./run", "--dsn=postgres://u:secret@db/x"]\n',
        },
    )

    assert "secret" not in text
    assert "\nevil" not in text
    assert "Dockerfile: starts through a shell or with variables: see there." in text


def test_writes_what_validates_says_what_it_found_and_what_is_next(tmp_path: Path):
    write(tmp_path, {"db/00001_a.sql": GOOSE})
    (tmp_path / "deploy").mkdir()

    done = coordinator(tmp_path, "init", "--output", "deploy/plan.yaml")

    assert "Found database" in done.stdout
    assert "coordinator validate deploy/plan.yaml" in done.stdout
    assert 'dir: "../db"' in (tmp_path / "deploy" / "plan.yaml").read_text()
    assert coordinator(tmp_path, "validate", "deploy/plan.yaml").returncode == 0


def test_says_that_migrations_are_there_that_cannot_be_read(tmp_path: Path):
    write(tmp_path, {"db/00001_a.sql": GOOSE, "db/00002_b.go": "package db\n"})

    done = coordinator(tmp_path, "init")

    assert done.returncode == 0
    assert "Not all is well in db: `validate` says what it is in 1 file." in done.stdout


def test_overwrites_nothing(tmp_path: Path):
    write(tmp_path, {"migrations/00001_a.sql": GOOSE, "plan.yaml": "mine"})

    done = coordinator(tmp_path, "init")

    assert (done.returncode, (tmp_path / "plan.yaml").read_text()) == (2, "mine")
    assert "error[plan-exists]" in done.stderr


def test_shows_the_smallest_plan_where_nothing_is_found(tmp_path: Path):
    done = coordinator(tmp_path, "init")

    assert done.returncode == 2
    assert "error[nothing-found]" in done.stderr
    assert SMALLEST in done.stderr
    assert not (tmp_path / "plan.yaml").exists()


def test_the_smallest_plan_is_one(tmp_path: Path):
    loaded = load_text(SMALLEST, tmp_path / "plan.yaml", settings={}, environment={})

    assert (loaded.plan is not None, loaded.diagnostics) == (True, ())


def test_says_where_a_plan_cannot_be_written(tmp_path: Path):
    write(tmp_path, {"migrations/00001_a.sql": GOOSE})

    done = coordinator(tmp_path, "init", "--output", "nowhere/plan.yaml")

    assert done.returncode == 2
    assert "error[file-unwritable]" in done.stderr


def test_leaves_no_part_of_a_plan_on_a_disk_that_is_full(tmp_path: Path):
    write(tmp_path, {"db/00001_a.sql": GOOSE})
    small = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))"

    done = subprocess.run(
        [sys.executable, "-B", "-c", f"{small}; from coordinator.__main__ import main; main()", "init"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert "error[file-unwritable]: plan.yaml cannot be written: File too large." in done.stderr
    assert not (tmp_path / "plan.yaml").exists()


def test_looks_into_no_foreign_folder_and_through_no_link(tmp_path: Path):
    outside = tmp_path / "outside"
    write(outside, {"00001_a.sql": GOOSE})
    inside = tmp_path / "inside"
    write(
        inside,
        {f"{folder}/m/00001_a.sql": GOOSE for folder in ("node_modules", "vendor", ".git", "testdata")},
    )
    (inside / "linked").symlink_to(outside, target_is_directory=True)
    (inside / "00002_b.sql").symlink_to(outside / "00001_a.sql")
    os.mkfifo(inside / "00003_c.sql")

    assert find(inside).migrations == ()


def test_says_that_it_did_not_look_at_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(finding_files, "MAX_FILES", 2)
    write(tmp_path, {f"{name}.txt": "" for name in "abc"})

    assert any("Only the first" in each for each in find(tmp_path).notes)


@pytest.mark.parametrize(
    ("sql", "engine"),
    [
        ("CREATE TABLE t (id serial);", "postgresql"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT);", "sqlite"),
        ("CREATE TABLE t (id int);", "postgresql"),
    ],
)
def test_guesses_the_engine_from_the_sql(tmp_path: Path, sql: str, engine: str):
    write(tmp_path, {"m/00001_a.sql": f"-- +goose Up\n{sql}\n"})

    [found] = find(tmp_path).migrations

    assert found.engine == engine


@pytest.mark.parametrize(
    ("drivers", "engine"),
    [
        (["github.com/mattn/go-sqlite3 v1.14.22"], "sqlite"),
        (["modernc.org/sqlite v1.30.0", "github.com/jackc/pgx/v5 v5.6.0 // indirect"], "sqlite"),
        (["github.com/go-sql-driver/mysql v1.8.1"], "mysql"),
        (["github.com/mattn/go-sqlite3 v1.14.22", "github.com/lib/pq v1.10.9"], "postgresql"),
    ],
)
def test_takes_the_engine_of_the_only_driver_that_the_go_module_requires(
    tmp_path: Path, drivers: list[str], engine: str
):
    required = "\n".join(f"\t{each}" for each in drivers)
    files = {"go.mod": f"module shop\n\nrequire (\n{required}\n)\n", "db/migrations/00001_a.sql": GOOSE}
    write(tmp_path, files)

    [found] = find(tmp_path).migrations

    assert found.engine == engine


def test_says_that_a_configuration_of_sqlc_cannot_be_read(tmp_path: Path):
    write(tmp_path, {"sqlc.yaml": "a: [", "m/00001_a.sql": GOOSE})

    [note] = find(tmp_path).notes

    assert re.fullmatch(r"sqlc\.yaml was not read: line \d is not YAML\.", note)
