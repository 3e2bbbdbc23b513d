"""What people wait for loads nothing that it does not need; measured in modules, not in seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.checkout import Checkout

HEAVY = {"kubernetes", "sqlalchemy", "alembic", "networkx", "psycopg", "rich", "asyncio", "sqlite3"}
COMMANDS = {
    "--help": set(),
    "explain duplicate-key": set(),
    "schema plan": set(),
    "validate plan.yaml --set VERSION=1.4": {"yaml"},
    "parse migrations/00001_users.sql --tool goose": set(),
}


def modules_of(arguments: str, *, folder: Path, environment: dict[str, str]) -> set[str]:
    """Return the top-level modules that a command imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "coordinator", *arguments.split()],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_quick_command_imports_nothing_heavy(checkout: Checkout, arguments):
    modules = modules_of(arguments, folder=checkout.folder, environment=checkout.environment)

    assert modules & HEAVY == set()
    assert {"typer", *COMMANDS[arguments]} <= modules


def test_a_release_without_postgresql_needs_no_driver_for_it(checkout: Checkout):
    modules = modules_of("plan --set VERSION=1.4", folder=checkout.folder, environment=checkout.environment)

    assert modules & HEAVY == {"sqlite3"}
