"""Problems as values: where, which code, what is wrong, why it matters, what to do next.

A stage returns all the problems that it finds; nobody raises at the first. A diagnostic never holds a
secret: plans hold references to secrets only, and a message quotes a plan's text only where no secret
can stand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

_GUESS_LENGTH = 64
"""Nobody means a longer name, and comparing a very long one would take its time."""
_FEW = 20
"""A longer list in a message is not read."""


class Severity(StrEnum):
    """An error stops the command; a warning is shown and the command goes on."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a file; line and column count from 1, and 0 says that only the file is known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.file, *(str(part) for part in (self.line, self.column) if part)])


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem. `code` names its page under coordinator/pages (`coordinator explain CODE`)."""

    code: str
    place: Place
    what: str
    why: str = ""
    next_step: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        message = " ".join(part for part in (self.what, self.why, self.next_step) if part)
        return f"{self.place} {self.severity}[{self.code}]: {message}"

    def as_json(self) -> dict[str, object]:
        """Return the form that every JSON result shows; line and column are null where they are unknown."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "file": self.place.file,
            "line": self.place.line or None,
            "column": self.place.column or None,
            "what": self.what,
            "why": self.why,
            "next": self.next_step,
        }


def errors_of(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics that stop a command."""
    return tuple(each for each in diagnostics if each.severity is Severity.ERROR)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the next step for a wrong name: the known one that looks like it, else all if they are few."""
    candidates = sorted(known)
    close = get_close_matches(word, candidates, n=1) if len(word) <= _GUESS_LENGTH else []
    if close:
        return f"Did you mean `{close[0]}`?"
    if len(candidates) > _FEW:
        return f"None of the {len(candidates)} known ones looks like it."
    listed = ", ".join(f"`{each}`" for each in candidates)
    return f"Possible: {listed}." if listed else "There is none to choose from."
