"""`coordinator validate`: is this plan one that could be run? Offline, and nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import Output, exit_with, say, say_diagnostics, show, show_json
from coordinator.cli.options import DEFAULT_PLAN, OutputOption, PlanFile, Settings
from coordinator.errors import ExitCode

if TYPE_CHECKING:
    from coordinator.diagnostics import Diagnostic
    from coordinator.model import DatabaseName, Plan

_ANY_FILE = (
    "No database was asked, so every migration counts as one that is still to be applied. `coordinator plan`"
    " and `run` mind an error in its file only where it is; `--against REF` leaves out what a commit has as"
    " well."
)


@app.command()
def validate(
    plan: PlanFile = DEFAULT_PLAN,
    settings: Settings = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="Leave out what a git commit's files of migrations have as well; `merge-base` is where this"
            " branch left the default one.",
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check a plan file and its migrations, offline.

    Every problem is shown at its line, and nothing is contacted.
    """
    exit_with(lambda: _validate(plan, settings or [], against, output), as_json=output is Output.JSON)


def _validate(path: Path, arguments: list[str], against: str | None, output: Output) -> ExitCode:
    import os

    from coordinator.diagnostics import errors_of
    from coordinator.load import load, settings_from
    from coordinator.load.command import missing_of_backfills, missing_programs
    from coordinator.load.migrations import read_migrations
    from coordinator.load.platforms import lint_services
    from coordinator.wording import counted

    loaded = load(path, settings=settings_from(arguments), environment=os.environ)
    databases = loaded.plan.databases if loaded.plan else {}
    readings = {name: read_migrations(spec.migrations, spec.engine) for name, spec in databases.items()}
    found = (
        *loaded.diagnostics,
        *(each for one in readings.values() for each in one.diagnostics),
        *missing_programs(databases.values()),
        *(each for spec in databases.values() for each in missing_of_backfills(spec.backfills)),
        *(lint_services(loaded.plan) if loaded.plan else ()),
    )
    diagnostics, known = found, ""
    if against is not None and loaded.plan is not None:
        from coordinator.app.known_problems import without_known

        diagnostics, known = without_known(found, loaded.plan, against)
    left_out = len(found) - len(diagnostics)
    counts = {name: len(reading.migrations) for name, reading in readings.items()}
    is_valid = loaded.plan is not None and not errors_of(diagnostics)
    if output is Output.JSON:
        shown = _as_json(path, loaded.plan if is_valid else None, counts, diagnostics)
        show_json("validate", 1, shown if against is None else {**shown, "left_out": left_out})
    else:
        say_diagnostics(diagnostics)
        if left_out:
            say(f"Left out: {counted(left_out, 'problem')} that {known} has as well.")
        if any(each.faults for reading in readings.values() for each in reading.migrations) and not is_valid:
            say(_ANY_FILE)
        if is_valid and loaded.plan:
            show(f"{path}: valid: {_summary(loaded.plan, sum(counts.values()))}")
    return ExitCode.DONE if is_valid else ExitCode.INVALID


def _summary(plan: Plan, migrations: int) -> str:
    counted = (
        (len(plan.databases), "database"),
        (len(plan.services), "service"),
        (migrations, "migration"),
    )
    return ", ".join(
        [
            f"release {plan.release}",
            *(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counted),
        ]
    )


def _as_json(
    path: Path, plan: Plan | None, counts: dict[DatabaseName, int], diagnostics: tuple[Diagnostic, ...]
) -> dict[str, object]:
    found: dict[str, object] = {"plan": str(path), "valid": plan is not None}
    if plan is not None:
        found["release"] = plan.release
        found["digest"] = plan.digest
        found["databases"] = {name: {"migrations": count} for name, count in counts.items()}
        found["services"] = {name: {"version": each.version} for name, each in plan.services.items()}
    return {**found, "diagnostics": [each.as_json() for each in diagnostics]}
