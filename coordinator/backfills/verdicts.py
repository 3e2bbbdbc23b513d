"""What is known about a release's backfills, as problems and risks of the release. Pure.

A backfill runs while versions work, so one that the engine refuses would stop the release half-way. One that
nobody asked about is unproven, as a version is.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.diagnostics import Diagnostic
from coordinator.evidence import Basis, Evidence, Finding, Verdict
from coordinator.graph import Graph
from coordinator.model import BackfillSpec, DatabaseName, Plan

_NOT_ASKED = Finding(Verdict.UNPROVEN, Basis.CLASSIFIED, "it was not rehearsed")


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
                "Mend its `sql`, its `remaining`, or the migrations that it stands `after` and `before`.",
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
