"""Derive each migration's phase from the matrix: what the engine answered decides, not what a file says.

Expand is every migration up to the last state at which each live version that uses the database still works;
the rest is contract. Where the engine could not tell (an unproven cell) an earlier cut is taken if there is
one at which everything is proven: waiting longer for a migration is safe, and going on without proof is not.
Where the queries of some version are unknown, the phases are what classify says, and the evidence that
there is still corrects a guess and contradicts a declaration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from coordinator.diagnostics import Diagnostic, Place
from coordinator.evidence import Basis, Evidence, Phased, Rehearsal, Span, Use, Verdict
from coordinator.model import DatabaseName, Layer, Migration, Phase, Role, ServiceName
from coordinator.survey import Survey, alive_at_start

Spans = Mapping[Use, tuple[Span, ...]]
Alive = frozenset[tuple[ServiceName, Role]]


def fully_asked(survey: Survey, rehearsed: Spans, uses: Sequence[Use]) -> frozenset[DatabaseName]:
    """Return the databases of which every version that may use them was rehearsed, and at least one was.

    `uses` are those of all services of the plan; who else uses a database is known to nobody.
    """
    by_database: dict[DatabaseName, list[Use]] = {}
    for use in uses:
        by_database.setdefault(use[0], []).append(use)
    return frozenset(
        name
        for name in survey.databases
        if name in by_database and all(use in rehearsed for use in by_database[name])
    )


def derive(
    survey: Survey,
    classified: Evidence,
    *,
    rehearsed: Spans,
    rehearsals: Mapping[DatabaseName, Rehearsal],
    asked: frozenset[DatabaseName],
) -> tuple[Evidence, tuple[Diagnostic, ...]]:
    """Return the evidence of a release, and an error for each declared phase that the engine contradicts.

    `classified` has phases and cells of what was not asked, `asked` the databases that were asked in full.
    """
    alive = alive_at_start(survey)
    phased: dict[DatabaseName, tuple[Phased, ...]] = {}
    for name, database in survey.databases.items():
        cells = _Cells.of(name, rehearsed, alive, end=len(database.pending))
        phases = (
            _phases(database.pending, cells, rehearsals.get(name))
            if name in asked
            else _corrected(classified.phased[name], cells)
        )
        phased[name] = tuple(phases)
    evidence = Evidence(phased, {**classified.spans, **rehearsed}, rehearsals)
    problems = tuple(
        problem
        for use, spans in rehearsed.items()
        for span in spans
        if span.finding.verdict is Verdict.BROKEN
        for problem in _contradicted(
            use, span, survey.databases[use[0]].pending, rehearsal=rehearsals[use[0]], alive=alive
        )
    )
    return evidence, tuple({(each.code, each.place): each for each in problems}.values())


@dataclass(frozen=True, slots=True)
class _Cells:
    """What the engine said about a database, live versions that run and next ones apart."""

    live: Sequence[Sequence[Span]]
    next: Sequence[Sequence[Span]]
    end: int

    @classmethod
    def of(cls, name: DatabaseName, spans: Spans, alive: Alive, *, end: int) -> _Cells:
        mine = {use: found for use, found in spans.items() if use[0] == name}
        live = [found for use, found in mine.items() if use[2] is Role.LIVE and use[1:] in alive]
        return cls(live, [found for use, found in mine.items() if use[2] is Role.NEXT], end)

    def bears(self, state: int, *, proven: bool) -> bool:
        """Tell whether every version works if `state` is where one takes over from the other."""
        return all(_hold(spans, 0, state, proven=proven) for spans in self.live) and all(
            _hold(spans, state, self.end, proven=proven) for spans in self.next
        )

    def last_borne(self) -> int:
        """Return the last state before a live version's first break."""
        broken = (
            span.first for spans in self.live for span in spans if span.finding.verdict is Verdict.BROKEN
        )
        return min(broken, default=self.end + 1) - 1


def _hold(spans: Sequence[Span], first: int, last: int, *, proven: bool) -> bool:
    met = (span for span in spans if span.first <= last and span.last >= first)
    if proven:
        return all(span.finding.verdict is Verdict.PROVEN for span in met)
    return all(span.finding.verdict is not Verdict.BROKEN for span in met)


def _cut(pending: Sequence[Migration], cells: _Cells) -> int:
    """Return how many migrations are applied before the next versions start."""
    if not cells.live:
        return len(pending)
    declared = (at for at, each in enumerate(pending) if each.declared is Phase.CONTRACT)
    last = min(next(declared, len(pending)), cells.last_borne())
    return next((state for state in range(last, -1, -1) if cells.bears(state, proven=True)), last)


def _phases(pending: Sequence[Migration], cells: _Cells, rehearsal: Rehearsal | None) -> Iterator[Phased]:
    cut, borne = _cut(pending, cells), cells.last_borne()
    statements = rehearsal.statements if rehearsal else ()
    movers = {each.migration for each in statements if each.written}
    makers = {each.migration for each in statements if each.changes}
    for state, migration in enumerate(pending, 1):
        place = migration.declared_at or Place(migration.files[0].path if migration.files else migration.name)
        if state > cut:
            yield Phased(
                migration, Phase.CONTRACT, Basis.REHEARSED, _why_late(state, borne, migration), place
            )
            continue
        moves = migration.name in movers - makers or migration.declared is Phase.MIGRATE
        phase = Phase.MIGRATE if moves else Phase.EXPAND
        reason = _why_early(state, cells)
        yield Phased(migration, phase, Basis.REHEARSED, reason, place)


def _corrected(guessed: Sequence[Phased], cells: _Cells) -> Iterator[Phased]:
    """Yield phases that classify gave, but for one that is taken for harmless and breaks a live version."""
    for state, each in enumerate(guessed, 1):
        if state == cells.last_borne() + 1 and each.basis is Basis.CLASSIFIED:
            yield replace(
                each, phase=Phase.CONTRACT, basis=Basis.REHEARSED, reason="a live version breaks with it"
            )
        else:
            yield each


def _why_early(state: int, cells: _Cells) -> str:
    if not cells.live:
        return "no version that uses the database is live"
    if all(_hold(spans, state, state, proven=True) for spans in cells.live):
        return "the live versions work with it"
    return "nothing was found that the live versions miss with it"


def _why_late(state: int, borne: int, migration: Migration) -> str:
    if state > borne:
        return (
            "a live version breaks with it"
            if state == borne + 1
            else "it follows one that breaks a live version"
        )
    if migration.declared is Phase.CONTRACT:
        return "its author declared it"
    return "not everything is proven with it while a live version runs"


def _contradicted(
    use: Use, span: Span, pending: Sequence[Migration], *, rehearsal: Rehearsal, alive: Alive
) -> Iterator[Diagnostic]:
    """Yield an error where a break shows that the phase of the migration beside it is declared wrongly.

    What breaks old sessions of a next version is a reason to wait with a migration, and not what it lacks;
    and where no live version of its service runs, nothing keeps contract from coming before it.
    """
    breaks = [each for each in rehearsal.breaks if each.use == use]
    if use[2] is Role.LIVE and span.first:
        migration = pending[span.first - 1]
        is_first = span.first == min((each.state for each in breaks), default=span.first)
        if migration.declared in (Phase.EXPAND, Phase.MIGRATE) and is_first:
            yield _contradiction(
                migration,
                f"the live version of `{use[1]}` breaks with it",
                span,
                "Declare it contract, or change it so that the live version bears it.",
            )
    if use[2] is Role.NEXT and span.last < len(pending) and (use[1], Role.LIVE) in alive:
        migration = pending[span.last]
        lacks = any(
            each.state == span.last and each.layer is not Layer.SESSION and each.migration == migration.name
            for each in breaks
        )
        if migration.declared is Phase.CONTRACT and lacks:
            yield _contradiction(
                migration,
                f"the next version of `{use[1]}` does not work without it",
                span,
                "Split it: what the next version needs goes into an expand migration before it.",
            )


def _contradiction(migration: Migration, what: str, span: Span, next_step: str) -> Diagnostic:
    place = migration.declared_at or Place(migration.files[0].path)
    reason = span.finding.reason
    return Diagnostic(
        "phase-contradicted",
        place,
        f"`{migration.name}` declares phase={migration.declared}, and {what}.",
        f"The engine says: {reason}.",
        next_step,
    )
