"""The documents against the code: what a command, a code or a step is called is written down once and checked
here, so that a change without its document fails.
"""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer import Context
from typer.core import TyperCommand as Command
from typer.core import TyperGroup as Group
from typer.main import get_command

from coordinator import discovery, errors
from coordinator.cli import app
from coordinator.errors import ExitCode
from coordinator.graph import Step
from coordinator.journal import events
from coordinator.load import load

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
_PROMISED = "coordinator/adapters/rehearsals/_scratch/folders.py: /" + "tmp"
"""POSIX has this folder on every machine; a socket needs it where the temporary folder's path is too long."""
_NOT_OURS = {"__pycache__", "build", "dist"}


def _files() -> Iterator[Path]:
    """Yield the repository's files, without what tools and environments leave there."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in _NOT_OURS
            and (name == ".ci" or not name.startswith("."))
            and "egg-info" not in name
        ]
        yield from (Path(folder) / name for name in names)


FILES = tuple(sorted(_files()))
DOCUMENTS = tuple(each for each in FILES if each.suffix == ".md")


def _fenced(language: str) -> Iterator[tuple[Path, str]]:
    for document in DOCUMENTS:
        for match in re.finditer(
            rf"^```{language}\n(.*?)^```", document.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            yield document, match[1]


PLANS = [
    pytest.param(text, id=str(document.relative_to(ROOT)))
    for document, text in _fenced("yaml")
    if text.startswith("version: 1")
]


def test_every_relative_link_leads_somewhere() -> None:
    missing = [
        f"{document.relative_to(ROOT)}: {link}"
        for document in DOCUMENTS
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
        if not (document.parent / link).exists()
    ]

    assert missing == []


@pytest.mark.parametrize("text", PLANS)
def test_every_plan_in_a_document_loads(text: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(text, "utf-8")

    loaded = load(plan, settings={}, environment={"VERSION": "1.5"})

    assert loaded.diagnostics == ()


def _options(command: Command, path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command with its options; a group stands for its commands."""
    if isinstance(command, Group):
        context = Context(command)
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            assert each is not None
            yield from _options(each, f"{path} {name}")
    else:
        options = [each for each in command.params if each.param_type_name == "option"]
        yield path, [name for each in options for name in each.opts]


def _sections(document: Path) -> dict[str, str]:
    """Return the text below each heading that is a command."""
    parts = re.split(r"^### `(.+)`$", document.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_is_documented_with_its_options_and_nothing_else_is() -> None:
    documented = _sections(REFERENCE / "commands.md")
    commands = dict(_options(get_command(app), "coordinator"))

    undocumented = [
        f"{name} {option}"
        for name, options in commands.items()
        for option in options
        if f"`{option}" not in documented.get(name, "")
    ]

    assert sorted(documented) == sorted(commands)
    assert undocumented == []


def _first_column(document: Path) -> list[str]:
    return re.findall(r"^\| `?([a-z0-9-]+)`? \|", document.read_text("utf-8"), re.MULTILINE)


def test_every_exit_code_is_documented() -> None:
    documented = [each for each in _first_column(REFERENCE / "exit-codes.md") if each.isdigit()]

    assert documented == [str(int(code)) for code in ExitCode]


def _exit_codes_in_the_source() -> Iterator[tuple[str, int]]:
    """Yield the code of each problem that is raised, with the exit code of its class; a value ends with 2."""
    classes = {
        name: int(value.exit_code)
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.CoordinatorError)
    } | {"Diagnostic": 2, "PydanticCustomError": 2}
    for file in (
        each for each in FILES if each.suffix == ".py" and each.is_relative_to(ROOT / "coordinator")
    ):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                for each in (*node.args[:1], *(key.value for key in node.keywords if key.arg == "code")):
                    if isinstance(each, ast.Constant):
                        yield str(each.value), classes[node.func.id]


def test_the_exit_codes_of_problems_are_those_that_the_page_says() -> None:
    text = (REFERENCE / "exit-codes.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| (\d+) \|", text, re.MULTILINE)
    said = {(code, int(number)) for codes, number in rows for code in re.findall(r"`([a-z-]+)`", codes)}

    assert said
    assert sorted(said - set(_exit_codes_in_the_source())) == []


def test_every_kind_of_step_is_documented() -> None:
    documented = _first_column(REFERENCE / "steps.md")

    assert sorted(documented[1:]) == sorted(discovery.names(discovery.STEPS))


def test_every_journal_event_is_documented_with_its_fields() -> None:
    text = (REFERENCE / "journal.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|(.*)$", text, re.MULTILINE))

    missing = [
        f"{name}: {field}"
        for name, event in events.TYPES.items()
        for field in event.__dataclass_fields__
        if field != "at" and f"`{field}`" not in rows.get(name, "")
    ]

    assert sorted(rows) == sorted(events.TYPES)
    assert missing == []


def test_every_field_of_a_step_in_the_journal_is_documented() -> None:
    text = (REFERENCE / "journal.md").read_text("utf-8")
    [paragraph] = [each for each in text.split("\n\n") if each.startswith("The steps of a `graph`")]

    assert {name for name in Step.__dataclass_fields__ if f"`{name}`" not in paragraph} == set()


def test_every_json_document_is_on_its_page() -> None:
    sources = (
        each for each in FILES if each.suffix == ".py" and each.is_relative_to(ROOT / "coordinator" / "cli")
    )
    call = re.compile(r"(?:show_json|json_text)\(\s*\"([a-z-]+)\", 1\b")
    printed = {name for file in sources for name in call.findall(file.read_text("utf-8"))}
    page, _, _ = (REFERENCE / "json-output.md").read_text("utf-8").partition("## A run")

    assert printed == set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))


def test_the_layers_in_the_architecture_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")

    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")

    assert "```text\n" + "\n".join(layers) + "\n```" in text


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    hosts = (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("proxy.golang", "org"),
        ("npmjs", "org"),
        ("docker", "io"),
    )
    forbidden = re.compile(
        "|".join([*(re.escape(".".join(host)) for host in hosts), r"(?<![\w.$}*])/(?:work|root|tmp)\b"])
    )

    named = [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in FILES
        for match in forbidden.finditer(file.read_text("utf-8", errors="replace"))
    ]

    assert set(named) == {_PROMISED}
