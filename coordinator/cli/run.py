"""`coordinator run`: starts, resumes and continues a release; after any end, running it again is right."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import (
    Output,
    columns_of,
    exit_with,
    say,
    say_diagnostics,
    say_problem,
    show,
    show_json,
    show_messages,
)
from coordinator.cli.options import DEFAULT_PLAN, OutputOption, PlanFile, Settings
from coordinator.errors import ExitCode

if TYPE_CHECKING:
    from coordinator.app.running import Ended, Runner
    from coordinator.diagnostics import Diagnostic
    from coordinator.journal.events import Outcome
    from coordinator.journal.fold import RunState
    from coordinator.prove import Proof


@app.command()
def run(
    plan: PlanFile = DEFAULT_PLAN,
    settings: Settings = None,
    *,
    supersede: Annotated[
        bool, typer.Option("--supersede", help="Give an open run of another plan up and release this one.")
    ] = False,
    accept_unproven: Annotated[
        bool,
        typer.Option(
            "--accept-unproven",
            help="Release also what nobody could prove; the journal says what that was.",
        ),
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Release the plan, or go on with its release.

    However an earlier run ended, running again is right: it finds out what was done, and goes on. A run
    remembers what --set said. Ctrl-C stops after the effect at hand.
    """
    exit_with(
        lambda: _run(plan, settings, supersede=supersede, accept_unproven=accept_unproven, output=output),
        as_json=output is Output.JSON,
    )


def _run(
    path: Path, settings: list[str] | None, *, supersede: bool, accept_unproven: bool, output: Output
) -> ExitCode:
    from coordinator.app.place import Place, open_run
    from coordinator.cli.opening import open_cache
    from coordinator.cli.rehearsal_line import rehearsal_line
    from coordinator.journal.events import Outcome

    return act(
        path,
        settings,
        None if supersede else open_run(Place(path).journal),
        do=lambda runner: runner.run_release(
            supersede=supersede,
            accept_unproven=accept_unproven,
            cache=open_cache(),
            telling=rehearsal_line,
            show=_show,
        ),
        wanted=Outcome.RELEASED,
        output=output,
    )


def _show(proof: Proof, warnings: tuple[Diagnostic, ...]) -> None:
    from coordinator.report import story
    from coordinator.report.wrapping import WIDTH

    say_diagnostics(warnings)
    width = columns_of(sys.stderr, otherwise=WIDTH)
    say("\n".join((*story.tell(proof, width=width), "")))


def act(
    path: Path,
    settings: list[str] | None,
    state: RunState | None,
    *,
    do: Callable[[Runner], Ended],
    wanted: Outcome,
    output: Output,
) -> ExitCode:
    """Do something to a run, or begin one, before the eyes of this terminal, and report how it ended."""
    from coordinator.cli.opening import open_runner
    from coordinator.cli.stopping import stopping
    from coordinator.cli.watching import watching

    with watching() as audience, stopping(audience.told) as is_stopping:
        runner = open_runner(path, settings, audience=audience, is_stopping=is_stopping, state=state)
        ended = do(runner)
    report(ended, output=output)
    return ended.exit_code(wanted=wanted)


def report(ended: Ended, *, output: Output) -> None:
    """Print how a command left a run: what is where, why it stopped, and what to do next."""
    from coordinator.report import progress
    from coordinator.wording import NOTHING_TO_DO

    for problem in ended.problems:
        say_problem(problem)
    if output is Output.JSON:
        show_json("run", 1, progress.as_json(ended.state))
    elif ended.state is None:
        show(NOTHING_TO_DO)
    else:
        show_messages(progress.closing_lines(ended.state, ended.stuck))
