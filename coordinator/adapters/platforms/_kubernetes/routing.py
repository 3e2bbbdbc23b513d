"""Where the Service sends new connections: read, moved, widened for a canary and narrowed again.

The selector is the one truth about who serves. Every change is one JSON Patch that tests the whole selector
as it was read, and the fence's number, and replaces both in the same request: a person's change in between
makes the API server refuse, and is then told and never overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from coordinator.adapters.platforms._kubernetes.failures import Changed, Unanswered
from coordinator.adapters.platforms._kubernetes.fence import Fence
from coordinator.adapters.platforms._kubernetes.objects import (
    CANARY,
    COLOUR,
    LIVE,
    PARKED,
    SELECTOR,
    Json,
    annotate,
    annotation,
    at,
    demand,
    put,
    text_of,
)
from coordinator.adapters.platforms._kubernetes.site import Site
from coordinator.errors import StepFailed
from coordinator.model import Colour

_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """The Service as it was read."""

    service: Json
    selector: Mapping[str, str]
    routed: Colour | None
    """The colour that the selector names, or the one that served before the canary."""
    canary: Colour | None
    """The colour that shares the traffic now."""
    is_open: bool
    """The selector names no colour and no canary of ours is out: both colours are reached."""


class Routing:
    """The Service of one service."""

    def __init__(self, site: Site, fence: Fence) -> None:
        self._site = site
        self._fence = fence

    def look(self) -> Seen:
        """Read the Service.

        Raises: StepFailed `service-missing`, `selector-foreign`; Waiting `fenced-off`, `changed-by-hand`.
        """
        service = self._site.api.get(self._site.traffic)
        if service is None:
            raise StepFailed(
                "service-missing",
                f"There is no Service `{self._site.spec.service}` in namespace `{self._site.namespace}`.",
                next_step="Apply it, with `color: blue` in its selector; coordinator makes Deployments, and"
                " never the address that clients use.",
            )
        self._fence.check_selector(service)
        selector: Mapping[str, str] = at(service, "spec", "selector") or {}
        named = selector.get(COLOUR)
        canary = annotation(service, CANARY)
        if named is None and canary is not None:
            live = Colour(annotation(service, LIVE) or Colour(canary).other)
            return Seen(service, selector, routed=live, canary=Colour(canary), is_open=False)
        if named in {None, PARKED, *Colour}:
            routed = Colour(named) if named in set(Colour) else None
            return Seen(service, selector, routed=routed, canary=None, is_open=named is None)
        raise StepFailed(
            "selector-foreign",
            f"The selector of Service `{self._site.spec.service}` has `{COLOUR}: {named}`.",
            why="It is neither blue nor green, so nobody can say which version serves.",
            next_step="Set it to the colour whose Deployment shall serve.",
        )

    def park(self, seen: Seen) -> None:
        """Let nobody serve, so that a first version can be verified before anybody reaches it."""
        self._write(seen, {**seen.selector, COLOUR: PARKED}, {CANARY: None})

    def move(self, seen: Seen, to: Colour) -> None:
        """Send new connections to `to` alone."""
        self._write(seen, {**seen.selector, COLOUR: to.value}, {LIVE: to.value, CANARY: None})

    def widen(self, seen: Seen, canary: Colour) -> None:
        """Send new connections to both colours; the annotations keep who serves and who is tried."""
        assert seen.routed is not None
        wide = {key: value for key, value in seen.selector.items() if key != COLOUR}
        self._write(seen, wide, {LIVE: seen.routed.value, CANARY: canary.value})

    def _write(self, seen: Seen, selector: Mapping[str, str], marks: Mapping[str, str | None]) -> None:
        operations: list[dict[str, Any]] = [
            demand(dict(seen.selector), "spec", "selector"),
            *self._fence.guard(),
            put(dict(selector), "spec", "selector"),
            *annotate(seen.service, {**self._fence.marks, SELECTOR: text_of(selector), **marks}),
        ]
        for _ in range(_TRIES):
            try:
                self._site.api.json_patch(self._site.traffic, operations)
            except Unanswered:
                now = at(self._site.api.get(self._site.traffic), "spec", "selector") or {}
                if now == selector:
                    return
                if now != seen.selector:
                    break
            except Changed:
                break
            else:
                return
        self.look()  # says who took over or what was changed by hand, where that is known
        raise switch_conflict(self._site, now=at(self._site.api.get(self._site.traffic), "spec", "selector"))


def switch_conflict(site: Site, *, now: object) -> StepFailed:
    """Return that the traffic went elsewhere meanwhile."""
    return StepFailed(
        "switch-conflict",
        f"The traffic of `{site.service.name}` goes where this release did not expect it:"
        f" its Service selects {now}.",
        why="Somebody moved it meanwhile, and it was not overwritten.",
        next_step="Look with `kubectl get service -o yaml`, then run the command again.",
    )
