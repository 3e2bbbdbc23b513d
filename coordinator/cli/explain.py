"""`coordinator explain`: what a code means, why it matters and what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import exit_with, show


@app.command()
def explain(
    code: Annotated[
        str | None, typer.Argument(help="The code of a problem; without it, all of them.")
    ] = None,
) -> None:
    """Explain the code of a problem, or list all codes."""
    exit_with(lambda: _list() if code is None else _explain(code))


def _list() -> None:
    from coordinator import pages

    width = max(len(code) for code in pages.codes())
    for code in pages.codes():
        show(f"{code:<{width}}  {pages.summary(code)}")


def _explain(code: str) -> None:
    from coordinator import pages
    from coordinator.diagnostics import did_you_mean
    from coordinator.errors import Usage

    text = pages.page(code)
    if text is None:
        raise Usage(
            "unknown-code",
            f"There is no code `{code}`.",
            next_step=f"{did_you_mean(code, pages.codes())} `coordinator explain` lists all.",
        )
    show(text.rstrip())
