"""`coordinator parse`: how a migration tool reads a file, statement by statement, without a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import app
from coordinator.cli.edge import Output, exit_with, say_diagnostics, show, show_json
from coordinator.cli.options import OutputOption
from coordinator.errors import ExitCode
from coordinator.model import Engine

if TYPE_CHECKING:
    from coordinator.model import Script, SourceFile
    from coordinator.ports import MigrationTool


@app.command()
def parse(
    file: Annotated[Path, typer.Argument(help="The migration file.")],
    tool: Annotated[str, typer.Option(help="The migration tool that reads it: goose or golang-migrate.")],
    engine: Annotated[
        Engine, typer.Option(help="The engine whose quotes and comments the file has.")
    ] = Engine.POSTGRESQL,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show how a migration tool reads a file.

    The statements are shown as they are sent to the engine, one text each.
    """
    exit_with(lambda: _parse(file, tool, engine, output))


def _parse(path: Path, key: str, engine: Engine, output: Output) -> ExitCode:
    from coordinator.diagnostics import errors_of

    parsed = _tool(key).parse(_source(path), engine)
    say_diagnostics(parsed.diagnostics)
    if errors_of(parsed.diagnostics):
        return ExitCode.INVALID
    sides = {"up": parsed.up, "down": parsed.down}
    transaction = all(script.transaction for script in sides.values() if script)
    if output is Output.JSON:
        texts: dict[str, object] = {side: _texts(script) for side, script in sides.items()}
        show_json("parse", 1, {**texts, "transaction": transaction})
        return ExitCode.DONE
    for side, script in sides.items():
        if script is not None:
            show(f"{side}: {len(script.statements)} text(s), {_wrapped(script, engine)}")
            for statement in script.statements:
                show(f"\n{path}:{statement.line}\n{statement.text}")
            show("")
    return ExitCode.DONE


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

    from coordinator.diagnostics import Diagnostic, Place
    from coordinator.errors import PlanInvalid
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
