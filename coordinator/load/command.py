"""The plan's `command`, which applies migrations that are code: its form, and whether it is there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from coordinator.argv import argv_from
from coordinator.diagnostics import Diagnostic
from coordinator.load.source import shown
from coordinator.model import CommandSpec, DatabaseSpec

URL: Final = "{url}"
_PLACEHOLDERS: Final = frozenset({"{version}", URL})
_PLACEHOLDER: Final = re.compile(r"\{[A-Za-z_]+\}")


def _has_known_placeholders(value: str) -> str:
    unknown = [each for each in _PLACEHOLDER.findall(value) if each not in _PLACEHOLDERS]
    if unknown:
        raise PydanticCustomError(
            "unknown-placeholder",
            "`{name}` stands for nothing here. Write {known} for the migration's version, or {url} for the"
            " database's address.",
            {"name": unknown[0], "known": "{version}", "url": URL},
        )
    return value


Command = Annotated[
    tuple[
        Annotated[str, Field(pattern="^[^\\x00]*$"), AfterValidator(_has_known_placeholders)],
        ...,
    ],
    Field(strict=False, min_length=1, examples=[["./bin/migrate", "up-to", "{version}"]]),
]
"""A program and its arguments, without a shell."""


def missing_programs(databases: Iterable[DatabaseSpec]) -> tuple[Diagnostic, ...]:
    """Return an error for each database whose `command` names a program that is not there."""
    commands = (each.migrations.command for each in databases)
    return tuple(_missing(each) for each in commands if each is not None and not _is_there(each))


def _is_there(command: CommandSpec) -> bool:
    return shutil.which(argv_from(command.argv, folder=command.folder)[0]) is not None


def _missing(command: CommandSpec) -> Diagnostic:
    program = command.argv[0]
    is_path = "/" in program
    place = shown(Path(argv_from(command.argv, folder=command.folder)[0])) if is_path else "PATH"
    return Diagnostic(
        "program-missing",
        command.place,
        f"There is no program `{program}` that may be executed ({place}).",
        "It applies the migrations that are code.",
        "Build it, or correct the name: with a slash it starts at the plan's folder, without one PATH is"
        " searched.",
    )
