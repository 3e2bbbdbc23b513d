"""What a command imports before it begins to work. The times that follow from it are in bench/startup.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer import Context
from typer.main import get_command

from coordinator import __version__
from coordinator.cli import COMMANDS, app

QUICKSTART = Path(__file__).parents[2] / "plans" / "quickstart"
NOWHERE = "postgresql://nobody@localhost/nothing"
ALONE = """
version: 1
release: shop
databases:
  shop: {engine: sqlite, url: "env:SHOP_DATABASE_URL", migrations: {tool: goose, dir: .}}
"""
COMMAND = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from coordinator.__main__ import main
main()
"""
NOT_FOR_A_CHECK = (
    "coordinator.adapters.databases",
    "coordinator.adapters.journals",
    "coordinator.adapters.platforms._local.service",
    "coordinator.adapters.web",
    "coordinator.app",
    "coordinator.engine",
    "coordinator.evidence",
    "coordinator.journal",
    "coordinator.rehearsal_ports",
    "coordinator.report",
)


def imported_by(*arguments: str, folder: Path = QUICKSTART, url: str = NOWHERE) -> set[str]:
    """Return the modules that a process has when the command of these arguments is done."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env=os.environ | {"VERSION": "1.5", "SHOP_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def test_says_its_version():
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"coordinator {__version__}\n"


def test_help_imports_no_command_and_nothing_that_reads_a_plan():
    imported = imported_by("--help")

    assert {each for each in imported if each.startswith("coordinator")} == {
        "coordinator",
        "coordinator.__main__",
        "coordinator.cli",
        "coordinator.cli.edge",
        "coordinator.errors",
        "coordinator.wording",
    }
    assert not imported & {"pydantic", "yaml", "rich"}


def test_validate_imports_nothing_that_asks_a_server_runs_a_service_or_keeps_a_journal():
    imported = imported_by("validate", "plan.yaml")

    assert "coordinator.load" in imported
    assert not imported & {"http.client", "ssl", "asyncio", "psycopg", "sqlite3", "rich"}
    assert not {each for each in imported if each.startswith(NOT_FOR_A_CHECK)}
    assert {each for each in imported if each.startswith("coordinator.cli.")} == {
        "coordinator.cli.edge",
        "coordinator.cli.options",
        "coordinator.cli.validate",
    }


@pytest.mark.parametrize("arguments", ["explain duplicate-key", "schema plan", "parse {file} --tool goose"])
def test_a_command_that_only_reads_imports_nothing_that_asks_a_server(arguments: str):
    imported = imported_by(*arguments.format(file="migrations/00001_customers.sql").split())

    assert not imported & {"kubernetes", "sqlalchemy", "alembic", "networkx", "psycopg", "sqlite3", "rich"}
    assert not {each for each in imported if each.startswith(NOT_FOR_A_CHECK)}


def test_a_release_of_a_database_alone_imports_nothing_that_rehearses(tmp_path: Path):
    (tmp_path / "plan.yaml").write_text(ALONE)
    (tmp_path / "1_a.sql").write_text("-- coordinator: phase=expand\n-- +goose Up\nCREATE TABLE a (x int);\n")

    imported = imported_by("run", folder=tmp_path, url=f"sqlite://{tmp_path / 'shop.db'}")

    assert "coordinator.engine.run" in imported
    assert not {each for each in imported if each.startswith(("coordinator.rehearse.", "psycopg"))}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_line_in_the_help_is_the_first_one_of_its_own(name: str):
    group = get_command(app)

    command = group.get_command(Context(group), name)

    assert command.help.partition("\n")[0] == COMMANDS[name][1]


def test_every_command_is_in_the_table():
    group = get_command(app)
    for name in COMMANDS:
        group.get_command(Context(group), name)

    assert sorted(group.commands) == sorted(COMMANDS)
