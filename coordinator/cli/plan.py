"""`coordinator plan`: what would be done, in which order, and what that rests on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import columns_of, exit_with, say, say_diagnostics, show
from coordinator.cli.forms import Outcome, PlanOutput, form_of, reports_from
from coordinator.cli.options import DEFAULT_PLAN, PlanFile, Settings
from coordinator.cli.writing import demand_writable, write_whole
from coordinator.errors import ExitCode, PlanInvalid, Usage
from coordinator.model import Engine

if TYPE_CHECKING:
    from coordinator.app.reviewing import Told
    from coordinator.diagnostics import Diagnostic
    from coordinator.prove import Proof
    from coordinator.rehearsal_ports import EvidenceCache


PageFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", dir_okay=False, help="Write the release as a page too, to look at or to keep."
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="REF",
        help="Take a git commit as what is live, and contact nothing; `merge-base` is where this branch left"
        " the default one.",
    ),
]


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
    html: PageFile = None,
    against: Against = None,
    migrations: Annotated[
        str | None, typer.Option(metavar="DIR", help="With --against: the migrations, in place of a plan.")
    ] = None,
    tool: Annotated[str | None, typer.Option(help="Whose migrations they are.")] = None,
    engine: Annotated[Engine | None, typer.Option(help="Which engine they are for.")] = None,
    server_version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The live server's version.")
    ] = None,
    queries: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Files of queries; may be repeated.")
    ] = None,
    sqlc: Annotated[
        str | None, typer.Option(metavar="FILE", help="The sqlc configuration that names the queries.")
    ] = None,
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="Ask the engine everything anew, and keep none of its answers."),
    ] = False,
) -> None:
    """Show what a release would do; change nothing.

    The story has the schema's states and which version works at each, the steps in their order, how far
    there is a way back, and what all that rests on.
    """

    def make() -> tuple[Proof, tuple[Diagnostic, ...]]:
        from coordinator.cli.opening import open_cache

        if against is None:
            if migrations or tool or engine or server_version or queries or sqlc:
                raise _without_against()
            return _of_world(plan, settings, cache=open_cache(is_wanted=not no_cache))
        from coordinator.app.reviewing import Told

        told = Told(migrations, tool, engine, tuple(queries or ()), sqlc, server_version)
        return _of_review(plan, settings, against, told=told, cache=open_cache(is_wanted=not no_cache))

    exit_with(
        lambda: _plan(make, output, reports=reports_from(report or []), html=html),
        as_json=output is PlanOutput.JSON,
    )


def _of_world(
    path: Path, settings: list[str] | None, *, cache: EvidenceCache | None
) -> tuple[Proof, tuple[Diagnostic, ...]]:
    from coordinator.app.connected import step_kinds
    from coordinator.app.planning import plan_release
    from coordinator.cli.opening import open_ports
    from coordinator.cli.rehearsal_line import rehearsal_line

    ports = open_ports(path, settings)
    with rehearsal_line() as tell:
        return plan_release(ports, step_kinds(), watches_statements=True, cache=cache, tell=tell)


def _of_review(
    path: Path, settings: list[str] | None, ref: str, *, told: Told, cache: EvidenceCache | None
) -> tuple[Proof, tuple[Diagnostic, ...]]:
    import os

    from coordinator.app.connected import ConnectedPorts, step_kinds
    from coordinator.app.reviewing import Told, plan_without_file, review
    from coordinator.cli.opening import open_ports
    from coordinator.cli.rehearsal_line import rehearsal_line

    if told == Told() and (path.exists() or path != DEFAULT_PLAN):
        ports = open_ports(path, settings)
    else:
        plan, draft = plan_without_file(told, Path())
        for each in draft.found():
            say(f"Without a plan file: {each}")
        ports = ConnectedPorts(plan, environment=os.environ)
    with rehearsal_line() as tell:
        return review(ports, ref, step_kinds(), cache=cache, tell=tell)


def _without_against() -> Usage:
    return Usage(
        "only-with-against",
        "--migrations, --tool, --engine, --server-version, --queries and --sqlc stand in for a plan file in a"
        " review.",
        why="A release needs a plan that says where its databases and services are.",
        next_step="Add --against REF, or name the plan file alone.",
    )


def _plan(
    make: Callable[[], tuple[Proof, tuple[Diagnostic, ...]]],
    output: PlanOutput,
    *,
    reports: Sequence[tuple[PlanOutput, Path]],
    html: Path | None,
) -> ExitCode:
    for file in (*(file for _, file in reports), *([html] if html else [])):
        demand_writable(file)
    try:
        proof, warnings = make()
    except PlanInvalid as error:
        outcome = Outcome(None, error.diagnostics)
        if output is not PlanOutput.JSON:  # which every command's end shows
            _show(outcome, output)
        _write_reports(outcome, reports)
        raise
    say_diagnostics(warnings)
    outcome, is_last = Outcome(proof, warnings), output is PlanOutput.JSON
    if not is_last:
        _show(outcome, output)
    _write_reports(outcome, reports)
    if html is not None:
        from coordinator.report.page import as_html

        write_whole(html, as_html(proof))
    if is_last:  # where a file cannot be written, that problem is the one document
        _show(outcome, output)
    say_diagnostics(proof.diagnostics)
    return ExitCode.REFUSED if proof.diagnostics else ExitCode.DONE


def _show(outcome: Outcome, output: PlanOutput) -> None:
    from coordinator.report.wrapping import WIDTH

    text = form_of(outcome, output, width=columns_of(sys.stdout, otherwise=WIDTH))
    if text is not None:
        show(text)


def _write_reports(outcome: Outcome, reports: Sequence[tuple[PlanOutput, Path]]) -> None:
    from coordinator.report.wrapping import WIDTH

    for form, file in reports:
        text = form_of(outcome, form, width=WIDTH)
        if text is not None:
            write_whole(file, text + "\n")
