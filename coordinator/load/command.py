"""The plan's `command` of migrations that are code and of backfills: its form, and whether it is there."""

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
from coordinator.model import BackfillSpec, CommandSpec, DatabaseSpec

URL: Final = "{url}"
_PLACEHOLDERS: Final = frozenset({"{version}", URL})
PLACEHOLDER: Final = re.compile(r"\{[A-Za-z_]+\}")


def _has_known_placeholders(value: str) -> str:
    unknown = [each for each in PLACEHOLDER.findall(value) if each not in _PLACEHOLDERS]
    if unknown:
        raise PydanticCustomError(
            "unknown-placeholder",
            "`{name}` stands for nothing here. Write {known} for the migration's version, or {url} for the"
            " database's address.",
            {"name": unknown[0], "known": "{version}", "url": URL},
        )
    return value


def has_only_url(value: str) -> str:
    """Return a value in which nothing but `{url}` is put. Raises: PydanticCustomError."""
    unknown = [each for each in PLACEHOLDER.findall(value) if each != URL]
    if unknown:
        raise PydanticCustomError(
            "unknown-placeholder",
            "`{name}` stands for nothing here. Write {url} for the database's address.",
            {"name": unknown[0], "url": URL},
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


def told_nowhere() -> PydanticCustomError:
    """Return the error of a `rehearse` whose program would find its database by itself."""
    return PydanticCustomError(
        "rehearse-anywhere",
        "Nothing tells `command` where the scratch database is: it would work on the live one. Add "
        "{url} to its arguments, write `url: env:NAME` and let it read NAME, or remove `rehearse`.",
        {"url": URL},
    )


def missing_programs(databases: Iterable[DatabaseSpec]) -> tuple[Diagnostic, ...]:
    """Return an error for each `command` of migrations that names a program that is not there."""
    commands = (each.migrations.command for each in databases)
    return _missing_of(commands, "It applies the migrations that are code.")


def missing_of_backfills(backfills: Iterable[BackfillSpec]) -> tuple[Diagnostic, ...]:
    """Return an error for each `command` of a backfill that names a program that is not there."""
    return _missing_of((each.command for each in backfills), "It does the rows of a backfill.")


def _missing_of(commands: Iterable[CommandSpec | None], why: str) -> tuple[Diagnostic, ...]:
    return tuple(_missing(each, why) for each in commands if each is not None and not _is_there(each))


def _is_there(command: CommandSpec) -> bool:
    return shutil.which(argv_from(command.argv, folder=command.folder)[0]) is not None


def _missing(command: CommandSpec, why: str) -> Diagnostic:
    program = command.argv[0]
    is_path = "/" in program
    place = shown(Path(argv_from(command.argv, folder=command.folder)[0])) if is_path else "PATH"
    return Diagnostic(
        "program-missing",
        command.place,
        f"There is no program `{program}` that may be executed ({place}).",
        why,
        "Build it, or correct the name: with a slash it starts at the plan's folder, without one PATH is"
        " searched.",
    )
