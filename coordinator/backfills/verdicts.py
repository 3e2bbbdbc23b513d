"""What is known about a release's backfills, as problems and risks of the release. Pure.

A backfill runs while versions work, so one that the engine refuses would stop the release half-way. One that
nobody asked about is unproven, as a version is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from coordinator.backfills.order import named, waiting
from coordinator.diagnostics import Diagnostic
from coordinator.evidence import Basis, Evidence, Finding, Phased, Rehearsal, Verdict
from coordinator.graph import Graph
from coordinator.model import BackfillSpec, DatabaseName, Plan

_WORST_FIRST = (Verdict.BROKEN, Verdict.UNPROVEN, Verdict.PROVEN)
_NOT_ASKED = Finding(Verdict.UNPROVEN, Basis.CLASSIFIED, "it was not rehearsed")


def judged(plan: Plan, evidence: Evidence) -> dict[tuple[DatabaseName, str], Finding]:
    """Return what the rehearsals make of each backfill: the worst of all states at which it may run.

    These are the states from its migration on, up to what waits for it.
    """
    found: dict[tuple[DatabaseName, str], Finding] = {}
    for database, rehearsal in evidence.rehearsals.items():
        for spec in plan.databases[database].backfills:
            first, last = _states(spec, evidence.phased.get(database, ()))
            tried = {state: finding for name, state, finding in rehearsal.backfills if name == spec.name}
            seen = [
                *_of_needs(spec, rehearsal, evidence.phased.get(database, ())),
                *(_at(tried.get(state, _NOT_ASKED), state) for state in range(first, last + 1)),
            ]
            if seen:
                found[database, spec.name] = min(seen, key=lambda each: _WORST_FIRST.index(each.verdict))
    return found


def _of_needs(spec: BackfillSpec, rehearsal: Rehearsal, phased: Sequence[Phased]) -> Iterator[Finding]:
    """Yield the migrations that fail before a backfill is complete, and do not wait for it."""
    gate = waiting(spec, phased)
    for migration, backfill in rehearsal.needs:
        at = next((at for at, each in enumerate(phased) if each.migration.name == migration), None)
        waits = at is not None and gate is not None and phased.index(gate) <= at
        if backfill == spec.name and not waits:
            yield Finding(
                Verdict.UNPROVEN,
                Basis.REHEARSED,
                f"`{migration}` fails where rows are left to be done, and does not wait for it; with"
                f" `before: {migration}` it does",
            )


def _at(finding: Finding, state: int) -> Finding:
    is_good = finding.verdict is Verdict.PROVEN
    return finding if is_good else replace(finding, reason=f"at state {state} {finding.reason}")


def _states(spec: BackfillSpec, phased: Sequence[Phased]) -> tuple[int, int]:
    """Return the first and the last state at which a backfill may run."""
    names = [each.migration for each in phased]
    after, gate = named(names, spec.after), waiting(spec, phased)
    first = 0 if after is None else names.index(after) + 1
    return first, len(phased) if gate is None else phased.index(gate)


def begin_too_late(plan: Plan, evidence: Evidence) -> Iterator[Diagnostic]:
    """Yield the backfills that contract would wait for, and that wait for contract themselves."""
    for database, phased in evidence.phased.items():
        for spec in plan.databases[database].backfills:
            first, last = _states(spec, phased)
            if first > last:
                yield Diagnostic(
                    "backfill-order",
                    spec.place,
                    f"Backfill `{spec.name}` begins after `{phased[first - 1].migration.name}`, which is"
                    " applied in contract, and contract waits for the backfill.",
                    "Neither could begin.",
                    "Name an earlier migration in `after`, or a later one in `before`.",
                )


def findings(
    graph: Graph, evidence: Evidence, plan: Plan
) -> Iterator[tuple[DatabaseName, BackfillSpec, Finding]]:
    """Yield what is known about each backfill that the release runs or asks about."""
    wanted = {(step.database, step.backfill) for step in graph if step.backfill is not None}
    for name, database in plan.databases.items():
        for spec in database.backfills:
            if (name, spec.name) in wanted:
                yield name, spec, evidence.backfills.get((name, spec.name), _NOT_ASKED)


def breaks(graph: Graph, evidence: Evidence, plan: Plan) -> Iterator[Diagnostic]:
    """Yield the backfills that cannot be run."""
    for database, spec, finding in findings(graph, evidence, plan):
        if finding.verdict is Verdict.BROKEN:
            yield Diagnostic(
                "backfill-breaks",
                spec.place,
                f"Backfill `{spec.name}` does not work on `{database}`: {finding.reason}.",
                "It would stop the release half-way, and what waits for it could not begin.",
                "Mend its `sql` or its program, its `remaining`, or the migrations that it stands `after` and"
                " `before`.",
            )


def unproven(graph: Graph, evidence: Evidence, plan: Plan) -> Iterator[Diagnostic]:
    """Yield the backfills of which nobody knows whether they can be run."""
    for database, spec, finding in findings(graph, evidence, plan):
        if finding.verdict is Verdict.UNPROVEN:
            yield Diagnostic(
                "unproven",
                spec.place,
                f"Nobody knows whether backfill `{spec.name}` works on `{database}`.",
                f"{finding.reason[:1].upper()}{finding.reason[1:]}.",
                "Mend what kept the engine from answering, or take the risk and have it written down:"
                " --accept-unproven.",
            )
