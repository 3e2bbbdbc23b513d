"""What a release does with rows in batches, and what is known about it: for people and for JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.backfills.verdicts import findings
from coordinator.evidence import Finding, Verdict
from coordinator.model import BackfillSpec, DatabaseName
from coordinator.prove import Proof
from coordinator.report.matrix import mark


def lines(database: DatabaseName, proof: Proof) -> Iterator[str]:
    """Yield a line for each backfill of a database: what it goes over, what waits for it, and the verdict."""
    for name, spec, finding in findings(proof.graph, proof.evidence, proof.plan):
        if name == database:
            yield (
                f"{mark(finding)}  backfill {spec.name}: {spec.table} by {', '.join(spec.key)}, done before"
                f" {spec.before}; {finding.reason}.{_after_kill(spec, finding)}"
            )


def _after_kill(spec: BackfillSpec, finding: Finding) -> str:
    if spec.command is None:
        return " After a kill no row is done twice." if finding.verdict is Verdict.PROVEN else ""
    return " After a kill its program gets the rows of its last range again."


def as_json(proof: Proof) -> Iterator[dict[str, object]]:
    """Yield the fields of each backfill in `coordinator/plan/1`."""
    for database, spec, finding in findings(proof.graph, proof.evidence, proof.plan):
        yield {
            "database": database,
            "name": spec.name,
            "after": spec.after,
            "before": spec.before,
            "table": spec.table,
            "key": list(spec.key),
            "verdict": finding.verdict,
            "basis": finding.basis,
            "reason": finding.reason,
        }
