"""What a release was: in which order its code and its schema could have been rolled out.

Only breaks count here, where every new migration was seen; what is not proven of a query is told in a
release's notes. The old version meets the states from the first one on, the new one those up to the last, so
the window of the switch is where both ways are free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from coordinator.evidence import Break
from coordinator.model import Layer, Role


class Rollout(StrEnum):
    """Which orders of `migrate` and `deploy` were free of errors."""

    ANY_ORDER = "any_order"
    """No query of either version breaks at any state."""
    ORDERED = "ordered"
    """There are states at which traffic may switch, and others at which a version breaks."""
    IMPOSSIBLE = "impossible"
    """There is no state at which traffic may switch: some client gets errors in every order."""
    UNPROVEN = "unproven"
    """Of one of the versions nothing could be asked, or the effect of a new migration was not seen."""


@dataclass(frozen=True, slots=True)
class Release:
    """Two neighbouring tags of which the later one brings migrations m1..mk: the states 0..k."""

    before: str
    after: str
    migrations: tuple[str, ...]
    queries: tuple[int, int] = (0, 0)
    """How many the old and the new version have."""
    rollout: Rollout = Rollout.UNPROVEN
    switch_window: tuple[int, ...] = ()
    """Every state i such that the old version breaks nowhere at 0..i and the new one nowhere at i..k; empty
    if unproven."""
    point_of_no_return: int | None = None
    """The first state at which the old version breaks."""
    breaks: tuple[Break, ...] = ()
    already_failing: tuple[str, ...] = ()
    """Queries that fail where they belong: the old version's at state 0, the new one's at state k."""
    notes: tuple[str, ...] = ()
    unasked: frozenset[Role] = frozenset(Role)
    """The versions that have no query which works where it belongs."""
    unseen: tuple[str, ...] = ()
    """The new migrations whose effect is not in the states: they are code, or failed to apply."""

    @property
    def migrate_first_breaks(self) -> bool:
        """Tell whether the old version breaks once every migration is applied."""
        return _breaks_at(self.breaks, Role.LIVE, len(self.migrations))

    @property
    def deploy_first_breaks(self) -> bool:
        """Tell whether the new version breaks before any migration is applied."""
        return _breaks_at(self.breaks, Role.NEXT, 0)


@dataclass(frozen=True, slots=True)
class Backtest:
    """A repository's past."""

    engine: str
    releases: tuple[Release, ...]
    notes: tuple[str, ...] = ()
    """What concerns no release that is listed."""
    layers: tuple[Layer, ...] = ()
    """What was asked about each query: what is said of a release rests on no more."""


def switch_window(breaks: Iterable[Break], states: int) -> tuple[int, ...]:
    """Return the states at which traffic may switch, of the states 0..`states` - 1."""
    listed = list(breaks)
    old = min((each.state for each in listed if each.use[2] is Role.LIVE), default=states)
    new = max((each.state for each in listed if each.use[2] is Role.NEXT), default=-1)
    return tuple(range(new + 1, old))


def point_of_no_return(breaks: Iterable[Break]) -> int | None:
    """Return the first state at which the old version breaks, None if there is none."""
    return min((each.state for each in breaks if each.use[2] is Role.LIVE), default=None)


def rollout_of(window: Collection[int], states: int) -> Rollout:
    """Return the verdict on a release of which both versions could be asked."""
    if not window:
        return Rollout.IMPOSSIBLE
    return Rollout.ANY_ORDER if len(window) == states else Rollout.ORDERED


def _breaks_at(breaks: Iterable[Break], role: Role, state: int) -> bool:
    return any(each.use[2] is role and each.state == state for each in breaks)
