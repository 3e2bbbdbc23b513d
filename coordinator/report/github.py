"""GitHub's workflow commands: lines on stdout that become annotations of a pull request.

GitHub shows ten annotations of a level for each step and drops the rest without a word, so the rest is
printed as plain lines behind a line that counts them. A text of ours must never be a command of its own: an
engine's message may hold a line break and what follows it.

Source of the format: docs.github.com, "Workflow commands for GitHub Actions"; of the escapes: actions/toolkit
(command.ts) and actions/runner (ActionCommand.cs, which also takes the old `##[command]` within a line).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from coordinator.report.annotations import Annotation, Level

SHOWN_A_STEP = 10
"""Annotations of one level that GitHub shows of a step."""
_TITLE_LENGTH = 255
"""The longest title of an annotation; docs.github.com, "REST API endpoints for check runs"."""
_IN_TEXT = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def commands(found: Sequence[Annotation]) -> Iterator[str]:
    """Yield the lines for a step's log: ten commands a level at most, then what GitHub would not show."""
    for level in Level:
        same = [each for each in found if each.level is level]
        yield from map(_command, same[:SHOWN_A_STEP])
        left_out = same[SHOWN_A_STEP:]
        if left_out:
            yield (
                f"GitHub shows {SHOWN_A_STEP} annotations of a level for each step."
                f" Left out of {level}: {len(left_out)}:"
            )
            yield from plain(
                f"{each.place} {each.level}[{each.code}]: {each.message}".replace("\n", " ")
                for each in left_out
            )


def plain(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines for the log in a form that GitHub takes for no command."""
    for text in lines:
        for line in text.splitlines() or [""]:
            shown = line.replace("##[", "## [")
            yield f"| {shown}" if shown.lstrip().startswith("::") else shown


def _command(each: Annotation) -> str:
    properties = {
        "file": each.place.file,
        "line": str(each.place.line or 1),
        **({"col": str(each.place.column)} if each.place.column else {}),
        "title": f"{each.code}: {each.title}"[:_TITLE_LENGTH],
    }
    listed = ",".join(f"{name}={value.translate(_IN_PROPERTY)}" for name, value in properties.items())
    return f"::{each.level} {listed}::{each.message.translate(_IN_TEXT)}"
