"""The order of several services against brute force: refused exactly where there is no order at all.

The brute force knows no phases, no cuts and no graph. It walks all orders of (apply the next migration of a
database, start a next version, stop a live one) and asks whether one of them leads to the end, such that
every version that is alive works at every state that it meets. A release that it finds an order for must be
compiled to a graph that the proof accepts, and any other one must be refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random

from builders import Release, Service, effects_of, migration
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.classify import classify
from coordinator.compile import ACQUIRE, APPROVE, RELEASE, compile_release
from coordinator.derive import derive, fully_asked
from coordinator.diagnostics import Diagnostic, Place
from coordinator.evidence import (
    Basis,
    Break,
    Evidence,
    Finding,
    Objection,
    Rehearsal,
    Span,
    Use,
    Verdict,
)
from coordinator.graph import Graph, Step, StepId
from coordinator.model import DatabaseName, Layer, Migration, Phase, Role, ServiceName, Worker
from coordinator.prove import Proof, prove
from coordinator.rehearse.findings import _blamed
from coordinator.survey import alive_at_start
from coordinator.world import SchemaMoves, Starts, Stops, TrafficMoves

Cells = Mapping[Use, tuple[Verdict, ...]]
"""A verdict for each state."""


@dataclass(frozen=True)
class Drawn:
    """A release and what an engine might have said about it."""

    release: Release
    drawn: Cells
    unasked: frozenset[Use] = frozenset()

    @cached_property
    def derived(self) -> tuple[Evidence, tuple[Diagnostic, ...]]:
        """Return what is derived from what an engine would say, where it is asked."""
        survey = self.release.survey()
        rehearsed = {
            use: tuple(_spans(cells)) for use, cells in self.drawn.items() if use not in self.unasked
        }
        asked = fully_asked(survey, rehearsed, tuple(self.drawn))
        classified, _ = classify(self.release.plan(), survey, asked=asked)
        rehearsals = {
            DatabaseName(name): Rehearsal("", "", (), {}, breaks=tuple(self._breaks(name)))
            for name in self.release.pending
        }
        return derive(survey, classified, rehearsed=rehearsed, rehearsals=rehearsals, asked=asked)

    @property
    def evidence(self) -> Evidence:
        return self.derived[0]

    @cached_property
    def cells(self) -> Cells:
        """Return the matrix: what was drawn, and what was guessed of a version that nobody asked about."""
        return {
            use: tuple(
                span.finding.verdict
                for span in self.evidence.between(use, 0, len(cells) - 1)
                for _ in range(span.first, span.last + 1)
            )
            for use, cells in self.drawn.items()
        }

    def _breaks(self, database: str) -> Iterator[Break]:
        for use, cells in self.drawn.items():
            broken = [verdict is Verdict.BROKEN for verdict in cells]
            for state, is_broken in enumerate(broken):
                if use[0] == database and use not in self.unasked and is_broken:
                    blamed = _blamed(broken, state, self.release.pending[database], role=use[2])
                    objection = Objection("42703", "gone")
                    yield Break(use, state, "Get", Place("q.sql"), Layer.PREPARE, objection, blamed)

    @cached_property
    def graph(self) -> Graph:
        return compile_release(self.release.plan(), self.release.survey(), self.evidence)

    def proof(self, graph: Graph | None = None) -> Proof:
        return prove(
            graph or self.graph,
            self.evidence,
            self.release.survey(),
            plan=self.release.plan(),
            effects_of=effects_of,
        )


def _spans(cells: tuple[Verdict, ...]) -> Iterator[Span]:
    for state, verdict in enumerate(cells):
        yield Span(state, state, Finding(verdict, Basis.REHEARSED, f"{verdict} at {state}"))


# -- brute force ------------------------------------------------------------------------------------------

Instant = tuple[tuple[int, ...], frozenset[tuple[str, Role]], frozenset[str]]
"""The state of each database, who is alive, and whose traffic has moved."""


def has_order(drawn: Drawn) -> bool:
    """Tell whether any order leads to the end without a version that meets a state at which it breaks."""
    survey = drawn.release.survey()
    alive = alive_at_start(survey)
    moving = frozenset(name for name, each in survey.services.items() if not each.is_settled)
    switched = frozenset(name for name in moving if survey.services[name].is_switched)
    start: Instant = (tuple(0 for _ in drawn.release.pending), alive, switched)
    if not _works(drawn, start):
        return False
    seen, waiting = {start}, [start]
    while waiting:
        now = waiting.pop()
        if _is_end(drawn, now, moving):
            return True
        for then in _steps(drawn, now, moving):
            if then not in seen and _works(drawn, then):
                seen.add(then)
                waiting.append(then)
    return False


def _is_end(drawn: Drawn, instant: Instant, moving: frozenset[ServiceName]) -> bool:
    states, alive, switched = instant
    ends = tuple(len(pending) for pending in drawn.release.pending.values())
    return states == ends and switched == moving and not any((name, Role.LIVE) in alive for name in moving)


def _steps(drawn: Drawn, instant: Instant, moving: frozenset[ServiceName]) -> Iterator[Instant]:
    states, alive, switched = instant
    for at, (database, pending) in enumerate(drawn.release.pending.items()):
        if states[at] < len(pending) and _may_apply(drawn, database, instant, moving=moving):
            yield (*states[:at], states[at] + 1, *states[at + 1 :]), alive, switched
    for name in moving:
        if name not in switched:
            yield states, alive | {(name, Role.NEXT)}, switched | {name}
        elif (name, Role.LIVE) in alive:
            yield states, alive - {(name, Role.LIVE)}, switched


def _may_apply(drawn: Drawn, database: str, instant: Instant, *, moving: frozenset[ServiceName]) -> bool:
    """Tell whether a migration's author allows it now: contract waits for the live versions that go."""
    state = instant[0][[*drawn.release.pending].index(database)]
    waits = drawn.release.pending[database][state].declared is Phase.CONTRACT and not _is_nobodys(
        drawn, database
    )
    return not waits or not any(
        (name, Role.LIVE) in instant[1] for name in moving if database in drawn.release.services[name].uses
    )


def _is_nobodys(drawn: Drawn, database: str) -> bool:
    return not any(
        database in drawn.release.services[name].uses for name, _ in alive_at_start(drawn.release.survey())
    )


def _works(drawn: Drawn, instant: Instant) -> bool:
    states, alive, _ = instant
    return all(
        drawn.cells[database, name, role][state] is not Verdict.BROKEN
        for state, database in zip(states, map(DatabaseName, drawn.release.pending), strict=True)
        for name, role in alive
        if database in drawn.release.services[name].uses
    )


# -- any order of a graph's steps --------------------------------------------------------------------------


def assert_no_version_breaks(drawn: Drawn, chance: Random) -> None:
    """Do the steps in a random order; before and after each nobody who may be alive is at a broken state."""
    done: list[Step] = []
    while ready := [
        step for step in drawn.graph if step not in done and {each.id for each in done}.issuperset(step.after)
    ]:
        busy = chance.sample(ready, chance.randint(1, len(ready)))  # they run side by side
        _look(drawn, done, busy)
        done += busy
    assert len(done) == len(drawn.graph)


def _look(drawn: Drawn, done: list[Step], busy: list[Step]) -> None:
    """Look at the instant at which `busy` are under way: each may have had its effect, or not yet."""
    finished = [effect for step in done for effect in effects_of(step)]
    begun = finished + [effect for step in busy for effect in effects_of(step)]
    may_roll_back = not any(step.no_return for step in (*done, *busy))
    alive = set(alive_at_start(drawn.release.survey()))
    alive |= {(each.service, Role.NEXT) for each in begun if isinstance(each, Starts)}
    if not may_roll_back:
        alive -= {(each.service, each.role) for each in finished if isinstance(each, Stops)}
    states = {name: {0} for name in drawn.release.pending}
    for each in (move for move in finished if isinstance(move, SchemaMoves)):
        states[each.database] = {max(*states[each.database], each.to)}
    for each in (move for move in begun[len(finished) :] if isinstance(move, SchemaMoves)):
        states[each.database] |= {each.to}
    for name, role in alive:
        for database in drawn.release.services[name].uses:
            for state in states[database]:
                cell = drawn.cells[DatabaseName(database), name, role][state]
                assert cell is not Verdict.BROKEN, (name, role, database, state)
    _look_at_traffic(drawn, finished, begun)


def _look_at_traffic(drawn: Drawn, finished: list[object], begun: list[object]) -> None:
    started = {each.service for each in finished if isinstance(each, Starts)}
    switched = {each.service for each in finished if isinstance(each, TrafficMoves)}
    survey = drawn.release.survey()
    for each in begun:
        if isinstance(each, TrafficMoves):
            assert each.service in started
        if isinstance(each, Stops) and not _is_handed_over(drawn, each.service):
            assert each.service in switched or survey.services[each.service].is_switched
    for each in begun:
        if isinstance(each, Starts) and _is_handed_over(drawn, each.service):
            assert each.service in {gone.service for gone in finished if isinstance(gone, Stops)}


def _is_handed_over(drawn: Drawn, name: str) -> bool:
    service = drawn.release.services[name]
    return service.worker is Worker.HANDOVER and service.live is not None


def ancestors(graph: Graph) -> dict[StepId, frozenset[StepId]]:
    found: dict[StepId, frozenset[StepId]] = {}
    for step in graph:
        found[step.id] = frozenset(step.after).union(*(found[before] for before in step.after))
    return found


# -- drawn releases ---------------------------------------------------------------------------------------


def use(database: str, service: str, role: Role) -> Use:
    return DatabaseName(database), ServiceName(service), role


LIVES = st.sampled_from([("1", None)] * 7 + [(None, None), ("2", None), ("2", "1")])
WORKS = st.sampled_from([Verdict.PROVEN, Verdict.PROVEN, Verdict.PROVEN, Verdict.UNPROVEN])
APPROVE_BY = st.sampled_from([(), ("dba",)])
NOBODY = st.just(frozenset[Use]())
SLACK = st.sampled_from([0] * 12 + [1, 2, -1])
ANY = st.sampled_from([Verdict.PROVEN, Verdict.UNPROVEN, Verdict.BROKEN, Verdict.BROKEN])


def _migrations(draw: st.DrawFn, size: int) -> tuple[Migration, ...]:
    declared = draw(st.sampled_from([size, size, size, *range(size)]))
    return tuple(migration(at + 1, declared=Phase.CONTRACT if at == declared else None) for at in range(size))


def _cells(draw: st.DrawFn, end: int, borne: int) -> tuple[Verdict, ...]:
    """Draw a live version that works up to the state `borne`, breaks there, and may work again later."""
    works = draw(st.lists(WORKS, min_size=borne + 1, max_size=borne + 1))
    rest = draw(st.lists(ANY, min_size=end - borne, max_size=end - borne))
    return (*works, *([Verdict.BROKEN, *rest[1:]] if rest else []))


@st.composite
def any_releases(draw: st.DrawFn) -> Drawn:
    """Draw one to four services on one to three databases; most cannot be released, and few take turns."""
    sizes = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3))
    pending = {f"db{at}": _migrations(draw, size) for at, size in enumerate(sizes)}
    services = {}
    for name in ("a", "b", "c", "d")[: draw(st.integers(1, 4))]:
        live, left_over = draw(LIVES)
        uses = draw(st.lists(st.sampled_from(sorted(pending)), unique=True, max_size=3))
        services[name] = Service(tuple(uses), live=live, left_over=left_over)
    release = Release(services, pending, approve=draw(APPROVE_BY))
    cells = {}
    for name, service in services.items():
        for database in service.uses:
            end = len(pending[database])
            live, next_ = use(database, name, Role.LIVE), use(database, name, Role.NEXT)
            cells[live] = _cells(draw, end, draw(st.integers(0, end)))
            if not release.survey().services[ServiceName(name)].is_settled:
                cells[next_] = _cells(draw, end, draw(st.integers(0, end)))[::-1]
    return Drawn(release, cells, draw(st.one_of(NOBODY, st.frozensets(st.sampled_from([*cells, None])))))


@st.composite
def releases_in_turns(draw: st.DrawFn) -> Drawn:
    """Draw services that can move one after the other, and sometimes one of them not by one state."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    pending = {f"db{at}": tuple(map(migration, range(1, size + 1))) for at, size in enumerate(sizes)}
    names = draw(st.permutations(("a", "b", "c", "d")[: draw(st.integers(2, 4))]))
    services = {
        name: Service(
            tuple(pending),
            live=draw(st.sampled_from(["1", "1", "1", None])),
            worker=draw(st.sampled_from([None, None, None, *Worker])),
        )
        for name in names
    }
    release = Release(services, pending, approve=draw(APPROVE_BY))
    cells = {}
    for database, migrations in pending.items():
        end = len(migrations)
        stretches = sorted(
            draw(st.lists(st.integers(0, end), min_size=2 * len(names), max_size=2 * len(names)))
        )
        for turn, name in enumerate(names):
            starts, stops = stretches[2 * turn : 2 * turn + 2]
            live, next_ = use(database, name, Role.LIVE), use(database, name, Role.NEXT)
            cells[live] = _cells(draw, end, min(end, max(0, stops + draw(SLACK))))
            cells[next_] = _cells(draw, end, end - min(end, max(0, starts - draw(SLACK))))[::-1]
    return Drawn(release, cells)


@settings(max_examples=250)
@given(st.one_of(any_releases(), releases_in_turns()), st.integers(0, 2**32))
def test_accepts_a_release_exactly_if_some_order_keeps_every_version_working(drawn: Drawn, seed: int):
    proof = drawn.proof()

    problems = (*drawn.derived[1], *proof.diagnostics)
    assert (not problems) == has_order(drawn), [str(each) for each in problems]
    if not problems:
        for turn in range(5):
            assert_no_version_breaks(drawn, Random(seed + turn))


@settings(max_examples=80)
@given(st.one_of(any_releases(), releases_in_turns()))
def test_asks_people_before_there_is_no_way_back_and_before_what_it_needs_is_stopped(drawn: Drawn):
    before = ancestors(drawn.graph)
    no_return = [step.id for step in drawn.graph if step.no_return]

    if not no_return or not drawn.release.approve:
        return
    for step in no_return:
        assert APPROVE in before[step]
        for each in before[step]:
            is_early = each.startswith("stop:") and _is_handed_over(drawn, each.removeprefix("stop:"))
            assert not each.startswith("stop:") or APPROVE in before[each] or is_early


@settings(max_examples=80)
@given(st.one_of(any_releases(), releases_in_turns()))
def test_claims_first_frees_last_and_questions_a_version_before_it_gets_traffic(drawn: Drawn):
    before = ancestors(drawn.graph)

    for step in drawn.graph:
        if step.kind == "switch":
            assert f"verify:{step.service}" in before[step.id]
        if step.id != ACQUIRE:
            assert ACQUIRE in before[step.id]
    if drawn.graph:
        assert before[RELEASE] == {step.id for step in drawn.graph} - {RELEASE}
