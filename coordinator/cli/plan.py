"""`coordinator plan`: what would be done, in which order, and what that rests on."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import columns_of, exit_with, say_diagnostics, show, show_json
from coordinator.cli.options import DEFAULT_PLAN, PlanFile, Settings
from coordinator.errors import ExitCode, Usage


class PlanOutput(StrEnum):
    """The forms of a plan."""

    TEXT = "text"
    JSON = "json"
    DOT = "dot"
    MERMAID = "mermaid"


@app.command()
def plan(
    plan: PlanFile = DEFAULT_PLAN,
    settings: Settings = None,
    output: Annotated[PlanOutput, typer.Option(help="The form of the result.")] = PlanOutput.TEXT,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="Write the release as a page too, to look at or to keep."
        ),
    ] = None,
) -> None:
    """Show what a release would do; change nothing.

    The story has the schema's states and which version works at each, the steps in their order, how far
    there is a way back, and what all that rests on.
    """
    exit_with(lambda: _plan(plan, settings, output, html=html))


def _plan(path: Path, settings: list[str] | None, output: PlanOutput, *, html: Path | None) -> ExitCode:
    from coordinator.app.connected import step_kinds
    from coordinator.app.planning import plan_release
    from coordinator.cli.opening import open_ports
    from coordinator.report import document, drawing, story
    from coordinator.report.wrapping import WIDTH

    proof, warnings = plan_release(open_ports(path, settings), step_kinds())
    say_diagnostics(warnings)
    match output:
        case PlanOutput.TEXT:
            width = columns_of(sys.stdout, otherwise=WIDTH)
            show("\n".join(story.tell(proof, width=width)))
        case PlanOutput.JSON:
            show_json("plan", 1, document.as_json(proof))
        case PlanOutput.DOT:
            show("\n".join(drawing.as_dot(proof.graph)))
        case PlanOutput.MERMAID:
            show("\n".join(drawing.as_mermaid(proof.graph)))
    if html is not None:
        from coordinator.report.page import as_html

        _write_page(html, as_html(proof))
    say_diagnostics(proof.diagnostics)
    return ExitCode.REFUSED if proof.diagnostics else ExitCode.DONE


def _write_page(file: Path, text: str) -> None:
    """Write a page so that whoever opens it finds the old one or the new one, and never half of it."""
    partial = file.parent / f".{file.name}.{os.getpid()}"
    try:
        partial.write_text(text, "utf-8")
        partial.replace(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise Usage(
            "page-unwritable",
            f"The page cannot be written to {file}: {error.strerror}.",
            next_step="Name a file in a folder that is there and that you may write to.",
        ) from error
