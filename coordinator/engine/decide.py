"""(state, what is in flight) → commands. Pure: no time, no I/O, so every situation of a run is a table in a
test.

Rules that hold everywhere: what is in doubt is observed before anything else is done about it; a run that
turned back never turns forward; it turns back at once, and what is still in flight is undone when it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from coordinator.graph import Step, StepId
from coordinator.journal.events import Outcome
from coordinator.journal.fold import RunState, Status
from coordinator.model import OnFailure

_A_PERSON_ALONE: Final = frozenset({"migration-ran-further"})
"""Doubts that no look settles: the step is there, and a person is asked about what else is."""


@dataclass(frozen=True, slots=True)
class Start:
    """Perform a step, unless the world shows that it is done."""

    step: Step


@dataclass(frozen=True, slots=True)
class Observe:
    """Ask the world what a step in doubt came to."""

    step: Step


@dataclass(frozen=True, slots=True)
class Undo:
    """Take a step back."""

    step: Step


@dataclass(frozen=True, slots=True)
class TurnBack:
    """Begin the automatic rollback."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run for good."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing can be done by this command any more; `status` of `steps` says why."""

    steps: tuple[StepId, ...]


Command = Start | Observe | Undo | TurnBack | Finish | Rest


@dataclass(frozen=True, slots=True)
class Situation:
    """What this command knows besides the journal."""

    in_flight: AbstractSet[StepId]
    """The steps that a worker of this process is busy with."""
    tried: AbstractSet[StepId]
    """The steps that failed, waited or could not be undone under this command: not tried again by it."""
    undoable: AbstractSet[str]
    """The kinds of step that can be taken back."""
    on_failure: OnFailure
    looked: AbstractSet[StepId] = frozenset()
    """The steps that this command did or looked at already."""


def decide(state: RunState, situation: Situation) -> tuple[Command, ...]:
    """Return what to do now; empty while workers are busy and nothing else can begin."""
    if state.outcome is not None:
        return ()
    busy_or_tried = situation.in_flight | situation.tried
    doubtful = tuple(
        Observe(step)
        for step in state.moved()
        if state.status(step.id) is Status.STARTED and step.id not in busy_or_tried
    )
    if doubtful:
        return doubtful
    if state.abort is not None:
        return _give_up(state, situation)
    return _go_back(state, situation) if state.rollback else _go_on(state, situation)


def _go_on(state: RunState, situation: Situation) -> tuple[Command, ...]:
    failed = [
        step
        for step in state.moved()
        if state.status(step.id) is Status.FAILED
        and step.kind != "release-lease"  # all is done that the release is for: it stays, and the lease too
        and not _is_of_earlier_run(step, state)
    ]
    if failed and situation.on_failure is OnFailure.ROLLBACK and not state.is_beyond_return():
        return (TurnBack(_reason(state, failed[0])),)
    again = tuple(Observe(step) for step in state.moved() if _may_be_known_now(step, state, situation))
    if again:
        return again
    stuck = tuple(step.id for step in state.moved() if _is_stuck(step, state, situation))
    if stuck:
        return () if situation.in_flight else (Rest(stuck),)
    ready = tuple(_ready(state))
    starts = tuple(Start(step) for step in ready if _may_start(step, state, situation))
    if starts or situation.in_flight:
        return starts
    if ready:
        return (Rest(tuple(step.id for step in ready)),)
    return (Finish(Outcome.RELEASED),)


def _is_of_earlier_run(step: Step, state: RunState) -> bool:
    """Tell whether a step verifies what an earlier run has handed over: what it replaced is gone, so this run
    has no way back from there. It would give the lease back, which alone tells that nobody verified it.
    """
    return step.kind == "verify" and not any(
        each.kind == "deploy" and each.service == step.service for each in state.graph
    )


def _may_be_known_now(step: Step, state: RunState, situation: Situation) -> bool:
    """Tell whether to look once more at what nobody could tell under an earlier command: a person, or the
    tool itself, may have completed and recorded it since.
    """
    each = state.steps[step.id]
    is_open = each.status is Status.UNKNOWN and each.code not in _A_PERSON_ALONE
    return is_open and step.id not in situation.looked and step.id not in situation.in_flight


def _is_stuck(step: Step, state: RunState, situation: Situation) -> bool:
    """Tell whether nothing new begins because of this step: it is in doubt, or failed, under this command."""
    match state.status(step.id):
        case Status.UNKNOWN:
            return True
        case Status.FAILED | Status.STARTED:
            return step.id in situation.tried and step.id not in situation.in_flight
    return False


def _reason(state: RunState, failed: Step) -> str:
    return f"{failed.id} failed: {state.steps[failed.id].detail}"


def _ready(state: RunState) -> Iterator[Step]:
    for step in state.reached():
        if state.status(step.id) in (Status.PENDING, Status.FAILED):
            yield step


def _may_start(step: Step, state: RunState, situation: Situation) -> bool:
    is_free = step.id not in situation.tried and step.id not in situation.in_flight
    return is_free and not missing_approvals(step, state)


def missing_approvals(step: Step, state: RunState) -> tuple[str, ...]:
    """Return who has not approved yet, of those that the step asks."""
    return tuple(who for who in step.approvers if (step.id, who) not in state.approvals)


def _go_back(state: RunState, situation: Situation) -> tuple[Command, ...]:
    """Undo everything that can be undone, last first; branches that do not depend on each other together."""
    to_undo = [step for step in state.graph if _is_to_undo(step, state, situation)]
    if not to_undo:
        return () if situation.in_flight else (Finish(Outcome.ROLLED_BACK),)
    blocked = _blocked(state, situation)
    busy_or_tried = situation.in_flight | situation.tried
    undos = tuple(
        Undo(step) for step in reversed(to_undo) if not blocked[step.id] and step.id not in busy_or_tried
    )
    if undos or situation.in_flight:
        return undos
    return (Rest(tuple(step.id for step in to_undo if step.id in situation.tried)),)


def _is_to_undo(step: Step, state: RunState, situation: Situation) -> bool:
    return _may_be_there(step, state) and step.kind in situation.undoable


def _may_be_there(step: Step, state: RunState) -> bool:
    """Tell whether something of a step may be in the world.

    That a step was observed not to be done says nothing about its half: a version that starts but is not
    ready, a lease on one of two databases.
    """
    each = state.steps[step.id]
    return each.first is not None and each.status is not Status.UNDONE


def _blocked(state: RunState, situation: Situation) -> dict[StepId, bool]:
    """Tell for each step whether one behind it still has to be undone, or is still busy."""
    blocked: dict[StepId, bool] = {}
    for step in reversed(state.graph.steps):
        blocked[step.id] = any(
            blocked[later]
            or later in situation.in_flight
            or _is_to_undo(state.graph.step(later), state, situation)
            for later in state.graph.successors(step.id)
        )
    return blocked


def _give_up(state: RunState, situation: Situation) -> tuple[Command, ...]:
    """Leave everything as it stands; only the lease is given back, so that the next release can begin."""
    if situation.in_flight:
        return ()
    leases = [step for step in state.graph if step.kind == "acquire-lease" and _may_be_there(step, state)]
    if any(step.id in situation.tried for step in leases):
        return (Rest(tuple(step.id for step in leases)),)
    return tuple(Undo(step) for step in leases) or (Finish(Outcome.ABORTED),)
