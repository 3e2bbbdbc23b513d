"""`coordinator parse`: how a migration tool reads a file, statement by statement, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import Output, exit_with, say_diagnostics, show, show_json
from coordinator.cli.options import OutputOption, SectionOption, XOption, x_arguments_of
from coordinator.diagnostics import Place
from coordinator.errors import ExitCode, PlanInvalid
from coordinator.model import Engine, MigrationsSpec

if TYPE_CHECKING:
    from coordinator.model import Script, SourceFile
    from coordinator.ports.migrations import MigrationTool


@app.command()
def parse(  # noqa: PLR0917 - Typer alone calls it, by name
    file: Annotated[Path, typer.Argument(help="The migration file.")],
    tool: Annotated[
        str, typer.Option(help="The migration tool that reads it: goose, golang-migrate, alembic.")
    ],
    engine: Annotated[
        Engine, typer.Option(help="The engine whose quotes and comments the file has.")
    ] = Engine.POSTGRESQL,
    python: Annotated[
        str | None, typer.Option(help="The interpreter of the project whose migrations are Python.")
    ] = None,
    section: SectionOption = None,
    x_argument: XOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show how a migration tool reads a file.

    The statements are shown as they are sent to the engine, one text each. Those of a revision of Alembic are
    what its offline mode says: its env.py and the revision are run for that, without a database.
    """

    def run() -> ExitCode:
        spec = MigrationsSpec(
            tool,
            file.parent,
            None,
            Place(str(file)),
            python=python,
            section=section,
            x_arguments=x_arguments_of(x_argument, tool=tool, section=section),
        )
        return _parse(file, spec, engine, output)

    exit_with(run, as_json=output is Output.JSON)


def _parse(path: Path, spec: MigrationsSpec, engine: Engine, output: Output) -> ExitCode:
    from coordinator import discovery
    from coordinator.diagnostics import errors_of

    tool = _tool(spec.tool)
    parsed = tool.parse(_source(path), engine)
    if errors_of(parsed.diagnostics):
        raise PlanInvalid(parsed.diagnostics)
    say_diagnostics(parsed.diagnostics)
    if spec.tool in discovery.names(discovery.RUNNERS):
        return _parse_code(path, spec, engine, output)
    _show(path, {"up": parsed.up, "down": parsed.down}, engine, output)
    return ExitCode.DONE


def _parse_code(path: Path, spec: MigrationsSpec, engine: Engine, output: Output) -> ExitCode:
    """Show what a migration that is code says that it sends; its way down is shown by its tool alone."""
    import os

    from coordinator.app.revision import script_of, unknown_script
    from coordinator.model import Script

    migration, found = script_of(path, engine, spec=spec, environment=os.environ)
    if isinstance(found, Script):
        _show(path, {"up": found, "down": None}, engine, output)
    else:
        say_diagnostics((unknown_script(migration, found),))
        if output is Output.JSON:
            show_json("parse", 1, {"up": None, "down": None, "transaction": None})
    return ExitCode.DONE


def _show(path: Path, sides: Mapping[str, Script | None], engine: Engine, output: Output) -> None:
    transaction = all(script.transaction for script in sides.values() if script)
    if output is Output.JSON:
        texts: dict[str, object] = {side: _texts(script) for side, script in sides.items()}
        show_json("parse", 1, {**texts, "transaction": transaction})
        return
    from coordinator.wording import counted

    for side, script in sides.items():
        if script is not None:
            show(f"{side}: {counted(len(script.statements), 'text')}, {_wrapped(script, engine)}")
            for statement in script.statements:
                show(f"\n{path}:{statement.line}\n{statement.text}")
            show("")


def _tool(key: str) -> MigrationTool:
    from coordinator import discovery
    from coordinator.diagnostics import did_you_mean
    from coordinator.errors import Usage

    known = discovery.names(discovery.MIGRATION_TOOLS)
    if key not in known:
        raise Usage(
            "unknown-name",
            f"There is no migration tool `{key}`.",
            next_step=f"{did_you_mean(key, known)} The tools are: {', '.join(known)}.",
        )
    return discovery.migration_tool(key)


def _source(path: Path) -> SourceFile:
    import hashlib

    from coordinator.diagnostics import Diagnostic
    from coordinator.load.migrations import MAX_MIGRATION_BYTES
    from coordinator.load.source import read_bytes
    from coordinator.model import SourceFile

    content = read_bytes(path, limit=MAX_MIGRATION_BYTES, place=Place(str(path)))
    if isinstance(content, Diagnostic):
        raise PlanInvalid((content,))
    return SourceFile(str(path), content, hashlib.sha256(content).hexdigest())


def _texts(script: Script | None) -> list[str]:
    return [statement.text for statement in script.statements] if script else []


def _wrapped(script: Script, engine: Engine) -> str:
    from coordinator.halfway import may_remain

    if not script.transaction:
        return "without a transaction of the tool"
    if may_remain(script, engine):
        return "in a transaction that each change of the schema commits"
    return "in one transaction"
