"""What people ask of a run that may be worked on by another process: approve, roll back, abort, settle.

Only the engine writes to a run's journal. Others leave a request, which is the event that they want; the
engine takes it over, word for word, when it can follow from the state, so that a request survives every
crash and counts exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from coordinator.errors import Usage
from coordinator.graph import StepId
from coordinator.journal import events
from coordinator.journal.events import Event, from_wire, to_wire
from coordinator.journal.fold import RunState, Status
from coordinator.ports.machine import Journal
from coordinator.world import Seen


def objection(state: RunState, event: Event) -> Usage | None:
    """Return why the event cannot follow now; None if it can."""
    match event:
        case events.RollbackStarted() if state.is_beyond_return():
            crossed = next(
                step.id
                for step in state.graph
                if step.no_return and state.status(step.id) is not Status.PENDING
            )
            return Usage(
                "beyond-return",
                f"No way back: {crossed} has begun, and the old version is not promised to work after it.",
                next_step="Go forward with `coordinator run`; the old version needs a new release.",
            )
        case events.Approved(_, step, _) if step not in state.graph or not state.graph.step(step).approvers:
            gates = [each.id for each in state.graph if each.approvers]
            return Usage(
                "no-such-gate",
                f"{step} is no step that waits for approval.",
                next_step=f"The gates of this run: {', '.join(gates) or 'none'}.",
            )
        case events.Approved(_, step, who) if who not in state.graph.step(step).approvers:
            return Usage(
                "not-an-approver",
                f"{who} is not among those that the plan asks.",
                next_step=f"{step} asks {', '.join(state.graph.step(step).approvers)}.",
            )
        case events.StepSettled(_, step, seen, _, line) if line and (
            seen is not Seen.NOT_DONE or step not in state.graph or state.graph.step(step).kind != "apply"
        ):
            return Usage(
                "not-in-doubt",
                "Only a migration that is not done can go on at a line.",
                next_step="Leave --from-line out, or say --as not-done of the step of a migration.",
            )
        case events.StepSettled(_, step, _, _, _) if step not in state.graph or state.status(step) not in (
            Status.UNKNOWN,
            Status.STARTED,
        ):
            return Usage(
                "not-in-doubt",
                f"{step} is not in doubt.",
                next_step="`coordinator status` shows each step's state.",
            )
    return None


def _at_work(state: RunState, event: Event, holder: str | None) -> Usage | None:
    """Return why a step is not settled that has begun, while the run's process is there: it says itself.

    The request would stay, and count after a kill of that process, of which the person knew nothing.
    """
    if holder is None or not isinstance(event, events.StepSettled):
        return None
    if state.status(event.step) is not Status.STARTED:
        return None
    return Usage(
        "not-in-doubt",
        f"{event.step} is at work: {holder} acts on this run, and says itself what the step comes to.",
        next_step="Wait for it. If it hangs, end that process first, then look, and settle the step.",
    )


@dataclass
class Inbox:
    """The requests of one run; `take` is the engine's `take_requests`."""

    journal: Journal
    run: str
    _seen: set[str] = field(default_factory=set)

    def take(self, state: RunState) -> Sequence[Event]:
        """Return the requests that may count now. One that cannot follow any more is dropped."""
        fresh = [record for record in self.journal.requests(self.run) if record not in self._seen]
        if not fresh:
            return ()
        self._seen.update(fresh)
        past = set(self.journal.records(self.run))
        wanted = _without_corrected([from_wire(record) for record in fresh if record not in past])
        welcome: list[Event] = []
        for event in wanted:
            if objection(state, event) is None and not _is_moot(state, event):
                state = state.with_event(event)
                welcome.append(event)
        return welcome


def _without_corrected(wanted: Sequence[Event]) -> list[Event]:
    """Return the requests without what a person said of a step and then corrected: the last word counts."""
    last = {each.step: each for each in wanted if isinstance(each, events.StepSettled)}
    return [each for each in wanted if not isinstance(each, events.StepSettled) or last[each.step] is each]


def _is_moot(state: RunState, event: Event) -> bool:
    """Tell whether an event asks for what the run does already, or answers a doubt that is over.

    A rollback that is stuck can be aborted. What a person found before a step was begun once more says
    nothing of what came of it then.
    """
    match event:
        case events.StepSettled(at, step):
            return at < _since(state, step, at)
        case events.RollbackStarted():
            return state.rollback is not None or state.abort is not None
        case events.AbortRequested():
            return state.abort is not None
        case events.Approved(_, step, who):
            return (step, who) in state.approvals
    return False


def _since(state: RunState, step: StepId, at: datetime) -> datetime:
    """Return when the step got to where it is, if that was after `at`, else `at`."""
    return max(at, state.steps[step].since or at)


def leave(journal: Journal, state: RunState, event: Event, *, holder: str | None) -> None:
    """Leave a request, while the process `holder` acts on the run, or none does.

    Raises: Usage where the event cannot follow from where the run is.
    """
    problem = objection(state, event) or _at_work(state, event, holder)
    if problem is not None:
        raise problem
    if isinstance(event, events.StepSettled):  # the run may have another clock
        event = replace(event, at=_since(state, event.step, event.at))
    journal.ask(state.run, to_wire(event))
