"""decide and fold drive a run through bad luck: failures, doubts, requests, a kill between any two events.

The world remembers the truth about each effect. Luck is bad up to a number of times and good from then on,
so that a run that does not end does not end because of what it decides.
"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.decide import Finish, Observe, Rest, Situation, Start, TurnBack, Undo, decide
from coordinator.graph import Graph, Step, StepId
from coordinator.journal import events
from coordinator.journal.events import Event, Outcome, RunStarted
from coordinator.journal.fold import RunState, Status, fold
from coordinator.journal.steps_on_wire import wire_from
from coordinator.model import OnFailure
from coordinator.world import Seen

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UNDOABLE = frozenset({"acquire-lease", "deploy", "switch"})
KINDS = ("deploy", "switch", "apply", "backfill", "complete", "contract", "approve")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    steps = [Step(StepId("s0"), "acquire-lease")]
    for at in range(1, draw(st.integers(2, 8))):
        kind = draw(st.sampled_from(KINDS))
        after = draw(st.lists(st.integers(0, at - 1), min_size=1, max_size=3, unique=True))
        steps.append(
            Step(
                StepId(f"s{at}"),
                "apply" if kind == "contract" else kind,
                tuple(StepId(f"s{each}") for each in sorted(after)),
                approvers=("ann",) if kind == "approve" else (),
                no_return=kind == "contract",
            )
        )
    return Graph(tuple(steps))


class Simulation:
    """One run, over as many commands as it takes."""

    def __init__(self, graph: Graph, luck: Random, *, on_failure: OnFailure, bad_luck: int) -> None:
        self.graph, self.luck, self.on_failure, self.bad_luck = graph, luck, on_failure, bad_luck
        self.journal: list[Event] = [
            RunStarted(AT, "shop-2", "plan.yaml", {}, wire_from(graph), False, "0.1.0")
        ]
        self.state = fold("shop-2@1", self.journal)
        self.there: set[StepId] = set()
        """The truth: whose effect, or a part of it, is in the world."""
        self.new_command()

    def new_command(self) -> None:
        """Forget what a process knows; what its workers were busy with may be there or not."""
        self.in_flight: dict[StepId, Start | Observe | Undo] = {}
        self.tried: set[StepId] = set()

    def write(self, event: Event) -> None:
        self.state = self.state.with_event(event)
        self.journal.append(event)
        self.check_front()

    def check_front(self) -> None:
        """Hold what is carried along from event to event against a look at every step."""
        status = {step.id: self.state.status(step.id) for step in self.graph}
        done = {step for step, each in status.items() if each is Status.DONE}
        assert self.state.reached() == [
            step for step in self.graph if step.id not in done and done.issuperset(step.after)
        ]
        calm = (Status.PENDING, Status.DONE)
        assert self.state.moved() == [step for step in self.graph if status[step.id] not in calm]

    def is_unlucky(self, chance: float) -> bool:
        if self.bad_luck and self.luck.random() < chance:
            self.bad_luck -= 1
            return True
        return False

    def run(self) -> RunState:
        for _ in range(2_000):
            if self.state.outcome is not None:
                return self.state
            self.ask_for_something()
            self.act()
            if self.is_unlucky(0.1):
                self.kill()
            elif self.in_flight:
                self.collect(self.luck.choice(sorted(self.in_flight)))
        raise AssertionError(f"it does not end: {self.journal[-20:]}")

    def ask_for_something(self) -> None:
        if self.is_unlucky(0.05) and not self.state.rollback and not self.state.is_beyond_return():
            self.write(events.RollbackStarted(AT, "asked for", automatic=False))
        if self.is_unlucky(0.01) and not self.state.abort:
            self.write(events.AbortRequested(AT, "ann"))

    def act(self) -> None:
        situation = Situation(self.in_flight.keys(), self.tried, UNDOABLE, self.on_failure)
        commands = decide(self.state, situation)
        assert commands or self.in_flight, "it waits for nobody"
        for command in commands:
            match command:
                case Start(step):
                    self.check_start(step)
                    self.write(events.StepStarted(AT, step.id))
                    self.in_flight[step.id] = command
                case Observe(step):
                    self.in_flight[step.id] = command
                case Undo(step):
                    self.check_undo(step)
                    self.write(events.UndoStarted(AT, step.id))
                    self.in_flight[step.id] = command
                case TurnBack(reason):
                    assert not self.state.is_beyond_return()
                    self.write(events.RollbackStarted(AT, reason, automatic=True))
                    self.tried.clear()
                case Finish(outcome):
                    self.check_finish(outcome)
                    self.write(events.RunFinished(AT, outcome))
                case Rest(steps):
                    assert steps
                    assert not self.in_flight
                    self.help(steps)

    def check_start(self, step: Step) -> None:
        assert all(self.state.status(before) is Status.DONE for before in step.after)
        assert not self.state.rollback
        assert not self.state.abort
        assert all((step.id, who) in self.state.approvals for who in step.approvers)

    def check_undo(self, step: Step) -> None:
        assert self.state.abort or not self.state.is_beyond_return()
        assert step.kind in UNDOABLE
        if not self.state.abort:
            behind = [each for each in self.graph if self.leads(step.id, each.id)]
            assert not any(each.id in self.there and each.kind in UNDOABLE for each in behind)
            assert not any(each.id in self.in_flight for each in behind)

    def leads(self, first: StepId, last: StepId) -> bool:
        after = self.graph.step(last).after
        return first in after or any(self.leads(first, each) for each in after)

    def check_finish(self, outcome: Outcome) -> None:
        if outcome is Outcome.RELEASED:
            assert all(step.status is Status.DONE for step in self.state.steps.values())
        if outcome is Outcome.ROLLED_BACK:
            assert not any(step.id in self.there and step.kind in UNDOABLE for step in self.graph)
        if outcome is Outcome.ABORTED:
            assert "s0" not in self.there

    def help(self, steps: tuple[StepId, ...]) -> None:
        """Do what a person does about a run that rests: say what happened, approve, run again."""
        for step in steps:
            if self.state.status(step) is Status.UNKNOWN:
                seen = Seen.DONE if step in self.there else Seen.NOT_DONE
                self.write(events.StepSettled(AT, step, seen, "ann"))
            elif self.graph.step(step).approvers and self.state.status(step) is Status.PENDING:
                self.write(events.Approved(AT, step, "ann"))
        self.new_command()

    def kill(self) -> None:
        for step, command in self.in_flight.items():
            self.happen(step, command, partly=True)
        self.new_command()
        assert fold("shop-2@1", self.journal) == self.state

    def happen(self, step: StepId, command: Start | Observe | Undo, *, partly: bool) -> None:
        """Let an effect, or the way back from it, come into the world; of a cut off one nobody knows."""
        if isinstance(command, Observe) or (partly and self.luck.random() < 0.5):
            return
        if isinstance(command, Start):
            self.there.add(step)
        else:
            self.there.discard(step)

    def collect(self, step: StepId) -> None:
        command = self.in_flight.pop(step)
        if isinstance(command, Observe):
            self.collect_observation(step)
        elif self.is_unlucky(0.2):
            self.happen(step, command, partly=True)  # a deploy that fails may leave its processes
            self.tried.add(step)
            self.write(self.bad_news(step, command))
        else:
            self.happen(step, command, partly=False)
            kind = events.StepFinished if isinstance(command, Start) else events.UndoFinished
            self.write(kind(AT, step, ""))

    def bad_news(self, step: StepId, command: Start | Undo) -> Event:
        if isinstance(command, Undo):
            return events.UndoFailed(AT, step, "x", "y")
        return self.luck.choice(
            [
                events.StepFailed(AT, step, "x", "y"),
                events.StepObserved(AT, step, Seen.NOT_DONE, "it waits"),
                events.StepObserved(AT, step, Seen.UNKNOWN, "in doubt"),
            ]
        )

    def collect_observation(self, step: StepId) -> None:
        if self.is_unlucky(0.2):
            self.tried.add(step)  # the world did not answer
        elif self.is_unlucky(0.2):
            self.write(events.StepObserved(AT, step, Seen.UNKNOWN, ""))
        else:
            # What is there may be half of it: then it is not done, and there all the same.
            is_done = step in self.there and not self.is_unlucky(0.5)
            self.write(events.StepObserved(AT, step, Seen.DONE if is_done else Seen.NOT_DONE, ""))


@settings(max_examples=800)
@given(
    graph=graphs(),
    seed=st.integers(0, 2**32),
    on_failure=st.sampled_from(OnFailure),
    bad_luck=st.integers(0, 25),
)
def test_every_run_ends_and_keeps_its_promises(graph: Graph, seed: int, on_failure: OnFailure, bad_luck: int):
    # Random numbers of Hypothesis' own are mostly extreme ones: all the bad luck would come at once.
    simulation = Simulation(graph, Random(seed), on_failure=on_failure, bad_luck=bad_luck)

    state = simulation.run()

    past = simulation.journal
    finished = [each.step for each in past if isinstance(each, events.StepFinished)]
    assert len(finished) == len(set(finished))
    turned = [at for at, each in enumerate(past) if isinstance(each, events.RollbackStarted)]
    assert len(turned) <= 1
    if turned:
        later = past[turned[0] :]
        assert not any(isinstance(each, events.StepStarted) for each in later)
        assert not fold("shop-2@1", past[: turned[0]]).is_beyond_return()
    if not bad_luck:
        assert state.outcome is Outcome.RELEASED
