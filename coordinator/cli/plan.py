"""`coordinator plan`: what would be done, in which order, and what that rests on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import columns_of, exit_with, say_diagnostics, show
from coordinator.cli.forms import Outcome, PlanOutput, form_of, reports_from
from coordinator.cli.options import DEFAULT_PLAN, PlanFile, Settings
from coordinator.cli.writing import write_whole
from coordinator.errors import ExitCode, PlanInvalid

if TYPE_CHECKING:
    from coordinator.diagnostics import Diagnostic
    from coordinator.prove import Proof


@app.command()
def plan(
    plan: PlanFile = DEFAULT_PLAN,
    settings: Settings = None,
    *,
    output: Annotated[PlanOutput, typer.Option(help="The form of the result.")] = PlanOutput.TEXT,
    report: Annotated[
        list[str] | None,
        typer.Option(metavar="FORM=FILE", help="Write the result in this form too; may be repeated."),
    ] = None,
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
    exit_with(
        lambda: _plan(
            lambda: _of_world(plan, settings), output, reports=reports_from(report or []), html=html
        )
    )


def _of_world(path: Path, settings: list[str] | None) -> tuple[Proof, tuple[Diagnostic, ...]]:
    from coordinator.app.connected import step_kinds
    from coordinator.app.planning import plan_release
    from coordinator.cli.opening import open_ports

    return plan_release(open_ports(path, settings), step_kinds())


def _plan(
    make: Callable[[], tuple[Proof, tuple[Diagnostic, ...]]],
    output: PlanOutput,
    *,
    reports: Sequence[tuple[PlanOutput, Path]],
    html: Path | None,
) -> ExitCode:
    try:
        proof, warnings = make()
    except PlanInvalid as error:
        _tell(Outcome(None, error.diagnostics), output, reports)
        raise
    say_diagnostics(warnings)
    _tell(Outcome(proof, warnings), output, reports)
    if html is not None:
        from coordinator.report.page import as_html

        write_whole(html, as_html(proof))
    say_diagnostics(proof.diagnostics)
    return ExitCode.REFUSED if proof.diagnostics else ExitCode.DONE


def _tell(outcome: Outcome, output: PlanOutput, reports: Sequence[tuple[PlanOutput, Path]]) -> None:
    from coordinator.report.wrapping import WIDTH

    text = form_of(outcome, output, width=columns_of(sys.stdout, otherwise=WIDTH))
    if text is not None:
        show(text)
    for form, file in reports:
        text = form_of(outcome, form, width=WIDTH)
        if text is not None:
            write_whole(file, text + "\n")
