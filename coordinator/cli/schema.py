"""`coordinator schema`: the JSON Schema of a file, for editors that complete and check."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import exit_with, show


class Described(StrEnum):
    """The files that have a schema."""

    PLAN = "plan"


@app.command()
def schema(
    file: Annotated[Described, typer.Argument(help="The kind of file.")],  # noqa: ARG001 - there is one kind
) -> None:
    """Print the JSON Schema (draft 2020-12) of the plan file."""
    exit_with(_schema)


def _schema() -> None:
    import json

    from coordinator.load.schema import json_schema

    show(json.dumps(json_schema(), indent=2, ensure_ascii=False))
