"""Backfills of compiled releases against brute force: what may happen while one runs, and what before it.

The brute force knows no phases and none of the compiler's cuts. It walks all instants that a graph allows,
and asks at each what the plan's words promise: a backfill finds the schema that it needs, what waits for it
has not begun, and it was judged at every state at which it may run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import islice

from builders import Release, Service, effects_of
from fixtures.backfilling import COUNT_UP
from fixtures.instants import instants
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coordinator.backfills.order import CONTRACT, SWITCH
from coordinator.backfills.verdicts import begin_too_late, judged
from coordinator.errors import CoordinatorError
from coordinator.evidence import Basis, Evidence, Finding, Rehearsal, Verdict
from coordinator.graph import Graph, StepId
from coordinator.model import DatabaseName, Phase, Role, ServiceName, Worker
from coordinator.world import SchemaMoves, Starts, Stops

DB = DatabaseName("db")
BACKFILL, COMPLETE = StepId("backfill:db:count-up"), StepId("complete:db:count-up")
WITH_A_WAY_BACK = (None, Worker.OVERLAP)
"""Services whose live version is stopped when nobody goes back; a handover stops it to begin."""
MANY = 3_000
"""Instants of a drawn graph beyond which brute force takes too long for a test."""


@dataclass(frozen=True)
class Drawn:
    """A release with one backfill, its steps, and the numbers of the migrations around it."""

    release: Release
    graph: Graph
    after: int
    gate: int | None
    """What waits for the backfill, by the plan's words alone; None: no migration does."""

    def evidence(self, broken: Collection[int] = ()) -> Evidence:
        """Return what is known where an engine refuses the backfill at some states, and nowhere else."""
        tried = tuple(
            (
                "count-up",
                state,
                Finding(Verdict.BROKEN if state in broken else Verdict.PROVEN, Basis.REHEARSED, ""),
            )
            for state in range(len(self.phases) + 1)
        )
        return replace(self.release.evidence(), rehearsals={DB: Rehearsal("", "", (), {}, backfills=tried)})

    @property
    def phases(self) -> list[str]:
        return str(self.release.pending[DB]).split()

    def moves(self, state: int) -> set[StepId]:
        """Return the step that brings the schema to a state."""
        return {step.id for step in self.graph if SchemaMoves(DB, state) in effects_of(step)}

    def starts(self) -> set[StepId]:
        """Return the steps that start a next version which uses the database."""
        return self._of(Starts, Role.NEXT)

    def stops(self, *workers: Worker | None) -> set[StepId]:
        """Return the steps that stop a live version which uses the database; of services of these kinds."""
        return self._of(Stops, Role.LIVE, *workers)

    def _of(self, effect: type[Starts | Stops], role: Role, *workers: Worker | None) -> set[StepId]:
        wanted = {
            effect(ServiceName(name), role)
            for name, each in self.release.services.items()
            if DB in each.uses and (not workers or each.worker in workers)
        }
        return {step.id for step in self.graph if wanted.intersection(effects_of(step))}


@st.composite
def releases(draw: st.DrawFn) -> Drawn:
    """Draw a release whose backfill stands anywhere among its migrations."""
    phases = draw(
        st.lists(
            st.sampled_from([each.value for each in (Phase.EXPAND, Phase.CONTRACT)]), min_size=1, max_size=3
        )
    )
    after = draw(st.integers(1, len(phases)))
    later = [str(number) for number in range(after + 1, len(phases) + 1)]
    before = draw(st.sampled_from([SWITCH, CONTRACT, *later]))
    worlds = st.sampled_from([("1", None), ("1", None), (None, None), ("2", "1"), ("2", None)])
    services = {}
    for name in ("app", "other")[: draw(st.integers(0, 2))]:
        live, left_over = draw(worlds)
        uses = draw(st.sampled_from([("db",), ("db",), ()]))
        worker = draw(st.sampled_from([None, None, *Worker]))
        canary = draw(st.sampled_from([(), (), (10,)])) if worker is None else ()
        services[name] = Service(uses, live=live, left_over=left_over, worker=worker, canary=canary)
    spec = replace(COUNT_UP, after=str(after), before=before)
    release = Release(
        services, {"db": " ".join(phases)}, approve=draw(st.sampled_from([(), ("dba",)])), backfills=(spec,)
    )
    contracts = [number for number, phase in enumerate(phases, 1) if phase == Phase.CONTRACT]
    gate = next(iter(contracts), None) if before in (SWITCH, CONTRACT) else int(before)
    assume(not list(begin_too_late(release.plan(), release.evidence())))
    try:
        graph = release.graph()
    except CoordinatorError:
        assume(False)
    assume(sum(1 for _ in islice(instants(graph), MANY)) < MANY)
    return Drawn(release, graph, after, gate)


@settings(max_examples=300)
@given(releases())
def test_what_may_happen_while_a_backfill_runs_and_before_it(drawn: Drawn) -> None:
    spec = drawn.release.backfills[0]
    gate = set() if drawn.gate is None else drawn.moves(drawn.gate)
    for done, busy in instants(drawn.graph):
        begun = done | busy
        if BACKFILL in begun:
            assert drawn.moves(drawn.after) <= done, "what it needs is there"
        if gate & begun:
            assert {BACKFILL, COMPLETE} <= done, "what waits for it begins when it is complete"
        if spec.before == SWITCH and drawn.starts() & begun:
            assert BACKFILL in done, "no next version runs before it"
        if spec.before in (SWITCH, CONTRACT) and gate and drawn.stops(*WITH_A_WAY_BACK) & begun:
            assert BACKFILL in done, "the way back is not given up before it"
        if spec.before in (SWITCH, CONTRACT) and COMPLETE in begun:
            assert drawn.stops() <= done, "nobody writes the old form any more when it is asked again"


@settings(max_examples=300)
@given(releases())
def test_a_backfill_is_judged_at_every_state_at_which_it_may_run(drawn: Drawn) -> None:
    moves = {step: state for state in range(1, len(drawn.phases) + 1) for step in drawn.moves(state)}
    met = set()
    for done, busy in instants(drawn.graph):
        if BACKFILL in busy:
            met.add(max((moves[step] for step in done if step in moves), default=0))
            met |= {moves[step] for step in busy if step in moves}

    for state in range(len(drawn.phases) + 1):
        found = judged(drawn.release.plan(), drawn.evidence(broken=[state]))[DB, "count-up"]
        assert state not in met or found.verdict is Verdict.BROKEN, f"it may run at state {state}"
