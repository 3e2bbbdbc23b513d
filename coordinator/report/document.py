"""The release as `coordinator/plan/1`, for programs: what story and page tell, and what they leave out. Pure.

docs/reference/plan-output.md describes the fields, and a test holds the two together. Fields are added, and
never changed or taken away, as long as the number stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from coordinator.diagnostics import Place
from coordinator.evidence import (
    Break,
    Evidence,
    Hazard,
    Rehearsal,
    StatementEvidence,
    Unchecked,
    Use,
)
from coordinator.graph import Step
from coordinator.prove import Proof, risks
from coordinator.report import backfills
from coordinator.report.windows import points_of_no_return, windows

Fields = dict[str, object]


def as_json(proof: Proof) -> Fields:
    """Return the fields of `coordinator/plan/1`."""
    evidence, graph = proof.evidence, proof.graph
    return {
        "release": proof.plan.release,
        "verdict": proof.verdict,
        "services": dict(_services(proof)),
        "databases": dict(_databases(evidence)),
        "findings": list(_findings(evidence)),
        "rehearsals": {name: _rehearsal(each) for name, each in evidence.rehearsals.items()},
        "backfills": list(backfills.as_json(proof)),
        "switch_window": list(_switch_window(proof)),
        "steps": [_step(step) for step in graph],
        "point_of_no_return": next((step.id for step in graph if step.no_return), None),
        "points_of_no_return": [
            {
                "database": each.database,
                "state": each.state,
                "migration": each.phased.migration.name,
                "step": each.step.id,
            }
            for each in points_of_no_return(proof)
        ],
        "risks": [str(each) for each in risks(proof)],
        "diagnostics": [str(each) for each in proof.diagnostics],
    }


def _step(step: Step) -> Fields:
    share: Fields = {} if step.percent is None else {"percent": step.percent}
    backfill: Fields = {} if step.backfill is None else {"backfill": step.backfill}
    return {
        "id": step.id,
        "kind": step.kind,
        "after": list(step.after),
        "no_return": step.no_return,
        **share,
        **backfill,
    }


def _services(proof: Proof) -> Iterator[tuple[str, Fields]]:
    for name, service in proof.survey.services.items():
        yield (
            name,
            {
                "version": proof.plan.services[name].version,
                "live": service.live_version,
                "live_colour": service.live_colour,
                "next_colour": service.next_colour,
                "settled": service.is_settled,
            },
        )


def _databases(evidence: Evidence) -> Iterator[tuple[str, list[Fields]]]:
    for database, phased in evidence.phased.items():
        yield (
            database,
            [
                {
                    "migration": each.migration.name,
                    "state": state,
                    "phase": each.phase,
                    "basis": each.basis,
                    "reason": each.reason,
                }
                for state, each in enumerate(phased, 1)
            ],
        )


def _findings(evidence: Evidence) -> Iterator[Fields]:
    for use, spans in evidence.spans.items():
        for span in spans:
            yield {
                "database": use[0],
                **_version(use),
                "first_state": span.first,
                "last_state": span.last,
                "verdict": span.finding.verdict,
                "basis": span.finding.basis,
                "reason": span.finding.reason,
            }


def _switch_window(proof: Proof) -> Iterator[Fields]:
    for window in windows(proof):
        yield {
            "database": window.database,
            "service": window.service,
            "states": list(window.states),
            "proven": list(window.proven),
        }


def _rehearsal(rehearsal: Rehearsal) -> Fields:
    return {
        "engine": rehearsal.engine,
        "base": rehearsal.base,
        "layers": list(rehearsal.layers),
        "catalogues": list(_catalogues(rehearsal.catalogues)),
        "breaks": [_break(each) for each in rehearsal.breaks],
        "already_failing": [_break(each) for each in rehearsal.already_failing],
        "unchecked": [_unchecked(each) for each in rehearsal.unchecked],
        "statements": [_statement(each) for each in rehearsal.statements],
        "hazards": [_hazard(each) for each in rehearsal.hazards],
        "drift": list(rehearsal.drift),
        "notes": list(rehearsal.notes),
    }


def _catalogues(catalogues: Mapping[Use, tuple[str, int]]) -> Iterator[Fields]:
    for use, (source, number) in catalogues.items():
        yield {**_version(use), "source": source, "queries": number}


def _break(broken: Break) -> Fields:
    return {
        **_version(broken.use),
        "state": broken.state,
        "query": broken.query,
        **_place(broken.place),
        "layer": broken.layer,
        "code": broken.objection.code,
        "message": broken.objection.message,
        "migration": broken.migration,
    }


def _unchecked(unchecked: Unchecked) -> Fields:
    return {
        **_version(unchecked.use),
        "state": unchecked.state,
        "query": unchecked.query,
        "layer": unchecked.layer,
        "reason": unchecked.reason,
    }


def _statement(seen: StatementEvidence) -> Fields:
    return {
        "migration": seen.migration,
        **_place(seen.place),
        "text": seen.statement.text,
        "in_transaction": seen.in_transaction,
        "seconds": seen.seconds,
        "locks": [
            {"relation": each.relation, "mode": each.mode, "is_new": each.is_new} for each in seen.locks
        ],
        "rewritten": list(seen.rewritten),
        "scanned": list(seen.scanned),
        "written": list(seen.written),
        "changes": [
            {
                "kind": each.kind,
                "relation": each.relation,
                "name": each.name,
                "before": each.before,
                "after": each.after,
            }
            for each in seen.changes
        ],
    }


def _hazard(hazard: Hazard) -> Fields:
    return {
        "code": hazard.code,
        "migration": hazard.migration,
        **_place(hazard.place),
        "what": hazard.what,
        "why": hazard.why,
        "rewrite": hazard.rewrite,
        "rows": hazard.rows,
        "fails": hazard.fails,
    }


def _version(use: Use) -> Fields:
    """Return whose version it is; the database is said around it."""
    return {"service": use[1], "version": use[2]}


def _place(place: Place) -> Fields:
    """Return a place as diagnostics write it: null where line or column is not known."""
    return {"file": place.file, "line": place.line or None, "column": place.column or None}
