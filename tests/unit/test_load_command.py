"""How a plan names the program that applies migrations in code, and what is wrong with what it says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.load import load
from coordinator.load.command import missing_programs
from coordinator.model import CommandSpec

PLAN = """\
version: 1
release: shop-1.5
databases:
  shop:
    engine: postgresql
    url: URL
    migrations:
      tool: TOOL
      dir: migrations
      REST
"""


def loaded(tmp_path: Path, *lines: str, tool: str = "goose", url: str = "env:SHOP_URL"):
    path = tmp_path / "plan.yaml"
    text = PLAN.replace("REST", "\n      ".join(lines)).replace("TOOL", tool).replace("URL", url, 1)
    path.write_text(text)
    return load(path, settings={}, environment={})


def command_of(tmp_path: Path, *lines: str, url: str = "env:SHOP_URL") -> CommandSpec:
    result = loaded(tmp_path, *lines, url=url)
    assert result.diagnostics == ()
    command = result.plan.databases["shop"].migrations.command
    assert command is not None
    return command


def problems(tmp_path: Path, *lines: str, **settings: str) -> list[tuple[str, int]]:
    return [(each.code, each.place.line) for each in loaded(tmp_path, *lines, **settings).diagnostics]


def test_a_command_has_its_defaults(tmp_path):
    command = command_of(tmp_path, 'command: [./bin/migrate, up-to, "{version}"]')

    assert command.argv == ("./bin/migrate", "up-to", "{version}")
    assert (command.folder, command.deadline) == (tmp_path, timedelta(hours=1))
    assert (command.is_repeatable, command.rehearses, command.place.line) == (False, False, 10)


def test_a_command_that_gets_the_address_is_rehearsed_unless_the_plan_says_no(tmp_path):
    argument = 'command: [./migrate, "--database={url}"]'

    assert command_of(tmp_path, argument, url="file:url").rehearses
    assert not command_of(tmp_path, argument, "rehearse: false").rehearses


def test_a_command_that_reads_the_variable_is_rehearsed_when_the_plan_promises_it(tmp_path):
    assert command_of(tmp_path, "command: [./migrate]", "rehearse: true").rehearses


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (('command: [./migrate, "{versoin}"]',), ("unknown-placeholder", 10)),
        (("command: []",), ("out-of-range", 10)),
        (("command: ./migrate up",), ("wrong-type", 10)),
        (("repeatable: true",), ("idle-setting", 7)),
        (("rehearse: false",), ("idle-setting", 7)),
        (("deadline: 2h",), ("idle-setting", 7)),
        (("command: [./migrate]", "deadline: 0s"), ("bad-duration", 11)),
        (("section: stock",), ("idle-setting", 7)),
        (("x_arguments: {tenant: acme}",), ("idle-setting", 7)),
    ],
)
def test_says_what_is_wrong_and_where(lines, found, tmp_path):
    assert problems(tmp_path, *lines) == [found]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('x_arguments: {db: "{ur}"}', "unknown-placeholder"),
        ("x_arguments: {a=b: c}", "bad-form"),
        ("x_arguments: {db: postgresql://me:secret@db/shop}", "literal-secret"),
    ],
)
def test_says_what_is_wrong_with_an_argument_of_alembic(line, code, tmp_path):
    assert problems(tmp_path, line, tool="alembic") == [(code, 10)]


def test_braces_that_are_no_placeholder_are_text(tmp_path):
    assert command_of(tmp_path, """command: [./migrate, '{"to": "{version}"}', "{}"]""").argv[2] == "{}"


def test_refuses_to_rehearse_a_program_that_nothing_tells_where(tmp_path):
    lines = ("command: [./migrate]", "rehearse: true")

    assert problems(tmp_path, *lines, url="file:url") == [("rehearse-anywhere", 4)]


def test_refuses_a_command_where_no_migration_can_be_code(tmp_path):
    assert problems(tmp_path, "command: [./migrate]", tool="golang-migrate") == [("idle-command", 7)]


def test_a_program_is_looked_for_from_the_plans_folder_and_must_be_executable(tmp_path):
    result = loaded(tmp_path, "command: [./migrate]")
    program = tmp_path / "migrate"

    [missing] = missing_programs(result.plan.databases.values())
    program.write_text("#!/bin/sh\n")
    [not_executable] = missing_programs(result.plan.databases.values())
    program.chmod(0o755)

    assert (missing.code, missing.place.line) == ("program-missing", 10)
    assert str(program) in missing.what
    assert not_executable == missing
    assert missing_programs(result.plan.databases.values()) == ()
