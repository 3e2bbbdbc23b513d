"""A file's bytes, read once and with a limit; and the plan's text, free of what a person cannot see.

A path may name a folder, a device that never ends or a pipe that never answers, so only regular files are
read. libyaml takes U+0085, U+2028 and U+2029 as line breaks (YAML 1.1) where editors and YAML 1.2 do not: a
comment could end unseen, so such characters are refused before YAML looks at them, and the ones that change
the direction of the text too.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from coordinator.diagnostics import Diagnostic, Place

MAX_PLAN_BYTES = 1 << 20

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""Control characters but tab and line breaks, line and paragraph separators, direction marks, surrogates."""


@dataclass(frozen=True, slots=True)
class Text:
    """A plan's text, or why there is none."""

    text: str | None
    diagnostics: tuple[Diagnostic, ...] = ()


def find_hidden(text: str) -> int | None:
    """Return the position of the first character that nobody can see, None if there is none."""
    match = _HIDDEN.search(text)
    return match.start() if match else None


def shown(path: Path) -> str:
    """Return the path as it may be printed: bytes that are no UTF-8 as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def read_bytes(path: Path, *, limit: int, place: Place) -> bytes | Diagnostic:
    """Return a regular file's bytes, or the diagnostic that says at `place` why it cannot be read."""
    name = shown(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return _not_a_file(name, place)
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):  # it was exchanged meanwhile
                return _not_a_file(name, place)
            content = stream.read(min(found.st_size, limit) + 1)  # what is asked for is allocated first
            if len(content) > found.st_size:  # it grows, or is one of /proc, which tell no size
                content += stream.read(limit + 1 - len(content))
    except FileNotFoundError:
        return Diagnostic(
            code="file-missing",
            place=place,
            what=f"There is no file `{name}`.",
            next_step="Check the path; a relative path starts at the current folder.",
        )
    except OSError as error:
        return Diagnostic(
            code="file-unreadable",
            place=place,
            what=f"`{name}` cannot be read: {error.strerror}.",
            next_step="Check the owner and the permissions of the file and of its folders.",
        )
    if len(content) > limit:
        return Diagnostic(
            code="file-too-large",
            place=place,
            what=f"`{name}` has more than {limit >> 20} MiB.",
            why="A file of this size is hardly the one that was meant.",
            next_step="Check the path, or split the file.",
        )
    return content


def read_text(path: Path) -> Text:
    """Return the text of a plan file, without a byte order mark."""
    place = Place(shown(path))
    content = read_bytes(path, limit=MAX_PLAN_BYTES, place=place)
    if isinstance(content, Diagnostic):
        return Text(None, (content,))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        return Text(None, (_not_utf8(_place_after(before, place.file)),))
    hidden = find_hidden(text)
    if hidden is not None:
        return Text(None, (hidden_character(text[hidden], _place_after(text[:hidden], place.file)),))
    return Text(text)


def hidden_character(character: str, place: Place) -> Diagnostic:
    """Return the diagnostic for a character that `find_hidden` found."""
    return Diagnostic(
        code="hidden-character",
        place=place,
        what=f"The character U+{ord(character):04X} stands here.",
        why="Nobody can see it, and programs disagree about what it means.",
        next_step="Remove it.",
    )


def _place_after(text: str, file: str) -> Place:
    lines = re.split(r"\r\n|\r|\n", text)
    return Place(file, len(lines), len(lines[-1]) + 1)


def _not_a_file(name: str, place: Place) -> Diagnostic:
    return Diagnostic(
        code="not-a-file",
        place=place,
        what=f"`{name}` is a folder, a device or a pipe, and no file.",
        next_step="Name the file itself.",
    )


def _not_utf8(place: Place) -> Diagnostic:
    return Diagnostic(
        code="not-utf-8",
        place=place,
        what="The bytes here are not UTF-8.",
        why="Another encoding would be a guess.",
        next_step="Save the file as UTF-8.",
    )
