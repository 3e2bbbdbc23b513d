"""The examples of pipelines against the schemas of their systems: two come with check-jsonschema, and Argo's
with its Go module, which the Go command fetches.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PIPELINES = Path(__file__).parents[2] / "plans" / "shop" / "pipelines"
SCHEMAS = {"github.yml": "vendor.github-workflows", "gitlab-ci.yml": "vendor.gitlab-ci"}
ARGO = PIPELINES / "argo.yaml"
ARGO_MODULE = "github.com/argoproj/argo-workflows/v4@v4.0.5"
ARGO_KINDS = {
    "WorkflowTemplate": "io.argoproj.workflow.v1alpha1.WorkflowTemplate",
    "PersistentVolumeClaim": "io.k8s.api.core.v1.PersistentVolumeClaim",
}


def lint(file: Path, *schema: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )


def of_system(name: str) -> tuple[str, ...]:
    transform = ("--data-transform", "gitlab-ci") if "gitlab" in SCHEMAS[name] else ()
    return ("--builtin-schema", SCHEMAS[name], *transform)


def test_every_example_has_a_schema():
    assert {file.name for file in PIPELINES.iterdir()} == {*SCHEMAS, ARGO.name}


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_example_is_what_its_system_takes(name: str):
    ended = lint(PIPELINES / name, *of_system(name))

    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_key_that_the_system_does_not_know_is_found(name: str, tmp_path: Path):
    pipeline = yaml.safe_load((PIPELINES / name).read_text())
    jobs = pipeline.get("jobs", pipeline)
    jobs["release"]["nonsense"] = True
    broken = tmp_path / name
    broken.write_text(yaml.safe_dump(pipeline))

    assert lint(broken, *of_system(name)).returncode == 1


# -- Argo Workflows ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def argo() -> dict[str, Any]:
    """Return Argo's definitions, each closed: its schema says which keys there are, and takes others too."""
    asked = subprocess.run(
        ["go", "mod", "download", "-json", ARGO_MODULE], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    schema = Path(json.loads(asked.stdout)["Dir"]) / "api" / "jsonschema" / "schema.json"
    definitions: dict[str, Any] = json.loads(schema.read_text())["definitions"]
    return {
        name: {**each, "additionalProperties": False} if "properties" in each else each
        for name, each in definitions.items()
    }


def argo_problems(
    documents: list[Any], definitions: dict[str, Any], folder: Path
) -> Iterator[subprocess.CompletedProcess[str]]:
    """Yield how the lint of each document that is not what its kind takes ended."""
    for document in documents:
        root = {"$ref": f"#/definitions/{ARGO_KINDS[document['kind']]}", "definitions": definitions}
        schema, file = folder / "schema.json", folder / f"{document['kind']}.yaml"
        schema.write_text(json.dumps(root))
        file.write_text(yaml.safe_dump(document))
        ended = lint(file, "--schemafile", str(schema))
        if ended.returncode:
            yield ended


@pytest.mark.peers
def test_the_example_for_argo_is_what_argo_takes(argo: dict[str, Any], tmp_path: Path):
    documents = list(yaml.safe_load_all(ARGO.read_text()))

    assert {each["kind"] for each in documents} == ARGO_KINDS.keys()
    assert [ended.stdout + ended.stderr for ended in argo_problems(documents, argo, tmp_path)] == []


@pytest.mark.peers
@pytest.mark.parametrize(
    ("known", "misspelt"),
    [("entrypoint", "entryPoint"), ("retryPolicy", "retryPolcy"), ("accessModes", "accessMode")],
)
def test_a_misspelt_key_of_the_example_for_argo_is_found(
    known: str, misspelt: str, argo: dict[str, Any], tmp_path: Path
):
    text = ARGO.read_text()
    assert text.count(f"{known}:") == 1

    [ended] = argo_problems(
        list(yaml.safe_load_all(text.replace(f"{known}:", f"{misspelt}:"))), argo, tmp_path
    )

    assert ended.returncode == 1
    assert misspelt in ended.stdout


def test_every_step_of_the_example_for_argo_names_a_template_and_gives_it_what_it_takes():
    """No schema knows this, and Argo tells it only of a template that is submitted."""
    [spec] = [each["spec"] for each in yaml.safe_load_all(ARGO.read_text()) if "templates" in each["spec"]]
    templates = {each["name"]: each for each in spec["templates"]}
    calls = [call for each in templates.values() for group in each.get("steps", ()) for call in group]
    assert calls

    for call in calls:
        taken = templates[call["template"]].get("inputs", {}).get("parameters", ())
        given = {each["name"] for each in call.get("arguments", {}).get("parameters", ())}

        assert given <= {each["name"] for each in taken}, call
        assert {each["name"] for each in taken if "default" not in each} <= given, call
    assert {spec["entrypoint"], "rollback"} <= templates.keys()
