"""The states of a database and what is known of each version there: the table that text and page draw. Pure.

Most releases have three states, and each is a row. Where there are many, those between which nothing changes
are one row: what a reader looks for are the states at which a version begins to work or to break.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from coordinator.evidence import Basis, Finding, Phased, Use, Verdict
from coordinator.model import DatabaseName, Role
from coordinator.prove import Proof
from coordinator.survey import ServiceSurvey

MOST_ROWS: Final = 12
"""More states than these are folded."""
MARKS: Final[Mapping[Verdict, str]] = {
    Verdict.PROVEN: "✔ works",
    Verdict.BROKEN: "✘ breaks",
    Verdict.UNPROVEN: "? unproven",
}
_RESTS_ON: Final[Mapping[Basis, str]] = {
    Basis.REHEARSED: "",
    Basis.OBSERVED: " (runs now)",
    Basis.DECLARED: " (declared)",
    Basis.CLASSIFIED: " (guessed)",
}


@dataclass(frozen=True, slots=True)
class Row:
    """The states `first` to `last`, at each of which the same is known; a finding for each column."""

    first: int
    last: int
    findings: tuple[Finding, ...]

    @property
    def label(self) -> str:
        """Return the states' names: `s2`, `s3-s40`."""
        return states(self.first, self.last)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A database's states as rows, and as columns the versions that use it."""

    database: DatabaseName
    phased: tuple[Phased, ...]
    columns: tuple[Use, ...]
    rows: tuple[Row, ...]

    def titles(self, proof: Proof) -> tuple[str, ...]:
        """Return what a person calls each column."""
        return tuple(title(use, proof) for use in self.columns)

    def reached_by(self, row: Row) -> tuple[str, str]:
        """Return what leads to a row: the migration, or the first and the last of several, and its phase."""
        if not row.last:
            return "as it is now", ""
        first, last = self.phased[row.first - 1], self.phased[row.last - 1]
        through = "" if first is last else f" … {last.migration.name}"
        rests_on = "" if first.basis is Basis.OBSERVED else _RESTS_ON[first.basis]
        return f"{first.migration.name}{through}", f"{first.phase}{rests_on}"


def without_users(database: DatabaseName, proof: Proof) -> str:
    """Return what is said of a database that no service of the plan uses."""
    if proof.survey.databases[database].is_empty:
        return "Nothing is in it yet: there is nobody whom a migration could break."
    return "No service of this plan uses it, and who else does is not known."


def matrices(proof: Proof) -> Iterator[Matrix]:
    """Yield the table of each database of which there is something to know."""
    for database, phased in proof.evidence.phased.items():
        if phased or database in proof.evidence.rehearsals:
            columns = tuple(_columns(database, proof))
            yield Matrix(database, phased, columns, tuple(_rows(columns, phased, proof)))


def _columns(database: DatabaseName, proof: Proof) -> Iterator[Use]:
    for name, spec in proof.plan.services.items():
        if database in spec.uses:
            yield from ((database, name, role) for role in roles(proof.survey.services[name]))


def roles(service: ServiceSurvey) -> tuple[Role, ...]:
    """Return which of a service's two versions there are."""
    if service.is_settled:
        return (Role.LIVE,)
    return (Role.NEXT,) if service.live_colour is None else (Role.LIVE, Role.NEXT)


def _rows(columns: tuple[Use, ...], phased: tuple[Phased, ...], proof: Proof) -> Iterator[Row]:
    end = len(phased)
    found = [
        [
            span.finding
            for span in proof.evidence.between(use, 0, end)
            for _ in range(span.first, span.last + 1)
        ]
        for use in columns
    ]

    def looks(state: int) -> object:
        """Return what tells a row from the next one, where there are too many."""
        if not state or end < MOST_ROWS:
            return state
        marks = tuple(mark(column[state]) for column in found)
        return phased[state - 1].phase, phased[state - 1].basis, marks

    for _, group in groupby(range(end + 1), key=looks):
        same = list(group)
        yield Row(same[0], same[-1], tuple(column[same[0]] for column in found))


def mark(finding: Finding) -> str:
    """Return a cell's sign and words; what is not the engine's answer says whose it is."""
    if finding.verdict is Verdict.UNPROVEN and finding.basis is Basis.CLASSIFIED:
        return MARKS[finding.verdict]
    return f"{MARKS[finding.verdict]}{_RESTS_ON[finding.basis]}"


def title(use: Use, proof: Proof) -> str:
    """Return what a person calls a version: `shop 1.4 (live)`."""
    _, name, role = use
    service = proof.survey.services[name]
    is_wanted = role is Role.NEXT or service.is_settled
    version = proof.plan.services[name].version if is_wanted else service.live_version
    return f"{name} {version or 'of an unknown version'} ({role})"


def states(first: int, last: int) -> str:
    """Return the name of a state, or of a stretch of them."""
    return f"s{first}" if first == last else f"s{first}-s{last}"
