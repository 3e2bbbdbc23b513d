"""The proof against brute force: every set of finished steps, everything that may be under way beside it.

The brute force knows no paths, no marks and no order of the proof's own. It walks all instants of a graph,
asks at each which versions may be alive, where traffic may be and at which states the schema may be, and
remembers what met. Where the two differ, one of them is wrong.
"""

from __future__ import annotations

from itertools import islice

import pytest
from builders import Release, Service, effects_of, without_edge
from fixtures.instants import instants
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coordinator.evidence import Basis, Evidence, Finding, Span, Verdict
from coordinator.graph import Graph, Step, StepId
from coordinator.model import DatabaseName, Role, ServiceName, Worker
from coordinator.prove import Proof, prove
from coordinator.world import SchemaMoves, Starts, Stops, TrafficMoves

Cell = tuple[str, int, str, Role]
MANY = 3_000
"""Instants of a drawn graph beyond which brute force takes too long for a test."""


class BruteForce:
    """What may meet what, collected over all instants."""

    def __init__(self, graph: Graph, release: Release) -> None:
        self.met: set[Cell] = set()
        self.is_out_of_order = False
        self.reaches_nobody = False
        self.work_at_once = False
        self._effects = [(step.id, effect) for step in graph for effect in effects_of(step)]
        self._no_return = {step.id for step in graph if step.no_return}
        self._release = release
        for done, busy in instants(graph):
            self._look(done, busy)

    def _look(self, done: frozenset[StepId], busy: frozenset[StepId]) -> None:
        begun = done | busy
        alive = self._alive(done, begun)
        for database in self._release.pending:
            for state in self._states(database, done, begun):
                for service, role in alive:
                    if database in self._release.services[service].uses:
                        self.met.add((database, state, service, role))
        for name, service in self._release.services.items():
            self._look_at_traffic(name, service, done, begun)

    def _steps(self, effect: object) -> set[StepId]:
        return {step for step, each in self._effects if each == effect}

    def _alive(self, done: frozenset[StepId], begun: frozenset[StepId]) -> set[tuple[str, Role]]:
        """Return who may run: started is started at once, stopped is gone when the stop has ended."""
        may_roll_back = not begun & self._no_return
        alive = set()
        for name, service in self._release.services.items():
            stops = self._steps(Stops(ServiceName(name), Role.LIVE))
            is_replaced = service.live is not None and service.live != service.next
            is_left_over = service.live == service.next and service.left_over is not None
            if service.live is not None and (not stops & done or may_roll_back):
                alive |= (
                    {(name, Role.LIVE)} if is_replaced or is_left_over or not self._moves(name) else set()
                )
            if is_left_over or self._steps(Starts(ServiceName(name), Role.NEXT)) & begun:
                alive |= {(name, Role.NEXT)}
        return alive

    def _moves(self, name: str) -> bool:
        return bool(self._steps(Starts(ServiceName(name), Role.NEXT)))

    def _states(self, database: str, done: frozenset[StepId], begun: frozenset[StepId]) -> set[int]:
        """Return the states that may be seen: what is under way may be over, or not have begun."""
        moves = {step: each.to for step, each in self._effects if isinstance(each, SchemaMoves)}
        mine = [step for step, each in self._effects if getattr(each, "database", None) == database]
        reached = {moves[step] for step in mine if step in done}
        busy = {moves[step] for step in mine if step in begun - done}
        state = max(reached, default=0)
        if reached | busy != set(range(1, len(reached | busy) + 1)) or len(busy) > 1:
            self.is_out_of_order = True
        return {state} | busy

    def _look_at_traffic(
        self, name: str, service: Service, done: frozenset[StepId], begun: frozenset[StepId]
    ) -> None:
        switches = self._steps(TrafficMoves(ServiceName(name), Role.NEXT))
        starts = self._steps(Starts(ServiceName(name), Role.NEXT))
        runs_already = service.live == service.next
        if switches & begun and not (starts & done or runs_already):
            self.reaches_nobody = True
        # Also where traffic is at next already and is switched once more: a rollback then switches to live.
        is_at_next = service.live == service.next and service.left_over is not None and not switches
        if service.worker is Worker.HANDOVER:
            # nobody is sent to it, before its stop or after; but both versions must never work at once
            is_replaced = service.live is not None and not runs_already
            if is_replaced and starts & begun and not self._steps(Stops(ServiceName(name), Role.LIVE)) & done:
                self.work_at_once = True
            return
        if self._steps(Stops(ServiceName(name), Role.LIVE)) & begun and not (switches & done or is_at_next):
            self.reaches_nobody = True


def assert_same(proof: Proof, graph: Graph, release: Release) -> None:
    expected = BruteForce(graph, release)
    orders = [each for each in proof.diagnostics if each.code == "unsafe-order"]

    assert bool(orders) == (expected.is_out_of_order or expected.reaches_nobody or expected.work_at_once)
    if expected.is_out_of_order:
        return  # the states have no order then, and what meets them says nothing
    met = {
        (use[0], state, use[1], use[2])
        for use, spans in proof.met.items()
        for span in spans
        for state in range(span.first, span.last + 1)
    }
    assert met == expected.met
    broken = {cell for cell in met if _finding(proof.evidence, cell).verdict is Verdict.BROKEN}
    assert (proof.verdict is Verdict.BROKEN) == bool(broken or orders)


def _finding(evidence: Evidence, cell: Cell) -> Finding:
    database, state, service, role = cell
    return evidence.finding((DatabaseName(database), ServiceName(service), role), state)


COMPILED = {
    "one service": Release({"app": Service(("db",))}, {"db": "expand contract"}),
    "two contract migrations": Release({"app": Service(("db",))}, {"db": "expand contract contract"}),
    "contract before expand": Release({"app": Service(("db",))}, {"db": "contract expand"}),
    "canary": Release({"app": Service(("db",), canary=(10, 50))}, {"db": "expand contract"}),
    "overlapping worker": Release(
        {"app": Service(("db",), worker=Worker.OVERLAP)}, {"db": "expand contract"}
    ),
    "worker that is handed over": Release(
        {"app": Service(("db",), worker=Worker.HANDOVER)}, {"db": "expand contract"}
    ),
    "worker that is handed over beside a service": Release(
        {"app": Service(("db",)), "other": Service(("db",), worker=Worker.HANDOVER)}, {"db": "contract"}
    ),
    "gated": Release({"app": Service(("db",))}, {"db": "expand contract"}, approve=("dba",)),
    "first release": Release({"app": Service(("db",), live=None)}, {"db": "expand expand"}),
    "left over": Release({"app": Service(("db",), live="2", left_over="1")}, {"db": "contract"}),
    "left over before its expand": Release(
        {"app": Service(("db",), live="2", left_over="1")}, {"db": "expand"}
    ),
    "two databases": Release({"app": Service(("a", "b"))}, {"a": "expand contract", "b": "contract"}),
    "one stays": Release(
        {"app": Service(("db",)), "other": Service(("db",), live="2")}, {"db": "expand contract"}
    ),
    "two on one database": Release(
        {"app": Service(("db",)), "other": Service(("db",))}, {"db": "expand contract"}
    ),
    "nobody's database": Release({}, {"db": "expand contract"}, approve=("dba",)),
}


@pytest.mark.parametrize("name", COMPILED)
def test_agrees_with_brute_force_on_a_compiled_graph_and_without_each_of_its_edges(name: str):
    release = COMPILED[name]
    compiled = release.graph()
    assert_same(release.proof(), compiled, release)

    for step in compiled:
        for before in step.after:
            graph = without_edge(compiled, step.id, before)
            assert_same(release.proof(graph), graph, release)


@st.composite
def releases(draw: st.DrawFn) -> tuple[Release, Graph, Evidence]:
    """Draw a release of up to two services, a graph with any edges, and evidence that nobody would write."""
    sizes = draw(st.lists(st.integers(1, 2), min_size=1, max_size=2))
    databases = [f"db{at}" for at in range(len(sizes))]
    worlds = st.sampled_from([("1", None), (None, None), ("2", "1"), ("2", None)])
    services = {}
    for name in ("app", "other")[: draw(st.integers(1, 2))]:
        live, left_over = draw(worlds)
        uses = draw(st.lists(st.sampled_from(databases), unique=True))
        worker = draw(st.sampled_from([None, None, *Worker]))
        services[name] = Service(tuple(uses), live=live, left_over=left_over, worker=worker)
    release = Release(
        services,
        {name: "expand " * size for name, size in zip(databases, sizes, strict=True)},
    )
    steps = draw(st.permutations([*_applies(sizes, draw), *_moves(services, draw)]).filter(bool))
    edges = draw(st.lists(st.booleans(), min_size=len(steps) ** 2, max_size=len(steps) ** 2))
    graph = Graph(
        tuple(
            _after(step, tuple(steps[at].id for at in range(position) if edges[position * len(steps) + at]))
            for position, step in enumerate(steps)
        )
    )
    spans = {
        (DatabaseName(database), ServiceName(service), role): _spans(draw, size)
        for database, size in zip(databases, sizes, strict=True)
        for service in services
        for role in Role
    }
    return release, graph, Evidence(release.evidence().phased, spans)


def _applies(sizes: list[int], draw: st.DrawFn) -> list[Step]:
    return [
        Step(
            StepId(f"apply:{at}:{state}"),
            "apply",
            database=DatabaseName(f"db{at}"),
            state=state,
            no_return=draw(st.booleans()),
        )
        for at, size in enumerate(sizes)
        for state in range(1, size + 1)
    ]


def _moves(services: dict[str, Service], draw: st.DrawFn) -> list[Step]:
    kinds = {
        name: ("deploy", "switch")
        if service.live is None
        else ()
        if service.live == "2" and service.left_over is None
        else ("deploy", "switch", "stop")
        for name, service in services.items()
    }
    return [
        Step(StepId(f"{kind}:{name}"), kind, service=ServiceName(name))
        for name, wanted in kinds.items()
        for kind in wanted
        if kind == "deploy" or draw(st.sampled_from([True, True, True, False]))
    ]


def _after(step: Step, after: tuple[StepId, ...]) -> Step:
    return Step(
        step.id, step.kind, after, step.database, step.service, state=step.state, no_return=step.no_return
    )


def _spans(draw: st.DrawFn, size: int) -> tuple[Span, ...]:
    verdicts = draw(st.lists(st.sampled_from(Verdict), min_size=size + 1, max_size=size + 1))
    return tuple(
        Span(state, state, Finding(verdict, Basis.REHEARSED, "drawn"))
        for state, verdict in enumerate(verdicts)
    )


@settings(max_examples=300)
@given(releases())
def test_agrees_with_brute_force_on_any_graph(drawn: tuple[Release, Graph, Evidence]):
    release, graph, evidence = drawn
    assume(sum(1 for _ in islice(instants(graph), MANY)) < MANY)

    proof = prove(graph, evidence, release.survey(), plan=release.plan(), effects_of=effects_of)

    assert_same(proof, graph, release)
