"""What stands in the way where a version may meet a state at which it breaks: which migration, which version,
which query, and what to change. Pure.

The proof decides that a release is refused; here it is only put into words. A next version that starts too
early is the usual case, and the reason is mostly another migration: one that comes before what the version
needs, and that a live version does not bear. So the message tells of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.diagnostics import Diagnostic, Place
from coordinator.evidence import Break, Evidence, Phased, Span, Use
from coordinator.model import DatabaseName, Phase, Plan, Role, ServiceName
from coordinator.splits import place_of, split
from coordinator.survey import Survey, alive_at_start
from coordinator.windows import bears_until, works_from, works_until


@dataclass(frozen=True, slots=True)
class Known:
    """What a refusal is explained from."""

    plan: Plan
    survey: Survey
    evidence: Evidence

    def pending(self, database: DatabaseName) -> tuple[Phased, ...]:
        """Return the pending migrations of a database."""
        return self.evidence.phased.get(database, ())

    def title(self, use: Use) -> str:
        """Return what a person calls a version: "`orders` 1.4 (live)"."""
        _, service, role = use
        live = self.survey.services[service].live_version
        version = live if role is Role.LIVE and live else self.plan.services[service].version
        return f"`{service}` {version} ({role})"

    def reason(self, use: Use, state: int) -> str:
        """Return why a version breaks at a state, as a clause: its first query, or what was guessed."""
        breaks = self.evidence.breaks(use, state)
        if not breaks:
            return self.evidence.finding(use, state).reason
        first, more = breaks[0], len({each.query for each in breaks}) - 1
        tail = f"; {more} more {'queries break' if more > 1 else 'query breaks'}" if more else ""
        return (
            f"query `{first.query}` ({first.place}) fails at the layer {first.layer}:"
            f" {first.objection.message} ({first.objection.code}){tail}"
        )


def explain(use: Use, broken: Sequence[Span], known: Known) -> Diagnostic:
    """Return the problem that a version may run at states at which it breaks; `broken` are those states."""
    database, _, role = use
    end = len(known.pending(database))
    what = (
        f"{known.title(use)} may run while database `{database}` is at {_told_states(broken)} of {end}, and"
        " does not work there."
    )
    explained = _of_live(use, known) if role is Role.LIVE else _of_next(use, known)
    place, why, next_step = explained or _of_all_states(use, broken[-1].last, known)
    return Diagnostic("version-meets-broken-state", place, what, why, next_step)


def _told_states(broken: Sequence[Span]) -> str:
    stretches: list[tuple[int, int]] = []
    for span in broken:
        if stretches and stretches[-1][1] + 1 == span.first:
            stretches[-1] = stretches[-1][0], span.last
        else:
            stretches.append((span.first, span.last))
    told = [str(first) if first == last else f"{first} to {last}" for first, last in stretches]
    is_one = len(stretches) == 1 and stretches[0][0] == stretches[0][1]
    *most, last = told
    return f"{'state' if is_one else 'states'} {', '.join(most)}{' and ' if most else ''}{last}"


_Explained = tuple[Place, str, str]
"""Place, why, and the next step."""


def _of_all_states(use: Use, state: int, known: Known) -> _Explained:
    """Explain a break that no order avoids: at the last state, or on the schema as it is."""
    pending = known.pending(use[0])
    if not pending:
        place, next_step = known.plan.databases[use[0]].place, "Release a version that works on this schema."
    else:
        place = pending[-1].place
        next_step = "Correct the query, or give the release the migration that the version needs."
    return place, _sentence(known.reason(use, state)), next_step


def _of_live(use: Use, known: Known) -> _Explained | None:
    database, service, _ = use
    at = works_until(use, known.evidence)
    if not 0 <= at < len(known.pending(database)):
        return None
    taking = known.pending(database)[at]
    name = taking.migration.name
    place = place_of(taking, database, known.evidence, breaks=known.evidence.breaks(use, at + 1))
    why = f"`{name}` breaks it: {known.reason(use, at + 1)}."
    if known.survey.services[service].is_settled:
        next_step = (
            f"Release a version of `{service}` that does without it, or leave `{name}` to the release that"
            " does."
        )
        return place, f"{why} This release does not replace it.", next_step
    next_step = (
        f"Let `{name}` wait until it is gone: write `-- coordinator: phase=contract` into the file."
        if taking.phase is not Phase.CONTRACT
        else f"Leave `{name}` to the next release."
    )
    return place, why, next_step


def _of_next(use: Use, known: Known) -> _Explained | None:
    """Explain why a next version starts before the migration that it needs."""
    database, service, _ = use
    needs = works_from(use, known.evidence)
    if not 0 < needs <= len(known.pending(database)):
        return None
    giving = known.pending(database)[needs - 1]
    if known.evidence.only_sessions_break(use, needs - 1):
        return _of_sessions(giving, known.reason(use, needs - 1))
    why = f"It needs `{giving.migration.name}`: {known.reason(use, needs - 1)}."
    if (service, Role.NEXT) in alive_at_start(known.survey):
        next_step = (
            "It runs already. Send the traffic back and stop it, or release a version that works on the"
            " schema as it is now."
        )
        return giving.place, why, next_step
    blocking = _blocking(use, needs, known)
    if not blocking:
        return giving.place, why, "This is a bug in coordinator: please report it with the plan."
    place, also, next_step = _of_blocking(
        blocking, giving, known, missed=known.evidence.breaks(use, needs - 1)
    )
    circle = "" if blocking[1] == service else _circle(use, blocking, known)
    return place, f"{why} {also}{circle}", next_step


def _of_sessions(giving: Phased, reason: str) -> _Explained:
    """Explain a migration that both versions bear, and no session that has prepared a statement before it."""
    why = (
        f"What was prepared before `{giving.migration.name}` fails after it, in sessions that stay: {reason}."
    )
    next_step = (
        "Where no client keeps a statement prepared (the simple protocol, a pooler in transaction mode),"
        " leave the layer out: `rehearsal: {layers: [prepare, describe, plan, execute, result]}`. Else add"
        " the new form beside the old one in this release, and remove the old one in a later one."
    )
    return giving.place, why, next_step


def _of_blocking(blocking: Use, giving: Phased, known: Known, *, missed: Sequence[Break]) -> _Explained:
    """Explain why a live version keeps `giving` from being applied; `missed` are queries that need that."""
    database = blocking[0]
    at = bears_until(blocking, known.evidence)
    taking = known.pending(database)[at]
    lost, title = known.evidence.breaks(blocking, at + 1), known.title(blocking)
    place = place_of(taking, database, known.evidence, breaks=lost)
    subject = "It also" if taking is giving else f"`{taking.migration.name}` comes before it and"
    why = f"{subject} breaks {title}: {known.reason(blocking, at + 1)}."
    if at < works_until(blocking, known.evidence):
        why = f"{subject} waits, as its author declared, until {title} is gone."
    if taking is giving:
        return place, why, split(giving, database, known.evidence, breaks=(*lost, *missed), gone=title)
    first, later = taking.migration.name, giving.migration.name
    state = known.pending(database).index(giving) + 1
    both = [each for each in known.evidence.breaks(blocking, state) if each.migration == later]
    if both:  # the other order has no window either
        advice = split(giving, database, known.evidence, breaks=(*both, *missed), gone=title)
        return place, f"{why} `{later}` breaks it too.", f"Leave `{first}` to the next release. {advice}"
    next_step = (
        f"Move `{first}` behind `{later}`, or leave it to the next release. If `{later}` builds on it, add"
        " the new form first, keep the old one, and remove it in a later release."
    )
    return place, why, next_step


def _blocking(use: Use, needs: int, known: Known) -> Use | None:
    """Return the live version that keeps a next one from what it needs: its own service's, if that does.

    Else one of a service that cannot move first, because it waits itself.
    """
    database, service, _ = use
    found = [(database, name, Role.LIVE) for name in _in_the_way(database, needs, known)]
    own = (each for each in found if each[1] == service)
    waiting = (each for each in found if service in _waits_for(each[1], known))
    return next(iter((*own, *waiting, *found)), None)


def _in_the_way(database: DatabaseName, state: int, known: Known) -> list[ServiceName]:
    """Return the services that this release moves and whose live versions do not bear a state."""
    return [
        name
        for name, service in known.survey.services.items()
        if service.live_colour is not None
        and database in known.plan.services[name].uses
        and 0 <= bears_until((database, name, Role.LIVE), known.evidence) < state
    ]


def _waits_for(service: ServiceName, known: Known) -> tuple[ServiceName, ...]:
    """Return the services that must move before this one, nearest first."""
    found: dict[ServiceName, None] = {}
    waiting = [service]
    while waiting:
        name = waiting.pop(0)
        for database in known.plan.services[name].uses:
            needs = works_from((database, name, Role.NEXT), known.evidence)
            new = [each for each in _in_the_way(database, needs, known) if each not in found]
            found.update(dict.fromkeys(new))
            waiting += new
    return tuple(found)


def _circle(use: Use, blocking: Use, known: Known) -> str:
    """Return the sentence about a service that would have to move first, and cannot."""
    waits = _waits_for(blocking[1], known)
    if not waits:
        return ""
    whom = f"`{use[1]}` in turn" if use[1] in waits else f"`{waits[0]}`"
    return f" `{blocking[1]}` cannot move first, because it waits for {whom}."


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."
