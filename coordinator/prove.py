"""Prove the order: no version is alive at a schema state that it does not work at. Pure.

The proof does not trust the compiler. It takes the graph's edges and the effects of its steps and asks for
every pair of a version and a schema state: can they meet? They can, unless an edge path says that the
version is gone before the state is reached, or starts after the state is left. That covers every order in
which steps that run side by side may end, and every instant at which a run may be killed, without walking
orders one by one. Cost: one pass over the graph forward and one backward, with a bit for each version.

A rollback brings the live version back. So its stop counts only behind a step of no return, from whose
start on the engine refuses to roll back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from coordinator.diagnostics import Diagnostic
from coordinator.evidence import Cell, Evidence, Finding, Verdict
from coordinator.graph import Graph, Step, StepId
from coordinator.model import DatabaseName, Plan, Role, ServiceName
from coordinator.survey import Survey, alive_at_start
from coordinator.world import Effect, SchemaMoves, Starts, Stops, TrafficMoves

EffectsOf = Callable[[Step], Sequence[Effect]]
Runner = tuple[ServiceName, Role]
"""One version of one service, as something that runs."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What holds for a release's graph, with all that it was made from.

    `met` has each cell that the release may pass through, with its finding; `diagnostics` says what breaks.
    """

    plan: Plan
    survey: Survey
    evidence: Evidence
    graph: Graph
    verdict: Verdict
    met: Mapping[Cell, Finding]
    diagnostics: tuple[Diagnostic, ...]


def prove(graph: Graph, evidence: Evidence, survey: Survey, *, plan: Plan, effects_of: EffectsOf) -> Proof:
    """Return which versions meet which states, and a diagnostic for each meeting or order that breaks."""
    order = _Order.of(graph, effects_of)
    met = {
        cell: evidence.finding(cell)
        for runner in sorted(alive_at_start(survey) | order.starts.keys())
        for database in plan.services[runner[0]].uses
        for cell in _meetings(runner, database, order=order, alive=runner in alive_at_start(survey))
    }
    diagnostics = (
        *(_breaks(cell, finding, evidence, plan) for cell, finding in met.items() if _is_broken(finding)),
        *_traffic_problems(order, survey, plan),
    )
    verdict = Verdict.BROKEN if diagnostics else _weakest(met.values())
    return Proof(plan, survey, evidence, graph, verdict, met, diagnostics)


def _is_broken(finding: Finding) -> bool:
    return finding.verdict is Verdict.BROKEN


def _weakest(findings: Iterable[Finding]) -> Verdict:
    is_unproven = any(finding.verdict is Verdict.UNPROVEN for finding in findings)
    return Verdict.UNPROVEN if is_unproven else Verdict.PROVEN


@dataclass(frozen=True, slots=True)
class _Order:
    """Where each effect happens, and for each step which of the marked steps lie before and behind it."""

    applies: Mapping[DatabaseName, Mapping[int, StepId]]
    starts: Mapping[Runner, StepId]
    stops: Mapping[Runner, StepId]
    switches: Mapping[Runner, StepId]
    bits: Mapping[StepId, int]
    before: Mapping[StepId, int]
    behind: Mapping[StepId, int]

    @classmethod
    def of(cls, graph: Graph, effects_of: EffectsOf) -> _Order:
        applies: dict[DatabaseName, dict[int, StepId]] = {}
        starts: dict[Runner, StepId] = {}
        stops: dict[Runner, StepId] = {}
        switches: dict[Runner, StepId] = {}
        for step in graph:
            for effect in effects_of(step):
                match effect:
                    case SchemaMoves(database, to):
                        applies.setdefault(database, {})[to] = step.id
                    case Starts(service, role):
                        starts[service, role] = step.id
                    case Stops(service, role):
                        stops[service, role] = step.id
                    case TrafficMoves(service, to):
                        switches[service, to] = step.id
        marked = [*starts.values(), *stops.values(), *switches.values()]
        bits = {step: 1 << position for position, step in enumerate(dict.fromkeys(marked))}
        return cls(applies, starts, stops, switches, bits, *_marks(graph, bits, _irreversible(graph, bits)))

    def is_before(self, first: StepId, second: StepId) -> bool:
        """Tell whether a path of edges leads from the marked step `first` to `second`."""
        return bool(self.before[second] & self.bits[first])

    def is_behind(self, first: StepId, second: StepId) -> bool:
        """Tell whether a path of edges leads from `first` to the marked step `second`."""
        return bool(self.behind[first] & self.bits[second])

    def is_beyond_return(self, step: StepId) -> bool:
        """Tell whether no rollback is possible any more when `step` runs."""
        return bool(self.before[step] & (1 << len(self.bits)))


def _irreversible(graph: Graph, bits: Mapping[StepId, int]) -> Mapping[StepId, int]:
    return {step.id: 1 << len(bits) for step in graph if step.no_return}


def _marks(
    graph: Graph, bits: Mapping[StepId, int], own: Mapping[StepId, int]
) -> tuple[dict[StepId, int], dict[StepId, int]]:
    """Return for each step the marks before it and the marks behind it; `own` ones count at the step too."""
    before: dict[StepId, int] = {}
    for step in graph:
        mask = own.get(step.id, 0)
        for earlier in step.after:
            mask |= before[earlier] | bits.get(earlier, 0)
        before[step.id] = mask
    behind: dict[StepId, int] = {}
    for step in reversed(graph.steps):
        mask = 0
        for later in graph.successors(step.id):
            mask |= behind[later] | bits.get(later, 0)
        behind[step.id] = mask
    return before, behind


def _meetings(runner: Runner, database: DatabaseName, *, order: _Order, alive: bool) -> Iterator[Cell]:
    """Yield the states of `database` that `runner` may meet; `alive` says that it runs from the start."""
    applies = order.applies.get(database, {})
    start = None if alive else order.starts.get(runner)
    stop = order.stops.get(runner)
    for state in range(len(applies) + 1):
        reach, leave = applies.get(state), applies.get(state + 1)
        if reach and stop and order.is_before(stop, reach) and order.is_beyond_return(reach):
            continue
        if leave and start and order.is_behind(leave, start):
            continue
        yield (database, state, *runner)


def _breaks(cell: Cell, finding: Finding, evidence: Evidence, plan: Plan) -> Diagnostic:
    database, state, service, role = cell
    phased = evidence.phased[database]
    culprit = phased[state - 1] if state and role is Role.LIVE else phased[min(state, len(phased) - 1)]
    return Diagnostic(
        "version-meets-broken-state",
        culprit.place,
        f"`{service}` ({role}) may run while database `{database}` is at state {state} of {len(phased)},"
        " and does not work there.",
        f"{finding.reason[:1].upper()}{finding.reason[1:]}.",
        f"Split the release, so that `{culprit.migration.name}` is in one where no such version runs,"
        f" or correct the phase that the migration declares. Plan: {plan.file}.",
    )


def _traffic_problems(order: _Order, survey: Survey, plan: Plan) -> Iterator[Diagnostic]:
    """Yield what would send requests to nobody: a switch to what may not run, a stop of what may serve."""
    alive = alive_at_start(survey)
    for runner, switch in order.switches.items():
        start = order.starts.get(runner)
        if runner not in alive and (start is None or not order.is_before(start, switch)):
            yield _order_problem(runner, plan, "may get traffic before it runs")
    for (service, role), stop in order.stops.items():
        other = Role.NEXT if role is Role.LIVE else Role.LIVE
        away = order.switches.get((service, other))
        if away is None or not order.is_before(away, stop):
            yield _order_problem((service, role), plan, "may be stopped while it still serves")


def _order_problem(runner: Runner, plan: Plan, what: str) -> Diagnostic:
    service, role = runner
    return Diagnostic(
        "unsafe-order",
        plan.services[service].place,
        f"`{service}` ({role}) {what}.",
        "The graph has no edge that forbids it.",
        "This is a bug in coordinator: please report it with the plan.",
    )
