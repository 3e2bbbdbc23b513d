"""The release as a story, for the person who has to say yes: what is, what comes, what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from coordinator.evidence import Basis, Finding, Phased, Verdict
from coordinator.graph import Graph
from coordinator.model import DatabaseName, Plan, Role, ServiceName
from coordinator.prove import Proof
from coordinator.report.drawing import as_chains
from coordinator.survey import ServiceSurvey, Survey

_MARKS: Mapping[tuple[Verdict, Basis], str] = {
    (Verdict.PROVEN, Basis.REHEARSED): "proven",
    (Verdict.BROKEN, Basis.REHEARSED): "breaks",
    (Verdict.BROKEN, Basis.DECLARED): "breaks (declared)",
    (Verdict.BROKEN, Basis.CLASSIFIED): "breaks (guessed)",
    (Verdict.UNPROVEN, Basis.DECLARED): "declared",
    (Verdict.UNPROVEN, Basis.CLASSIFIED): "unproven",
}
_UNPROVEN = (
    "unproven: no query was checked. The phases are what the migrations declare, or else guesses from their"
    " statements."
)
_VERDICTS = {
    Verdict.PROVEN: "proven: at every step, each version that may run works on the schema.",
    Verdict.UNPROVEN: _UNPROVEN,
    Verdict.BROKEN: "refused: a version may run on a schema that it does not work on.",
}


def tell(proof: Proof) -> Iterator[str]:
    """Yield the story's lines."""
    plan, survey, graph = proof.plan, proof.survey, proof.graph
    yield f"Release {plan.release}"
    yield ""
    for name, service in survey.services.items():
        yield f"  service   {name}: {_movement(plan, name, service)}"
    for database, seen in survey.databases.items():
        tool = plan.databases[database].migrations.tool
        yield f"  database  {database}: {tool}, {seen.applied} applied, {len(seen.pending)} pending"
    if not graph:
        yield ""
        yield "Nothing to do: the wanted versions serve and no migration is pending."
        return
    for database, phased in proof.evidence.phased.items():
        if phased:
            yield ""
            yield from _matrix(database, phased, proof)
    yield ""
    yield "Steps"
    yield from (f"  {line}" for line in as_chains(graph))
    yield ""
    yield _way_back(graph, survey)
    yield f"Verdict: {_VERDICTS[proof.verdict]}"


def _movement(plan: Plan, name: ServiceName, service: ServiceSurvey) -> str:
    wanted = plan.services[name].version
    if service.is_settled:
        return f"{wanted} serves on {service.next_colour}, and stays"
    if service.live_colour is None:
        return f"first release: {wanted} on {service.next_colour}"
    live = f"{service.live_version or 'an unknown version'} on {service.live_colour}"
    return f"{live} → {wanted} on {service.next_colour}"


def _way_back(graph: Graph, survey: Survey) -> str:
    first = next((step for step in graph if step.no_return), None)
    until = "at every step" if first is None else f"until {first.id} begins"
    new = ", ".join(name for name, each in survey.services.items() if each.serving.live is None)
    but = f", but not for {new} once it has traffic: nothing served there before" if new else ""
    there = ", ".join(
        name for name, each in survey.services.items() if each.is_switched and not each.is_settled
    )
    stays = (
        f" It does not move the traffic of {there}, which is at the wanted version already." if there else ""
    )
    return f"Way back: one command, {until}{but}.{stays}"


def _matrix(database: DatabaseName, phased: tuple[Phased, ...], proof: Proof) -> Iterator[str]:
    """Yield the states of a database as rows and the versions that use it as columns."""
    plan, survey = proof.plan, proof.survey
    runners = [
        (name, role)
        for name, spec in plan.services.items()
        if database in spec.uses
        for role in _roles(survey.services[name])
    ]
    rows = [("", "state", *(_title(runner, plan, survey) for runner in runners))]
    for state in range(len(phased) + 1):
        found = (proof.evidence.finding((database, *runner), state) for runner in runners)
        rows.append((f"s{state}", _reached_by(state, phased), *(_mark(each) for each in found)))
    yield f"Database {database}"
    yield from (f"  {line}" for line in _aligned(rows))
    if not runners:
        yield "  No service of this plan uses it, and who else does is not known."


def _roles(service: ServiceSurvey) -> tuple[Role, ...]:
    if service.is_settled:
        return (Role.LIVE,)
    return (Role.NEXT,) if service.live_colour is None else (Role.LIVE, Role.NEXT)


def _title(runner: tuple[ServiceName, Role], plan: Plan, survey: Survey) -> str:
    name, role = runner
    service = survey.services[name]
    is_wanted = role is Role.NEXT or service.is_settled
    return f"{name} {plan.services[name].version if is_wanted else service.live_version} ({role})"


def _reached_by(state: int, phased: tuple[Phased, ...]) -> str:
    if not state:
        return "as it is now"
    each = phased[state - 1]
    basis = "guessed" if each.basis is Basis.CLASSIFIED else each.basis
    return f"{each.migration.name}  {each.phase} ({basis})"


def _mark(finding: Finding) -> str:
    return _MARKS.get((finding.verdict, finding.basis), finding.verdict)


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def as_json(proof: Proof) -> dict[str, object]:
    """Return the story's facts as the fields of `coordinator/plan/1`."""
    plan, survey, evidence, graph = proof.plan, proof.survey, proof.evidence, proof.graph
    return {
        "release": plan.release,
        "verdict": proof.verdict,
        "services": {
            name: {
                "version": plan.services[name].version,
                "live": service.live_version,
                "live_colour": service.live_colour,
                "next_colour": service.next_colour,
                "settled": service.is_settled,
            }
            for name, service in survey.services.items()
        },
        "databases": {
            database: [
                {
                    "migration": each.migration.name,
                    "state": state,
                    "phase": each.phase,
                    "basis": each.basis,
                    "reason": each.reason,
                }
                for state, each in enumerate(phased, 1)
            ]
            for database, phased in evidence.phased.items()
        },
        "findings": [
            {
                "database": database,
                "service": service,
                "version": role,
                "first_state": span.first,
                "last_state": span.last,
                "verdict": span.finding.verdict,
                "basis": span.finding.basis,
                "reason": span.finding.reason,
            }
            for (database, service, role), spans in evidence.spans.items()
            for span in spans
        ],
        "steps": [
            {"id": step.id, "kind": step.kind, "after": list(step.after), "no_return": step.no_return}
            for step in graph
        ],
        "point_of_no_return": next((step.id for step in graph if step.no_return), None),
        "diagnostics": [str(each) for each in proof.diagnostics],
    }
