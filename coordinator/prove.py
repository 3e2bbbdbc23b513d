"""Prove the order: no version is alive at a schema state that it does not work at. Pure.

The proof does not trust the compiler. It takes the graph's edges and the effects of its steps and asks for
every version: which schema states can it meet? All, except those that an edge path keeps away from it: it is
gone before the state is reached, or starts after the state is left. That covers every order in which steps
that run side by side may end, and every instant at which a run may be killed, without walking orders one by
one. Cost: a few passes over the graph, which hand on the same set of steps until it changes.

A rollback brings the live version back. So its stop counts only behind a step of no return, from whose
start on the engine refuses to roll back. A database's migrations must follow each other, in their order;
with that, the states that a version can meet are one stretch, and its two ends are enough.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from coordinator.backfills import verdicts as backfills
from coordinator.diagnostics import Diagnostic, Place
from coordinator.evidence import Basis, Evidence, Phased, Span, Use, Verdict
from coordinator.graph import Graph, GraphError, Step, StepId
from coordinator.model import DatabaseName, Plan, Role, ServiceName, Worker
from coordinator.obstacles import Known, explain
from coordinator.survey import Survey, alive_at_start
from coordinator.world import Effect, SchemaMoves, Starts, Stops, TrafficMoves

EffectsOf = Callable[[Step], Sequence[Effect]]
Runner = tuple[ServiceName, Role]
"""One version of one service, as something that runs."""
Reached = Mapping[StepId, frozenset[StepId]]
"""For each step, the marked ones that lie before it (or behind it) on a path of edges."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What holds for a release's graph, with all that it was made from.

    `met` has the schema states that each version may meet; `diagnostics` says what breaks.
    """

    plan: Plan
    survey: Survey
    evidence: Evidence
    graph: Graph
    verdict: Verdict
    met: Mapping[Use, tuple[Span, ...]]
    diagnostics: tuple[Diagnostic, ...]


def prove(graph: Graph, evidence: Evidence, survey: Survey, *, plan: Plan, effects_of: EffectsOf) -> Proof:
    """Return which versions meet which states, and a diagnostic for each meeting or order that breaks."""
    order = _Order.of(graph, effects_of)
    alive = alive_at_start(survey)
    met: dict[Use, tuple[Span, ...]] = {}
    for runner in sorted(alive | order.starts.keys()):
        for database in plan.services[runner[0]].uses:
            first, last = _meetings(runner, database, order=order, alive=runner in alive)
            use = (database, *runner)
            met[use] = tuple(evidence.between(use, first, last))
    diagnostics = (
        *_breaks(met, Known(plan, survey, evidence)),
        *_migration_problems(order, graph, plan),
        *_traffic_problems(order, alive, plan),
        *backfills.breaks(graph, evidence, plan),
    )
    verdict = Verdict.BROKEN if diagnostics else _weakest(met, order.applies)
    if verdict is Verdict.PROVEN and (
        any(backfills.unproven(graph, evidence, plan)) or any(_failing(evidence))
    ):
        verdict = Verdict.UNPROVEN
    return Proof(plan, survey, evidence, graph, verdict, met, diagnostics)


def risks(proof: Proof) -> tuple[Diagnostic, ...]:
    """Return what nobody proved and nobody answers for; empty without a risk.

    An author who declares a phase answers for it, and a live version runs on the first state. Where nobody
    was asked, a database that does not move is none, and neither is the state that a next version was
    written for, where it is verified. Where the engine was asked and could not say yes, each state is one.
    """
    moving = {step.database for step in proof.graph if step.database is not None}
    found = [
        _risk(use, span, proof)
        for use, spans in proof.met.items()
        for span in spans
        if span.finding.verdict is Verdict.UNPROVEN and _is_risk(use, span, proof, is_moving=use[0] in moving)
    ]
    for database in sorted(moving - {use[0] for use in proof.met}):
        guessed = [each for each in proof.evidence.phased[database] if each.basis is Basis.CLASSIFIED]
        found += [_unknown_users(database, guessed[0])] if guessed else []
    return (*found, *backfills.unproven(proof.graph, proof.evidence, proof.plan), *_failing(proof.evidence))


def _failing(evidence: Evidence) -> Iterator[Diagnostic]:
    """Yield the migrations that fail on rows which live has, or writes."""
    for rehearsal in evidence.rehearsals.values():
        for each in rehearsal.failing:
            yield Diagnostic(
                each.code,
                each.place,
                each.what,
                each.why,
                "Mend them first (`coordinator plan` shows how to find or fill them), or take the risk"
                " and have it written down: --accept-unproven.",
            )


def _is_risk(use: Use, span: Span, proof: Proof, *, is_moving: bool) -> bool:
    if use[2] is Role.LIVE and span.last == 0:
        return False
    match span.finding.basis:
        case Basis.DECLARED | Basis.OBSERVED:
            return False
        case Basis.REHEARSED:
            return True
        case Basis.CLASSIFIED:
            is_own = use[2] is Role.NEXT and span.first == len(proof.evidence.phased[use[0]])
            return is_moving and not is_own


def _risk(use: Use, span: Span, proof: Proof) -> Diagnostic:
    database, service, role = use
    states = f"state {span.first}" if span.first == span.last else f"states {span.first} to {span.last}"
    of_service = [each for each in proof.plan.services[service].queries if each.database == database]
    is_unread = bool(of_service) and span.finding.basis is Basis.CLASSIFIED
    way = _WAY_TO_ASK if is_unread else _WAYS_TO_KNOW[span.finding.basis]
    return Diagnostic(
        "unproven",
        proof.plan.services[service].place,
        f"Nobody knows whether `{service}` ({role}) works while `{database}` is at {states}.",
        f"{span.finding.reason[:1].upper()}{span.finding.reason[1:].removesuffix('.')}.",
        f"{way}, or take the risk and have it written down: --accept-unproven.",
    )


_WAYS_TO_KNOW = {
    Basis.REHEARSED: "Mend what the engine says about the query, or what kept it from answering",
    Basis.CLASSIFIED: (
        "Give the service a query catalogue (`queries:`), or declare the phase of each migration"
    ),
}
"""By what a risk rests on."""
_WAY_TO_ASK = "Mend what the warnings say about the service's queries or the rehearsal"
"""Where the plan names queries already."""


def _unknown_users(database: DatabaseName, phased: Phased) -> Diagnostic:
    return Diagnostic(
        "unproven",
        phased.place,
        f"No service of the plan uses `{database}`, and who does is not known.",
        f"`{phased.migration.name}` is taken for {phased.phase}: {phased.reason}.",
        "Declare its phase, or take the risk and have it written down: --accept-unproven.",
    )


def _weakest(met: Mapping[Use, tuple[Span, ...]], moving: Iterable[DatabaseName]) -> Verdict:
    """Return *proven* if everything was, and something was: who uses a database may stand in no plan."""
    is_proven = all(span.finding.verdict is Verdict.PROVEN for spans in met.values() for span in spans)
    asked = {database for database, _, _ in met}
    return Verdict.PROVEN if is_proven and asked and asked.issuperset(moving) else Verdict.UNPROVEN


@dataclass(frozen=True, slots=True)
class _Order:
    """Where each effect happens, and which of those steps lie before and behind a step."""

    applies: Mapping[DatabaseName, Sequence[StepId]]
    """The steps that reach the states 1, 2, … of a database."""
    starts: Mapping[Runner, StepId]
    stops: Mapping[Runner, StepId]
    switches: Mapping[Runner, StepId]
    starts_before: Reached
    starts_behind: Reached
    stops_before: Reached
    switches_before: Reached
    beyond_return: frozenset[StepId]
    """The steps at whose start no rollback is possible any more."""

    @classmethod
    def of(cls, graph: Graph, effects_of: EffectsOf) -> _Order:
        applies: dict[DatabaseName, list[tuple[int, StepId]]] = {}
        starts: dict[Runner, StepId] = {}
        stops: dict[Runner, StepId] = {}
        switches: dict[Runner, StepId] = {}
        for step in graph:
            for effect in effects_of(step):
                match effect:
                    case SchemaMoves(database, to):
                        applies.setdefault(database, []).append((to, step.id))
                    case Starts(service, role):
                        starts[service, role] = step.id
                    case Stops(service, role):
                        stops[service, role] = step.id
                    case TrafficMoves(service, to):
                        switches[service, to] = step.id
        return cls(
            {database: _in_states(found) for database, found in applies.items()},
            starts,
            stops,
            switches,
            starts_before=_before(graph, starts.values()),
            starts_behind=_behind(graph, starts.values()),
            stops_before=_before(graph, stops.values()),
            switches_before=_before(graph, switches.values()),
            beyond_return=_beyond_return(graph),
        )


def _in_states(moves: Iterable[tuple[int, StepId]]) -> Sequence[StepId]:
    states, steps = zip(*sorted(moves), strict=True)
    if states != tuple(range(1, len(states) + 1)):
        raise GraphError(f"a state is skipped, or reached twice: {', '.join(steps)}")
    return steps


def _before(graph: Graph, marked: Iterable[StepId]) -> Reached:
    """Return for each step the marked ones that are done when it starts."""
    marks = {step: frozenset((step,)) for step in marked}
    reached: dict[StepId, frozenset[StepId]] = {}
    for step in graph:
        reached[step.id] = _union(
            [each for before in step.after for each in (reached[before], marks.get(before))]
        )
    return reached


def _behind(graph: Graph, marked: Iterable[StepId]) -> Reached:
    """Return for each step the marked ones that start only when it is done."""
    marks = {step: frozenset((step,)) for step in marked}
    reached: dict[StepId, frozenset[StepId]] = {}
    for step in reversed(graph.steps):
        later = graph.successors(step.id)
        reached[step.id] = _union([each for behind in later for each in (reached[behind], marks.get(behind))])
    return reached


_NONE: frozenset[StepId] = frozenset()


def _union(sets: Iterable[frozenset[StepId] | None]) -> frozenset[StepId]:
    """Return the union, and the very set that went in where there is only one: a chain shares its set."""
    distinct = {id(each): each for each in sets if each}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    return _NONE.union(*distinct.values())


def _beyond_return(graph: Graph) -> frozenset[StepId]:
    beyond: set[StepId] = set()
    for step in graph:
        if step.no_return or not beyond.isdisjoint(step.after):
            beyond.add(step.id)
    return frozenset(beyond)


def _meetings(runner: Runner, database: DatabaseName, *, order: _Order, alive: bool) -> tuple[int, int]:
    """Return the first and the last state of `database` that `runner` may meet.

    `alive` says that it runs from the start.
    """
    applies = order.applies.get(database, ())
    start = None if alive else order.starts.get(runner)
    stop = order.stops.get(runner)

    def is_too_late_for_start(leave: StepId) -> bool:
        return start not in order.starts_behind[leave]

    def is_safe_from_stop(reach: StepId) -> bool:
        return stop in order.stops_before[reach] and reach in order.beyond_return

    first = bisect_left(applies, True, key=is_too_late_for_start) if start else 0
    last = bisect_left(applies, True, key=is_safe_from_stop) if stop else len(applies)
    return first, last


def _breaks(met: Mapping[Use, tuple[Span, ...]], known: Known) -> Iterator[Diagnostic]:
    for use, spans in met.items():
        if broken := [span for span in spans if span.finding.verdict is Verdict.BROKEN]:
            yield explain(use, broken, known)


def _migration_problems(order: _Order, graph: Graph, plan: Plan) -> Iterator[Diagnostic]:
    """Yield each migration that may be applied before the one that its tool wants first."""
    distant = [
        (database, earlier, later)
        for database, applies in order.applies.items()
        for earlier, later in pairwise(applies)
        if earlier not in graph.step(later).after
    ]
    before = _before(graph, (earlier for _, earlier, _ in distant))
    for database, earlier, later in distant:
        if earlier not in before[later]:
            what = f"{later} may be applied before {earlier}, which its tool wants first."
            yield _order_problem(plan.databases[database].place, what)


def _traffic_problems(order: _Order, alive: frozenset[Runner], plan: Plan) -> Iterator[Diagnostic]:
    """Yield what would send requests to nobody: a switch to what may not run, a stop of what may serve.

    Nobody is sent to a worker that is handed over, and what it works at waits until the other one runs; what
    must not be there is both of them at once.
    """
    for runner, switch in order.switches.items():
        if runner not in alive and order.starts.get(runner) not in order.starts_before[switch]:
            yield _runner_problem(runner, plan, "may get traffic before it runs")
    for (service, role), start in order.starts.items():
        other = Role.NEXT if role is Role.LIVE else Role.LIVE
        is_second = (service, other) in alive and (service, role) not in alive
        is_handover = plan.services[service].worker is Worker.HANDOVER
        if is_handover and is_second and order.stops.get((service, other)) not in order.stops_before[start]:
            yield _runner_problem((service, role), plan, "may work while the other version still does")
    for (service, role), stop in order.stops.items():
        other = Role.NEXT if role is Role.LIVE else Role.LIVE
        if (service, other) in alive and (service, other) not in order.switches:
            continue  # traffic is there from the start, and this release never moves it
        if plan.services[service].worker is Worker.HANDOVER:
            continue
        if order.switches.get((service, other)) not in order.switches_before[stop]:
            yield _runner_problem((service, role), plan, "may be stopped while it still serves")


def _runner_problem(runner: Runner, plan: Plan, what: str) -> Diagnostic:
    service, role = runner
    return _order_problem(plan.services[service].place, f"`{service}` ({role}) {what}.")


def _order_problem(place: Place, what: str) -> Diagnostic:
    return Diagnostic(
        "unsafe-order",
        place,
        what,
        "The graph has no edge that forbids it.",
        "This is a bug in coordinator: please report it with the plan.",
    )
