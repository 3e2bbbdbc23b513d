"""The command line: argv in, text and exit code out. One file a command, imported when the command is called.

People wait for `coordinator --help` and call `coordinator validate` on every save, so the table below says
what the help shows, and only the command that was asked for is imported; within its module, heavy imports
stand in the functions that need them. Typer is used without its rich help for the same reason.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from coordinator import __version__

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

COMMANDS: Final = {
    "init": ("init", "Write a plan from what this folder shows."),
    "plan": ("plan", "Show what a release would do; change nothing."),
    "run": ("run", "Release the plan, or go on with its release."),
    "status": ("status", "Show the steps of the newest run, and what it waits for."),
    "history": ("status", "List the runs so far, or every event of one."),
    "approve": ("requests", "Allow a step that waits for people."),
    "rollback": ("requests", "Take the open run back to the old version."),
    "abort": ("requests", "Give the open run up and leave everything as it stands."),
    "settle": ("requests", "Say what a step in doubt came to, after you looked."),
    "doctor": ("doctor", "Check what the plan needs, and say what is wrong."),
    "backtest": ("backtest", "Replay a repository's past releases: which order each would have needed."),
    "validate": ("validate", "Check a plan file and its migrations, offline."),
    "split": (
        "split",
        "Cut a migration in two: what the old version bears, and what waits until it is gone.",
    ),
    "parse": ("parse", "Show how a migration tool reads a file."),
    "explain": ("explain", "Explain the code of a problem, or list all codes."),
    "schema": ("schema", "Print the JSON Schema (draft 2020-12) of the plan file."),
    "local": ("local", "Run a plan's services on this machine."),
}
"""Each command's module and its line in `coordinator --help`, in that order.

The line repeats the first one of the command's docstring, which cannot be read without importing it; a test
holds the two together.
"""


class Commands(TyperGroup):
    """The commands of the table, each imported when somebody asks for it."""

    def list_commands(self, _ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        # A name that we do not have is a slip of the pen, and Typer compares it with the commands it has.
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                import_module(f"{__name__}.{COMMANDS[name][0]}")
                self.commands.update(get_group(app).commands)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, _ctx: Context, formatter: HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = typer.Typer(
    cls=Commands,
    name="coordinator",
    epilog="Exit codes: 0 done, 1 failed and stopped safely, 2 invalid, 3 refused, 4 waiting, 5 in doubt,"
    " 70 a bug, 130 interrupted. After any of them, running the same command again is safe.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


def _show_version(value: bool) -> None:  # noqa: FBT001 - Typer's own signature
    if value:
        typer.echo(f"coordinator {__version__}")
        raise typer.Exit


@app.callback()
def coordinator(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Release code and schema together; old and new versions work at every instant."""
