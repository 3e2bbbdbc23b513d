"""The edge of the process: problems become text on stderr and an exit code; results go to stdout.

This is one of the few places with a broad `except`: a bug must not look like a failed release. And a
release must not fail because nobody reads what it prints: a closed pipe, a full disk or a lost terminal
silences a stream and nothing else.
"""

from __future__ import annotations

import codecs
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from coordinator.errors import CoordinatorError, ExitCode, Interrupted

if TYPE_CHECKING:
    from coordinator.diagnostics import Diagnostic

_PLAIN_SIGNS: Final = {
    "✔": "+", "✘": "x", "▶": ">", "↶": "<", "■": "=", "·": ".", "→": "->", "‼": "!!", "…": "...",
}  # fmt: skip
"""What our signs become where the terminal's encoding has none of them."""
_CONTROLS: Final = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}
_WORDS: Final = {ExitCode.WAITING: "waiting", ExitCode.IN_DOUBT: "in doubt", ExitCode.INTERRUPTED: "stopped"}
"""How a problem is called that is no error."""


class Output(StrEnum):
    """The two forms of every result."""

    TEXT = "text"
    JSON = "json"


def prepare_streams() -> None:
    """Let stdout and stderr take any text, whatever the locale's encoding is, and also if they are closed."""
    codecs.register_error("coordinator-signs", _in_plain_signs)
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="coordinator-signs")  # type: ignore[union-attr]  # both are TextIOWrapper


def _open_what_is_closed() -> None:
    """Put the void where a caller closed a stream: else the next file would be it, and get our messages."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The kernel gives out the lowest free number, which is the closed stream's.
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for as long as the process lives


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    shown = (_PLAIN_SIGNS.get(each) or each.encode("ascii", "backslashreplace").decode() for each in text)
    return "".join(shown), error.end


def say(text: str, *, before: str = "") -> None:
    """Print progress or a problem for a person, on stderr; `before` is ours and may have colours."""
    _print(before + escaped(text), sys.stderr)


def show(text: str) -> None:
    """Print a result, on stdout."""
    _print(escaped(text), sys.stdout)


def escaped(text: str) -> str:
    """Return a text whose control characters are visible: services and servers write parts of our lines."""
    return text.translate(_CONTROLS)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except OSError:
        silence(stream)


def silence(stream: TextIO) -> None:
    """Send what is still to come into the void: nobody can read it any more."""
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, stream.fileno())
    os.close(void)


def columns_of(stream: TextIO, *, otherwise: int) -> int:
    """Return how wide a terminal is; `otherwise` where a stream is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or otherwise
    except (OSError, ValueError):
        return otherwise


def show_json(name: str, version: int, fields: dict[str, object]) -> None:
    """Print a result as one JSON document."""
    show(json_text(name, version, fields))


def json_text(name: str, version: int, fields: dict[str, object]) -> str:
    """Return one JSON document whose `schema` is `coordinator/<name>/<version>`; ASCII alone."""
    return json.dumps({"schema": f"coordinator/{name}/{version}", **fields}, indent=2)


def say_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics in the order of their places: one a line, but in a window that is narrower."""
    for each in _in_order(diagnostics):
        _say_message(str(each))


def problems_text(exit_code: ExitCode, diagnostics: Iterable[Diagnostic]) -> str:
    """Return the JSON document of a command that was ended by these problems."""
    return _problems_text(exit_code, [each.as_json() for each in _in_order(diagnostics)])


def _problems_text(exit_code: ExitCode, found: list[dict[str, object]]) -> str:
    return json_text("problems", 1, {"exit_code": exit_code, "diagnostics": found})


def _in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    return sorted(diagnostics, key=lambda each: each.place)


def _without_place(error: CoordinatorError) -> dict[str, object]:
    """Return a problem of the world as Diagnostic.as_json writes one of a file."""
    nowhere = dict.fromkeys(("file", "line", "column"))
    told = {"what": error.what, "why": error.why, "next": error.next_step}
    return {"code": error.code, "severity": "error", **nowhere, **told}


def say_problem(error: CoordinatorError) -> None:
    """Print a problem of the world with its code."""
    _say_message(f"{_WORDS.get(error.exit_code, 'error')}[{error.code}]: {error}")


def _say_message(text: str) -> None:
    from coordinator.report.wrapping import folded

    say("\n".join(folded(text, columns_of(sys.stderr, otherwise=0))))


def show_messages(lines: Iterable[str]) -> None:
    """Print lines of a result, on stdout; those that are longer than its window sentence by sentence."""
    from coordinator.report.wrapping import folded

    width = columns_of(sys.stdout, otherwise=0)
    show("\n".join(each for line in lines for each in folded(line, width)))


def exit_with(command: Callable[[], ExitCode | None], *, as_json: bool = False) -> None:
    """Run a command's body and leave the process with its exit code.

    With `as_json` a problem that ends it is the document on stdout: the body shows its own last of all.

    A pipeline that gives up sends SIGTERM, a lost terminal SIGHUP: both end a command as Ctrl-C does, so that
    it removes what it made. What is ignored stays so (nohup).
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    sys.exit(_exit_code_of(command, as_json=as_json))


def _exit_code_of(command: Callable[[], ExitCode | None], *, as_json: bool) -> int:
    try:
        return command() or ExitCode.DONE
    except CoordinatorError as error:
        return _end_by(error, as_json=as_json)
    except KeyboardInterrupt:
        what, next_step = "Stopped on request.", "Run the command again, if it is still wanted."
        return _end_by(Interrupted("interrupted", what, next_step=next_step), as_json=as_json)
    except Exception:  # noqa: BLE001 - the edge: whatever is left is a bug of ours
        import traceback

        say(traceback.format_exc())
        say("error[bug]: This is a bug in coordinator. The journal is intact; run the command again.")
        return ExitCode.BUG


def _end_by(error: CoordinatorError, *, as_json: bool) -> ExitCode:
    """Print the problem that ended a command, and return what the process ends with."""
    diagnostics: tuple[Diagnostic, ...] = getattr(error, "diagnostics", ())
    say_diagnostics(diagnostics)
    if not diagnostics:
        say_problem(error)
    if as_json:
        found = [each.as_json() for each in _in_order(diagnostics)] or [_without_place(error)]
        show(_problems_text(error.exit_code, found))
    return error.exit_code
