"""`coordinator init`: a first plan from what the repository shows. It writes one file and overwrites none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import exit_with, show
from coordinator.cli.options import DEFAULT_PLAN
from coordinator.errors import ExitCode

if TYPE_CHECKING:
    from coordinator.app.finding import Found


@app.command()
def init(
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The plan file to write; it must not exist.")
    ] = DEFAULT_PLAN,
) -> None:
    """Write a plan from what this folder shows.

    It looks for migrations, queries, manifests and programs below the current folder, and runs none of them.
    """
    exit_with(lambda: _init(output))


def _init(output: Path) -> ExitCode:
    import os

    from coordinator.app.draft import SMALLEST, as_yaml, draft_from
    from coordinator.app.finding import find
    from coordinator.errors import Usage

    if output.exists():
        raise _exists(output)
    folder = Path.cwd()
    found = find(folder)
    draft = draft_from(found, name=folder.name, folder=os.path.relpath(output.parent, folder))
    for each in (*draft.found(), *draft.remarks):
        show(f"Found {each}")
    if not draft.databases and not found.workloads and not draft.command:
        raise Usage(
            "nothing-found",
            f"Nothing was found below {folder} that a plan could be made of: no migrations of goose,"
            " golang-migrate or Alembic, no manifest, no Procfile.",
            next_step=f"Call it in the repository's folder, or begin {output} with the smallest plan:\n\n"
            + SMALLEST,
        )
    _write(output, "\n".join(as_yaml(draft)) + "\n")
    for line in _unreadable(output, found):
        show(line)
    show(f"Wrote {output}. Next:")
    show(f"  1. Complete what says FILL IN in {output}.")
    show(f"  2. coordinator validate {output}")
    show(f"  3. coordinator plan {output} --against merge-base   (what does this branch do?)")
    return ExitCode.DONE


def _unreadable(output: Path, found: Found) -> Iterator[str]:
    """Yield for each folder how many of its files `validate` will have something against."""
    from coordinator.diagnostics import Place, errors_of
    from coordinator.load.migrations import read_migrations
    from coordinator.model import MigrationsSpec
    from coordinator.wording import counted

    for each in found.migrations:
        if each.unsupported is None:
            spec = MigrationsSpec(each.tool, Path(each.path), None, Place(str(output)), section=each.section)
            reading = read_migrations(spec, each.engine)
            files = {problem.place.file for problem in errors_of(reading.diagnostics)}
            if files:
                where = counted(len(files), "file")
                yield f"Not all is well in {each.path}: `validate` says what it is in {where}."


def _write(output: Path, text: str) -> None:
    from coordinator.errors import Usage

    try:
        with output.open("x", encoding="utf-8") as stream:
            try:
                stream.write(text)
                stream.flush()
            except OSError:
                output.unlink()  # else the next `init` would find a plan that nobody may overwrite
                raise
    except FileExistsError as error:
        raise _exists(output) from error
    except OSError as error:
        raise Usage(
            "file-unwritable",
            f"{output} cannot be written: {error.strerror}.",
            next_step="Check the folder and its permissions, or name another file with --output.",
        ) from error


def _exists(output: Path) -> Exception:
    from coordinator.errors import Usage

    return Usage(
        "plan-exists",
        f"{output} is there already, and nothing is overwritten.",
        next_step="Name another file with --output, and take over what you want from it.",
    )
