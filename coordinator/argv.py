"""How a command of the plan is read: one rule for services and for checks, and never a shell.

`python` and `python3` mean the interpreter that runs coordinator, so that an example finds the packages of
the environment it was installed into. A first entry with a slash starts from the plan's folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

Argv = Annotated[
    tuple[Annotated[str, Field(pattern="^[^\\x00]*$")], ...],
    Field(strict=False, min_length=1, description="A program and its arguments; there is no shell."),
]
"""A command as a plan holds it: a list of strings."""


def argv_from(command: Sequence[str], *, folder: Path) -> list[str]:
    """Return what to execute for `command`, to be run in `folder`, the plan's."""
    program, *arguments = command
    if program in ("python", "python3"):
        program = sys.executable
    elif "/" in program:
        program = str(folder.absolute() / program)
    return [program, *arguments]


def interpreter_from(named: str | None, *, folder: Path) -> str:
    """Return the interpreter that the plan in `folder` names for a project's own code, else our own.

    Here `python3` is the one on PATH: whoever names one means the project's.
    """
    if named is None:
        return sys.executable
    return str(folder.absolute() / named) if "/" in named else named
