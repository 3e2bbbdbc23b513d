"""Rehearse every database of a release that has something to ask about.

How a database is rehearsed is imported for one that is: a release of databases alone begins sooner without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from coordinator.diagnostics import Diagnostic, Severity
from coordinator.errors import DatabaseError, Usage
from coordinator.evidence import Rehearsal, Span, Use
from coordinator.model import Base, DatabaseName, DatabaseSpec
from coordinator.ports import Ports
from coordinator.queries import Catalogue
from coordinator.rehearsal_ports import EvidenceCache, Tell
from coordinator.survey import DatabaseSurvey, Survey


@dataclass(slots=True)
class Rehearsed:
    """What all rehearsals of a release found."""

    spans: dict[Use, tuple[Span, ...]] = field(default_factory=dict)
    rehearsals: dict[DatabaseName, Rehearsal] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def rehearse_release(
    ports: Ports,
    seen: Survey,
    catalogues: Mapping[Use, Catalogue],
    *,
    reads_live: bool,
    watches_statements: bool,
    cache: EvidenceCache | None,
    tell: Tell = lambda _: None,
) -> Rehearsed:
    """Ask the engines about every version that has a catalogue.

    `reads_live` allows to look at the live databases: their versions, schemas, table sizes and rows.
    `cache` has the evidence of earlier commands; without it everything is asked anew, and nothing kept.
    `watches_statements` has pending migrations rehearsed also where no catalogue is, for what their
    statements lock. `tell` is told how far it is. Where no scratch server can be had nothing is proven, and
    a warning says why.
    """
    rehearsed = Rehearsed()
    for name in ports.plan.databases:
        is_asked = any(database == name for database, _, _ in catalogues)
        has_backfills = bool(seen.databases[name].backfills)
        if not is_asked and not has_backfills and not (watches_statements and seen.databases[name].pending):
            continue
        from coordinator.app.rehearsing import rehearse_one  # noqa: PLC0415 - a sixth of all imports

        try:
            rehearsal, spans = rehearse_one(
                ports,
                name,
                catalogues,
                seen=seen,
                reads_live=reads_live,
                cache=cache,
                tell=tell,
                warn=rehearsed.diagnostics.append,
            )
        except (Usage, DatabaseError) as error:
            rehearsed.diagnostics.append(_not_rehearsed(ports, name, error))
            continue
        rehearsed.rehearsals[name] = _with_edits(rehearsal, seen.databases[name], ports.plan.databases[name])
        rehearsed.spans.update(spans)
    return rehearsed


def _with_edits(rehearsal: Rehearsal, seen: DatabaseSurvey, spec: DatabaseSpec) -> Rehearsal:
    """Say of a replay which of its files are not what ran on the live database."""
    if spec.rehearsal.base is not Base.REPLAY:
        return rehearsal
    told = {
        "replayed from files that were edited after they had been applied": seen.edited,
        "replayed from files that may never have run on the live database": seen.passed_over,
    }
    notes = [f"{what}: {', '.join(f'`{each}`' for each in names)}" for what, names in told.items() if names]
    return replace(rehearsal, notes=(*rehearsal.notes, *notes))


def _not_rehearsed(ports: Ports, name: DatabaseName, error: Usage | DatabaseError) -> Diagnostic:
    return Diagnostic(
        "not-rehearsed",
        ports.plan.databases[name].place,
        f"The migrations of `{name}` were not rehearsed: {error.what}",
        error.why or "So nothing of this release is proven on it.",
        error.next_step or "Run `coordinator doctor`, or name a scratch server: `rehearsal: {url: env:…}`.",
        severity=Severity.WARNING,
    )
