"""What is known about each version at each schema state, and what that knowledge rests on.

The rest of the line asks only this matrix. Today its cells come from declarations and statement classes
(classify.py), so none of them is *proven*: the rehearsal that asks the engine writes the same type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from coordinator.diagnostics import Place
from coordinator.model import DatabaseName, Migration, Phase, Role, ServiceName


class Verdict(StrEnum):
    """Whether a version works at a state. Unproven is never called safe."""

    PROVEN = "proven"
    BROKEN = "broken"
    UNPROVEN = "unproven"


class Basis(StrEnum):
    """What a verdict rests on, strongest first."""

    REHEARSED = "rehearsed"
    """The engine was asked."""
    DECLARED = "declared"
    """The migration's author wrote its phase down."""
    CLASSIFIED = "classified"
    """Guessed from the class of the migration's statements."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One cell: the verdict, its basis, and the sentence that a person reads."""

    verdict: Verdict
    basis: Basis
    reason: str


@dataclass(frozen=True, slots=True)
class Phased:
    """A pending migration with the phase that it was given, and why."""

    migration: Migration
    phase: Phase
    basis: Basis
    reason: str
    place: Place


Cell = tuple[DatabaseName, int, ServiceName, Role]
"""Database, schema state, service, version."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The matrix, and the pending migrations m1..mk of each database in the order of the tool."""

    phased: Mapping[DatabaseName, tuple[Phased, ...]]
    cells: Mapping[Cell, Finding] = field(repr=False)

    def finding(self, cell: Cell) -> Finding:
        """Return what is known; a cell that nobody looked at is unproven."""
        return self.cells.get(cell, NOTHING_KNOWN)


NOTHING_KNOWN = Finding(Verdict.UNPROVEN, Basis.CLASSIFIED, "nothing was asked")
