"""The edge of the process: problems become text on stderr and an exit code; results go to stdout.

This is one of the few places with a broad `except`: a bug must not look like a failed release.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from coordinator.errors import CoordinatorError, ExitCode

if TYPE_CHECKING:
    from coordinator.diagnostics import Diagnostic


class Output(StrEnum):
    """The two forms of every result."""

    TEXT = "text"
    JSON = "json"


def say(text: str) -> None:
    """Print progress or a problem for a person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Print a result, on stdout."""
    print(text, flush=True)


def show_json(name: str, version: int, fields: dict[str, object]) -> None:
    """Print a result as one JSON document whose `schema` is `coordinator/<name>/<version>`."""
    show(json.dumps({"schema": f"coordinator/{name}/{version}", **fields}, indent=2, ensure_ascii=False))


def say_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics in the order of their places, one a line."""
    for each in sorted(diagnostics, key=lambda each: each.place):
        say(str(each))


def exit_with(command: Callable[[], ExitCode | None]) -> None:
    """Run a command's body and leave the process with its exit code."""
    sys.exit(_exit_code_of(command))


def _exit_code_of(command: Callable[[], ExitCode | None]) -> int:
    try:
        return command() or ExitCode.DONE
    except CoordinatorError as error:
        diagnostics: tuple[Diagnostic, ...] = getattr(error, "diagnostics", ())
        say_diagnostics(diagnostics)
        if not diagnostics:
            say(f"error[{error.code}]: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left; Python would complain about it at exit
        return ExitCode.DONE
    except Exception:  # noqa: BLE001 - the edge: whatever is left is a bug of ours
        import traceback  # noqa: PLC0415 - only a bug pays for it

        say(traceback.format_exc())
        say("error[bug]: This is a bug in coordinator. The journal is intact; run the command again.")
        return ExitCode.BUG
