"""Where traffic, work and schema are, as far as a run moved them: lines for people. Pure.

A run that goes on, waits or was given up leaves the world somewhere, and nobody should have to work that out
from a list of steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from coordinator.graph import Step
from coordinator.journal.fold import RunState, Status

_TRAFFIC = {
    Status.PENDING: "{live} serves, as before",
    Status.STARTED: "whether {step.version} on {step.colour} serves is in doubt",
    Status.DONE: "{step.version} on {step.colour} serves",
    Status.FAILED: "{live} serves, as before",
    Status.UNKNOWN: "whether {step.version} on {step.colour} serves is in doubt",
    Status.UNDOING: "{step.version} on {step.colour} may still serve",
    Status.UNDONE: "{live} serves again",
}
_SHARED = (
    "{live} serves, and {step.version} on {step.colour} beside it with a share of about {step.percent} %"
)

IN_PART = frozenset({"half-applied", "transaction-ended"})
"""How a migration fails of which something stays for good."""


def first_ones(state: RunState) -> list[str]:
    """Return the services whose first version serves since this run, also where the switch was taken back."""
    stops = {step.service for step in state.graph if step.kind == "stop"}
    return [
        str(step.service)
        for step in state.graph
        if step.kind == "switch"
        and step.service not in stops
        and state.status(step.id) in (Status.DONE, Status.UNDONE)
    ]


def what_stands_where(state: RunState) -> Iterator[str]:
    """Yield a line for each service and each database of a run."""
    stops = {step.service: step for step in state.graph if step.kind == "stop"}
    deploys = {step.service: step for step in state.graph if step.kind == "deploy"}
    switched = {step.service for step in state.graph if step.kind == "switch"}
    for step in state.graph:
        if step.kind == "switch":
            yield f"service {step.service}: {_traffic(step, stops.get(step.service), state)}"
        if step.kind == "monitor" and step.service not in switched:
            deploy = deploys.get(step.service)
            yield f"service {step.service}: " + (
                _handed_over(deploy, stops[step.service], state)
                if deploy
                else _unmoved(step, stops.get(step.service), state)
            )
    moves = [step for step in state.graph if step.state is not None]
    applies = Counter(step.its_database for step in moves)
    done = Counter(step.its_database for step in moves if state.status(step.id) is Status.DONE)
    for database in sorted(applies):
        more = "".join(_in_part(step, state) for step in moves if step.database == database)
        yield f"database {database}: {done[database]} of {applies[database]} migrations applied{more}"


def _in_part(step: Step, state: RunState) -> str:
    """Return what to add of a migration that is neither applied nor certainly not there."""
    each = state.steps[step.id]
    if each.status is Status.FAILED and each.code in IN_PART:
        return f", and a part of {step.id}"
    if each.status is Status.UNKNOWN:
        return f", and nobody knows how much of {step.id}"
    return ""


def _traffic(switch: Step, stop: Step | None, state: RunState) -> str:
    live = _named(stop) if stop else "nobody"
    status = state.status(switch.id)
    if stop is None and status is Status.UNDONE:  # a first release has nowhere to go back to
        status = Status.DONE
    canary = _canary_out(switch, state)
    if canary is not None and status in (Status.PENDING, Status.FAILED):
        return _SHARED.format(live=live, step=canary)
    return _TRAFFIC[status].format(step=switch, live=live)


def _unmoved(monitor: Step, stop: Step | None, state: RunState) -> str:
    """Return what serves where a run found the wanted version at work, as one does whose journal was lost."""
    stands = f"{monitor.version} on {monitor.colour} serves, as before"
    is_back = state.rollback is not None or state.abort is not None
    if stop is None or stop.version is None or not is_back:
        return stands
    return (
        f"{stands}: it had the traffic when this run began, which does not take it back."
        f" To go back to {stop.version}, release that"
    )


def _canary_out(switch: Step, state: RunState) -> Step | None:
    """Return the last canary of a service that began and was not taken back."""
    begun = [
        step
        for step in state.graph
        if (step.kind, step.service) == ("canary", switch.service)
        and state.steps[step.id].first is not None
        and state.status(step.id) is not Status.UNDONE
    ]
    return begun[-1] if begun else None


def _handed_over(deploy: Step, stop: Step, state: RunState) -> str:
    """Return who does the work of a worker whose live version is stopped before its next one starts."""
    stopped = state.status(stop.id)
    if state.status(deploy.id) is Status.DONE:
        return f"{deploy.version} on {deploy.colour} works"
    if stopped is Status.PENDING and state.steps[stop.id].first is None:
        return f"{_named(stop)} works, as before"
    if stopped is Status.UNDONE:
        return f"{_named(stop)} works again"
    was = "was stopped" if stopped in (Status.DONE, Status.UNDOING) else "may be stopped"
    began = state.steps[deploy.id].first is not None
    then = "is not known to work" if began else "was not started"
    who = "perhaps nobody" if began or was == "may be stopped" else "nobody"
    until = "" if state.outcome is None else " until the next release"
    next_one = f"{deploy.version} on {deploy.colour}"
    return f"{_named(stop)} {was}, and {next_one} {then}: {who} does the work{until}"


def _named(stop: Step) -> str:
    return f"{stop.version or 'the old version'} on {stop.colour}"
