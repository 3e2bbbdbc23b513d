"""The command line: argv in, text and exit code out. One file a command; nothing heavy is imported here.

`coordinator --help` is asked for by people who wait for it, so a command's module holds its signature and
imports what it needs when it is called. Typer is used without its rich help for the same reason.
"""

from __future__ import annotations

import typer

app = typer.Typer(
    name="coordinator",
    help="Release code and schema together; old and new versions work at every instant.",
    epilog="Exit codes: 0 done, 1 failed and stopped safely, 2 invalid, 3 refused, 4 waiting, 5 in doubt,"
    " 70 a bug, 130 interrupted. After any of them, running the same command again is safe.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

# Each registers its command; the order is that of `coordinator --help`.
# isort: off
from coordinator.cli import plan  # noqa: E402, F401
from coordinator.cli import run  # noqa: E402, F401
from coordinator.cli import status  # noqa: E402, F401
from coordinator.cli import requests  # noqa: E402, F401
from coordinator.cli import doctor  # noqa: E402, F401
from coordinator.cli import validate  # noqa: E402, F401
from coordinator.cli import parse  # noqa: E402, F401
from coordinator.cli import explain  # noqa: E402, F401
from coordinator.cli import schema  # noqa: E402, F401
from coordinator.cli import local  # noqa: E402, F401
