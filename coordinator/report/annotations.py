"""What a review shows beside the changed lines: one list for all formats of continuous integration.

An annotation is a fact at a place. What stops the release, or may stall it, is an error or a warning; what
the release knows how to deal with (this migration waits, that query needs the migration before it) is a
notice, because a reviewer wants to read it and nobody has to do anything. What a format cannot hold it leaves
out itself, the least important last; so the list is in the order of importance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from coordinator.diagnostics import Diagnostic, Place, Severity
from coordinator.evidence import Basis, Break, Hazard, Phased, Rehearsal, Unchecked, Use, Verdict
from coordinator.model import DatabaseName, Phase, Role
from coordinator.prove import Proof
from coordinator.report.rehearsed import offers

_FEW = 5
"""More queries than these are counted, not named: a note beside a line is short."""


class Level(StrEnum):
    """How much an annotation matters, the most important first."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


_LEVELS = {Severity.ERROR: Level.ERROR, Severity.WARNING: Level.WARNING}
_WHEN = {
    Phase.EXPAND: "it is applied before the new version starts",
    Phase.MIGRATE: "it moves data before the new version starts",
    Phase.CONTRACT: "it waits until the old version is gone",
}
_WHERE_IT_BELONGS = {
    Role.LIVE: "on the schema as it is now. No migration of this release is to blame",
    Role.NEXT: "with all migrations applied. It is wrong, or one of them takes away what it needs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A fact at a place of the repository. `code` has a page; `title` is short, `message` says all."""

    level: Level
    place: Place
    code: str
    title: str
    message: str


def annotate(proof: Proof, warnings: Iterable[Diagnostic]) -> tuple[Annotation, ...]:
    """Return what a review should show, the most important first; `warnings` were found beside the proof."""
    found = {
        **dict.fromkeys(map(from_diagnostic, (*proof.diagnostics, *warnings))),
        **dict.fromkeys(_about_verdict(proof)),
    }
    for database, phased in proof.evidence.phased.items():
        rehearsal = proof.evidence.rehearsals.get(database)
        breaks = rehearsal.breaks if rehearsal else ()
        found |= dict.fromkeys(_about_migration(each, breaks) for each in phased)
        if rehearsal:
            found |= dict.fromkeys(_about_rehearsal(database, rehearsal, proof))
    return in_order(found)


def in_order(found: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Return annotations by importance, those of one importance by their place."""
    levels = list(Level)
    return tuple(sorted(found, key=lambda each: (levels.index(each.level), each.place, each.code)))


def with_names(found: Iterable[Annotation], named: Callable[[str], str]) -> tuple[Annotation, ...]:
    """Return annotations whose files are called as the formats want it: from the repository's root."""
    return tuple(replace(each, place=replace(each.place, file=named(each.place.file))) for each in found)


def from_diagnostic(problem: Diagnostic) -> Annotation:
    """Return a problem as an annotation; the first sentence is its title."""
    message = " ".join(part for part in (problem.what, problem.why, problem.next_step) if part)
    return Annotation(
        level=_LEVELS[problem.severity],
        place=problem.place,
        code=problem.code,
        title=problem.what.rstrip(" .:"),
        message=message,
    )


def fingerprints(found: Iterable[Annotation]) -> Iterator[str]:
    """Yield for each annotation 64 hex digits that stay when lines move, and are no other annotation's."""
    seen: dict[tuple[str, ...], int] = {}
    for each in found:
        key = (each.code, each.place.file, each.title)
        seen[key] = seen.get(key, 0) + 1
        yield hashlib.sha256("\0".join((*key, str(seen[key]))).encode(errors="backslashreplace")).hexdigest()


def _about_verdict(proof: Proof) -> Iterator[Annotation]:
    """Yield why the release is unproven, once for each version, at the migration where that begins."""
    if proof.verdict is not Verdict.UNPROVEN:
        return
    for (database, service, role), spans in proof.met.items():
        unproven = [span for span in spans if span.finding.verdict is Verdict.UNPROVEN]
        if unproven:
            reasons = dict.fromkeys(span.finding.reason.rstrip(".") for span in unproven)
            first = unproven[0].first
            yield Annotation(
                level=Level.WARNING,
                place=proof.evidence.phased[database][first - 1].place
                if first
                else proof.plan.services[service].place,
                code="release-unproven",
                title=f"{service} ({role}) is unproven on {database}",
                message=f"Nobody can say that `{service}` ({role}) works at every state of `{database}`"
                f" that it may meet: {'; '.join(reasons)}.",
            )


def _about_migration(phased: Phased, breaks: Iterable[Break]) -> Annotation:
    """Say when a migration is applied, and which queries of the live version it breaks."""
    name = phased.migration.name
    broken = [each for each in breaks if each.use[2] is Role.LIVE and each.migration == name]
    asked = "" if phased.basis is Basis.REHEARSED else f" ({phased.basis}: the engine was not asked)"
    lost = f" After it these do not work: {_listed(map(_broken, broken))}." if broken else ""
    return Annotation(
        level=Level.NOTICE,
        place=phased.place,
        code="migration-phase",
        title=f"{phased.phase}: {name}",
        message=f"`{name}` is {phased.phase}{asked}: {_WHEN[phased.phase]}. Reason: {phased.reason}.{lost}",
    )


def _about_rehearsal(database: DatabaseName, rehearsal: Rehearsal, proof: Proof) -> Iterator[Annotation]:
    yield from map(_about_hazard, rehearsal.hazards)
    yield from _about_next(rehearsal.breaks, proof)
    for each, *_ in _by_query(rehearsal.already_failing):
        yield Annotation(
            level=Level.WARNING,
            place=_in_this_checkout(each, proof),
            code="query-already-fails",
            title=f"{each.query} fails where it belongs",
            message=f"{_broken(each)}, {_WHERE_IT_BELONGS[each.use[2]]}, and nothing is said about the query"
            " at other states.",
        )
    for use, unchecked in _by_use(rehearsal.unchecked).items():
        yield _about_unchecked(use, unchecked, proof)
    for line in rehearsal.notes:
        yield Annotation(
            level=Level.NOTICE,
            place=proof.plan.databases[database].place,
            code="rehearsal-limited",
            title=f"What limits the rehearsal of {database}",
            message=line,
        )
    for line in rehearsal.drift:
        yield Annotation(
            level=Level.WARNING,
            place=proof.plan.databases[database].place,
            code="schema-drift",
            title=f"{database} is not what its files say",
            message=line,
        )


def _in_this_checkout(each: Break, proof: Proof) -> Place:
    """Return where a query is shown: the live version's text stands in another commit."""
    _, service, role = each.use
    return each.place if role is Role.NEXT else proof.plan.services[service].place


def _about_hazard(hazard: Hazard) -> Annotation:
    message = "\n".join((f"{hazard.what} {hazard.why}", *(sql for _, sql in offers(hazard))))
    return Annotation(
        level=Level.WARNING,
        place=hazard.place,
        code=hazard.code,
        title=hazard.what.rstrip(" .:"),
        message=message,
    )


def _about_next(breaks: Iterable[Break], proof: Proof) -> Iterator[Annotation]:
    """Yield each query of a next version that needs a migration; an error where it would not get it."""
    for same in _by_query(each for each in breaks if each.use[2] is Role.NEXT):
        met = next((each for each in same if _is_met(each, proof)), None)
        each = met or same[0]
        until = f" before `{each.migration}`" if each.migration else " at any state of this release"
        yield Annotation(
            level=Level.NOTICE if met is None else Level.ERROR,
            place=each.place,
            code="query-needs-migration",
            title=f"{each.query} does not work{until.replace('`', '')}",
            message=f"`{each.query}` of `{each.use[1]}` ({each.use[2]}) does not work{until}: {_why(each)}."
            + (" The release starts this version after that migration." if met is None else ""),
        )


def _is_met(each: Break, proof: Proof) -> bool:
    """Tell whether the version may run at a state at which this query does not work."""
    return any(
        span.first <= each.state <= span.last and span.finding.verdict is Verdict.BROKEN
        for span in proof.met.get(each.use, ())
    )


def _about_unchecked(use: Use, unchecked: Iterable[Unchecked], proof: Proof) -> Annotation:
    database, service, role = use
    found = dict.fromkeys(f"{each.query} ({each.layer}: {each.reason})" for each in unchecked)
    return Annotation(
        level=Level.WARNING,
        place=proof.plan.services[service].place,
        code="query-unchecked",
        title=f"Queries of {service} ({role}) on {database} were not checked",
        message=f"Not checked on `{database}`, of `{service}` ({role}): {_listed(found)}.",
    )


def _by_use(unchecked: Iterable[Unchecked]) -> Mapping[Use, list[Unchecked]]:
    found: dict[Use, list[Unchecked]] = {}
    for each in unchecked:
        found.setdefault(each.use, []).append(each)
    return found


def _by_query(breaks: Iterable[Break]) -> Iterator[Sequence[Break]]:
    """Yield each query's breaks, the first state first and there the cheapest layer."""

    def query(each: Break) -> tuple[Use, Place, str]:
        return each.use, each.place, each.query

    for _, same in groupby(sorted(breaks, key=lambda each: (*query(each), each.state)), key=query):
        yield list(same)


def _broken(each: Break) -> str:
    _, service, role = each.use
    return f"`{each.query}` of `{service}` ({role}), {each.place}: {_why(each)}"


def _why(each: Break) -> str:
    return f"{each.objection.code} {each.objection.message.rstrip('.')}".strip()


def _listed(texts: Iterable[str]) -> str:
    found = list(dict.fromkeys(texts))
    rest = f"; and {len(found) - _FEW} more" if len(found) > _FEW else ""
    return "; ".join(found[:_FEW]) + rest
