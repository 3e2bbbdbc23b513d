"""Where traffic may switch, and from where on there is no way back: read off the matrix, for people. Pure.

Nothing is decided here: the order is the compiler's and the verdict the proof's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from coordinator.evidence import Evidence, Phased, Use, Verdict
from coordinator.graph import Step
from coordinator.model import DatabaseName, Role, ServiceName
from coordinator.prove import Proof
from coordinator.report.matrix import title
from coordinator.windows import works_from, works_until

_FEW: Final = 3


@dataclass(frozen=True, slots=True)
class Window:
    """The states of a database at which a service's traffic may move to the next version."""

    database: DatabaseName
    service: ServiceName
    live_until: int
    """The last state before the live version's first break; -1 where it breaks at once."""
    next_from: int
    """The first state after the next version's last break; beyond the last state where it breaks there."""
    proven: tuple[int, ...]
    """The states of the window at which live is proven from the first state on, and next to the last."""

    @property
    def states(self) -> range:
        """Return the states in the window; none where the release cannot be made without downtime."""
        return range(self.next_from, self.live_until + 1)


def windows(proof: Proof) -> Iterator[Window]:
    """Yield a window for each service whose traffic has yet to move, and each database that it uses."""
    for name, service in proof.survey.services.items():
        if service.is_switched:
            continue
        for database in proof.plan.services[name].uses:
            yield _window((database, name, Role.NEXT), proof, has_live=service.live_colour is not None)


def _window(use: Use, proof: Proof, *, has_live: bool) -> Window:
    database, service, _ = use
    live, evidence = (database, service, Role.LIVE), proof.evidence
    end = len(evidence.phased.get(database, ()))
    until, since = works_until(live, evidence) if has_live else end, works_from(use, evidence)
    proven = tuple(
        state
        for state in range(since, until + 1)
        if (not has_live or _is_proven(live, 0, state, evidence)) and _is_proven(use, state, end, evidence)
    )
    return Window(database, service, until, since, proven)


def _is_proven(use: Use, first: int, last: int, evidence: Evidence) -> bool:
    return all(span.finding.verdict is Verdict.PROVEN for span in evidence.between(use, first, last))


@dataclass(frozen=True, slots=True)
class NoReturn:
    """The step and the state from which on a database's live versions are not promised to work."""

    database: DatabaseName
    state: int
    phased: Phased
    step: Step


def points_of_no_return(proof: Proof) -> Iterator[NoReturn]:
    """Yield the first step of each database behind which there is no way back."""
    seen: set[DatabaseName] = set()
    for step in proof.graph:
        if (
            step.no_return
            and step.database is not None
            and step.state is not None
            and step.database not in seen
        ):
            seen.add(step.database)
            phased = proof.evidence.phased[step.database][step.state - 1]
            yield NoReturn(step.database, step.state, phased, step)


def sentences(database: DatabaseName, proof: Proof) -> Iterator[str]:
    """Yield where traffic may switch on a database, and from which state on there is no way back."""
    yield from (_switch(window, proof) for window in windows(proof) if window.database == database)
    for point in points_of_no_return(proof):
        if point.database == database and proof.verdict is not Verdict.BROKEN:
            why = _left_behind(point, proof)
            yield f"No way back from s{point.state} on: {point.phased.migration.name} ({why})."
            yield from (_starts_late(name, proof) for name in _deployed_behind(point.step, proof))


def _deployed_behind(no_return: Step, proof: Proof) -> Iterator[ServiceName]:
    """Yield the services whose next version starts only when a step is done."""
    behind = {no_return.id}
    for step in proof.graph:
        if not behind.isdisjoint(step.after):
            behind.add(step.id)
            if step.kind == "deploy":
                yield step.its_service


def _starts_late(service: ServiceName, proof: Proof) -> str:
    new, old = proof.plan.services[service].version, proof.survey.services[service].live_version
    told = f"{service} {new} starts behind that, so there is no rollback for it"
    if old is None:
        return f"{told}."
    return f"{told}: {old} goes on serving until its traffic moves, and then nothing moves it back."


def _switch(window: Window, proof: Proof) -> str:
    is_worker = proof.plan.services[window.service].worker is not None
    what, move = ("The work", "move") if is_worker else ("Traffic", "switch")
    what = f"{what} of {window.service}"
    if not window.states:
        return f"✘ {what} can {move} nowhere. {_why_empty(window, proof)}"
    states, proven = tuple(window.states), window.proven
    if states == proven:
        return f"{what} may {move} {_any_of(states)}."
    if not proven:
        return f"{what} may {move} {_any_of(states)}, as far as is known (unproven)."
    others = _any_of(tuple(state for state in states if state not in proven))
    return f"{what} may {move} {_any_of(proven)}; {others} that is unproven."


def _any_of(states: tuple[int, ...]) -> str:
    """Return `at s1`, `at s1 or s2`, `at any of s1-s5`."""
    first, last = states[0], states[-1]
    if len(states) < _FEW:
        return "at " + " or ".join(f"s{state}" for state in states)
    is_stretch = states == tuple(range(first, last + 1))
    return f"at any of s{first}-s{last}" if is_stretch else "at " + ", ".join(f"s{state}" for state in states)


def _why_empty(window: Window, proof: Proof) -> str:
    """Return why traffic can switch at no state, and how to write the release so that it can."""
    phased = proof.evidence.phased.get(window.database, ())
    new = title((window.database, window.service, Role.NEXT), proof)
    old = title((window.database, window.service, Role.LIVE), proof)
    if window.next_from > len(phased):
        return f"{new} breaks even at the last state, s{len(phased)}."
    if window.live_until < 0:
        return f"{old} breaks at s0 already, the schema that it runs on."
    taking, giving = phased[window.live_until].migration.name, phased[window.next_from - 1].migration.name
    use = window.database, window.service, Role.NEXT
    if proof.evidence.only_sessions_break(use, window.next_from - 1):
        return f"Both versions bear `{giving}`; a session that prepared a statement before it does not."
    if taking == giving:
        return (
            f"`{giving}` brings what {new} needs and takes what {old} needs. Split it: the first part stays,"
            " the second goes into a migration of the next release."
        )
    return (
        f"`{taking}` takes what {old} needs before `{giving}` brings what {new} needs. Move `{taking}` behind"
        f" `{giving}`, or into the next release."
    )


def _left_behind(point: NoReturn, proof: Proof) -> str:
    """Return which live versions break at a point of no return."""
    broken = [
        title(use, proof)
        for use in proof.evidence.spans
        if (use[0], use[2]) == (point.database, Role.LIVE)
        and proof.evidence.finding(use, point.state).verdict is Verdict.BROKEN
    ]
    return f"{', '.join(broken)} {'breaks' if len(broken) == 1 else 'break'}" if broken else "contract begins"
