"""What `validate`, `schema` and `explain` print, with which exit code, and what they do not import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PLAN = """\
version: 1
release: shop-${VERSION}
databases:
  shop:
    engine: sqlite
    url: env:SHOP_DATABASE_URL
    migrations: {tool: goose, dir: migrations}
services:
  shop:
    version: ${VERSION}
    platform: {local: {command: [./serve]}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "00001_a.sql").write_text("-- +goose Up\nCREATE TABLE a (id int);\n")
    return tmp_path


def coordinator(folder, *argv):
    return subprocess.run(
        [sys.executable, "-m", "coordinator", *argv], cwd=folder, capture_output=True, text=True, check=False
    )


def test_says_in_one_line_that_a_plan_is_valid(folder):
    done = coordinator(folder, "validate", "plan.yaml", "--set", "VERSION=1.5")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "plan.yaml: valid: release shop-1.5, 1 database, 1 service, 1 migration\n"


def test_says_every_problem_on_stderr_and_exits_with_2(folder):
    done = coordinator(folder, "validate", "plan.yaml", "--set", "OTHER=1")

    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == [
        "--set",
        "plan.yaml:2:10",
        "plan.yaml:10:14",
    ]


def test_shows_the_problems_of_migration_files(folder):
    (folder / "migrations" / "00002_b.sql").write_text("-- +goose Sideways\n")

    done = coordinator(folder, "validate", "plan.yaml", "--set", "VERSION=1.5")

    assert done.returncode == 2
    assert done.stderr.startswith("migrations/00002_b.sql:1")


def test_shows_json(folder):
    valid = json.loads(
        coordinator(folder, "validate", "plan.yaml", "--set", "VERSION=1", "--output", "json").stdout
    )
    invalid = coordinator(folder, "validate", "plan.yaml", "--output", "json")

    digest = valid.pop("digest")
    assert len(digest) == 64
    assert valid == {
        "schema": "coordinator/validate/1",
        "plan": "plan.yaml",
        "valid": True,
        "release": "shop-1",
        "databases": {"shop": {"migrations": 1}},
        "services": {"shop": {"version": "1"}},
        "diagnostics": [],
    }
    assert invalid.returncode == 2
    [first, _] = json.loads(invalid.stdout)["diagnostics"]
    assert (first["code"], first["file"], first["line"], first["column"]) == (
        "undefined-variable",
        "plan.yaml",
        2,
        10,
    )


def test_a_setting_that_cannot_be_read_is_bad_usage(folder):
    done = coordinator(folder, "validate", "plan.yaml", "--set", "VERSION")

    assert done.returncode == 2
    assert done.stderr.startswith("error[bad-setting]: ")


def test_validation_imports_nothing_heavy(folder):
    program = (
        "import sys; from coordinator.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "validate", "plan.yaml", "--set", "VERSION=1.5"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )

    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert "coordinator.load" in modules
    heavy = {"rich", "psycopg", "sqlalchemy", "networkx", "kubernetes", "alembic"}
    assert heavy.isdisjoint(modules)


def test_schema_describes_every_key(folder):
    schema = json.loads(coordinator(folder, "schema", "plan").stdout)

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    described = {"description", "$ref"}
    undescribed = [path for path, each in properties_of(schema, "") if not described & set(each)]
    assert [path for path in undescribed if "platform" not in path and "check" not in path] == []


def properties_of(schema, path):
    for key, each in schema.get("properties", {}).items():
        yield f"{path}.{key}", each
        yield from properties_of(each, f"{path}.{key}")
    for name, each in schema.get("$defs", {}).items():
        yield from properties_of(each, name)


def test_explains_a_code(folder):
    done = coordinator(folder, "explain", "duplicate-key")

    assert done.returncode == 0
    assert done.stdout.startswith("# duplicate-key\n\n## What it means\n")


def test_guesses_an_unknown_code(folder):
    done = coordinator(folder, "explain", "duplicat-key")

    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean `duplicate-key`?" in done.stderr


def test_lists_all_codes_with_a_sentence_each(folder):
    lines = coordinator(folder, "explain").stdout.splitlines()

    assert any(
        line.split(maxsplit=1) == ["duplicate-key", "The same key stands twice in one mapping."]
        for line in lines
    )
