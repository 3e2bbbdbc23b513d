"""Events and run states as lines for people. Pure: the same journal always tells the same story."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from coordinator.backfills.progress import Progress
from coordinator.engine.ahead import NOT_BEGUN
from coordinator.engine.decide import missing_approvals
from coordinator.graph import StepId
from coordinator.journal import events
from coordinator.journal.events import Event, Outcome
from coordinator.journal.fold import RunState, Status, StepState
from coordinator.report.standing import IN_PART, first_ones, what_stands_where
from coordinator.wording import counted

_STALE = timedelta(seconds=20)
"""A step that goes on says how far it is more often."""
_OPEN = (Status.STARTED, Status.UNDOING)
SIGNS = {
    Status.PENDING: "·",
    Status.STARTED: "▶",
    Status.DONE: "✔",
    Status.FAILED: "✘",
    Status.UNKNOWN: "?",
    Status.UNDOING: "↶",
    Status.UNDONE: "↶",
}
Row = tuple[str, str, str, str]
"""A step as a line: sign, name, elapsed time, what is known."""
_OUTCOMES = {
    Outcome.RELEASED: "released",
    Outcome.ROLLED_BACK: "rolled back: traffic is where it was before the release",
    Outcome.ABORTED: "aborted: everything stands as it was left",
    Outcome.SUPERSEDED: "superseded by another release",
}


def is_news(event: Event) -> bool:
    """Tell whether whoever looks on wants a line: of a group that failed, what was not begun is none."""
    return not (isinstance(event, events.StepObserved) and event.detail == NOT_BEGUN)


def line_of(event: Event, state: RunState) -> str:
    """Return an event as one line, without its time; `state` is the one after it."""
    return _LINES[type(event)](event, state)


_LINES: Mapping[type[Event], Callable[[Any, RunState], str]] = {
    events.RunStarted: lambda event, state: (
        f"■ {state.run} begins: {counted(len(state.graph), 'step')}"
        + (f", accepted unproven: {len(event.accepted)}" if event.accepted else "")
    ),
    events.StepStarted: lambda event, _: f"▶ {event.step}",
    events.StepProgressed: lambda event, _: f"· {event.step}  {_reached(event).told}",
    events.StepFinished: lambda event, state: (
        f"✔ {event.step}  {_took(state, event.step, event.at)}{_rest(event.detail)}"
    ),
    events.StepFailed: lambda event, _: f"✘ {event.step}  error[{event.code}]: {event.reason}",
    events.StepObserved: lambda event, _: (
        f"· {event.step} was not begun"
        if event.detail == NOT_BEGUN
        else f"? {event.step} was in doubt; the world says {event.seen}{_rest(event.detail)}"
    ),
    events.StepSettled: lambda event, _: f"? {event.step} settled by {event.who}: {event.seen}",
    events.UndoStarted: lambda event, _: f"↶ {event.step}",
    events.UndoFinished: lambda event, _: f"✔ {event.step} taken back{_rest(event.detail)}",
    events.UndoFailed: lambda event, _: f"✘ {event.step} not taken back  error[{event.code}]: {event.reason}",
    events.Approved: lambda event, _: f"✔ {event.step} approved by {event.who}",
    events.RollbackStarted: lambda event, _: (
        "↶ going back, because of that" if event.automatic else f"↶ going back, {event.reason}"
    ),
    events.AbortRequested: lambda event, _: f"■ giving up, asked for by {event.who}",
    events.RunFinished: lambda event, state: f"■ {state.started.release} {_ended(state, event.outcome)}",
}


def _ended(state: RunState, outcome: Outcome) -> str:
    """Return how a run ended; what nobody served before has nowhere to go back to."""
    new = ", ".join(first_ones(state)) if outcome is Outcome.ROLLED_BACK else ""
    return _OUTCOMES[outcome] + (f", but for {new}, which nobody served before" if new else "")


def _took(state: RunState, step: StepId, at: datetime) -> str:
    began = _began(state, step)
    return "" if began is None else spoken(at - began)


def _began(state: RunState, step: StepId) -> datetime | None:
    """Return when a step began: its intent may have been written before what it comes after was done."""
    first = state.steps[step].first
    before = (state.steps[each] for each in state.graph.step(step).after)
    done = (each.since for each in before if each.status is Status.DONE and each.since is not None)
    return None if first is None else max([first, *done])


def _is_ahead(state: RunState, step: StepId) -> bool:
    """Tell whether a step's intent is written and what it comes after is not done: it waits in its group."""
    before = state.graph.step(step).after
    return state.status(step) is Status.STARTED and any(
        state.status(each) is not Status.DONE for each in before
    )


def _reached(event: events.StepProgressed) -> Progress:
    return Progress(event.passed, event.total, event.per_second)


def _rest(detail: str) -> str:
    return f"  {detail}" if detail else ""


def spoken(duration: timedelta) -> str:
    """Return a duration as a person says it: 0.4 s, 12 s, 3 min 05 s, 2 h 10 min."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 10:  # noqa: PLR2004 - tenths matter below
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def summary(state: RunState, *, now: datetime) -> str:
    """Return a run's state in one sentence."""
    if state.outcome is not None:
        return f"{state.run}: {_ended(state, state.outcome)}"
    done = sum(each.status is Status.DONE for each in state.steps.values())
    direction = "going back" if state.rollback else "giving up" if state.abort else "under way"
    since = spoken(now - state.started.at)
    whom = ", ".join(dict.fromkeys(name for _, names in approvals_wanted(state) for name in names))
    waits = f"; waits for the approval of {whom}" if whom else ""
    return f"{state.run}: {direction} for {since}, {done} of {len(state.steps)} steps done{waits}"


def approvals_wanted(state: RunState) -> Iterator[tuple[StepId, tuple[str, ...]]]:
    """Yield each step that waits for nothing but approvals, and whose they are."""
    for step in () if state.rollback or state.abort else state.graph:
        names = tuple(missing_approvals(step, state))
        before = (state.status(each) for each in step.after)
        if names and state.status(step.id) is Status.PENDING and all(each is Status.DONE for each in before):
            yield step.id, names


def heartbeat(state: RunState, *, now: datetime) -> str:
    """Return what a log says when nothing was said for a while."""
    active = [
        step for step, each in state.steps.items() if each.status in _OPEN and not _is_ahead(state, step)
    ]
    return f"… {summary(state, now=now)}" + (f"; now {', '.join(active)}" if active else "")


def table_of(state: RunState, *, now: datetime) -> Iterator[Row]:
    """Yield a row a step."""
    for step in state.graph:
        each = state.steps[step.id]
        if _is_ahead(state, step.id):
            yield SIGNS[Status.PENDING], step.id, "", step.phase or ""
            continue
        end = now if each.status in _OPEN else each.since
        took = _took(state, step.id, end) if end else ""
        detail = each.detail or _told_progress(each, now) or (step.phase or "")
        missing = missing_approvals(step, state)
        if missing and each.status is Status.PENDING and state.rollback is None and state.abort is None:
            detail = f"waits for {', '.join(missing)}: coordinator approve {step.id} --as NAME"
        yield SIGNS[each.status], step.id, took, " ".join(detail.split())


def _told_progress(step: StepState, now: datetime) -> str:
    """Return how far a step is, and how long ago that was where it is not known to go on."""
    if step.progress is None:
        return ""
    age = now - step.progress.at
    return _reached(step.progress).told + (f" ({spoken(age)} ago)" if age > _STALE else "")


def closing_lines(state: RunState, stuck: tuple[StepId, ...]) -> Iterator[str]:
    """Yield how a command left a run: its outcome, why it went back, what stands where, what to do next."""
    yield f"{state.run}: {_ended(state, state.outcome) if state.outcome else _unfinished(state, stuck)}"
    yield from accepted(state)
    yield from why(state)
    yield from (f"  {line}" for line in what_stands_where(state))
    yield from (_stuck_line(state, step) for step in stuck)
    if state.outcome is not None:
        yield from _left_in_part(state)


def _left_in_part(state: RunState) -> Iterator[str]:
    """Yield how far each migration came of which a run that has ended left a part, if nothing said it yet."""
    said = "" if state.rollback is None else state.rollback.reason
    for step in state.moved():
        each = state.steps[step.id]
        is_in_part = each.status is Status.FAILED and each.code in IN_PART
        if (is_in_part or each.status is Status.UNKNOWN) and each.detail not in said:
            yield f"  {SIGNS[each.status]} {step.id}: {_indented(each.detail)}"


def failures(state: RunState) -> Iterator[tuple[StepId, str]]:
    """Yield the failed steps of a run that goes neither on nor back: why, and what to do then."""
    if state.outcome is None and state.rollback is None and state.abort is None:
        yield from (
            (step.id, _stuck_line(state, step.id))
            for step in state.moved()
            if state.status(step.id) is Status.FAILED
        )


def doubts(state: RunState) -> Iterator[str]:
    """Yield what to look at, and what to do then, for each step that only a person can tell of."""
    yield from (
        _stuck_line(state, step.id) for step in state.moved() if state.status(step.id) is Status.UNKNOWN
    )


def _stuck_line(state: RunState, step: StepId) -> str:
    return f"  {SIGNS[state.status(step)]} {step}: {_indented(_what_next(state, step))}"


def accepted(state: RunState) -> Iterator[str]:
    """Yield what nobody could prove and `--accept-unproven` took upon itself, if anything, as a line."""
    if first := next(iter(state.started.accepted), None):
        more = len(state.started.accepted) - 1
        yield f"  accepted unproven: {first}" + (f" (and {more} more: --output json)" if more else "")


def why(state: RunState) -> Iterator[str]:
    """Yield why the run went back or was given up, if it was."""
    if state.rollback is not None:
        yield f"  why: {_indented(state.rollback.reason)}"
    if state.abort is not None:
        yield f"  why: asked for by {state.abort.who}"


def _unfinished(state: RunState, stuck: tuple[StepId, ...]) -> str:
    statuses = {state.status(step) for step in stuck}
    if statuses & {Status.STARTED, Status.UNKNOWN}:
        return "in doubt"
    return "stopped" if statuses & {Status.FAILED, Status.UNDOING} else "waiting"


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


def _what_next(state: RunState, step: StepId) -> str:
    each = state.steps[step]
    missing = missing_approvals(state.graph.step(step), state)
    match each.status:
        case Status.PENDING if missing:
            return (
                f"waits for {', '.join(missing)}. Next: `coordinator approve {step} --as NAME`,"
                " then `coordinator run`."
            )
        case Status.STARTED:
            return (
                "nobody could look whether it happened; the problem above says why. When that is mended:"
                f" `{state.command}` looks again. Only if it cannot be mended: look yourself, then say what"
                f" you found: `coordinator settle {step} --as done` or `--as not-done`."
            )
        case Status.UNKNOWN:
            failed = f" When it was tried last: {each.failure}" if each.failure else ""
            return (
                f"nobody knows whether it happened. {each.detail}{failed} Look, then say what you found:"
                f" `coordinator settle {step} --as done` or `--as not-done`, then `coordinator run`."
            )
        case Status.UNDOING:
            return (
                f"could not be taken back. {each.detail} When that is mended: `coordinator rollback` tries"
                " again; `coordinator abort` leaves everything as it stands."
            )
        case Status.FAILED:
            back = (
                "there is no way back any more"
                if state.is_beyond_return()
                else "to go back: `coordinator rollback`"
            )
            return f"{each.detail} When that is mended: `coordinator run`; {back}."
        case _:
            return f"{each.detail} `coordinator run` tries again."


def _progress_of(step: StepState) -> dict[str, object]:
    """Return the field `progress` of a step that ever said how far it is."""
    if step.progress is None:
        return {}
    reached = _reached(step.progress)
    return {
        "progress": {
            "passed": reached.passed,
            "total": reached.total or None,
            "per_second": reached.per_second,
            "seconds_left": None if reached.left is None else round(reached.left.total_seconds()),
            "at": step.progress.at.isoformat(),
        }
    }


_RUN_FIELDS = ("run", "release", "started", "outcome", "rollback")


def as_json(state: RunState | None) -> dict[str, object]:
    """Return a run as the fields of `coordinator/run/1`; where there is none, all of them are empty."""
    if state is None:
        return {**dict.fromkeys(_RUN_FIELDS), "beyond_return": False, "accepted": [], "steps": []}
    return {
        "run": state.run,
        "release": state.started.release,
        "started": state.started.at.isoformat(),
        "outcome": state.outcome,
        "rollback": None if state.rollback is None else state.rollback.reason,
        "beyond_return": state.is_beyond_return(),
        "accepted": list(state.started.accepted),
        "steps": [
            {
                "id": step.id,
                "kind": step.kind,
                "status": state.status(step.id),
                "since": _iso(state.steps[step.id].since),
                "detail": state.steps[step.id].detail,
                "code": state.steps[step.id].code or None,
                "waits_for": missing_approvals(step, state),
                **({} if step.percent is None else {"percent": step.percent}),
                **_progress_of(state.steps[step.id]),
            }
            for step in state.graph
        ],
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
