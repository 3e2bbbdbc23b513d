"""The arguments that several commands share, each written down once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.edge import Output

PlanFile = Annotated[Path, typer.Argument(help="The plan file.")]
DEFAULT_PLAN = Path("plan.yaml")
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A variable, or service.key=value; may be repeated."),
]
"""None where it was not given: Typer makes no empty list."""
OutputOption = Annotated[Output, typer.Option("--output", help="The form of the result.")]
