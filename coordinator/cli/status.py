"""`coordinator status` and `coordinator history`: where a plan's runs are, from the journal alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import Output, columns_of, exit_with, show, show_json, show_messages
from coordinator.cli.options import DEFAULT_PLAN, OutputOption, PlanFile
from coordinator.errors import ExitCode

if TYPE_CHECKING:
    from coordinator.journal.fold import RunState


@app.command()
def status(
    plan: PlanFile = DEFAULT_PLAN,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the run until it ends.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the steps of the newest run, and what it waits for."""
    exit_with(lambda: _watch(plan) if watch else _status(plan, output), as_json=output is Output.JSON)


def _newest(path: Path) -> RunState | None:
    from coordinator.app.place import Place, newest_first

    return next(newest_first(Place(path).journal), None)


def _status(path: Path, output: Output) -> ExitCode:
    from coordinator.app.place import Place
    from coordinator.report import progress, wrapping

    state, now = _newest(path), datetime.now(UTC)
    if state is not None and state.outcome is None and Place(path).holder() is None:
        state = _newest(path)  # who has let go just then may have written
    if output is Output.JSON:
        show_json("run", 1, progress.as_json(state))
    elif state is None:
        show_messages([f"{path} was never run.", *_preparing(path)])
    else:
        rows = list(progress.table_of(state, now=now))
        width = max((wrapping.columns_of(row[1]) for row in rows), default=0)
        reasons = (*progress.accepted(state), *progress.why(state))
        show_messages([progress.summary(state, now=now), *reasons, *_working(path, state)])
        window = columns_of(sys.stdout, otherwise=0)
        failures = dict(progress.failures(state))
        for sign, step, took, known in rows:
            detail = "see below" if step in failures else known
            row = f"  {sign} {wrapping.padded(step, width)}  {took:>12}  {detail}".rstrip()
            show(wrapping.cut_to(row, window) if window else row)
        show_messages((*failures.values(), *progress.doubts(state)))
    return ExitCode.DONE


def _working(path: Path, state: RunState) -> Iterator[str]:
    from coordinator.app.place import Place
    from coordinator.report import progress

    if state.outcome is not None:
        yield from _preparing(path, behind=state)
    else:
        is_doubtful = next(progress.doubts(state), None) is not None
        approve = [f"`coordinator approve {step} --as NAME`" for step, _ in progress.approvals_wanted(state)]
        next_step = (
            "a person has to look first, see below"
            if is_doubtful
            else f"{', then '.join([*approve, f'`{state.command}`'])} goes on"
        )
        holder = Place(path).holder()
        yield f"  {holder} works on it" if holder else f"  nobody works on it now: {next_step}"


def _preparing(path: Path, *, behind: RunState | None = None) -> Iterator[str]:
    """Say who is at work: the journal has no word of a run before its release is rehearsed."""
    from coordinator.app.place import Place

    if holder := Place(path).holder(behind=behind):
        yield f"  {holder} is at work: a run looks at the world and rehearses the release before it begins"


def _watch(path: Path) -> ExitCode:
    """Show the newest run's events as they come; the exit code is 0 when the run has ended.

    One that somebody is about to begin is waited for, where there is no other.
    """
    from coordinator.app.place import Place, catch_up
    from coordinator.cli.watching import watching
    from coordinator.report import progress

    place, state = Place(path), _newest(path)
    if state is None:
        show_messages([f"{path} was never run.", *_preparing(path)])
    while state is None:
        holder = place.holder()
        state = _newest(path)  # read behind it: who has let go just then may have written
        if state is None and holder is None:
            return ExitCode.DONE
        time.sleep(0.2)
    journal = place.journal
    with watching() as audience:
        while state.outcome is None:
            audience.ticked(state, now=datetime.now(UTC))
            state = catch_up(journal, state, audience.saw)
            time.sleep(0.2)
    show_messages(progress.closing_lines(state, ()))
    return ExitCode.DONE


@app.command()
def history(
    plan: PlanFile = DEFAULT_PLAN,
    run: Annotated[str, typer.Option(help="Show every event of this run.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """List the runs so far, or every event of one."""
    exit_with(
        lambda: _events(plan, run, output) if run else _history(plan, output), as_json=output is Output.JSON
    )


def _history(path: Path, output: Output) -> None:
    from coordinator.app.place import Place, newest_first
    from coordinator.report import progress

    runs, now = list(newest_first(Place(path).journal)), datetime.now(UTC)
    if output is Output.JSON:
        show_json("history", 1, {"runs": [progress.as_json(state) for state in runs]})
        return
    if not runs:
        show(f"{path} was never run.")
    for state in runs:
        line = f"{state.started.at.astimezone():%Y-%m-%d %H:%M:%S}  {progress.summary(state, now=now)}"
        show("\n".join([line, *progress.accepted(state)]))


def _events(path: Path, run: str, output: Output) -> None:
    import json

    from coordinator.app.place import Place
    from coordinator.errors import Usage
    from coordinator.journal.events import RunStarted, from_wire
    from coordinator.journal.fold import fold
    from coordinator.report.progress import line_of

    records = Place(path).journal.records(run)
    if not records:
        raise Usage("no-such-run", f"{path} has no run {run}.", next_step="`coordinator history` lists them.")
    if output is Output.JSON:
        show_json("events", 1, {"run": run, "events": [json.loads(record) for record in records]})
        return
    past = [from_wire(record) for record in records]
    state = fold(run, past[:1])
    for event in past:
        state = state if isinstance(event, RunStarted) else state.with_event(event)
        show(f"{event.at.astimezone():%Y-%m-%d %H:%M:%S}  {line_of(event, state)}")
