"""`coordinator plan`: what would be done, in which order, and what that rests on."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import columns_of, exit_with, say_diagnostics, show, show_json
from coordinator.cli.options import DEFAULT_PLAN, PlanFile, Settings
from coordinator.errors import ExitCode


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
) -> None:
    """Show what a release would do; change nothing.

    The story has the schema's states and which version works at each, the steps in their order, how far
    there is a way back, and what all that rests on.
    """
    exit_with(lambda: _plan(plan, settings, output))


def _plan(path: Path, settings: list[str] | None, output: PlanOutput) -> ExitCode:
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
    say_diagnostics(proof.diagnostics)
    return ExitCode.REFUSED if proof.diagnostics else ExitCode.DONE
