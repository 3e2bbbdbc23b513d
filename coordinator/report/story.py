"""The release as a story, for the person who has to say yes: what is, what comes, what it rests on. Pure.

Text alone: a sign and a word in each cell, so that nothing is lost in a log, on paper or without colours.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.evidence import Basis, Verdict
from coordinator.graph import Graph
from coordinator.model import DatabaseName, Plan, ServiceName, ServiceSpec, Worker
from coordinator.prove import Proof, risks
from coordinator.report import backfills, rehearsed
from coordinator.report.drawing import as_chains
from coordinator.report.matrix import Matrix, mark, matrices, without_users
from coordinator.report.windows import sentences
from coordinator.report.wrapping import WIDTH, aligned, wrapped
from coordinator.survey import DatabaseSurvey, ServiceSurvey, Survey
from coordinator.wording import NOTHING_TO_DO

_PROVEN = "proven: at every step, each version that may run works on the schema."
_REFUSED = "refused: a version may run on a schema that it does not work on."
_NOT_ASKED = (
    "unproven: no query was checked. The phases are what the migrations declare, or else guesses from their"
    " statements. With `queries` in the plan, the engine is asked."
)
_NOT_REHEARSED = (
    "unproven: no query was checked; the warnings say why. The phases are what the migrations declare, or"
    " else guesses from their statements."
)
_HALF_KNOWN = (
    "unproven: nothing is known to break, and not everything could be asked: the lines with `?` say what."
)
_ROWS_REFUSED = (
    "unproven: at every step, each version that may run works on the schema, but a migration fails on rows"
    " that the live database has, or that live writes until it is gone: the lines with `‼` say which."
)
_RISK = "`coordinator run` releases it only with --accept-unproven, and the journal says what was not proven."


def tell(proof: Proof, *, width: int = WIDTH) -> Iterator[str]:
    """Yield the story's lines, of at most `width` columns where a table, a name or SQL does not need more."""
    plan, survey, graph = proof.plan, proof.survey, proof.graph
    yield f"Release {plan.release}"
    yield ""
    for name, service in survey.services.items():
        yield f"  service   {name}: {movement(plan, name, service)}"
    for database, seen in survey.databases.items():
        yield f"  database  {database}: {migrated(plan, database, seen)}"
    if not graph:
        yield ""
        yield NOTHING_TO_DO
        return
    for matrix in matrices(proof):
        yield ""
        yield from _database(matrix, proof, width=width)
    yield ""
    is_refused = proof.verdict is Verdict.BROKEN
    yield "Steps, of which none will be done" if is_refused else "Steps"
    yield from (f"  {line}" for line in as_chains(graph))
    yield ""
    if not is_refused:
        yield from wrapped(way_back(graph, survey), width)
    yield from wrapped(f"Verdict: {verdict(proof)}", width)


def migrated(plan: Plan, name: DatabaseName, database: DatabaseSurvey) -> str:
    """Return which tool migrates a database, with what it is told, and how much of that is done."""
    spec = plan.databases[name].migrations
    told = [f"section {spec.section}"] if spec.section else []
    told += [f"-x {key}={value}" for key, value in spec.x_arguments.items()]
    more = f" ({', '.join(told)})" if told else ""
    return f"{spec.tool}{more}, {database.applied} applied, {len(database.pending)} pending"


def movement(plan: Plan, name: ServiceName, service: ServiceSurvey) -> str:
    """Return which version of a service gives way to which, and where they run."""
    wanted = plan.services[name].version
    if service.is_settled:
        return f"{wanted} serves on {service.next_colour}, and stays"
    if service.live_colour is None:
        return f"first release: {wanted} on {service.next_colour}"
    live = f"{service.live_version or 'an unknown version'} on {service.live_colour}"
    return f"{live} → {wanted} on {service.next_colour}{_manner(plan.services[name], service)}"


def _manner(spec: ServiceSpec, service: ServiceSurvey) -> str:
    """Return how one version gives way to the other where that is not one switch of the traffic."""
    if service.is_switched:
        return ""
    if spec.canary is not None:
        shares = ", ".join(f"{percent} %" for percent in spec.canary.percents)
        return f", with {shares} of the traffic first"
    return "" if spec.worker is None else _WORKERS[spec.worker]


_WORKERS = {
    Worker.OVERLAP: ", a worker: both work for a while",
    Worker.HANDOVER: ", a worker: the old one stops before the new one starts",
}


def way_back(graph: Graph, survey: Survey) -> str:
    """Return up to which step one command leads back, and for whom it does not."""
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


def verdict(proof: Proof) -> str:
    """Return the proof's verdict as a sentence; where something is not known, what, and what to do."""
    match proof.verdict:
        case Verdict.PROVEN:
            return _PROVEN
        case Verdict.BROKEN:
            return _REFUSED
    bases = {span.finding.basis for spans in proof.met.values() for span in spans}
    has_queries = any(service.queries for service in proof.plan.services.values())
    not_asked = _NOT_REHEARSED if has_queries else _NOT_ASKED
    known = _HALF_KNOWN if Basis.REHEARSED in bases else not_asked
    taken = risks(proof)
    of_rows = {each.code for one in proof.evidence.rehearsals.values() for each in one.failing}
    if taken and all(each.code in of_rows for each in taken):
        known = _ROWS_REFUSED
    return f"{known} {_RISK}" if taken else known


def _database(matrix: Matrix, proof: Proof, *, width: int) -> Iterator[str]:
    """Yield what was asked, the states as rows and the versions as columns, and what was found."""
    rehearsal = proof.evidence.rehearsals.get(matrix.database)
    yield f"Database {matrix.database}"
    if rehearsal is not None:
        for name, text in rehearsed.how(matrix, rehearsal, proof):
            yield from wrapped(text, width, first=f"  {name:<8}  ", then=" " * 12)
        yield ""
    yield from (f"  {line}" for line in aligned(_rows(matrix, proof)))
    if not matrix.columns:
        yield f"  {without_users(matrix.database, proof)}"
    said = [
        *(
            line
            for each in backfills.lines(matrix.database, proof)
            for line in wrapped(each, width, first="  ", then="    ")
        ),
        *(
            line
            for each in sentences(matrix.database, proof)
            for line in wrapped(each, width, first="  ", then="    ")
        ),
        *(rehearsed.what(matrix, rehearsal, proof, width=width) if rehearsal is not None else ()),
    ]
    yield from ("", *said) if said else ()


def _rows(matrix: Matrix, proof: Proof) -> Iterator[tuple[str, ...]]:
    yield ("", "state", *matrix.titles(proof))
    for row in matrix.rows:
        reached = "  ".join(part for part in matrix.reached_by(row) if part)
        yield (row.label, reached, *(mark(each) for each in row.findings))
