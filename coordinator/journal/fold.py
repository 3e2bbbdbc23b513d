"""Events → RunState, the only way in which anybody learns where a run is. Pure.

The table NEXT is the life of a step. A pair that it does not have is a journal that lies, and is refused
rather than repaired. A step that started and has no outcome is *in doubt*; whether its worker is still
alive in this process is the engine's knowledge and not the journal's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from coordinator.errors import InDoubt
from coordinator.graph import Graph, Step, StepId
from coordinator.journal import events, steps_on_wire
from coordinator.journal.events import Event, Outcome
from coordinator.world import Seen


class Status(StrEnum):
    """Where a step is."""

    PENDING = "pending"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It was observed, and the world does not tell: a human must look."""
    UNDOING = "undoing"
    UNDONE = "undone"


_UNDOABLE: Final = (Status.PENDING, Status.DONE, Status.FAILED, Status.UNKNOWN, Status.UNDOING)
"""A pending step is one of these if it was begun and then observed not to be done: it may be half there."""

NEXT: Final[Mapping[tuple[Status, type[Event]], Status]] = MappingProxyType(
    {
        (Status.PENDING, events.StepStarted): Status.STARTED,
        (Status.FAILED, events.StepStarted): Status.STARTED,
        (Status.STARTED, events.StepProgressed): Status.STARTED,
        (Status.STARTED, events.StepFinished): Status.DONE,
        (Status.STARTED, events.StepFailed): Status.FAILED,
        **{(status, events.UndoStarted): Status.UNDOING for status in _UNDOABLE},
        (Status.UNDOING, events.UndoFinished): Status.UNDONE,
        (Status.UNDOING, events.UndoFailed): Status.UNDOING,
    }
)
"""What an event makes of a step. Observations are not here: what was seen decides (AFTER_SEEING)."""

AFTER_SEEING: Final[Mapping[Seen, Status]] = MappingProxyType(
    {Seen.DONE: Status.DONE, Seen.NOT_DONE: Status.PENDING, Seen.UNKNOWN: Status.UNKNOWN}
)


@dataclass(frozen=True, slots=True)
class StepState:
    """One step of a run. `since` is when it got this status, `first` when it was first started."""

    status: Status = Status.PENDING
    since: datetime | None = None
    first: datetime | None = None
    detail: str = ""
    code: str = ""
    failure: str = ""
    """Why it failed when it was tried last, as long as nobody knows what came of it since."""
    from_line: int | None = None
    """What a person said when the step was settled as not done, until it was tried."""
    is_settled: bool = False
    """A person said what it came to."""
    progress: events.StepProgressed | None = None
    """How far it was when it last said so, in whichever command; None of a step that is done."""


@dataclass(slots=True)
class Front:
    """Where a run stands, so that nobody has to look at a thousand steps to find the one that is next."""

    graph: Graph
    reached: set[StepId]
    """The steps that are not done, and what they come after is."""
    moved: set[StepId] = field(default_factory=set)
    """The steps that are neither pending nor done."""

    @classmethod
    def at_start(cls, graph: Graph) -> Front:
        """Return the front of a run of which nothing has begun."""
        return cls(graph, {step.id for step in graph if not step.after})

    def copied(self) -> Front:
        """Return another one that may be changed."""
        return Front(self.graph, set(self.reached), set(self.moved))

    def move(self, step: StepId, steps: Mapping[StepId, StepState], *, was_done: bool) -> None:
        """Take in that a step of `steps` has another status."""
        status = steps[step].status
        if status in (Status.PENDING, Status.DONE):
            self.moved.discard(step)
        else:
            self.moved.add(step)
        if (status is Status.DONE) is not was_done:
            for each in (step, *self.graph.successors(step)):
                self._place(each, steps)

    def _place(self, step: StepId, steps: Mapping[StepId, StepState]) -> None:
        after = self.graph.step(step).after
        is_open = steps[step].status is not Status.DONE
        if is_open and all(steps[before].status is Status.DONE for before in after):
            self.reached.add(step)
        else:
            self.reached.discard(step)


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as its journal tells it."""

    run: str
    started: events.RunStarted
    graph: Graph
    steps: Mapping[StepId, StepState]
    front: Front = field(compare=False)
    approvals: frozenset[tuple[StepId, str]] = frozenset()
    rollback: events.RollbackStarted | None = None
    abort: events.AbortRequested | None = None
    outcome: Outcome | None = None
    sequence: int = 1
    """The number of its last event."""

    def reached(self) -> list[Step]:
        """Return the steps that are not done where all that they come after is, in the graph's order."""
        return self.graph.in_order(self.front.reached)

    def moved(self) -> list[Step]:
        """Return the steps that are neither pending nor done, in the graph's order."""
        return self.graph.in_order(self.front.moved)

    def status(self, step: StepId) -> Status:
        """Return where a step is."""
        return self.steps[step].status

    @property
    def command(self) -> str:
        """Return the command that goes on with the run: the one by which a person asked for where it goes."""
        if self.abort is not None:
            return "coordinator abort"
        is_asked_back = self.rollback is not None and not self.rollback.automatic
        return "coordinator rollback" if is_asked_back else "coordinator run"

    def is_beyond_return(self) -> bool:
        """Tell whether a step of no return has started: the live version is not promised to work any more.

        A step that was observed not to have happened is pending again and does not count.
        """
        crossed = (Status.STARTED, Status.DONE, Status.FAILED, Status.UNKNOWN)
        return any(step.no_return and self.status(step.id) in crossed for step in self.graph)

    def with_event(self, event: Event) -> RunState:
        """Return the state after one more event.

        Raises: InDoubt `journal-contradicts` where the event cannot follow.
        """
        return self._after(event, dict(self.steps), self.front.copied())

    def _after(self, event: Event, steps: dict[StepId, StepState], front: Front) -> RunState:
        """Return the state after one more event; `steps` and `front` are taken over and changed."""
        if self.outcome is not None:
            raise _contradiction(event, f"the run has ended ({self.outcome})")
        state = replace(self, sequence=self.sequence + 1)
        match event:
            case events.Approved(_, step, who):
                return replace(state, approvals=self.approvals | {(step, who)})
            case events.RollbackStarted():
                return replace(state, rollback=event)
            case events.AbortRequested():
                return replace(state, abort=event)
            case events.RunFinished(_, outcome):
                return replace(state, outcome=outcome)
            case events.RunStarted():
                raise _contradiction(event, "the run has started before")
            case _:
                after = self._step_after(event)
                was_done = steps[event.step].status is Status.DONE
                steps[event.step] = after
                front.move(event.step, steps, was_done=was_done)
                return replace(state, steps=steps, front=front)

    def _step_after(self, event: _StepEvent) -> StepState:
        if event.step not in self.steps:
            raise _contradiction(event, f"the run has no step {event.step}")
        before = self.steps[event.step]
        if isinstance(event, events.StepObserved | events.StepSettled):
            if before.status not in (Status.STARTED, Status.UNKNOWN):
                raise _contradiction(event, f"{event.step} is {before.status}")
            status = AFTER_SEEING[event.seen]
        else:
            known = NEXT.get((before.status, type(event)))
            was_begun = before.first is not None or isinstance(event, events.StepStarted)
            if known is None or not was_begun:
                raise _contradiction(event, f"{event.step} is {before.status}")
            status = known
        if isinstance(event, events.StepProgressed):
            return replace(before, progress=event)
        return StepState(
            status,
            since=event.at,
            first=before.first or event.at,
            detail=str(getattr(event, "detail", getattr(event, "reason", ""))),
            code=str(getattr(event, "code", "")),
            failure=_failure(before, event, status),
            from_line=_from_line(before, event),
            is_settled=isinstance(event, events.StepSettled),
            progress=None if status is Status.DONE else before.progress,
        )


def _failure(before: StepState, event: _StepEvent, status: Status) -> str:
    if isinstance(event, events.StepFailed):
        return event.reason
    return before.failure if status in (Status.STARTED, Status.UNKNOWN) else ""


def _from_line(before: StepState, event: _StepEvent) -> int | None:
    if isinstance(event, events.StepSettled) and event.seen is Seen.NOT_DONE:
        return event.from_line
    return before.from_line if isinstance(event, events.StepStarted) else None


_StepEvent = (
    events.StepStarted
    | events.StepProgressed
    | events.StepFinished
    | events.StepFailed
    | events.StepObserved
    | events.StepSettled
    | events.UndoStarted
    | events.UndoFinished
    | events.UndoFailed
)


def _contradiction(event: Event, why: str) -> InDoubt:
    return InDoubt(
        "journal-contradicts",
        f"The journal has {events.name_of(event)} where it cannot stand: {why}.",
        why="Two coordinators wrote to it, or it was edited.",
        next_step=f"Put a whole copy back, if there is one; else {events.MOVE_IT_AWAY}.",
    )


def fold(run: str, past: Iterable[Event]) -> RunState:
    """Return where the run is after all of its events; the first must be its RunStarted."""
    remaining = iter(past)
    first = next(remaining, None)
    if not isinstance(first, events.RunStarted):
        raise InDoubt(
            "journal-contradicts",
            f"The journal of run {run} does not begin with its start.",
            next_step=f"Put a whole copy back, if there is one; else {events.MOVE_IT_AWAY}.",
        )
    try:
        graph = steps_on_wire.graph_from(first.graph)
    except (TypeError, ValueError) as error:
        raise _contradiction(first, f"its steps are no graph ({error})") from error
    steps = {step.id: StepState() for step in graph}
    front = Front.at_start(graph)
    state = RunState(run, first, graph, steps, front)
    for event in remaining:
        state = state._after(event, steps, front)  # noqa: SLF001 - a copy for each event would cost the run's square
    return state
