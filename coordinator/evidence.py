"""What is known about each version at each schema state, and what that knowledge rests on.

The rest of the line asks only this matrix. Today its cells come from declarations and statement classes
(classify.py), so none of them is *proven*: the rehearsal that asks the engine writes the same type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


Use = tuple[DatabaseName, ServiceName, Role]
"""A version of a service on a database that it uses."""


@dataclass(frozen=True, slots=True)
class Span:
    """The schema states `first` to `last`, at which the same is known about a version."""

    first: int
    last: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class Evidence:
    """The matrix, and the pending migrations m1..mk of each database in the order of the tool.

    The matrix is kept in spans, ascending and apart: a version knows two or three kinds of state, however
    many migrations are pending. A state in no span is one that nobody looked at, and unproven.
    """

    phased: Mapping[DatabaseName, tuple[Phased, ...]]
    spans: Mapping[Use, tuple[Span, ...]] = field(repr=False)

    def between(self, use: Use, first: int, last: int) -> Iterator[Span]:
        """Yield spans that cover the states `first` to `last`, and no other, without a gap."""
        for span in self.spans.get(use, ()):
            if span.last < first or span.first > last:
                continue
            if first < span.first:
                yield Span(first, span.first - 1, NOTHING_KNOWN)
            yield Span(max(first, span.first), min(last, span.last), span.finding)
            first = span.last + 1
        if first <= last:
            yield Span(first, last, NOTHING_KNOWN)

    def finding(self, use: Use, state: int) -> Finding:
        """Return what is known at one state."""
        return next(self.between(use, state, state)).finding


NOTHING_KNOWN = Finding(Verdict.UNPROVEN, Basis.CLASSIFIED, "nothing was asked")
