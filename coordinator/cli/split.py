"""`coordinator split`: cut a migration in two where a part has to wait until the old version is gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import Output, exit_with, show, show_json
from coordinator.cli.options import DEFAULT_PLAN, OutputOption, Settings
from coordinator.errors import ExitCode

if TYPE_CHECKING:
    from coordinator.splits import Split


@app.command()
def split(
    file: Annotated[Path, typer.Argument(help="The migration file; of two files the one that goes up.")],
    plan: Annotated[Path, typer.Option(help="The plan file whose migration it is.")] = DEFAULT_PLAN,
    settings: Settings = None,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Write the two migrations in place of the one.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Cut a migration in two: what the old version bears, and what waits until it is gone.

    Each statement is rehearsed with the queries of both versions. The two files are shown, and written only
    with --write: the first takes the place of the file, the second gets the next version.
    """
    exit_with(
        lambda: _split(file, plan, settings, is_written=write, output=output), as_json=output is Output.JSON
    )


def _split(
    file: Path, plan: Path, settings: list[str] | None, *, is_written: bool, output: Output
) -> ExitCode:
    from coordinator.app.connected import step_kinds
    from coordinator.app.splitting import split_file
    from coordinator.cli.opening import open_ports
    from coordinator.report.split import as_json, as_text

    found = split_file(open_ports(plan, settings), file, step_kinds())
    if is_written:
        _write(found)
    if output is Output.JSON:
        show_json("split", 1, as_json(found, is_written=is_written))
    else:
        show(as_text(found, is_written=is_written))
    return ExitCode.DONE


def _write(found: Split) -> None:
    """Write the second half first: a kill between the two leaves a folder whose tool refuses to go on."""
    from coordinator.cli.writing import write_whole

    for file in reversed(found.files):
        write_whole(Path(file.path), file.content.decode())
    kept = {file.path for file in found.files}
    for path in found.replaced if found.files else ():
        if path not in kept:
            Path(path).unlink()
