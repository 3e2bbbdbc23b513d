"""`approve`, `settle`, `rollback`, `abort`: what people decide about a run.

None of them needs the run's process to be gone. They leave a request; if a coordinator works on the run, it
takes the request over, and otherwise rollback and abort do the work themselves.
"""

from __future__ import annotations

import getpass
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import Output, exit_with, say, show, show_json
from coordinator.cli.options import DEFAULT_PLAN, OutputOption, PlanFile, Settings
from coordinator.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coordinator.app.running import Ended, Runner
    from coordinator.journal.events import Event, Outcome
    from coordinator.journal.fold import RunState

StepArgument = Annotated[
    str, typer.Argument(metavar="STEP", help="The step, as `coordinator status` names it.")
]


_BACK_LATER = (
    "After a release has ended its old version is released like any"
    " other: `coordinator plan --set VERSION=…` says whether it works on the schema as it is now."
)


class Came(StrEnum):
    """What a step in doubt came to."""

    DONE = "done"
    NOT_DONE = "not-done"


@app.command()
def approve(
    step: StepArgument,
    plan: PlanFile = DEFAULT_PLAN,
    who: Annotated[str, typer.Option("--as", help="Who approves, as the plan names them.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Allow a step that waits for people.

    A coordinator that works on the run takes it over; otherwise `coordinator run` goes on.
    """
    exit_with(lambda: _approve(plan, step, who or _user(), output), as_json=output is Output.JSON)


def _approve(path: Path, step: str, who: str, output: Output) -> None:
    from coordinator.graph import StepId
    from coordinator.journal.events import Approved

    state = _leave(path, lambda at: Approved(at, StepId(step), who))
    if output is Output.JSON:
        show_json("approval", 1, {"run": state.run, "step": step, "who": who})
    else:
        show(f"{state.run}: {step} approved by {who}. `coordinator run` goes on.")


@app.command()
def rollback(
    plan: PlanFile = DEFAULT_PLAN,
    settings: Settings = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take the open run back to the old version.

    Traffic goes back to the old version, the new one is scaled down, and the schema stays where both work. If
    another coordinator works on the run, it does this, and is shown here.
    """
    exit_with(lambda: _rollback(plan, settings, output), as_json=output is Output.JSON)


def _rollback(path: Path, settings: list[str] | None, output: Output) -> ExitCode:
    from coordinator.journal.events import Outcome, RollbackStarted

    reason = f"asked for by {_user()}"
    state = _leave(path, lambda at: RollbackStarted(at, reason, automatic=False), otherwise=_BACK_LATER)
    return _carry_out(path, settings, state, wanted=Outcome.ROLLED_BACK, output=output)


@app.command()
def abort(
    plan: PlanFile = DEFAULT_PLAN,
    settings: Settings = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Give the open run up and leave everything as it stands.

    Traffic, versions and schema stay where they are; the databases are free for another release.
    """
    exit_with(lambda: _abort(plan, settings, output), as_json=output is Output.JSON)


def _abort(path: Path, settings: list[str] | None, output: Output) -> ExitCode:
    from coordinator.journal.events import AbortRequested, Outcome

    state = _leave(path, lambda at: AbortRequested(at, _user()))
    return _carry_out(path, settings, state, wanted=Outcome.ABORTED, output=output)


@app.command()
def settle(  # noqa: PLR0917 - typer takes them by name
    step: StepArgument,
    came: Annotated[Came, typer.Option("--as", help="What you found in the world.")],
    plan: PlanFile = DEFAULT_PLAN,
    from_line: Annotated[
        int,
        typer.Option(
            "--from-line",
            min=0,
            metavar="LINE",
            help="Not done: go on with the statement of the migration's file that begins there or behind it.",
        ),
    ] = 0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say what a step in doubt came to, after you looked."""
    exit_with(
        lambda: _settle(plan, step, came, from_line=from_line, output=output), as_json=output is Output.JSON
    )


def _settle(path: Path, step: str, came: Came, *, from_line: int, output: Output) -> None:
    from coordinator.graph import StepId
    from coordinator.journal.events import StepSettled
    from coordinator.world import Seen

    state = _leave(path, lambda at: StepSettled(at, StepId(step), Seen(came), _user(), from_line))
    if output is Output.JSON:
        show_json("settlement", 1, {"run": state.run, "step": step, "came": came, "from_line": from_line})
    else:
        where = f", to go on at line {from_line}" if from_line else ""
        show(f"{state.run}: {step} is {came}{where}. `coordinator run` goes on.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name; Python 3.13 changed the error
        return f"uid {os.getuid()}"


def _leave(path: Path, make: Callable[[datetime], Event], *, otherwise: str = "") -> RunState:
    from datetime import UTC, datetime

    from coordinator.app.place import Place, the_open_run
    from coordinator.app.requests import leave

    place = Place(path)
    state = the_open_run(place, otherwise=otherwise)
    leave(place.journal, state, make(datetime.now(UTC)), holder=place.holder())
    return state


def _carry_out(
    path: Path, settings: list[str] | None, state: RunState, *, wanted: Outcome, output: Output
) -> ExitCode:
    """Do what was asked for, or watch the coordinator do it that works on the run already."""
    from coordinator.cli.run import act

    def carry_out(runner: Runner) -> Ended:
        ended = runner.resume_or_follow(state, say=say)
        if ended.state is not None and ended.state.outcome not in (None, wanted):
            say(f"{state.run} had ended before it could be {wanted}.")
        return ended

    return act(path, settings, state, do=carry_out, wanted=wanted, output=output)
