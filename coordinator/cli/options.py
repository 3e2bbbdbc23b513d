"""The arguments that several commands share, each written down once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.edge import Output
from coordinator.errors import Usage

PlanFile = Annotated[Path, typer.Argument(help="The plan file.")]
DEFAULT_PLAN = Path("plan.yaml")
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A variable, or service.key=value; may be repeated."),
]
"""None where it was not given: Typer makes no empty list."""
SectionOption = Annotated[
    str | None,
    typer.Option("--section", metavar="NAME", help="Alembic: the section that counts, as with alembic -n."),
]
XOption = Annotated[
    list[str] | None,
    typer.Option(
        "-x",
        "--x-argument",
        metavar="KEY=VALUE",
        help="Alembic: for its env.py, as with alembic -x; may be repeated.",
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", help="The form of the result.")]


def x_arguments_of(texts: list[str] | None, *, tool: str, section: str | None) -> dict[str, str]:
    """Return what was given by `-x`, by its keys; the last one counts.

    Raises: Usage, also where `-x` or `--section` is given for another tool than Alembic.
    """
    from coordinator import discovery

    if (texts or section) and tool not in discovery.names(discovery.RUNNERS):
        option = "--section" if section else "-x"
        raise Usage(
            "idle-setting",
            f"`{option}` is about migrations of Alembic, and those of {tool} are none.",
            next_step="Remove it, or correct --tool.",
        )
    pairs = [each.partition("=") for each in texts or ()]
    for key, told, _ in pairs:
        if not (key and told) or re.search(r"\s", key):
            raise Usage(
                "bad-x-argument",
                f"`-x {key}` is no key with a value.",
                next_step="Write `-x KEY=VALUE`, with the keys of the plan's `x_arguments`.",
            )
    return {key: value for key, _, value in pairs}
