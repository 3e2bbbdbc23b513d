"""What the core asks of a check: one question, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coordinator.model import Version


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check found; `detail` is one line for a person: what was asked, what came back."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a check asks."""

    service: str
    version: Version
    address: str
    """A base URL without trailing slash."""
    folder: Path


class CheckKind(Protocol):
    """A kind of check: `CHECK: Final[CheckKind]`, last line of adapters/signals/<key>.py."""

    spec: type
    """The pydantic model of the plan's `{<key>: …}`."""

    def ask(self, spec: object, subject: Subject) -> Answer:
        """Ask once. A refused connection or a time-out is an answer that is not ok; read only."""
        ...
