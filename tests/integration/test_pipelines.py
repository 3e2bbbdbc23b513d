"""The examples of pipelines against the schemas of their systems, which check-jsonschema brings along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PIPELINES = Path(__file__).parents[2] / "plans" / "shop" / "pipelines"
SCHEMAS = {"github.yml": "vendor.github-workflows", "gitlab-ci.yml": "vendor.gitlab-ci"}


def lint(file: Path, schema: str) -> subprocess.CompletedProcess[str]:
    extra = ["--data-transform", "gitlab-ci"] if "gitlab" in schema else []
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *extra, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_example_has_a_schema():
    assert {file.name for file in PIPELINES.iterdir()} == SCHEMAS.keys()


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_example_is_what_its_system_takes(name: str):
    ended = lint(PIPELINES / name, SCHEMAS[name])

    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_key_that_the_system_does_not_know_is_found(name: str, tmp_path: Path):
    pipeline = yaml.safe_load((PIPELINES / name).read_text())
    jobs = pipeline.get("jobs", pipeline)
    jobs["release"]["nonsense"] = True
    broken = tmp_path / name
    broken.write_text(yaml.safe_dump(pipeline))

    assert lint(broken, SCHEMAS[name]).returncode == 1
