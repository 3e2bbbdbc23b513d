"""The command line: argv in, text and exit code out. One file a command; nothing heavy is imported here.

`coordinator --help` is asked for by people who wait for it, so a command's module holds its signature and
imports what it needs when it is called. Typer is used without its rich help for the same reason.
"""

from __future__ import annotations

import typer

app = typer.Typer(
    name="coordinator",
    help="Release code and schema together; old and new versions work at every instant.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

from coordinator.cli import (  # noqa: E402 - each registers its command
    doctor,  # noqa: F401
    explain,  # noqa: F401
    local,  # noqa: F401
    parse,  # noqa: F401
    plan,  # noqa: F401
    requests,  # noqa: F401
    run,  # noqa: F401
    schema,  # noqa: F401
    status,  # noqa: F401
    validate,  # noqa: F401
)
